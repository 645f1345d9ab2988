"""The process that computes UMAP: reads frames from its input, writes frames to its output, ends with its parent."""

from __future__ import annotations

import os
import queue
import sys
import threading
from types import ModuleType
from typing import IO, Any

import numpy as np

from memviz.maps.layout.frames import ASK, DONE, FAILED, TICK, WARM, read_frame, write_frame
from memviz.maps.layout.graph import fuzzy_graph

MIN_DIST, SPREAD = 0.05, 1.0
"""umap-learn has 0.1; at 0.05 exact neighbours are no less trustworthy than its defaults, see docs/decisions.md."""
NEGATIVE_SAMPLES = 5


class _Ticks:
    """What tqdm writes to: each line is an epoch."""

    def __init__(self, out: IO[bytes], total: int) -> None:
        self._out, self._total = out, total

    def write(self, text: str) -> None:
        found = text.strip()
        if found.isdigit():
            write_frame(self._out, TICK, {"done": np.array(int(found)), "total": np.array(self._total)})

    def flush(self) -> None:
        """Everything is written at once."""


def layout(
    indices: np.ndarray, distances: np.ndarray, start: np.ndarray, seed: int, n_epochs: int, out: IO[bytes] | None
) -> np.ndarray:
    """(n, 2) float32 from exact neighbours (n, q), themselves first, and a start (n, 2); one thread, so repeatable."""
    from umap.umap_ import find_ab_params, simplicial_set_embedding

    nothing = np.zeros((len(indices), 1), np.float32)
    a, b = find_ab_params(SPREAD, MIN_DIST)
    ticks: dict[str, Any] = {} if out is None else {"file": _Ticks(out, n_epochs), "bar_format": "{n_fmt}"}
    found, _ = simplicial_set_embedding(
        nothing,
        fuzzy_graph(indices, distances),
        2,
        1.0,
        a,
        b,
        1.0,
        NEGATIVE_SAMPLES,
        n_epochs,
        start,
        np.random.RandomState(seed),
        "euclidean",
        {},
        False,
        {},
        False,
        parallel=False,
        verbose=out is not None,
        tqdm_kwds=ticks | {"mininterval": 0.3},
    )
    return np.asarray(found, np.float32)


def leave_out_neighbour_search() -> None:
    """Let umap-learn find nothing where it imports pynndescent, which compiles for 40 s in a new environment.

    Neighbours are given here, so none of it is called.
    """
    tables = {"": "NNDescent", ".distances": "named_distances", ".sparse": "sparse_named_distances"}
    for part, name in tables.items():
        module = ModuleType(f"pynndescent{part}")
        setattr(module, name, {})
        sys.modules[module.__name__] = module


def warm() -> None:
    """Compile everything on a few points."""
    points = np.random.default_rng(0).random((32, 2), np.float32)
    distances = np.sqrt(np.square(points[:, None] - points[None]).sum(axis=2))
    indices = np.argsort(distances, axis=1, kind="stable")[:, :5].astype(np.int32)
    layout(indices, np.take_along_axis(distances, indices, axis=1), points * 10, 0, 11, None)


def main() -> None:
    """Answer until the input ends."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what libraries print must not end up among the frames
        asked: queue.Queue[dict[str, np.ndarray]] = queue.Queue()
        threading.Thread(target=_listen, args=(sys.stdin.buffer, asked), daemon=True).start()
        leave_out_neighbour_search()
        warm()
        write_frame(out, WARM, {})
        while True:
            values = asked.get()
            seed, n_epochs = int(values.pop("seed")), int(values.pop("n_epochs"))
            try:
                write_frame(out, DONE, {"xy": layout(**values, seed=seed, n_epochs=n_epochs, out=out)})
            except Exception as error:
                write_frame(out, FAILED, {"error": np.array(f"{type(error).__name__}: {error}")})


def _listen(stream: IO[bytes], asked: queue.Queue[dict[str, np.ndarray]]) -> None:
    """Pass on what is asked, and end the process, whatever it does, when the parent is gone."""
    while (frame := read_frame(stream)) is not None:
        if frame[0] == ASK:
            asked.put(frame[1])
    os._exit(0)


if __name__ == "__main__":
    main()
