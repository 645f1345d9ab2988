"""Indexes, predictors and read-only stores made by others: refused with one sentence, or without effect."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.corpus import HASH, random_stream
from support.hostile import HTML, Evil, nested, safetensors_bytes
from support.store import PLENTY, arrays, index_of, key

from memviz.catalog import find_model
from memviz.corpus import Corpus
from memviz.corpus.known import index_of as index_of_model
from memviz.errors import Failure, InputError
from memviz.predictor import epochs_of, known_predictors, read_known
from memviz.predictor.files import ABOUT, WEIGHTS, read_about
from memviz.predictor.known import PROGRESS, SHIPPED
from memviz.predictor.network.artifact import load
from memviz.settings import Settings
from memviz.store import Store
from memviz.store.files import content_name
from memviz.sweeps.kept import newest_first

# Indexes of a corpus


def write(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def shard_of(folder: Path) -> Path:
    return next(path.parent for path in folder.glob("*/shard.json"))


def lie_about_shard(folder: Path) -> None:
    about = json.loads((folder / "manifest.json").read_text())
    about["shards"][0]["key"] = "../evil"
    shutil.copytree(shard_of(folder), folder.parent / "evil")
    write(folder / "manifest.json", shards=about["shards"])


def objects(folder: Path) -> None:
    np.save(shard_of(folder) / "tokens.npy", np.array([Evil()], object), allow_pickle=True)


def floats(folder: Path) -> None:
    values = np.load(shard_of(folder) / "suffixes.npy").astype(np.float32)
    np.save(shard_of(folder) / "suffixes.npy", values)
    about = json.loads((shard_of(folder) / "shard.json").read_text())
    about["arrays"]["suffixes"] = ["<f4", list(values.shape), ""]
    write(shard_of(folder) / "shard.json", arrays=about["arrays"])


INDEXES: dict[str, Callable[[Path], Any]] = {
    "no object": lambda folder: (folder / "manifest.json").write_bytes(b"[]"),
    "nested deep": lambda folder: (folder / "manifest.json").write_bytes(nested(100_000)),
    "older format": lambda folder: write(folder / "manifest.json", format=0),
    "newer format": lambda folder: write(folder / "manifest.json", format=2),
    "shard outside": lie_about_shard,
    "rows outside": lambda folder: write(folder / "manifest.json", rows="../../rows"),
    "vocabulary without end": lambda folder: write(folder / "manifest.json", vocab_size=2**50),
    "number in words": lambda folder: write(folder / "manifest.json", n_tokens=HTML),
    "name of a list": lambda folder: write(folder / "manifest.json", name=[]),
    "unknown field": lambda folder: write(folder / "manifest.json", evil=1),
    "shards of numbers": lambda folder: write(folder / "manifest.json", shards=[3]),
    "objects": objects,
    "floats": floats,
    "shard nested deep": lambda folder: (shard_of(folder) / "shard.json").write_bytes(nested(100_000)),
    "another shard": lambda folder: write(shard_of(folder) / "shard.json", entry={}),
    "array of a terabyte": lambda folder: os.truncate(shard_of(folder) / "tokens.npy", 2**40),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_an_index_that_lies_is_refused(kind: str, settings: Settings) -> None:
    folder = settings.cache / "corpora" / "own"
    random_stream(0).build(folder)
    assert Corpus.open(folder, HASH).counts([1, 2]).shape == (5, 2)
    INDEXES[kind](folder)
    if kind == "array of a terabyte":  # its beginning is as before, and no more of it is read
        assert Corpus.open(folder, HASH).counts([1, 2]).shape == (5, 2)
        return
    with pytest.raises(InputError, match=r"(is damaged \(.*\)|has format .*, this memviz reads 1): build the index ag"):
        Corpus.open(folder, HASH)


def test_an_index_with_other_content_is_found_by_verify(tmp_path: Path) -> None:
    corpus = random_stream(0).corpus(tmp_path / "own")
    path = shard_of(tmp_path / "own") / "suffixes.npy"
    np.save(path, np.load(path)[::-1])
    assert [problem for problem in corpus.verify() if "suffixes.npy is damaged (its sha256 is another)" in problem]


def test_a_model_that_names_an_index_elsewhere_has_none(settings: Settings, tmp_path: Path) -> None:
    from support.model_folders import write_model

    from memviz.engine.preparing import prepare
    from memviz.tasks.trace import tokenizer_of

    random_stream(0).build(settings.cache / "evil")
    folder = write_model(settings.model_roots[0] / "m")
    (folder / "memviz.json").write_text(json.dumps({"index": "../evil"}))
    model = find_model("m", settings)
    assert index_of_model(model, tokenizer_of(prepare(model, settings), settings), settings) is None


# Predictors


def predictor(settings: Settings) -> Path:
    """A good one in the cache."""
    source = next(path.parent for path in sorted(SHIPPED.glob(f"*/{ABOUT}")))
    return Path(shutil.copytree(source, settings.cache / "predictors" / ("0" * 64)))


def preset(**values: Any) -> Callable[[Path], None]:
    return lambda folder: write(folder / ABOUT, preset=read_about(folder)["preset"] | values)


WEIGHTS_LIE: dict[str, Callable[[Path], Any]] = {
    "pickle": lambda folder: (folder / WEIGHTS).write_bytes(pickle.dumps(Evil())),
    "header of exabytes": lambda folder: (folder / WEIGHTS).write_bytes(safetensors_bytes({}, length=2**62)),
    "nothing": lambda folder: (folder / WEIGHTS).write_bytes(safetensors_bytes({})),
    "a terabyte": lambda folder: os.truncate(folder / WEIGHTS, 2**40),
    "layers without end": preset(n_layers=10**9),
    "width without end": preset(width=2**20),
    "unknown size": preset(evil=1),
    "size in words": preset(width=HTML),
    "positions without end": lambda folder: write(folder / ABOUT, m=2**30),
}
ABOUT_LIES: dict[str, Callable[[Path], Any]] = {
    "no object": lambda folder: (folder / ABOUT).write_bytes(b"[]"),
    "nested deep": lambda folder: (folder / ABOUT).write_bytes(nested(100_000)),
    "older format": lambda folder: write(folder / ABOUT, format=0),
    "newer format": lambda folder: write(folder / ABOUT, format=2),
    "no request": lambda folder: write(folder / ABOUT, request={}),
    "unknown preset": lambda folder: write(folder / ABOUT, request=read_about(folder)["request"] | {"preset": HTML}),
    "unknown setting": lambda folder: write(folder / ABOUT, setting=HTML),
    "no temperature": lambda folder: write(folder / ABOUT, temperature=0),
    "temperature in words": lambda folder: write(folder / ABOUT, temperature="warm"),
    "id of a number": lambda folder: write(folder / ABOUT, id=3),
    "half a size": lambda folder: write(folder / ABOUT, k=1.5),
    "rows in words": lambda folder: write(folder / ABOUT, data={"rows": {"train": "x", "validation": 1, "test": 1}}),
}


@pytest.mark.parametrize("kind", WEIGHTS_LIE)
def test_a_predictor_whose_weights_lie_is_refused(kind: str, settings: Settings) -> None:
    folder = predictor(settings)
    load(folder)
    WEIGHTS_LIE[kind](folder)
    with pytest.raises(
        InputError, match=r"predictor\.(safetensors|json) (cannot be read|is damaged) \(.*\): fit the predictor"
    ):
        load(folder)


@pytest.mark.parametrize("kind", ABOUT_LIES)
def test_a_predictor_that_lies_is_left_out(kind: str, settings: Settings) -> None:
    folder = predictor(settings)
    before = len(known_predictors(settings))
    ABOUT_LIES[kind](folder)
    found = known_predictors(settings)
    assert len(found) == before - 1 and all(each.shipped for each in found)
    with pytest.raises(InputError, match=r"predictor\.json cannot be read \(.*\): fit the predictor again"):
        read_known(folder)


def test_progress_that_is_none(settings: Settings) -> None:
    folder = predictor(settings)
    for content in (b"[1]\n3\n", nested(100_000), b"{", b"\xff"):
        (folder / PROGRESS).write_bytes(content)
        assert epochs_of(folder) == []


def test_listings_pass_over_what_is_removed_while_they_read(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    assert newest_first([tmp_path / "gone", tmp_path / "there"]) == [tmp_path / "there"]


# Read-only stores


def lying_layer(root: Path, blob: Any, n_bytes: Any, meta: Any, content: bytes = b"") -> Store:
    """A store whose index says of result 0 what it is told to say."""
    layer = Store(root, PLENTY)
    layer.put(key(0), arrays(0), {})
    layer.put_request(key(0), {"i": 0})
    layer.close()
    with closing(sqlite3.connect(index_of(layer))) as connection:
        connection.execute("UPDATE results SET blob = ?, n_bytes = ?, meta = ?", (blob, n_bytes, meta))
        connection.commit()
    if content:
        path = root / "blobs" / blob[:2] / f"{blob}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Store(root.parent / "own", PLENTY, readonly=[root])


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Evil()),
        safetensors_bytes({}, length=2**62),
        safetensors_bytes(nested(50_000)),
        safetensors_bytes({"x": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 8]}}, bytes(8)),
        safetensors_bytes({"x": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}}, bytes(8)),
        safetensors_bytes({"x": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}, bytes(8)),
        b"{}",
    ],
    ids=["pickle", "exabytes", "nested", "giant", "objects", "bfloat16", "short"],
)
def test_a_layer_whose_files_are_none(tmp_path: Path, content: bytes) -> None:
    name = content_name(content)
    store = lying_layer(tmp_path / "layer", name, len(content), "{}", content)
    assert store.get(key(0)) is None


@pytest.mark.parametrize(
    ("blob", "n_bytes", "meta"),
    [
        ("../../../../etc/passwd", 5, "{}"),
        ("/etc/passwd", 5, "{}"),
        (b"\xff" * 32, 5, "{}"),
        (3, 5, "{}"),
        ("", 5, "{}"),
        ("0" * 64, HTML, "{}"),
        ("0" * 64, 2**62, b"\xff"),
    ],
    ids=range(7),
)
def test_a_layer_whose_index_points_elsewhere(tmp_path: Path, blob: Any, n_bytes: Any, meta: Any) -> None:
    store = lying_layer(tmp_path / "layer", blob, n_bytes, meta)
    assert store.get(key(0)) is None and not store.has(key(0))
    store.put(key(0), arrays(0), {"i": 0})  # what is computed here is read all the same
    assert store.get(key(0)) is not None


@pytest.mark.parametrize("meta", ["[", "\0", "[" * 10**5, b"\xff", 3])
def test_a_layer_whose_provenance_is_none(tmp_path: Path, meta: Any) -> None:
    good = Store(tmp_path / "good", PLENTY)
    good.put(key(0), arrays(0), {})
    content = next((tmp_path / "good").rglob("*.safetensors")).read_bytes()
    store = lying_layer(tmp_path / "layer", content_name(content), len(content), meta, content)
    found = store.get(key(0))
    assert found is None or meta == 3


def test_a_layer_whose_table_runs_without_an_end(tmp_path: Path) -> None:
    store = lying_layer(tmp_path / "layer", "0" * 64, 5, "{}")
    with closing(sqlite3.connect(tmp_path / "layer" / "index" / "index.sqlite")) as connection:
        connection.executescript(
            "DROP TABLE results; "
            "CREATE VIEW results AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
            "SELECT x AS key, x AS blob, x AS n_bytes, x AS meta, x AS last_used, 0 AS pinned FROM n;"
        )
    assert store.get(key(0)) is None and store.stats().n_results == 0


def test_a_newer_store_is_refused_with_a_sentence(tmp_path: Path) -> None:
    store = Store(tmp_path / "own", PLENTY)
    store.put(key(0), arrays(0), {})
    store.close()
    with closing(sqlite3.connect(index_of(store))) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(Failure, match="has format 99 and this memviz reads 2; update memviz or set MEMVIZ_CACHE"):
        store.get(key(0))
