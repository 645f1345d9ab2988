"""Sweeps that pages find by themselves: the one that comes with the suite, and those kept in the cache."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from memviz.catalog import find_model, read_card
from memviz.demo.suite import SUITE_FOLDER
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.store.keys import HASH
from memviz.sweeps.results import MANIFEST, Sweep, read_sweep
from memviz.sweeps.rowset import file_times
from memviz.sweeps.task import SweepTask, sweep_hash
from memviz.tasks.base import ENGINE

SHIPPED = SUITE_FOLDER / "sweep"
"""Folder of the bundled suite's own sweep."""


def sweep_folder(task: SweepTask, settings: Settings) -> Path:
    """Where the cache keeps a sweep, finished or not."""
    return settings.cache / "sweeps" / sweep_hash(task)


def finished_sweep(task: SweepTask, settings: Settings) -> Sweep | None:
    """The result of a request in the cache, where it can be read."""
    with suppress(InputError):
        return read_sweep(sweep_folder(task, settings))
    return None


def outdated(sweep: Sweep, settings: Settings) -> str | None:
    """Why a finished sweep would come out otherwise today, or None: its files, models or the engine have changed."""
    if sweep.manifest["engine"] != ENGINE:
        return "it was computed by another version of memviz"
    then = sweep.manifest["rows"].get("files", {})
    changed = [name for name, time in file_times(sweep.task.rows).items() if then.get(name, time) != time]
    if changed:
        return f"{changed[0]} has been written since"
    for about in sweep.manifest["models"]:
        with suppress(InputError):  # a model that is gone says nothing
            card = read_card(find_model(about["name"], settings), settings)
            if card and card.weights != about["weights"]:
                return f"{about['name']} has other weights now"
    return None


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
