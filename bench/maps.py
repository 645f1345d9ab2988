"""Seconds to lay out 10,000 hidden states with memviz's UMAP, against umap-learn's defaults with the same seed.

States of the suite's largest model, last layer, at 8 decoding steps of random rows of its corpus. Cold: a fresh process
each, from its start, imports and compilation included; warm: the second layout in that process. memviz: exact
neighbours, PCA start, UMAP in a helper process. Defaults: `umap.UMAP(random_state=seed).fit_transform(points)`. Ratio
is theirs to ours, above 1 is faster; CPU seconds say the same on a machine that others use too. Trustworthiness over
all points, 15 neighbours, by one function for both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

K = M = 32
STEPS = 8
WAYS = ("memviz", "defaults")


def states(n: int) -> tuple[str, np.ndarray]:
    """Name of the model, and (n, d) float32 states after generated tokens."""
    from memviz.catalog import find_model, known_models
    from memviz.demo.suite import read_data
    from memviz.engine.backend import Backend
    from memviz.engine.preparing import prepare
    from memviz.engine.sizes import n_layers
    from memviz.engine.states import read_states
    from memviz.engine.tracing import survey
    from memviz.maps import spread_steps
    from memviz.records import Prompts
    from memviz.settings import load_settings

    settings = load_settings()
    suite = [model for model in known_models(settings) if model.family == "suite"]
    model = max(suite, key=lambda each: each.n_parameters or 0)
    loaded = Backend(settings).load(prepare(find_model(model.name, settings), settings, print), "float32")
    data = read_data()
    n_rows = -(-n // STEPS)
    rows = np.sort(np.random.default_rng(0).choice(np.flatnonzero(~data.background), n_rows, replace=False))
    ids = data.ids[rows].astype(np.int64)
    parts, last = [], n_layers(loaded.model)
    for start in range(0, n_rows, 128):
        block = ids[start : start + 128]
        prompts = Prompts(block[:, :K], block[:, K : K + M])
        written = survey(loaded, prompts, 0.0).generated_ids.astype(np.int64)
        read = read_states(loaded, np.concatenate([block[:, :K], written], axis=1), (last,))
        parts.append(read.of_layer(last)[:, K + np.array(spread_steps(M, STEPS))])
    return model.name, np.concatenate(parts).reshape(-1, parts[0].shape[2])[:n]


def lay_out(way: str, points: np.ndarray, seed: int = 0) -> np.ndarray:
    if way == "defaults":
        import umap

        return umap.UMAP(random_state=seed).fit_transform(points)
    from memviz.maps.layout import fit_basis, nearest, umap_layout, warm_up

    warm_up()
    neighbours = nearest(points, 14)
    return umap_layout(neighbours, fit_basis(points, 2).project(points), seed=seed)


def child(way: str, folder: Path) -> None:
    """Two layouts in this process; tells when each was done."""
    points = np.load(folder / "points.npy")
    done = []
    for number in range(2):
        xy = lay_out(way, points)
        done.append((time.time(), cpu_seconds()))
        np.save(folder / f"{way}-{number}.npy", xy)
    print(json.dumps(done))


def cpu_seconds() -> float:
    """Of this process and those it started."""
    import psutil

    one = psutil.Process()
    times = [each.cpu_times() for each in (one, *one.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def timed(way: str, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds and CPU seconds, cold and warm."""
    start = time.time()
    words = [sys.executable, "-W", "ignore", __file__, "--child", way, "--folder", str(folder)]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    first, second = json.loads(said.splitlines()[-1])
    return [first[0] - start, first[1]], [second[0] - first[0], second[1] - first[1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=0, help="Trustworthiness of so many further seeds of each.")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.folder)
        return
    from memviz.maps.layout import quality

    model, points = states(options.points)
    print(f"{len(points):,} states of {model}, width {points.shape[1]}; {options.pairs} pairs")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "points.npy", points)
        seconds: dict[str, list[tuple[list[float], list[float]]]] = {way: [] for way in WAYS}
        for _ in range(options.pairs):
            for way in WAYS:
                seconds[way].append(timed(way, folder))
        layouts = {way: [np.load(folder / f"{way}-{number}.npy") for number in range(2)] for way in WAYS}
    for heat, name in enumerate(("cold", "warm")):
        for kind, unit in enumerate(("s", "s of CPU")):
            mine, theirs = ([each[heat][kind] for each in seconds[way]] for way in WAYS)
            ratio = statistics.median(b / a for a, b in zip(mine, theirs, strict=True))
            each = [f"{way} {statistics.median(of):.1f} {unit}" for way, of in zip(WAYS, (mine, theirs), strict=True)]
            print(f"{name}: {', '.join(each)}, ratio {ratio:.2f}")
    for way in WAYS:
        found = quality(points, layouts[way][0])
        same = np.array_equal(*layouts[way])
        print(
            f"{way}: trustworthiness {found.trustworthiness:.4f}, neighbours kept {found.neighbour_overlap:.4f}, "
            f"twice the same: {'yes' if same else 'no'}"
        )
    for way in WAYS if options.seeds else ():
        each = [quality(points, lay_out(way, points, seed)).trustworthiness for seed in range(1, 1 + options.seeds)]
        print(f"{way}: trustworthiness of seeds 1 to {options.seeds}: {', '.join(f'{one:.4f}' for one in each)}")


if __name__ == "__main__":
    main()
