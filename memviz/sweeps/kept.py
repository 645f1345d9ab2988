"""Sweeps that pages find by themselves: the one that comes with the suite, and those kept in the cache."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from memviz.demo.suite import SUITE_FOLDER
from memviz.settings import Settings
from memviz.store.keys import HASH
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
    manifests = newest_first((settings.cache / "sweeps").glob(f"*/{MANIFEST}"))
    found = []
    for folder in (SHIPPED, *(path.parent for path in manifests)):
        with suppress(InputError):
            found.append(read_sweep(folder))
    return found


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Those that are still there; the cache may be cleared at any time."""
    changed: dict[Path, float] = {}
    with suppress(OSError):
        for path in paths:
            with suppress(OSError):
                changed[path] = path.stat().st_mtime
    return sorted(changed, key=lambda path: -changed[path])


def unfinished(settings: Settings) -> list[str]:
    """Hashes of sweeps that were begun in the cache and have no result yet, newest first."""
    folders = newest_first((settings.cache / "sweeps").glob("*/"))
    return [path.name for path in folders if HASH.fullmatch(path.name) and not (path / MANIFEST).exists()]
