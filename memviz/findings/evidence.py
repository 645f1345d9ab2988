"""Each claim's statistic from finished sweeps; the wording is that of docs/claims.toml."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.findings.claims import Claim, Null, Verdict, decide
from memviz.population.aligned import Aligned, align
from memviz.population.boundary import boundary_differences
from memviz.population.curves import context_points, continuation_points, difference, parameters_of, size_points
from memviz.population.filters import is_true
from memviz.population.fits import size_fits
from memviz.population.intervals import N_RESAMPLES, Estimate, estimate, percentiles
from memviz.population.ngrams import Frequencies
from memviz.population.runs import longest_run, mean_runs_by_chance, run_by_chance
from memviz.population.transitions import N_LEVELS, kappa_of, kept_of
from memviz.sweeps.results import Sweep
from memviz.sweeps.task import ANCHORED, SLIDING

K = M = 32
SEED = 0
FIRST_OF_TARGET = 96
"""Index of the first target token of the anchored curve."""
_KEY = ["model", "row", "mode", "k"]
Found = tuple[Estimate, Null | None]


@dataclass(frozen=True)
class Material:
    """What the claims are judged on."""

    sweeps: tuple[Sweep, ...]
    n_parameters: dict[str, int]
    """The final weights of training seed 0 of each size, ascending."""
    seeds: tuple[str, ...]
    """Final weights of every training seed of that family, by size and seed."""
    every: pd.DataFrame
    """Sequences of all models, all sweeps together."""
    frequencies: Frequencies | None
    """Of the true tokens."""
    n_resamples: int = N_RESAMPLES

    @property
    def models(self) -> list[str]:
        return list(self.n_parameters)

    @cached_property
    def sequences(self) -> pd.DataFrame:
        """Of the models of `n_parameters`."""
        return self.every[self.every["model"].isin(self.n_parameters)]

    @property
    def sliding_contexts(self) -> list[int]:
        """Every k of the sliding curve."""
        sliding = self.sequences["mode"].eq(SLIDING) & self.sequences["on_context_curve"].astype(bool)
        return sorted(self.sequences.loc[sliding, "k"].unique().tolist()) or [K]

    @cached_property
    def trained(self) -> pd.DataFrame:
        """Sequences of the bucketed rows that were trained on."""
        planted = self.sequences["bucket"].ge(1) & self.sequences["background"].eq(False)
        return self.sequences[is_true(planted)]

    def of_largest(self, sequences: pd.DataFrame) -> pd.DataFrame:
        return sequences[sequences["model"] == self.models[-1]]

    def aligned(self, model: str, k: int = K, entropy: bool = True) -> Aligned:
        """The trained rows of a model from the first sweep that has them. Raises InputError."""
        key, reasons = (model, k, entropy), []
        if key in self._kept:
            return self._kept[key]
        for sweep in self.sweeps:
            try:
                found = align(sweep, model, k, SLIDING, M, self.frequencies, entropy=entropy)
            except InputError as error:
                reasons.append(str(error))
                continue
            found = found.where(np.isin(found.rows, self.trained["row"].unique()))
            if k == K:  # asked for again and again
                self._kept[key] = found
            return found
        raise InputError("; ".join(dict.fromkeys(reasons)))

    @cached_property
    def _kept(self) -> dict[tuple[str, int, bool], Aligned]:
        return {}


def material_of(
    sweeps: Sequence[Sweep], frequencies: Frequencies | None = None, n_resamples: int = N_RESAMPLES
) -> Material:
    """Sweeps of one source of rows, as one. Raises InputError where they differ, or are not in float32."""
    if not sweeps:
        raise InputError("there is no sweep to judge the claims on: name one")
    for name, values in (
        ("sources of rows", {sweep.manifest["request"]["rows"]["source"] for sweep in sweeps}),
        ("precisions", {sweep.manifest["request"]["dtype"] for sweep in sweeps} | {"float32"}),
    ):
        if len(values) > 1:
            raise InputError(f"the claims need one of each, float32, but there are several {name}: {sorted(values)}")
    about = {each["name"]: each for sweep in sweeps for each in sweep.manifest["models"]}
    n_parameters = {name: n for sweep in sweeps for name, n in parameters_of(sweep).items()}
    final = final_weights(about.values())
    ladder: dict[str, str] = {}
    for each in sorted(final, key=lambda each: (n_parameters[each["name"]], each["name"])):
        if each["seed"] == 0:
            ladder.setdefault(size_name(each), each["name"])
    if not ladder:
        raise InputError("the sweep has no final weights of training seed 0: sweep the models at the end of training")
    seeds = sorted(
        (each for each in final if size_name(each) in ladder),
        key=lambda each: (list(ladder).index(size_name(each)), each["seed"]),
    )
    every = pd.concat([sweep.sequences for sweep in sweeps], ignore_index=True)
    longest = every.sort_values("m", ascending=False, kind="stable").drop_duplicates(_KEY).sort_index()
    names = tuple(each["name"] for each in seeds)
    return Material(
        tuple(sweeps), {name: n_parameters[name] for name in ladder.values()}, names, longest, frequencies, n_resamples
    )


def size_name(about: dict[str, Any]) -> str:
    """Name of a model's size, from what a manifest says of it."""
    return about["size"] or about["name"]


def final_weights(about: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The models at the end of training, of the family with the most sizes."""
    families: dict[str, list[dict[str, Any]]] = {}
    for each in about:
        if each["step"] is None or each["step"] == each["n_steps"]:
            families.setdefault(each["family"] or "", []).append(each)
    return max(families.values(), key=lambda found: len({size_name(each) for each in found}), default=[])


def judge(
    claims: Sequence[Claim], material: Material, statistics: Mapping[str, Callable[[Material], Found]] | None = None
) -> list[Verdict]:
    """The verdict on each claim, in their order; `statistics` by id, those of findings 1 and 3 where none are given."""
    known = STATISTICS if statistics is None else statistics
    verdicts = []
    for claim in claims:
        try:
            if claim.id not in known:
                raise InputError(f"there is no statistic here for the claim {claim.id!r}")
            verdicts.append(decide(claim, *known[claim.id](material)))
        except InputError as error:
            verdicts.append(decide(claim, None, None, str(error)))
    return verdicts


# Finding 1


def _by_model(found: Material) -> Found:
    points = size_points(found.trained, M, K)
    a, b = {"model": found.models[-1]}, {"model": found.models[0]}
    if a == b:
        raise InputError("one size alone has nothing to be compared with")
    return difference(points, a, b, n_resamples=found.n_resamples, seed=SEED), None


def _by_exposures(found: Material) -> Found:
    planted = found.of_largest(found.sequences)
    points = size_points(planted[is_true(planted["background"].eq(False))], M, K)
    a, b = {"bucket": int(points["bucket"].max())}, {"bucket": 0}
    return difference(points, a, b, n_resamples=found.n_resamples, seed=SEED), None


def _size_slope(found: Material) -> Found:
    points = size_points(found.trained, M, K)
    fits = size_fits(points, found.n_parameters, n_resamples=found.n_resamples, seed=SEED)
    fit = next((each for each in fits if (each.kind, each.quantity) == ("power", "n_full")), None)
    if fit is None:
        raise InputError("a slope over sizes needs at least two of them")
    return Estimate(fit.slope - 1, fit.low - 1, fit.high - 1, fit.n_rows, fit.n_units), None


def _by_continuation(quantity: Any) -> Callable[[Material], Found]:
    def found_of(found: Material) -> Found:
        points = continuation_points(found.of_largest(found.trained))
        return difference(points, {"m": 96}, {"m": 16}, quantity, n_resamples=found.n_resamples, seed=SEED), None

    return found_of


def _contexts(found: Material, mode: str) -> pd.DataFrame:
    sequences = found.of_largest(found.trained)
    if mode == ANCHORED:
        asked = sequences[sequences["mode"] == mode]
        others = set(asked["start"] + asked["k"]) - {FIRST_OF_TARGET}
        if others:
            raise InputError(f"the anchored target starts at index {min(others)}, the claim's at {FIRST_OF_TARGET}")
    return context_points(sequences, mode, M)


def _by_context(mode: str) -> Callable[[Material], Found]:
    def found_of(found: Material) -> Found:
        points = _contexts(found, mode)
        return difference(points, {"k": 96}, {"k": 8}, n_resamples=found.n_resamples, seed=SEED), None

    return found_of


def _steepness(found: Material) -> Found:
    scores = _contexts(found, ANCHORED).pivot(index=["row", "group"], columns="k", values="score")
    absent = [k for k in (8, 32, 64, 96) if k not in scores]
    if absent:
        raise InputError(f"the anchored context curve has no k = {absent[0]}")
    known = scores[[8, 32, 64, 96]].dropna()
    units = known.index.get_level_values("group").to_numpy()

    def statistic(sums: np.ndarray) -> np.ndarray:
        mean = sums[..., :4] / sums[..., 4:]
        return (mean[..., 1] - mean[..., 0]) / 24 - (mean[..., 3] - mean[..., 2]) / 32

    values = np.column_stack([known.to_numpy(), np.ones(len(known))])
    return _estimate(found, values, units, statistic), None


def _levels(minimum: Callable[[np.ndarray], np.ndarray], least: int) -> Callable[[Material], Found]:
    """A statistic of the (..., pairs, 25) cells of neighbouring sizes."""

    def found_of(found: Material) -> Found:
        if len(found.models) < least:
            raise InputError(f"the sweep has {len(found.models)} sizes, the claim needs at least {least}")
        points = size_points(found.trained, M, K)
        levels = points.pivot(index=["row", "group"], columns="model", values="level")[found.models]
        pairs = itertools.pairwise(levels[model].to_numpy() for model in found.models)
        cells = np.concatenate([np.eye(N_LEVELS**2)[N_LEVELS * a + b] for a, b in pairs], axis=1)
        units = levels.index.get_level_values("group").to_numpy()

        def statistic(sums: np.ndarray) -> np.ndarray:
            return minimum(sums.reshape(*sums.shape[:-1], -1, N_LEVELS**2))

        return _estimate(found, cells, units, statistic), None

    return found_of


def _contiguity(found: Material) -> Found:
    aligned = found.aligned(found.models[-1], entropy=False)
    match = aligned.match[:, :M]
    n_hits = match.sum(axis=1)
    chosen = (n_hits >= 2) & (n_hits <= M - 2)
    if not chosen.any():
        raise InputError(f"no row has 2 to {M - 2} hits")
    n_hits, units = n_hits[chosen], aligned.units[chosen]
    by_chance = run_by_chance(n_hits, M)
    values = np.column_stack([longest_run(match[chosen]) - by_chance, np.ones(len(n_hits))])
    low, high = percentiles(mean_runs_by_chance(n_hits, M, found.n_resamples, SEED) - by_chance.mean())
    return _estimate(found, values, units, _mean), Null(0.0, float(low), float(high))


# Finding 3


def _boundary(quantity: str, group: str) -> Callable[[Material], Found]:
    def found_of(found: Material) -> Found:
        if quantity.startswith("frequency") and found.frequencies is None:
            raise InputError("n-gram frequencies need the index of the training stream: build it, then ask again")
        line = boundary_line(found, quantity, group, entropy=quantity.startswith("entropy"))
        names = ("null", "null_low", "null_high", "null_mean_low", "null_mean_high")
        return _of_line(line, "above", line["n"]), Null(*(float(line[name]) for name in names))

    return found_of


def _fall(found: Material) -> Found:
    line = boundary_line(found, "entropy_free_running", "memorized", entropy=True)
    if np.isnan(line["edge"]) and not line["n_edge"]:
        raise InputError("the moved edge needs 40 decoded positions at k = 32, and a group there")
    return _of_line(line, "fall", min(line["n"], line["n_edge"])), None


def _of_line(line: dict[str, Any], name: str, n: int) -> Estimate:
    value, low, high = (float(line[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return Estimate(value, low, high, int(n), min(int(n), int(line["n_units"])))


def boundary_line(found: Material, quantity: str, group: str, entropy: bool) -> dict[str, Any]:
    """The line of one group of the largest size in the table of boundary differences. Raises InputError."""
    aligned = found.aligned(found.models[-1], entropy=entropy)
    table = boundary_differences([aligned], quantity, found.n_resamples, SEED)
    (line,) = table[table["group"] == group].to_dict("records")
    return {str(name): value for name, value in line.items()}


def _estimate(found: Material, values: np.ndarray, units: np.ndarray, statistic: Any) -> Estimate:
    return estimate(values, units, statistic, len(units), len(np.unique(units)), found.n_resamples, SEED)


def _mean(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


STATISTICS: dict[str, Callable[[Material], Found]] = {
    "size": _by_model,
    "exposures": _by_exposures,
    "size-sublinear": _size_slope,
    "continuation": _by_continuation("full"),
    "continuation-score": _by_continuation("mean"),
    "context-sliding": _by_context(SLIDING),
    "context-anchored": _by_context(ANCHORED),
    "context-steep": _steepness,
    "levels-stay": _levels(lambda cells: kept_of(cells).min(axis=-1) - 0.5, 2),
    "levels-stay-beyond-chance": _levels(lambda cells: kappa_of(cells).min(axis=-1), 2),
    "levels-stay-more": _levels(lambda cells: kept_of(cells)[..., -1] - kept_of(cells)[..., 0], 3),
    "contiguous": _contiguity,
    "frequency-memorized": _boundary("frequency_1", "memorized"),
    "frequency-unmemorized": _boundary("frequency_1", "unmemorized"),
    "bigram-memorized": _boundary("frequency_2", "memorized"),
    "bigram-unmemorized": _boundary("frequency_2", "unmemorized"),
    "entropy-memorized": _boundary("entropy_free_running", "memorized"),
    "entropy-unmemorized": _boundary("entropy_free_running", "unmemorized"),
    "boundary-stays": _fall,
}
"""Statistic of each claim, by its id."""
