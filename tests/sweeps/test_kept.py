"""Kept sweeps and row sets are renamed and deleted; what a job of any process uses stays."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.serving import ROOT

from memviz.errors import InputError
from memviz.settings import Settings, load_settings
from memviz.sweeps import RowSet, delete_row_set, read_row_set, rename_row_set, row_sets, save_row_set
from memviz.sweeps.kept import SHIPPED, delete_sweep, find_kept, kept_sweeps, rename_sweep
from memviz.sweeps.results import read_sweep
from memviz.sweeps.using import in_use, using

ROWS = RowSet(rows=(1, 2))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Sweeps 000… and 111…, and row sets `one` and `two`."""
    settings = load_settings(cache=tmp_path)
    for digit in "01":
        folder = tmp_path / "sweeps" / (digit * 64)
        folder.mkdir(parents=True)
        for name in ("manifest.json", "rows.parquet", "sequences.parquet"):
            (folder / name).write_bytes((SHIPPED / name).read_bytes())
    save_row_set("one", ROWS, settings, note="a note")
    save_row_set("two", replace(ROWS, seed=7), settings)
    return settings


def names(settings: Settings) -> set[str]:
    return {sweep.folder.name[0] for sweep in kept_sweeps(settings) if sweep.folder != SHIPPED}


@pytest.fixture
def other(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process, which uses sweep 000… and the rows of `one` until it is told to end."""
    script = """
import sys
from pathlib import Path
from memviz.settings import load_settings
from memviz.sweeps import RowSet
from memviz.sweeps.using import using
cache = Path(sys.argv[1])
with using(load_settings(cache=cache), cache / "sweeps" / ("0" * 64), RowSet(rows=(1, 2))):
    print("using", flush=True)
    sys.stdin.readline()
"""
    command = [sys.executable, "-c", script, str(settings.cache)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None and process.stdout.readline() == "using\n"
    yield process
    process.kill()
    process.communicate()


def test_a_sweep_is_named_and_found_by_its_name(settings: Settings) -> None:
    one, two = find_kept("0" * 8, settings), find_kept("1" * 64, settings)
    rename_sweep(one, " first ", settings)
    assert find_kept("first", settings).folder == one.folder and read_sweep(one.folder).name == "first"
    with pytest.raises(InputError, match="another kept sweep is called 'first': take another name"):
        rename_sweep(two, "first", settings)
    with pytest.raises(InputError, match="cannot be used: give up to 60 characters"):
        rename_sweep(two, "x" * 61, settings)
    rename_sweep(one, "", settings)
    for name in ("first", "0000", "f" * 64):
        with pytest.raises(InputError, match=rf"no kept sweep is called '{name[:64]}': give a name or the beginning"):
            find_kept(name, settings)
    with pytest.raises(InputError, match="is none of the cache's sweeps"):
        delete_sweep(read_sweep(SHIPPED), settings)


def test_a_deleted_sweep_is_gone_whole(settings: Settings) -> None:
    found = find_kept("0" * 64, settings)
    n_bytes = sum(path.stat().st_size for path in found.folder.iterdir())
    assert delete_sweep(found, settings) == n_bytes and not found.folder.exists() and names(settings) == {"1"}


def test_row_sets_are_renamed_and_deleted(settings: Settings) -> None:
    created = row_sets(settings)[0]["created"]
    rename_row_set("one", "three", settings)
    (found,) = [each for each in row_sets(settings) if each["name"] == "three"]
    assert found == {"name": "three", "note": "a note", "created": created, "rows": ROWS}
    with pytest.raises(InputError, match="there is a row set 'two' already"):
        rename_row_set("three", "two", settings)
    with pytest.raises(InputError, match="no saved row set 'one'"):
        rename_row_set("one", "four", settings)
    delete_row_set("two", settings)
    assert [each["name"] for each in row_sets(settings)] == ["three"]


def test_what_another_process_uses_stays(settings: Settings, other: subprocess.Popen[str]) -> None:
    sweep = find_kept("0" * 64, settings)
    for call in (lambda: delete_sweep(sweep, settings), lambda: rename_sweep(sweep, "x", settings)):
        with pytest.raises(InputError, match=r"a running job uses the sweep 0{16}: wait for it, or stop it"):
            call()
    for call in (lambda: delete_row_set("one", settings), lambda: rename_row_set("one", "x", settings)):
        with pytest.raises(InputError, match="a running sweep reads the rows of 'one': wait for it, or stop it"):
            call()
    delete_row_set("two", settings)
    delete_sweep(find_kept("1" * 64, settings), settings)
    assert read_row_set("one", settings) == ROWS and names(settings) == {"0"}
    other.communicate("\n")
    assert other.returncode == 0 and in_use(settings) == []
    delete_row_set("one", settings)
    delete_sweep(sweep, settings)


def test_a_killed_process_uses_nothing(settings: Settings, other: subprocess.Popen[str]) -> None:
    assert [Path(each["folder"]).name[0] for each in in_use(settings)] == ["0"]
    other.kill()
    other.wait()
    assert in_use(settings) == [] and not list((settings.cache / "locks" / "sweeps").iterdir())


def test_uses_of_this_process_count_and_end(settings: Settings) -> None:
    sweep = find_kept("0" * 64, settings)
    with using(settings, sweep.folder), using(settings, sweep.folder, ROWS):
        assert len(in_use(settings)) == 2 and json.dumps(in_use(settings))
        with pytest.raises(InputError, match="a running job uses"):
            delete_sweep(sweep, settings)
    assert in_use(settings) == []
