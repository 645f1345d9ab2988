"""UMAP in a process of its own: compiling it freezes nothing here, and giving up ends that process."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from memviz.errors import InputError
from memviz.maps.layout.frames import ASK, DONE, FAILED, TICK, WARM, read_frame, write_frame
from memviz.maps.layout.neighbours import Neighbours
from memviz.settings import ROOT

log = logging.getLogger(__name__)
N_EPOCHS, N_EPOCHS_OF_MANY, MANY = 400, 200, 10_000
"""Epochs of a layout, and of one of more points than `MANY`."""
_POLL_SECONDS = 0.2
Report = Callable[[int, int], None]


class _Child:
    """One such process and the frames that have come from it."""

    def __init__(self) -> None:
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([str(ROOT), *([inherited] if inherited else [])])
        single = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "PYTHONPATH": path}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "memviz.maps.layout.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | single,
        )
        self.frames: queue.Queue[tuple[bytes, dict[str, np.ndarray]] | None] = queue.Queue()
        self.warm = threading.Event()
        self._listener = threading.Thread(target=self._listen, name="memviz-umap", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        while (frame := read_frame(self.process.stdout)) is not None:
            if frame[0] == WARM:
                self.warm.set()
            else:
                self.frames.put(frame)
        self.frames.put(None)

    def end(self) -> None:
        """Kill it, wait for its end, and close what led to it."""
        self.process.kill()
        self.process.wait()
        self._listener.join()
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # what was not sent any more
                if stream is not None:
                    stream.close()


class _Umap:
    """The one child of this process, started when first needed and again where it has ended."""

    def __init__(self) -> None:
        self._asking, self._starting = threading.Lock(), threading.Lock()
        self._child: _Child | None = None
        atexit.register(self.end)

    def child(self) -> _Child:
        with self._starting:
            if self._child is not None and self._child.process.poll() is not None:
                self._child.end()
                self._child = None
            if self._child is None:
                self._child = _Child()
            return self._child

    @property
    def warm(self) -> bool:
        child = self._child
        return child is not None and child.process.poll() is None and child.warm.is_set()

    def end(self) -> None:
        with self._starting:
            if self._child is not None:
                self._child.end()
                self._child = None

    def ask(self, values: dict[str, np.ndarray], report: Report) -> np.ndarray:
        while not self._asking.acquire(timeout=_POLL_SECONDS):
            report(0, 0)
        try:
            return self._ask(self.child(), values, report)
        except BaseException:
            self.end()  # it may be in the middle of an answer that nobody wants
            raise
        finally:
            self._asking.release()

    @staticmethod
    def _ask(child: _Child, values: dict[str, np.ndarray], report: Report) -> np.ndarray:
        assert child.process.stdin is not None
        try:
            write_frame(child.process.stdin, ASK, values)
        except OSError:
            log.info("the process that computes UMAP is gone")
        while True:
            try:
                frame = child.frames.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                report(0, 0)
                continue
            if frame is None:
                code = child.process.wait()
                raise InputError(f"the process that computes UMAP ended before it was done ({code}): try again")
            kind, content = frame
            if kind == DONE:
                return content["xy"]
            if kind == FAILED:
                raise InputError(f"UMAP could not lay out these points ({content['error']}): use PCA")
            if kind == TICK:
                report(int(content["done"]), int(content["total"]))


_UMAP = _Umap()


def warm_up() -> None:
    """Start the process that compiles UMAP, where there is none, and return at once."""
    _UMAP.child()


def epochs_of(n: int) -> int:
    """Epochs of a layout of n points."""
    return N_EPOCHS if n <= MANY else N_EPOCHS_OF_MANY


def umap_layout(
    neighbours: Neighbours,
    start: np.ndarray,
    seed: int = 0,
    n_epochs: int | None = None,
    report: Report = lambda done, total: None,
) -> np.ndarray:
    """(n, 2) float32 by UMAP from exact neighbours (n, q) and a start (n, 2), such as two principal components.

    The same seed gives the same layout. `report(done, total)` counts epochs, and (0, 0) while it waits; what it raises
    ends the process. Raises InputError where UMAP fails or its process ends.
    """
    n = len(neighbours.indices)
    own = np.arange(n, dtype=np.int32)[:, None]
    centred = start - start.mean(axis=0)
    values = {
        "indices": np.concatenate([own, neighbours.indices], axis=1),
        "distances": np.concatenate([np.zeros((n, 1), np.float32), neighbours.distances], axis=1),
        "start": (10 * centred / max(np.abs(centred).max(), 1e-30)).astype(np.float32),
        "seed": np.array(seed),
        "n_epochs": np.array(n_epochs or epochs_of(n)),
    }
    return _UMAP.ask(values, report)
