"""Statistics of the claims of finding 3, from the sweeps' tables; the wording is that of docs/claims.toml."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from memviz.errors import InputError
from memviz.findings.claims import Null
from memviz.findings.evidence.material import SEED, Found, K, M, Material, Statistic
from memviz.population.aligned import Aligned, members
from memviz.population.boundary import boundary_curves, boundary_differences, jumps_above
from memviz.population.intervals import Estimate, estimate, percentiles

FEWEST = 100
"""Rows of a group, at least, for a size to be compared with the largest."""
_NULL = ("null", "null_low", "null_high", "null_mean_low", "null_mean_high")
PerRow = Callable[[Aligned], np.ndarray]
"""(n,) one number a row."""


def _aligned(found: Material, quantity: str, model: str | None = None) -> Aligned:
    found.check_known(quantity)
    return found.aligned(model or found.models[-1], entropy=quantity.startswith("entropy"))


def boundary_line(found: Material, quantity: str, group: str, model: str | None = None) -> dict[str, Any]:
    """A group's line of the table of boundary differences, of the largest size by default. Raises InputError."""
    model = model or found.models[-1]
    table = found.once(
        ("boundary", model, quantity),
        lambda: boundary_differences([found.source(model, quantity)], quantity, found.n_resamples, SEED),
    )
    (line,) = table[table["group"] == group].to_dict("records")
    return {str(name): value for name, value in line.items()}


def _boundary(quantity: str, group: str) -> Statistic:
    def found_of(found: Material) -> Found:
        line = boundary_line(found, quantity, group)
        return _of_line(line, "above", line["n"]), Null(*(float(line[name]) for name in _NULL))

    return found_of


def _fall(found: Material) -> Found:
    line = boundary_line(found, "entropy_free_running", "memorized")
    if np.isnan(line["edge"]) and not line["n_edge"]:
        raise InputError("the moved edge needs 40 decoded positions at k = 32, and a group there")
    return _of_line(line, "fall", min(line["n"], line["n_edge"])), None


def _of_line(line: dict[str, Any], name: str, n: int) -> Estimate:
    value, low, high = (float(line[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return Estimate(value, low, high, int(n), min(int(n), int(line["n_units"])))


def by_size(group: str, fewest: int) -> Statistic:
    """The jump of the 1-gram frequency above all rows, largest size minus the smallest that has enough of the group."""
    quantity = "frequency_1"

    def found_of(found: Material) -> Found:
        enough = [name for name in found.models if boundary_line(found, quantity, group, name)["n"] >= fewest]
        if len(enough) < 2 or enough[-1] != found.models[-1]:
            raise InputError(f"fewer than two sizes have {fewest} rows of the group, or the largest has not")
        both = [_aligned(found, quantity, name) for name in (enough[0], enough[-1])]
        if not np.array_equal(both[0].rows, both[1].rows):
            raise InputError("the sizes were not asked about the same rows")
        small, large = (jumps_above(each, quantity, group, found.n_resamples, SEED) for each in both)
        lines = [boundary_line(found, quantity, group, name) for name in (enough[0], enough[-1])]
        low, high = percentiles((large - small)[1:])
        n, n_units = (min(int(line[name]) for line in lines) for name in ("n", "n_units"))
        estimated = Estimate(float(large[0] - small[0]), float(low), float(high), n, n_units)
        return estimated, _apart([(line["null"], line["null_high"] - line["null_low"]) for line in lines[::-1]])

    return found_of


def _apart(bands: Sequence[Sequence[float]]) -> Null:
    """Of a difference, from the expectation and the width of the band of both sides, as if they were independent."""
    expected, half = bands[0][0] - bands[1][0], math.hypot(*(width / 2 for _, width in bands))
    return Null(float(expected), float(expected - half), float(expected + half))


def _groups(quantity: str, one: str, other: str, per_row: PerRow, found: Material) -> Estimate:
    """Mean over the rows of one group minus over those of another, largest size."""
    aligned = _aligned(found, quantity)
    value, masks = per_row(aligned), [members(aligned, group) for group in (one, other)]
    columns = np.column_stack([each for mask in masks for each in (mask * value, mask)])

    def statistic(sums: np.ndarray) -> np.ndarray:
        return sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3]

    n = min(int(mask.sum()) for mask in masks)
    n_units = min(len(np.unique(aligned.units[mask])) for mask in masks)
    if not n:
        raise InputError("one of the two groups has no row")
    return estimate(columns, aligned.units, statistic, n, n_units, found.n_resamples, SEED)


def _over(quantity: str, start: int, end: int) -> PerRow:
    """Mean over the indices from start to before end."""
    return lambda aligned: aligned.of(quantity)[:, start:end].mean(axis=1)


def _jump(quantity: str) -> PerRow:
    return lambda aligned: aligned.of(quantity)[:, K] - aligned.of(quantity)[:, K - 1]


def _difference(quantity: str, one: str, other: str, per_row: PerRow) -> Statistic:
    return lambda found: (_groups(quantity, one, other, per_row, found), None)


def _continuation(quantity: str) -> Statistic:
    """Mean over the continuation, M = 1 minus M = 0, and what selection alone gives for it."""

    def found_of(found: Material) -> Found:
        estimated = _groups(quantity, "memorized", "unmemorized", _over(quantity, K, K + M), found)
        curves = boundary_curves(found.source(found.models[-1], quantity), quantity, found.n_resamples, SEED)
        curves = curves[curves["t"].between(0, M - 1)].assign(width=curves["null_high"] - curves["null_low"])
        means = curves.groupby("group")[["null", "width"]].mean()
        bands = [tuple(map(float, means.loc[group, ["null", "width"]])) for group in ("memorized", "unmemorized")]
        return estimated, _apart(bands)

    return found_of


def _entropy_by_size(found: Material) -> Found:
    quantity, models = "entropy_free_running", (found.models[0], found.models[-1])
    if models[0] == models[1]:
        raise InputError("one size alone has nothing to be compared with")
    small, large = (_aligned(found, quantity, model) for model in models)
    if not np.array_equal(small.rows, large.rows):
        raise InputError("the sizes were not asked about the same rows")
    apart = np.subtract(*(_over(quantity, K, K + M)(each) for each in (large, small)))
    values, n_units = np.column_stack([apart, np.ones(len(apart))]), len(np.unique(large.units))
    mean = estimate(
        values, large.units, lambda sums: sums[..., 0] / sums[..., 1], len(apart), n_units, found.n_resamples, SEED
    )
    return mean, None


_FREE = "entropy_free_running"
STATISTICS: dict[str, Statistic] = {
    "frequency-memorized": _boundary("frequency_1", "memorized"),
    "frequency-unmemorized": _boundary("frequency_1", "unmemorized"),
    "frequency-half": _boundary("frequency_1", "half"),
    "frequency-medium": _boundary("frequency_1", "medium"),
    "bigram-memorized": _boundary("frequency_2", "memorized"),
    "bigram-unmemorized": _boundary("frequency_2", "unmemorized"),
    "boundary-size-memorized": by_size("memorized", FEWEST),
    "boundary-size-unmemorized": by_size("unmemorized", 0),
    "gram-context": _difference("frequency_1", "memorized", "unmemorized", _over("frequency_1", 0, K)),
    "gram-continuation": _continuation("frequency_1"),
    "bigram-context": _difference("frequency_2", "memorized", "unmemorized", _over("frequency_2", 1, K)),
    "bigram-continuation": _continuation("frequency_2"),
    "entropy-memorized": _boundary(_FREE, "memorized"),
    "entropy-unmemorized": _boundary(_FREE, "unmemorized"),
    "entropy-size": _entropy_by_size,
    "entropy-unmemorized-higher": _difference(_FREE, "unmemorized", "memorized", _over(_FREE, K, K + M)),
    "entropy-unmemorized-context": _difference(_FREE, "unmemorized", "memorized", _over(_FREE, 1, K)),
    "entropy-half": _difference(_FREE, "half", "memorized", _jump(_FREE)),
    "entropy-medium": _difference(_FREE, "medium", "memorized", _jump(_FREE)),
    "boundary-stays": _fall,
}
"""Statistic of each claim, by its id."""
