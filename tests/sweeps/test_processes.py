"""Sweeps in processes of their own: killed anywhere they go on to the same tables; long ones need no more memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.serving import ROOT
from support.sweeps import Lab, lab_in, small_task

from memviz.engine.backend import Backend
from memviz.store import Store
from memviz.sweeps.asks import Share
from memviz.sweeps.batches import BatchFiles
from memviz.sweeps.running import run_shard, run_sweep, status

KILLED = """
import json, os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from support.sweeps import lab_in, lab_settings, small_task
from memviz import disk
from memviz.engine.backend import Backend
from memviz.errors import InputError
from memviz.sweeps import read_sweep, results

home, asked = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

class Dies(results.TableFile):
    finish = die

@contextmanager
def new_file_then_die(path, new_file=disk.new_file):
    with new_file(path) as new:
        yield new
    if path.parent.name == "out":
        die()

def sweep(folder, source, when):
    lab, n_calls = lab_in(Path(folder), Backend(lab_settings(Path(home)))), 0

    def report(done, total):
        nonlocal n_calls
        n_calls += 1
        if when.isdigit() and n_calls == int(when):
            die()

    if when == "writing":
        results.TableFile = Dies  # of the sweep's own tables, not of its prepared rows
    if when == "publishing":
        disk.new_file = new_file_then_die
    lab.sweep(small_task(source, positions=True), report=report, batch=4)

for folder, source, moments in json.loads(asked):
    for when in moments:
        child = os.fork()  # what is imported is imported once
        if not child:
            try:
                sweep(folder, source, when)
            finally:
                os._exit(1)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        try:
            said = str(read_sweep(Path(folder) / "out"))
        except InputError as error:
            said = str(error)
        print(json.dumps([when, ended, said]))
"""
"""Sweeps in a process for each moment, killed there; prints the moment, how the process ended, and what is left."""
SHARD = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from support.sweeps import lab_in, lab_settings, small_task
from memviz.engine.backend import Backend
from memviz.store import Store
from memviz.sweeps.asks import Share
from memviz.sweeps.batches import BatchFiles
from memviz.sweeps.running import run_shard

home, folder, source = sys.argv[1:]
lab, n_calls = lab_in(Path(folder), Backend(lab_settings(Path(home)))), 0

def report(done, total):
    global n_calls
    n_calls += done > 0
    if n_calls == 20:
        os.kill(os.getpid(), signal.SIGKILL)

context = lab.context(Store(lab.folder / "unused", 10**9), report=report)
context = replace(context, batches=BatchFiles(str(lab.folder / "batches")))
run_shard(small_task(source, positions=True), context, lab.folder / "out", Share(1, 2), 4)
"""
"""The first of two shards, killed in its midst."""
LONG = """
import resource, sys
from pathlib import Path
from support.sweeps import lab_in, lab_settings
from memviz.engine.backend import Backend
from memviz.sweeps import RowSet, SweepTask, results, duplicates

results.BLOCK_ROWS, duplicates.WINDOWS_AT_ONCE = 512, 2**15
home, folder, *sources = sys.argv[1:]
lab = lab_in(Path(folder), Backend(lab_settings(Path(home))))
for number, source in enumerate(sources):
    task = SweepTask(("tiny",), RowSet(source), contexts=(), context_at=4, continuations=(4,), positions=True)
    lab.sweep(task, str(number))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run(code: str, *words: object, ends: int = 0) -> list[str]:
    """The lines that Python code prints, given words, and ending so."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    env = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == ends, done.stderr
    return done.stdout.splitlines()


class Killed(NamedTuple):
    lab: Lab
    source: str
    moments: list[str]
    """At which sweeps were killed."""


@pytest.fixture(scope="module")
def killed(backend: Backend, home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Killed]:
    """A sweep killed anywhere, four times over, and one killed early: all in one process, whose start takes long."""
    anywhere = [*map(str, np.random.default_rng().integers(2, 60, 2)), "writing", "publishing"]
    found = {}
    for name, lengths, moments in (("anywhere", (32, 24), anywhere), ("early", (32,), ["30"])):
        lab = lab_in(tmp_path_factory.mktemp(name), backend)
        found[name] = Killed(lab, lab.jsonl(lab.rows(14, lengths)), moments)
    asked = [[str(each.lab.folder), each.source, each.moments] for each in found.values()]
    lines = [json.loads(line) for line in run(KILLED, home, json.dumps(asked))]
    moments = [when for each in found.values() for when in each.moments]
    assert [(when, ended) for when, ended, _ in lines] == [(when, -signal.SIGKILL) for when in moments]
    assert all("holds no finished sweep" in said for *_, said in lines), lines
    return found


@pytest.mark.slow
def test_killed_anywhere_it_goes_on_to_the_same_tables(killed: dict[str, Killed]) -> None:
    lab, source, moments = killed["anywhere"]
    task = small_task(source, positions=True)
    whole = lab.sweep(task, "whole", store=Store(lab.folder / "other", 10**9), batch=4)
    resumed = lab.sweep(task, batch=4)
    assert resumed.manifest["provenance"]["batches_computed"] == 0, moments  # all were there before the last kills
    for name in ("rows", "sequences", "positions"):
        one, other = (pq.read_table(sweep.folder / f"{name}.parquet") for sweep in (whole, resumed))
        assert one.equals(other), (name, moments)
    assert {path.name for path in (lab.folder / "out").iterdir()} == {
        ".lock",
        "manifest.json",
        "rows.parquet",
        "sequences.parquet",
        "positions.parquet",
    }


@pytest.mark.slow
def test_killed_early_it_loses_one_batch_at_most(killed: dict[str, Killed]) -> None:
    lab, source, _ = killed["early"]
    n_stored = lab.store.stats().n_results
    assert n_stored > 0
    made = lab.sweep(small_task(source, positions=True), batch=4).manifest["provenance"]
    assert made["batches_reused"] == n_stored and made["batches_computed"] == 4 * 3 - n_stored


@pytest.mark.wide
def test_a_killed_shard_goes_on_to_the_same_bytes(lab: Lab, home: Path) -> None:
    task = small_task(lab.jsonl(lab.rows(14, (32, 24))), positions=True)
    whole = lab.sweep(task, "whole", store=Store(lab.folder / "other", 10**9), batch=4)
    run(SHARD, home, lab.folder, task.rows.source, ends=-signal.SIGKILL)
    out = lab.folder / "out"
    context = replace(lab.context(Store(lab.folder / "unused", 10**9)), batches=BatchFiles(str(lab.folder / "batches")))
    there, _ = status(task, context, out, 4)
    computed = [run_shard(task, context, out, Share(number, 2), 4) for number in (1, 2)]
    assert there and computed[0][0] and not list(out.glob("*.parquet"))
    made = run_sweep(task, context, out, 4)
    assert made.manifest["provenance"]["batches_computed"] == 0
    for name in ("rows", "sequences", "positions"):
        assert (out / f"{name}.parquet").read_bytes() == (whole.folder / f"{name}.parquet").read_bytes()
    assert not list(out.glob(".part-*"))


@pytest.mark.wide
@pytest.mark.slow
def test_ten_times_the_rows_need_no_more_memory(lab: Lab, home: Path) -> None:
    rng = np.random.default_rng(0)
    sources = []
    for n in (1_500, 15_000):
        np.save(lab.folder / f"{n}.npy", rng.integers(6, 300, (n, 24)))
        sources.append(lab.folder / f"{n}.npy")
    few, many = (int(line) / 1024 for line in run(LONG, home, lab.folder, *sources))
    assert many - few < 24, f"{few:.0f} MiB for 1,500 rows, {many:.0f} MiB for 15,000"
