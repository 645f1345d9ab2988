"""Data sets from folders and from a stand-in hub through the real clients; what may not be read is refused."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.cli import CommandLine
from support.hub import Hub, serving
from support.serving import ROOT
from support.suite import SMALLEST

from memviz.errors import Failure, InputError
from memviz.rows.hub import Asked, add_data_set
from memviz.rows.kept import ROWS, DataSet, folder_of
from memviz.settings import Settings, load_settings

TEXTS = [f"{word} upon a time, and then once more" for word in ("One", "Two", "Three")]
TABLE = pa.table({"text": TEXTS, "n": [2**63 - 1, 0, -1], "more": [{"a": 1}] * 3})
LINES = b'{"text": "one", "n": 1}\n{"text": "two", "n": 2}\n'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(cache=tmp_path / "cache", offline=True)


def add(settings: Settings, folder: Path, name: str | None = None, **asked: Any) -> tuple[DataSet, pa.Table, list[str]]:
    said: list[str] = []
    about = add_data_set(Asked(str(folder), **asked), settings, name, said.append)
    return about, pq.read_table(folder_of(about.name, settings) / ROWS), said


def test_a_folder_of_parquet(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for split in ("train", "test"):
        pq.write_table(TABLE, folder / f"{split}.parquet")
    about, rows, said = add(settings, folder)
    n_bytes = (folder / "train.parquet").stat().st_size
    assert said[0].startswith(f"reading all of {n_bytes / 1e6:.1f} MB in 1 files; ")
    assert f"GB are free in {settings.cache / 'data' / 'mine'}" in said[0]
    assert rows.equals(TABLE.select(["text", "n"])) and said[1].startswith("left out, for they are neither text nor")
    assert (about.name, about.n_rows, about.split, about.revision) == ("mine", 3, "train", None)
    about, rows, _ = add(settings, folder, split="test", rows=2, columns=("n",))
    assert (about.name, about.columns, rows.to_pydict()) == ("mine-test", {"n": "int64"}, {"n": [2**63 - 1, 0]})
    with pytest.raises(InputError, match="there is a data set 'mine' already: take another --name, or remove it first"):
        add(settings, folder)
    for options, sentence in (
        ({"columns": ("x",)}, "mine has no column 'x'; it has text, n, more"),
        ({"columns": ("more",)}, "column 'more' of .*mine is struct<a: int64>, no text or number"),
        ({"split": "dev"}, "mine has no split 'dev'; it has train, test: use --split"),
        ({"rows": 0}, "--rows is 0: ask for at least 1"),
    ):
        with pytest.raises(InputError, match=sentence):
            add(settings, folder, "other", **options)
    assert sorted(path.name for path in (settings.cache / "data").iterdir()) == ["mine", "mine-test"]


def test_a_disk_without_room(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.jsonl").write_bytes(LINES)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(
        InputError, match=r"mine has 0\.0 MB and .*mine has room for 0\.0 MB: free space, set MEMVIZ_CAC"
    ):
        add(settings, tmp_path / "mine")
    assert add(settings, tmp_path / "mine", rows=1)[0].n_rows == 1  # a part may fit: the disk itself says


def test_a_cache_that_is_full(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.jsonl").write_bytes(LINES)
    full = settings.model_copy(update={"cache_limit": 100})
    for name in ("mine", "again"):
        with pytest.raises(Failure, match=r"\(data most of them\), more than MEMVIZ_CACHE_LIMIT of 0 MB: delete some"):
            add(full, tmp_path / "mine", name)
        assert list((settings.cache / "data").iterdir()) == [], "what was read until then is gone"
    assert add(settings, tmp_path / "mine")[0].n_rows == 2
    said: list[str] = []
    with pytest.raises(Failure, match="delete some of them"):
        add_data_set(Asked(str(tmp_path / "mine")), full, "again", said.append)
    assert said == [], "refused before anything is read"


FOLDERS: dict[str, tuple[str, bytes | None]] = {
    "lines": ("a.jsonl", LINES),
    "packed lines": ("a.jsonl.gz", gzip.compress(LINES)),
    "fields": ("a.csv", b"text,n\none,1\ntwo,2\n"),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_other_formats(settings: Settings, tmp_path: Path, kind: str) -> None:
    name, content = FOLDERS[kind]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_bytes(content or b"")
    assert add(settings, tmp_path / "mine")[1].to_pydict() == {"text": ["one", "two"], "n": [1, 2]}


def _zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as file:
        file.writestr("a.jsonl", LINES.decode())


def _file(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _elsewhere(folder: Path) -> None:
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "README.md").write_text("---\nconfigs:\n- config_name: default\n  data_files: ../secret.txt\n---\n")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "archive": (_zip, "a.zip is packed as zip, which memviz does not look into: unpack it first"),
    "script": (_file("mine.py", b"raise SystemExit"), r"is made by a script of its own \(mine.py\), which memviz does"),
    "pictures": (_file("a.png", b"x"), "is kept as imagefolder, which is not read"),
    "pickle": (_file("a.pkl", b"x"), r"mine cannot be read: No \(supported\) data files found"),
    "nothing": (lambda folder: None, "mine cannot be read: "),
    "a file of another folder": (_elsewhere, r"names a file that is not its own \(.*secret.txt\), so it is not read"),
    "damaged": (_file("a.parquet", b"nonsense"), "mine cannot be read: "),
    "a bomb": (
        _file("a.jsonl.gz", gzip.compress(b'{"text": "' + b"a" * 10**6)),
        "a.jsonl.gz unpacks to more than 1,000",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_read(settings: Settings, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, sentence = REFUSED[kind]
    (tmp_path / "mine").mkdir()
    make(tmp_path / "mine")
    monkeypatch.setattr("memviz.rows.reading.MOST_UNPACKED", 1000)
    with pytest.raises(InputError, match=sentence) as raised:
        add(settings, tmp_path / "mine")
    assert "\n" not in str(raised.value)
    assert not list((settings.cache / "data").glob("*"))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    found = Hub()
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "README.md").write_text("# Rows")
    pq.write_table(TABLE, folder / "train.parquet")
    found.put("datasets/me/rows", folder)
    (folder / "coded.py").write_text("raise SystemExit")
    found.put("datasets/me/coded", folder)
    with serving(found):
        yield found


def test_from_the_hub_to_a_sweep_and_away(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command in a process of its own, whose clients know the hub by HF_ENDPOINT; then list, use, remove."""
    cli = CommandLine(tmp_path, tmp_path, capsys, monkeypatch)
    env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "MEMVIZ_CACHE": str(cli.cache)}
    env |= {"MEMVIZ_OFFLINE": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "memviz", "data", "add", "me/rows", "--rows", "2"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    commit = hub.repos["datasets/me/rows"]["main"]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"data set rows: me/rows at {commit}, split train; 2 rows, ")
    assert {name for name, _ in hub.asked} == {"README.md", "train.parquet"}
    folder = cli.cache / "data" / "rows"
    about = json.loads((folder / "manifest.json").read_text())
    assert (about["revision"], about["n_rows"], about["source"]) == (commit, 2, "me/rows")
    assert pq.read_table(folder / "rows.parquet")["n"].to_pylist() == [2**63 - 1, 0]
    listed = cli.run("data", "list").out.splitlines()
    assert listed[1].split()[:2] == ["rows", "2"] and commit[:12] in listed[1]
    swept = cli.run(
        "sweep", "--models", SMALLEST, "--data", "rows", "--contexts", 2, "--continuation-at", 2,
        "--continuations", "none", "--groups", "none", "--out", "swept",
    )  # fmt: skip
    assert swept.code == 0 and swept.out.startswith("2 rows, 1 models: 2 sequences in "), swept
    assert f"read as: data set rows: me/rows at {commit}, split train" in swept.out
    assert cli.run("data", "remove", "rows", "--yes").out == "removed rows\n"
    assert cli.run("data", "list").out.startswith("none yet") and not folder.exists()
    assert cli.refused("data", "remove", "rows", "--yes").startswith("there is no data set 'rows'; there are: none")


@pytest.mark.parametrize(
    ("asked", "closed", "sentence"),
    [
        (Asked("me/none"), None, "the hub has no data set me/none, or it is private: check the name, or set HF_TOKEN"),
        (Asked("me/rows", revision="v9"), None, "me/rows has no revision 'v9': name a branch, tag or commit"),
        (Asked("me/rows"), (403, "GatedRepo"), "me/rows asks to accept its terms: accept them on the hub and set HF_T"),
        (Asked("me/coded"), None, r"me/coded is made by a script of its own \(coded.py\), which memviz does not run"),
    ],
)
def test_what_the_hub_answers(
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: Asked,
    closed: tuple[int, str] | None,
    sentence: str,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    if closed:
        hub.closed["datasets/me/rows"] = closed
    settings = load_settings(cache=tmp_path / "cache")
    with pytest.raises(InputError, match=sentence):
        add_data_set(asked, settings)
    with pytest.raises(InputError, match="is on the hub, and MEMVIZ_OFFLINE forbids to ask it"):
        add_data_set(asked, settings.model_copy(update={"offline": True}))


def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Hub()) as hub:
        pass  # nobody listens there any more
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    with pytest.raises(InputError, match=r"cannot be reached|cannot be asked for"):
        add_data_set(Asked("me/rows"), load_settings(cache=tmp_path / "cache"))


@pytest.mark.parametrize("source", ["nothing", "a/b/c", "../x", "me/ro ws"])
def test_what_is_no_data_set(source: str) -> None:
    with pytest.raises(InputError, match="is no data set: name owner/name of the hub, or a folder"):
        Asked(source)


def test_other_commands_do_without_the_library(tmp_path: Path) -> None:
    code = (
        "import sys, memviz.cli, memviz.cli.data, memviz.rows.reading\nprint({'datasets', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done.stderr
