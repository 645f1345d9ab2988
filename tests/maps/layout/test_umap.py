"""UMAP in its helper process: the same by seed, cancelled, killed, and gone with its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.serving import ROOT

from memviz.errors import InputError
from memviz.maps.layout import fit_basis, nearest, process, quality, umap_layout, warm_up
from memviz.maps.layout.graph import fuzzy_graph

RNG = np.random.default_rng(5)
POINTS = (4 * RNG.normal(size=(4, 10))[RNG.integers(0, 4, 200)] + RNG.normal(size=(200, 10))).astype(np.float32)
pytestmark = pytest.mark.slow
NEAR, START = nearest(POINTS, 14), fit_basis(POINTS).project(POINTS)[:, :2]


@pytest.fixture(scope="module", autouse=True)
def ended():
    yield
    process._UMAP.end()


@pytest.fixture(scope="module")
def first() -> tuple[np.ndarray, list[tuple[int, int]]]:
    """A layout of seed 1 and what was reported meanwhile; each start of the process compiles for seconds."""
    seen: list[tuple[int, int]] = []
    return umap_layout(NEAR, START, 1, report=lambda *pair: seen.append(pair)), seen


def test_the_graph_is_umap_learns_own() -> None:
    """Also where points have doubles, so that some distances are 0; umap-learn's is quicker read than compiled."""
    code = (
        "import sys, numpy as np; from umap.umap_ import fuzzy_simplicial_set as f; v = np.load(sys.argv[1]); "
        "np.save(sys.argv[2], f(np.zeros((len(v['i']), 1)), 15, np.random.RandomState(0), 'euclidean', "
        "knn_indices=v['i'], knn_dists=v['d'])[0].toarray())"
    )
    doubled = np.concatenate([POINTS, POINTS[:40], POINTS[:20], np.repeat(POINTS[:1], 20, axis=0)])
    near = nearest(doubled, 14)
    own = np.arange(len(doubled), dtype=np.int32)[:, None]
    indices = np.concatenate([own, near.indices], axis=1)
    distances = np.concatenate([np.zeros((len(doubled), 1), np.float32), near.distances], axis=1)
    with tempfile.TemporaryDirectory() as name:
        asked, answer = Path(name) / "asked.npz", Path(name) / "answer.npy"
        np.savez(asked, i=indices, d=distances)
        command = [sys.executable, "-W", "ignore", "-c", code, str(asked), str(answer)]
        subprocess.run(command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, check=True)
        expected = np.load(answer)
    np.testing.assert_allclose(fuzzy_graph(indices, distances).toarray(), expected, atol=1e-4)


def test_the_same_seed_gives_the_same_layout(first: tuple[np.ndarray, list[tuple[int, int]]]) -> None:
    layout, seen = first
    assert layout.shape == (200, 2) and np.isfinite(layout).all() and process._UMAP.warm
    assert seen[-1] == (400, 400)
    np.testing.assert_array_equal(umap_layout(NEAR, START, 1), layout)
    assert np.abs(umap_layout(NEAR, START, 2) - layout).max() > 0
    assert float(quality(POINTS, layout).trustworthiness) > 0.8


def test_given_up_or_killed_the_process_ends_and_the_next_gives_the_same_layout(
    first: tuple[np.ndarray, list[tuple[int, int]]],
) -> None:
    class GivenUp(Exception):
        pass

    def give_up(done: int, total: int) -> None:
        raise GivenUp

    child = process._UMAP.child()
    with pytest.raises(GivenUp):
        umap_layout(NEAR, START, report=give_up)
    assert child.process.poll() is not None and not process._UMAP.warm

    child = process._UMAP.child()

    def kill(done: int, total: int) -> None:
        child.process.kill()

    with pytest.raises(InputError, match=r"ended before it was done \(-9\): try again"):
        umap_layout(NEAR, START, n_epochs=100_000, report=kill)
    np.testing.assert_array_equal(umap_layout(NEAR, START, 1), first[0])


def test_warming_up_returns_at_once() -> None:
    process._UMAP.end()
    start = time.perf_counter()
    warm_up()
    assert time.perf_counter() - start < 2 and not process._UMAP.warm
    process._UMAP.end()


def test_it_ends_with_a_parent_that_is_killed() -> None:
    code = (
        "import time; from memviz.maps.layout import process; "
        "print(process._UMAP.child().process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    child.wait(timeout=60)
