"""Python files run as programs of their own, by children of one process that has imported what takes long to import."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path

PATIENCE = 300
"""Seconds that a program may take."""
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["memviz.engine.backend", "memviz.api", "streamlit.testing.v1"])


def _run(script: Path, environment: Mapping[str, str], said: Path) -> None:
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(script.parent)
    sys.argv = [str(script)]
    sys.path.insert(0, str(script.parent))
    runpy.run_path(str(script), run_name="__main__")


def run_program(script: Path) -> None:
    """As `python script` in its folder, in the environment of now. AssertionError with what it said where it fails."""
    said = script.with_suffix(".out")
    child = CONTEXT.Process(target=_run, args=(script, dict(os.environ), said))
    child.start()
    child.join(PATIENCE)
    if child.is_alive():
        child.kill()
        child.join()
    assert child.exitcode == 0, f"{script.name} ended with {child.exitcode}: {said.read_text()[-4000:]}"
