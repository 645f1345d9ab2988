"""Sweeps on Ray workers: the tables of one process, whoever is killed, and nothing left; what is refused without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.extras import environment
from support.serving import ROOT
from support.sweeps import Lab, small_task

from memviz.errors import Failure, InputError
from memviz.store import Store
from memviz.sweeps.ray.cluster import check_address
from memviz.sweeps.ray.engine import ray_engine

TABLES = ("rows", "sequences", "positions")


def test_without_ray_one_sentence_says_how_to_install_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    said = r"needs Ray: install it with `pip install -r requirements-ray.txt`"
    with pytest.raises(Failure, match=said), ray_engine("local", 2, 0, lab.context()):
        pass
    assert not list((lab.settings.cache / "locks" / "ray").iterdir())


@pytest.mark.parametrize("address", ["", "http://x:1", "user@host:6379", "host", "host:", "ray://host:10001"])
def test_an_address_is_local_auto_or_host_and_port(address: str) -> None:
    with pytest.raises(InputError, match="is no address of a Ray cluster"):
        check_address(address)
    assert [check_address(good) for good in ("local", "auto", "10.0.0.1:6379", "node-1:6379")]


@pytest.fixture(scope="module")
def python() -> Path:
    return environment("ray", "-r", "requirements-ray.txt", beside=True)


def scene(name: str, lab: Lab, home: Path, python: Path, ends: int = 0) -> dict[str, Any]:
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    env = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [python, ROOT / "tests" / "support" / "ray_scenes.py", name, lab.folder, home]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == ends, done.stderr[-4000:]
    found = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    return json.loads(found[0].removeprefix("FOUND ")) if found else {}


def whole(lab: Lab, home: Path) -> dict[str, bytes]:
    """The tables of one process with one thread."""
    lab.jsonl(lab.rows(14, lengths=(32, 24)))
    source = str(lab.folder / "rows.jsonl")
    task = small_task(source, positions=True, context_modes=("sliding", "anchored"))
    lab = replace(lab, store=Store(lab.folder / "other", 10**9))
    return tables(lab.sweep(task, "whole", batch=4).folder)


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / f"{name}.parquet").read_bytes() for name in TABLES}


@pytest.mark.wide
@pytest.mark.slow
def test_a_lost_worker_a_bad_ask_and_a_cancel(lab: Lab, home: Path, python: Path) -> None:
    expected = whole(lab, home)
    found = scene("together", lab, home, python)
    assert found["listening"] == ["127.0.0.1"]
    assert found["made"] == 24 and tables(lab.folder / "ray") == expected
    assert found["new workers"] == 1 and found["states"] == [True] * 3
    assert found["poisoned"].startswith("rows 3 to 5 failed 3 times, last with: ")
    assert found["cancelled"] and found["left"] == found["folders"] == []


@pytest.mark.wide
@pytest.mark.slow
def test_a_killed_driver_goes_on_and_what_it_left_is_ended(lab: Lab, home: Path, python: Path) -> None:
    expected = whole(lab, home)
    scene("killed", lab, home, python, ends=-9)
    found = scene("resumed", lab, home, python)
    assert found["left"] == [] and found["reused"] > 4
    assert tables(lab.folder / "ray") == expected


@pytest.mark.wide
@pytest.mark.slow
def test_a_lost_node_whose_room_is_gone(lab: Lab, home: Path, python: Path) -> None:
    expected = whole(lab, home)
    found = scene("nodes", lab, home, python)
    assert found == {"made": 24, "workers": 1} and tables(lab.folder / "ray") == expected
