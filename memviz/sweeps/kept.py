"""Sweeps that pages find by themselves: the one that comes with the suite, and those kept in the cache."""

from __future__ import annotations

from pathlib import Path

from memviz.demo.suite import SUITE_FOLDER
from memviz.settings import Settings
from memviz.sweeps.results import MANIFEST, Sweep, read_sweep
from memviz.sweeps.task import SweepTask, sweep_hash
from memviz.tasks import InputError

SHIPPED = SUITE_FOLDER / "sweep"
"""Folder of the bundled suite's own sweep."""


def sweep_folder(task: SweepTask, settings: Settings) -> Path:
    """Where the cache keeps a sweep, finished or not."""
    return settings.cache / "sweeps" / sweep_hash(task)


def kept_sweeps(settings: Settings) -> list[Sweep]:
    """Finished sweeps that can be read: the suite's own first, then those of the cache, newest first."""
    manifests = sorted((settings.cache / "sweeps").glob(f"*/{MANIFEST}"), key=lambda path: -path.stat().st_mtime)
    found = []
    for folder in (SHIPPED, *(path.parent for path in manifests)):
        try:
            sweep = read_sweep(folder)
            assert sweep.task
            found.append(sweep)
        except InputError:
            continue
    return found


def unfinished(settings: Settings) -> list[str]:
    """Hashes of sweeps that were begun in the cache and have no result yet, newest first."""
    folders = [path for path in (settings.cache / "sweeps").glob("*/") if not (path / MANIFEST).exists()]
    return [path.name for path in sorted(folders, key=lambda path: -path.stat().st_mtime)]
