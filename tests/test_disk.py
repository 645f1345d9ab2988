"""Files and folders are there whole or not at all; whatever fails half-way leaves nothing behind."""

from __future__ import annotations

import ast
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tokenizers
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from support.corpus import HASH
from support.disks import mounted
from support.predictor import QUICK, planted, random_inputs, trainer_of
from support.serving import ROOT
from support.suite import SMALLEST

from memviz import corpus, disk
from memviz.demo.training import _save
from memviz.engine.backend import Backend
from memviz.errors import Failure, InputError, sentence
from memviz.predictor.known import Known, rename
from memviz.predictor.network.artifact import Predictor, save
from memviz.predictor.network.fit import save_state
from memviz.predictor.tables import TABLES, Tables, write_tables
from memviz.settings import load_settings
from memviz.store import Store, request_hash
from memviz.sweeps import RowSet, save_row_set
from memviz.sweeps.results import table_file


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("place", ["os.fsync", "pathlib.Path.replace", None])
def test_a_file_is_whole_or_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str | None) -> None:
    path = tmp_path / "deep" / ("x" * 250)
    disk.write_text(path, "before")
    with monkeypatch.context() as patch:
        if place:
            patch.setattr(place, refuse)
        with pytest.raises(Failure if place else ZeroDivisionError), disk.new_file(path) as new:
            new.write_text("half")
            assert new.parent == path.parent and path.read_text() == "before"
            if not place:
                raise ZeroDivisionError
    assert files_in(tmp_path) == {f"deep/{path.name}": b"before"}
    disk.write_text(path, "after")
    assert files_in(tmp_path) == {f"deep/{path.name}": b"after"}


@pytest.mark.parametrize("place", ["os.fsync", "second rename", None])
def test_a_folder_is_whole_or_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str | None) -> None:
    path, moves, move = tmp_path / "models" / "m", [], Path.rename
    with disk.new_folder(path) as new:
        (new / "below").mkdir()
        (new / "below" / "a").write_text("before")
    (path.parent / ".m-left").mkdir()

    def rename_once(old: Path, target: Path) -> Path:
        moves.append(old)
        return move(old, target) if len(moves) != 2 else refuse()  # type: ignore[return-value,func-returns-value]

    with monkeypatch.context() as patch:
        if place:
            patch.setattr(*(("os.fsync", refuse) if place == "os.fsync" else ("pathlib.Path.rename", rename_once)))
        with pytest.raises(Failure if place else ZeroDivisionError), disk.new_folder(path) as new:
            (new / "b").write_text("half")
            if not place:
                raise ZeroDivisionError
    assert files_in(tmp_path) == {"models/m/below/a": b"before"} and len(list(path.parent.iterdir())) == 1
    with disk.new_folder(path) as new:
        (new / "b").write_text("after")
    assert files_in(tmp_path) == {"models/m/b": b"after"}


def test_what_is_refused_and_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match=rf"^{tmp_path}/file/below cannot be written \(Not a directory\); make it a"):
        disk.write_text(tmp_path / "file" / "below" / "x", "")
    for error in (
        InputError("said"),
        FileNotFoundError(errno.ENOENT, "removed meanwhile", str(tmp_path / "x")),
        PermissionError(errno.EACCES, "a file that is read", "/elsewhere/model.safetensors"),
        OSError("what a library says of a damaged file"),
    ):
        with pytest.raises(type(error)) as raised, disk.new_file(tmp_path / "x"):
            raise error
        assert raised.value is error
    assert list(files_in(tmp_path)) == ["file"]


BIG = np.random.default_rng(0).random(100_000)


def torch_file(path: Path) -> None:
    torch.save({"a": torch.from_numpy(BIG)}, path)


FILLING: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("x" * BIG.nbytes),
    "numpy": lambda path: np.save(path.open("wb"), BIG),
    "safetensors of numpy": lambda path: save_file({"a": BIG}, path),
    "safetensors of torch": lambda path: save_tensors({"a": torch.from_numpy(BIG)}, path),
    "torch": torch_file,
    "pandas": lambda path: pd.DataFrame({"a": BIG}).to_parquet(path),
    "pyarrow": lambda path: pa.parquet.write_table(pa.table({"a": BIG}), path),
    "tokenizers": lambda path: tokenizers.Tokenizer(
        tokenizers.models.WordLevel({f"{i:0200}": i for i in range(2000)})
    ).save(str(path)),
    "a copy": lambda path: shutil.copyfile(ROOT / f"memviz/demo/suite/models/{SMALLEST}/model.safetensors", path),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with mounted(tmp_path_factory.mktemp("small") / "disk", "100k") as folder:
        yield folder


@pytest.mark.parametrize("name", FILLING)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_disk_that_is_really_full_is_one_sentence(small: Path, name: str) -> None:
    sentence = rf"^no space left in {small}: free space or set MEMVIZ_CACHE or --out to another folder$"
    with pytest.raises(Failure, match=sentence), disk.new_file(small / "x") as new:
        FILLING[name](new)
    assert not list(small.iterdir())


def predictor() -> Predictor:
    inputs = random_inputs(20)
    trainer = trainer_of(inputs, planted(inputs, "causal"), "causal", 10, replace(QUICK, n_epochs=1))
    next(iter(trainer.epochs()))
    return Predictor(trainer.fitted(), {"preset": {"half": True}})


def fill(folder: Path) -> None:
    with table_file(folder, "rows", pa.schema({"a": pa.int64()})) as file:
        file.add(pa.table({"a": [1]}))
        file.finish()


def renamed(folder: Path) -> None:
    folder.mkdir()
    rename(Known(folder, {}), "mine")


def build(folder: Path) -> None:
    shard = corpus.StreamShard(*(np.array(values) for values in ([1, 2], [0], [2], [0], [2], [0])))
    corpus.build(folder, "n", HASH, 10, [shard], pa.table({"source": ["a"]}))


WRITERS: dict[str, Callable[[Path], object]] = {
    "a result": lambda folder: Store(folder, 10**9).put(request_hash({}), {"a": BIG}, {}),
    "a predictor": lambda folder: save(predictor(), folder),
    "a checkpoint": lambda folder: save_state({"a": torch.zeros(9)}, folder / "state.pt"),
    "an evaluation": lambda folder: write_tables(
        Tables(**{name: pd.DataFrame(columns=list(columns)) for name, columns in TABLES.items()}), folder
    ),
    "a predictor's name": renamed,
    "a row set": lambda folder: save_row_set("mine", RowSet(), load_settings(cache=folder)),
    "a table": fill,
    "an index": build,
    "a state of training": lambda folder: _save({"a": torch.zeros(9)}, folder / "state.pt"),
}
LOCKS = {"store.lock", "build.lock"}


@pytest.mark.parametrize("name", WRITERS)
def test_writers_that_fail_half_way_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for place in ("os.fsync", "pathlib.Path.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(place, refuse)
            patch.setattr("pathlib.Path.rename", refuse)
            with pytest.raises(Failure, match=f"^no space left in {tmp_path}"):
                WRITERS[name](tmp_path / place)
        assert {Path(file).name for file in files_in(tmp_path / place)} <= LOCKS
    WRITERS[name](tmp_path / "well")
    assert not list((tmp_path / "well").rglob("*.tmp")) and len(files_in(tmp_path / "well")) > 0


def test_noise_that_cannot_be_kept_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz.engine.backend.measure_logit_noise", lambda loaded: 0.5)
    backend = Backend(load_settings(cache=tmp_path, device="cpu"))
    loaded = SimpleNamespace(card=SimpleNamespace(weights="w"), dtype="float32", device=torch.device("cpu"))
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", refuse)
        assert backend.logit_noise(loaded) == 0.5 and files_in(tmp_path) == {}  # type: ignore[arg-type]
    assert backend.logit_noise(loaded) == 0.5 and len(files_in(tmp_path)) == 1  # type: ignore[arg-type]


MOVES = {
    "memviz/store/files.py": ["os.replace"],
    "memviz/sweeps/preparing.py": ["(work.aside / ROWS).replace"],
    "memviz/sweeps/ray/cluster.py": ["tempfile.mkdtemp"],
}
"""What is written by others, or only moved."""


def test_nobody_else_writes_and_renames() -> None:
    found: dict[str, list[str]] = {}
    for path in (ROOT / "memviz").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                said = ast.unparse(node.func)
                whole = said in ("os.fsync", "os.replace", "os.rename") or node.func.attr in ("mkstemp", "mkdtemp")
                if whole or (node.func.attr == "replace" and len(node.args) == 1 and not node.keywords):
                    found.setdefault(str(path.relative_to(ROOT)), []).append(said)
    assert set(found.pop("memviz/disk.py")) == {"os.fsync", "new.replace"}
    assert found == MOVES


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("k is 0: give at least 1"), "k is 0: give at least 1"),
        (Failure("the device is gone: try again"), "the device is gone: try again"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "no space left on a disk: free space and start again; what was"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "no space left on a disk: free space"),
        (FileNotFoundError("Failed to open '/a/b'\nmore"), "Failed to open '/a/b': if it was removed, start again"),
        (FileNotFoundError(2, "gone", "/a/b"), "/a/b cannot be used (No such file or directory): if it was removed"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), None),
        (ZeroDivisionError("division by zero"), None),
        (ValueError("not ours"), None),
    ],
)
def test_the_one_catch_rule(error: Exception, said: str | None) -> None:
    told = sentence(error)
    assert told is None if said is None else told is not None and told.startswith(said)
