"""Sweeps that are kept: the one that comes with the suite, and those of the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from memviz import disk
from memviz.catalog import Card, find_model, read_card
from memviz.demo.suite import SUITE_FOLDER
from memviz.errors import InputError
from memviz.settings import Settings
from memviz.store.files import remove_folder
from memviz.store.keys import HASH, aside
from memviz.sweeps.folder import folder_held
from memviz.sweeps.results import MANIFEST, MOST_CHARACTERS, NAME, Sweep, read_sweep
from memviz.sweeps.rowset import file_times
from memviz.sweeps.running import run_sweep
from memviz.sweeps.task import SweepRequest
from memviz.sweeps.using import in_use
from memviz.tasks.base import ENGINE, Context, Device, Task

SHIPPED = SUITE_FOLDER / "sweep"
"""Folder of the bundled suite's own sweep."""


@dataclass(frozen=True)
class SweepTask(SweepRequest, Task[Sweep]):
    """A sweep whose tables lie in a folder of the cache; each batch of rows has a key of its own in the store.

    Its job goes on alone, for it takes long, and loses a batch at most where it is cancelled.
    """

    n_workers: int = aside(0)
    """Of the Ray cluster that the settings name; 0: it is computed here."""
    kind = "sweep"
    long = True
    kept = True
    on_device = False
    keyed_by_cards = False

    @property
    def model(self) -> str:
        return f"{len(self.models)} models"

    @property
    def model_names(self) -> tuple[str, ...]:
        return self.models

    def folder(self, settings: Settings) -> Path:
        """Where the cache keeps it, finished or not."""
        return settings.cache / "sweeps" / self.hash

    def finished(self, settings: Settings) -> Sweep | None:
        """Its result, where it can be read; it may be `outdated`."""
        with suppress(InputError):
            return read_sweep(self.folder(settings))
        return None

    def key(self, cards: Sequence[Card], device: Device) -> str:
        return self.hash

    def find(self, key: str, cards: Sequence[Card], context: Context) -> Sweep | None:
        """Its result, where it would come out the same today."""
        found = self.finished(context.settings)
        return None if found is None or outdated(found, context.settings) else found

    def held(self, key: str, context: Context) -> AbstractContextManager[object]:
        """`run_sweep` holds the folder."""
        return nullcontext()

    def compute(self, cards: Sequence[Card], context: Context) -> Sweep:
        folder = self.folder(context.settings)
        if not self.n_workers:
            return run_sweep(self, context, folder)
        from memviz.sweeps.ray.engine import ray_engine

        with ray_engine(context.settings.ray_address, self.n_workers, 0, context) as workers:
            return run_sweep(self, workers, folder)

    def keep(self, key: str, record: Sweep, cards: Sequence[Card], context: Context) -> Sweep:
        return record


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


def find_kept(name: str, settings: Settings) -> Sweep:
    """The kept sweep of a name, or of the first 8 characters of its hash or more. Raises InputError: none, several."""
    found = [each for each in kept_sweeps(settings) if each.folder != SHIPPED]
    fits = [each for each in found if name == each.name or (len(name) >= 8 and each.folder.name.startswith(name))]
    if len(fits) != 1:
        many = "several kept sweeps are" if fits else "no kept sweep is"
        raise InputError(f"{many} called {name[:64]!r}: give a name or the beginning of a hash of `memviz sweeps list`")
    return fits[0]


def rename_sweep(sweep: Sweep, name: str, settings: Settings) -> None:
    """Call a kept sweep so; an empty name takes it away. Raises InputError for a name of no use, Failure."""
    name = name.strip()
    if len(name) > MOST_CHARACTERS or not name.isprintable():
        raise InputError(f"the name {name[:MOST_CHARACTERS]!r} cannot be used: give up to {MOST_CHARACTERS} characters")
    if name and any(each.name == name and each.folder != sweep.folder for each in kept_sweeps(settings)):
        raise InputError(f"another kept sweep is called {name!r}: take another name")
    with _unused(sweep, settings):
        disk.write_text(sweep.folder / NAME, name)


def delete_sweep(sweep: Sweep, settings: Settings) -> int:
    """Delete a kept sweep; the bytes freed. Raises InputError where a job of any process uses it, Failure."""
    with _unused(sweep, settings), disk.refusing(sweep.folder):
        n_bytes = sum(path.stat().st_size for path in sweep.folder.iterdir())
        (sweep.folder / MANIFEST).unlink(missing_ok=True)  # from here on it is none
        remove_folder(sweep.folder)
        return n_bytes


@contextmanager
def _unused(sweep: Sweep, settings: Settings) -> Iterator[None]:
    """Hold a kept sweep's folder. Raises InputError where it is no kept one, or in use."""
    if sweep.folder.parent != settings.cache / "sweeps":
        raise InputError(f"{sweep.folder} is none of the cache's sweeps: look after its folder yourself")
    if any(each.get("folder") == str(sweep.folder.resolve()) for each in in_use(settings)):
        raise InputError(
            f"a running job uses the sweep {sweep.name or sweep.folder.name[:16]}: wait for it, or stop it"
        )
    with folder_held(sweep.folder):
        yield
