"""`memviz rows`, `memviz sweeps` and the pins of `memviz store` as users call them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import CommandLine
from support.model_folders import TEXT, write_model
from support.suite import SMALLEST

from memviz.settings import load_settings
from memviz.store import Store
from memviz.sweeps import RowSet, read_sweep, save_row_set
from memviz.sweeps.kept import SHIPPED
from memviz.tasks.trace import TraceTask

HASH = "0" * 64


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny")
    folder = home / "cache" / "sweeps" / HASH
    folder.mkdir(parents=True)
    for name in ("manifest.json", "rows.parquet", "sequences.parquet"):
        (folder / name).write_bytes((SHIPPED / name).read_bytes())
    save_row_set("one", RowSet(rows=(1,)), load_settings(cache=home / "cache"), note="a note")
    return home


@pytest.fixture
def cli(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(home, tmp_path, capsys, monkeypatch)


def test_row_sets(cli: CommandLine) -> None:
    assert cli.run("rows", "rename", "one", "two").code == 0
    listed = cli.run("rows", "list").out
    assert listed.startswith("two  20") and listed.endswith("  a note\n")
    assert cli.refused("rows", "delete", "one", "--yes").startswith("there is no file and no saved row set 'one'")
    assert cli.refused("rows", "delete", "two") == "row set 'two' is deleted for good: say so with --yes"
    assert cli.run("rows", "delete", "two", "--yes").out == "deleted two\n" and cli.run("rows", "list").out == ""


def test_sweeps(cli: CommandLine) -> None:
    assert cli.run("sweeps", "rename", "00000000", "mine").out == "00000000 is now mine\n"
    first = cli.run("sweeps", "list").out.splitlines()[0]
    assert first.startswith(f"0000000000000000  mine  {SMALLEST}, ")
    assert f"  {len(read_sweep(SHIPPED).rows):,} rows  20" in first
    assert cli.refused("sweeps", "delete", "mine") == "sweep mine is deleted for good: say so with --yes"
    assert cli.run("sweeps", "delete", "mine", "--yes").out.startswith("deleted mine, ")
    assert not (cli.cache / "sweeps" / HASH).exists()
    assert cli.refused("sweeps", "delete", "mine", "--yes").startswith("no kept sweep is called 'mine': give a name")


def test_pins(cli: CommandLine) -> None:
    """A result is pinned by the hash of its request, as in a link, and by its key."""
    cli.write("text.txt", TEXT)
    ids = cli.trace("--text-file", "text.txt", "--context", 5, "--continuation", 4)
    task = TraceTask("tiny", tuple(ids["context_ids"]), tuple(ids["continuation_ids"]), 4)
    store = Store(cli.cache / "results", 10**9)
    store.put_request(task.hash, task.request())
    assert cli.run("store", "list").out.split()[0::3][0] == task.hash[:16]
    assert cli.run("store", "pins").out == "" and cli.run("store", "pin", task.hash[:16]).code == 0
    assert store.stats().n_pinned == 1
    (pinned,) = store.pins()
    assert pinned.about["request"] == task.request()
    line = cli.run("store", "pins").out.split()
    assert (line[0], line[-2:]) == (pinned.key[:16], ["trace", "tiny"])
    assert cli.run("store", "clear").code == 0 and store.has(pinned.key)
    assert cli.run("store", "unpin", pinned.key[:10]).out == f"unpinned {pinned.key[:16]}\n"
    assert cli.run("store", "clear").code == 0 and not store.has(pinned.key)
    assert "is not in the store" in cli.refused("store", "pin", task.hash)
    assert cli.refused("store", "pin", "f" * 64).startswith("no request and no pinned result is called 'ffff")
    assert "expected at least the first 8 hex characters" in cli.refused("store", "pin", "x")
