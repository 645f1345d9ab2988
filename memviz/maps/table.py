"""A map as a table, one line a point with what the sweep knows of its row, and what is said beside it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from memviz.maps.layout import PROJECTION
from memviz.maps.records import EmbeddingMap, PlacedPoints
from memviz.maps.task import MapTask
from memviz.measures.score import LEVELS
from memviz.records import to_arrays
from memviz.sweeps.results import Sweep

COLUMNS = {
    "row": "number of the row in the sweep's source, from 0",
    "row_id": "what the file calls the row; null without",
    "step": "decoding step t of the continuation token that was read last; -1 is the last context token",
    "x": "first coordinate, no unit",
    "y": "second coordinate, no unit",
    "hits": "generated tokens of the row that are the true ones, 0 to m, free-running",
    "score": "memorization score M, hits / m",
    "level": "very low, low, medium, high, very high",
    "group": "memorized (M = 1), half (exactly m/2 hits), unmemorized (M = 0), none",
    "match": "whether the generated token at this step is the true one; true at step -1",
    "entropy": "nats, of the distribution that predicted the token read last; null at index 0 of the row",
    "loop": "whether the row's generation ends in copies of a chunk",
    "domain": "domain of the row's document; null for rows of a file",
    "exposures": "planned exposures of the row in training, 0 where held out; null for a file",
    "background": "whether the row belongs to the single-exposure background; null for a file",
    "template": "repeating, incrementing or none: of the true tokens",
    "memorization_class": "recite, reconstruct or recollect; null where exposures are unknown",
    "near_duplicates": "smallest row number among the row's near-duplicates",
}
"""Column -> what it is."""
_OF_ROW = {"bucket": "exposures", "group": "near_duplicates"}


def table_of(found: PlacedPoints, sweep: Sweep) -> pd.DataFrame:
    """(p lines) the points of a map in its order, with the columns of `COLUMNS`."""
    m = int(found.m)
    points = pd.DataFrame(
        {
            "row": found.row,
            "step": found.step,
            "x": found.xy[:, 0],
            "y": found.xy[:, 1],
            "hits": found.hits,
            "score": found.hits / m,
            "level": pd.Categorical(np.array(LEVELS)[np.minimum(4, 5 * found.hits // m)], LEVELS, ordered=True),
            "group": groups_of(found.hits, m),
            "match": found.match,
            "entropy": found.entropy,
            "loop": found.loop,
        }
    )
    names = ["row", "row_id", "domain", "bucket", "background", "template", "memorization_class", "group"]
    names = [name for name in names if name in sweep.manifest["tables"]["rows"]["columns"]]
    known = sweep.read("rows", names, [("row", "in", np.unique(found.row).tolist())]).rename(columns=_OF_ROW)
    joined = points.merge(known, on="row", how="left", validate="many_to_one")
    return joined.reindex(columns=list(COLUMNS))


def groups_of(hits: np.ndarray, m: int) -> np.ndarray:
    """(p,) names: memorized, half, unmemorized or none."""
    return np.select([hits == m, 2 * hits == m, hits == 0], ["memorized", "half", "unmemorized"], "none")


def figures_of(task: MapTask, found: EmbeddingMap, sweep: Sweep, about: dict[str, Any]) -> dict[str, Any]:
    """How a map was made and how good it is, as plain JSON; `about` is what the store keeps beside it."""
    request, rows = task.request(), sweep.manifest["rows"]
    request["scope"] = {name: value for name, value in request["scope"].items() if name != "folder"}
    return {
        "request": request,
        "projection": PROJECTION,
        "rows": {"n": rows["n"], "sha256": rows["sha256"]},
        "layer": int(found.layer),
        "width": len(found.basis.mean),
        "n_points": len(found.row),
        "n_rows": found.n_rows,
        "n_passing": int(found.n_passing),
        "sampling": "simple random sample of the rows that pass, without replacement",
        "state": "reading state: after the token of the step",
        "reading": "free-running" if task.scope.free_running else "teacher-forced",
        "variance_of_components": [_plain(value) for value in found.basis.variance[:2]],
        "quality": {name: _plain(value) for name, value in to_arrays(found.quality).items()},
        "silhouettes": {
            name: [_plain(each) for each in values] for name, values in to_arrays(found.silhouettes).items()
        },
        "columns": COLUMNS,
        "provenance": about.get("provenance"),
    }


def _plain(value: Any) -> int | float | None:
    """A number as JSON holds it; NaN is null."""
    number = value.item()
    return None if isinstance(number, float) and math.isnan(number) else number
