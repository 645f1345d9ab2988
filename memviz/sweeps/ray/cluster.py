"""Starting a Ray cluster on this machine or joining one, and leaving nothing of it behind."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from memviz import disk
from memviz.errors import Failure, InputError, MemvizError
from memviz.settings import Settings
from memviz.store.notes import noted, notes

LOCAL, AUTO = "local", "auto"
PREFIX = "memviz-ray-"
_NOTES = "locks/ray"
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""What makes Ray take 127.0.0.1 for this machine's address, so that nothing of it listens elsewhere."""
_STORE_BYTES = 128 * 2**20
"""Of Ray's object store: answers of some MB wait there for the driver."""


def check_address(address: str) -> str:
    """Raises InputError for what is no address of a cluster."""
    host, _, port = address.rpartition(":")
    if address not in (LOCAL, AUTO) and not (host and port.isdecimal() and "/" not in host and "@" not in host):
        raise InputError(f"{address[:100]!r} is no address of a Ray cluster: use local, auto or HOST:PORT")
    return address


class Cluster:
    """A connection to Ray. Of a local one: the processes that it consists of."""

    def __init__(self, ray: Any, note: Path | None, folder: str | None) -> None:
        self.ray, self._note, self._folder = ray, note, folder
        self._others = {each.pid for each in psutil.Process().children(recursive=True)}

    def write_down(self) -> None:
        """Keep which processes there are, so that the next start can end those that a killed driver leaves."""
        if self._note is not None:
            found = [{"pid": each.pid, "since": each.create_time()} for each in self.processes()]
            disk.write_text(self._note, json.dumps({"folder": self._folder, "processes": found}))

    def processes(self) -> list[psutil.Process]:
        return [each for each in psutil.Process().children(recursive=True) if each.pid not in self._others]


@contextmanager
def connected(address: str, n_cpus: int, settings: Settings) -> Iterator[Cluster]:
    """A cluster of `n_cpus` processors on this machine, or one that runs. Raises Failure.

    However the block ends, what was started is ended.
    """
    folder = settings.cache / _NOTES
    notes(folder, _end)
    os.environ.update(_QUIET)
    if address != LOCAL:
        with _joined(address, None, None, address=address) as cluster:
            yield cluster
        return
    os.environ.update(_LOOPBACK)
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one into the home folder
    place = tempfile.mkdtemp(prefix=PREFIX, dir="/tmp" if os.path.isdir("/tmp") else None)  # sockets need short paths
    left: list[psutil.Process] = []
    with noted(folder, {"folder": place, "processes": []}) as note:
        options = {"num_cpus": n_cpus, "include_dashboard": False, "object_store_memory": _STORE_BYTES}
        try:
            with _joined(LOCAL, note, place, address=LOCAL, _temp_dir=place, **options) as cluster:
                try:
                    yield cluster
                finally:
                    left = cluster.processes()
        finally:
            _kill(left)
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _joined(said: str, note: Path | None, folder: str | None, **options: Any) -> Iterator[Cluster]:
    try:
        import ray
    except ImportError:
        raise Failure("--engine ray needs Ray: install it with `pip install -r requirements-ray.txt`") from None
    cluster = Cluster(ray, note, folder)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, namespace=secrets.token_hex(8), **options)
        cluster.write_down()
    except BaseException as error:  # Ray raises whatever it likes, and leaves what it has started
        _kill(cluster.processes())
        if isinstance(error, MemvizError) or not isinstance(error, Exception):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise Failure(f"Ray at {said} cannot be used ({reason}): see docs/clusters.md") from None
    try:
        yield cluster
    finally:
        ray.shutdown()


def _end(note: dict[str, Any]) -> None:
    """End what a killed driver left of its cluster: the very processes it wrote down, and those they started."""
    found = []
    for each in note.get("processes", []):
        with suppress(psutil.Error):
            process = psutil.Process(each["pid"])
            if process.create_time() == each["since"]:  # numbers are used again
                found += [process, *process.children(recursive=True)]
    _kill(found)
    if Path(note["folder"]).name.startswith(PREFIX):
        shutil.rmtree(note["folder"], ignore_errors=True)


def _kill(processes: list[psutil.Process]) -> None:
    for each in processes:
        with suppress(psutil.Error):
            each.kill()
    psutil.wait_procs(processes, timeout=5)
