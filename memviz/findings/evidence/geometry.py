"""Statistics of the claims about hidden states; the wording is that of docs/claims.toml."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from memviz.errors import InputError, MemvizError
from memviz.findings.claims import Null
from memviz.findings.evidence.material import Found, K, M, Material, Statistic
from memviz.findings.evidence.pairs import groups_apart, nearness, pairs_of
from memviz.maps.dynamics import MOST_ROWS as MOST_COMPARED
from memviz.maps.dynamics import DynamicsTask
from memviz.maps.gathering import Chosen, batches, choose, gather, last_layer
from memviz.maps.pairs import N_RESAMPLES, SEED
from memviz.maps.records import MEASURES, PAIRS, STATES, VARIANTS, Dynamics
from memviz.maps.scope import Scope, check_weights
from memviz.measures.geometry import (
    MOST_ROWS,
    N_PERMUTATIONS,
    centred_gram,
    drawn_rows,
    permutations,
    resampled_cka,
    resampled_silhouettes,
    silhouette,
)
from memviz.measures.score import LEVELS, level_of
from memviz.population.filters import Filters
from memviz.population.intervals import Estimate, percentiles, resampled_sums
from memviz.sweeps.results import Sweep
from memviz.sweeps.rowset import PARTS
from memviz.tasks.base import Context, answer, ready

PLANTED = Filters(parts=(PARTS[1],))
"""The bucketed rows that were trained on."""
R = TypeVar("R")


@dataclass(frozen=True)
class Spaces:
    """Hidden states of the models of some sweeps, computed when a claim needs them, or found in the store."""

    context: Context
    _kept: dict[str, Dynamics] = field(default_factory=dict)

    def dynamics(self, found: Material, model: str) -> Dynamics:
        """Of the trained rows under one model. Raises InputError where it cannot be computed."""
        if model not in self._kept:
            self.context.say(f"reading hidden states of {model}")
            self._kept[model] = self._of_sweeps(found, lambda sweep: self._dynamics(sweep, model))
        return self._kept[model]

    def _dynamics(self, sweep: Sweep, model: str) -> Dynamics:
        task = DynamicsTask(model, scope_of(sweep))
        return answer(task, self.context).result

    def last_states(self, found: Material, model: str, most: int | None = None) -> tuple[Chosen, np.ndarray]:
        """The trained rows, or a random sample of them, and their (n, d) states at the last step. Raises InputError."""
        chosen, states = self.states(found, model, (M - 1,), most)
        return chosen, states[0]

    def states(
        self, found: Material, model: str, steps: tuple[int, ...], most: int | None = None
    ) -> tuple[Chosen, np.ndarray]:
        """The same at s steps: (s, n, d). Raises InputError."""
        return self._of_sweeps(found, lambda sweep: self._states(sweep, model, steps, most))

    def _states(self, sweep: Sweep, model: str, steps: tuple[int, ...], most: int | None) -> tuple[Chosen, np.ndarray]:
        card = ready(model, self.context)
        check_weights(card, sweep)
        chosen = choose(scope_of(sweep), sweep, model, most or len(sweep.rows))
        layer = last_layer(card)
        read = batches(chosen, (layer,), np.array(steps), self.context)
        return chosen, gather(read, len(chosen.places), layer)

    @staticmethod
    def _of_sweeps(found: Material, make: Callable[[Sweep], R]) -> R:
        """From the first sweep that has what is needed. Raises InputError with every sweep's reason."""
        reasons = []
        for sweep in found.sweeps:
            try:
                return make(sweep)
            except MemvizError as error:
                reasons.append(str(error))
        raise InputError("; ".join(dict.fromkeys(reasons)))


def scope_of(sweep: Sweep) -> Scope:
    """The condition of the claims."""
    return Scope(str(sweep.folder), K, M, filters=PLANTED)


def _apart(variant: str) -> Callable[[Spaces, Material], Found]:
    def found_of(spaces: Spaces, found: Material) -> Found:
        one, v = spaces.dynamics(found, found.models[-1]), VARIANTS.index(variant)
        n = int(one.n_rows[v, [0, 2]].min())
        return _estimate(one.separation.apart[:, v], n, one), _null(one.separation.apart_null[:, v])

    return found_of


def _apart_within(kind: str) -> Callable[[Spaces, Material], Found]:
    """Among pairs of rows of one value of a column of the sweep's rows."""

    def found_of(spaces: Spaces, found: Material) -> Found:
        chosen, states = spaces.states(found, found.models[-1], tuple(range(M)), MOST_COMPARED)
        about = pd.concat([sweep.rows for sweep in found.sweeps]).drop_duplicates("row").set_index("row")[kind]
        codes = pd.factorize(about.loc[chosen.rows])[0]  # -1 where it is not known
        inside = np.isin(chosen.group, (0, 2)) & (codes >= 0)
        if not inside.any():
            raise InputError(f"the {kind} of these rows is not known")
        kinds, pairs = codes[inside], pairs_of(states[:, inside], codes[inside])
        return groups_apart(pairs, chosen.group[inside] == 0, kinds, chosen.units[inside])

    return found_of


def _high_near_memorized(spaces: Spaces, found: Material) -> Found:
    chosen, states = spaces.states(found, found.models[-1], tuple(range(M)), MOST_COMPARED)
    level = level_of(chosen.hits, M)
    high = (level == len(LEVELS) - 1) & (chosen.group != 0)
    inside = high | np.isin(chosen.group, (0, 2))
    pairs = pairs_of(states[:, inside], np.zeros(int(inside.sum()), np.int64))
    return nearness(pairs, high[inside], chosen.group[inside] == 0, chosen.units[inside])


def _course(spaces: Spaces, found: Material) -> Found:
    one = spaces.dynamics(found, found.models[-1])
    n = int(one.n_rows[0, [0, 2]].min())
    return _estimate(one.separation.course[:, 0], n, one), _null(one.separation.course_null[:, 0])


def _clusters(spaces: Spaces, found: Material) -> Found:
    chosen, states = spaces.last_states(found, found.models[-1])
    inside = np.flatnonzero(chosen.group < 3)
    inside = inside[drawn_rows(len(inside))]
    states, group, units = states[inside], chosen.group[inside], chosen.units[inside]
    counts = np.bincount(group, minlength=3)
    shuffled = silhouette(states, group)
    if counts.min() < 2:
        raise InputError("a group has fewer than two rows")
    weights = resampled_sums(np.eye(len(group)), units, N_RESAMPLES, SEED)
    low, high = percentiles(resampled_silhouettes(states, group, weights))
    n = int(counts.min())
    estimate = Estimate(shuffled.value, float(low), float(high), n, min(n, len(np.unique(units))))
    return estimate, Null(shuffled.null_mean, shuffled.null_low, shuffled.null_high)


def _size(measure: str, pair: tuple[str, str], state: int = 0, by_width: bool = False) -> Callable[..., Found]:
    """Largest size minus smallest, of a mean over steps."""
    u, q = MEASURES.index(measure), PAIRS.index(pair)
    group = 3 if pair[0] == "all" else 0

    def found_of(spaces: Spaces, found: Material) -> Found:
        if len(found.models) < 2:
            raise InputError("one size alone has nothing to be compared with")
        small, large = (spaces.dynamics(found, found.models[place]) for place in (0, -1))
        if small.n_rows[0, 3] != large.n_rows[0, 3]:
            raise InputError("the smallest and the largest size were not asked about the same rows")
        each = [
            one.over_steps[:, u, state, q].astype(np.float64) / (np.sqrt(float(one.width)) if by_width else 1)
            for one in (small, large)
        ]
        n = int(min(small.n_rows[0, group], large.n_rows[0, group]))
        return _estimate(each[1] - each[0], n, large), None

    return found_of


def _distance_falls(spaces: Spaces, found: Material) -> Found:
    chosen, states = spaces.states(found, found.models[-1], (0, M - 1), MOST_ROWS)
    n = len(chosen.rows)
    if n < 2:
        raise InputError("a distance needs two rows")
    drawn = resampled_sums(np.eye(n), chosen.units, N_RESAMPLES, SEED)
    weights = np.concatenate([np.ones((1, n)), drawn])
    n_pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)  # of different rows
    first, last = (((weights @ cdist(each, each)) * weights).sum(axis=1) / n_pairs for each in states)
    low, high = percentiles((last - first)[1:])
    return Estimate(float(last[0] - first[0]), float(low), float(high), n, len(np.unique(chosen.units))), None


def _agreement(spaces: Spaces, found: Material) -> Found:
    if len(found.models) < 2:
        raise InputError("one size alone has nothing to be compared with")
    read = [spaces.last_states(found, model, MOST_ROWS) for model in found.models]
    rows, units = read[0][0].rows, read[0][0].units
    if any(not np.array_equal(rows, chosen.rows) for chosen, _ in read):
        raise InputError("the sizes were not asked about the same rows")
    if len(rows) < 4:
        raise InputError(f"CKA of {len(rows)} rows: it needs at least 4")
    grams = [centred_gram(states) for _, states in read]
    once = np.ones((1, len(rows)))
    drawn = np.concatenate([once, resampled_sums(np.eye(len(rows)), units, N_RESAMPLES, SEED)])
    values = np.min([resampled_cka(x, y, drawn) for x, y in pairwise(grams)], axis=0)
    shuffled = [
        min(float(resampled_cka(x, y[np.ix_(order, order)], once)[0]) for x, y in pairwise(grams))
        for order in permutations(len(rows), N_PERMUTATIONS)[1:]
    ]
    low, high = percentiles(values[1:])
    estimate = Estimate(float(values[0]), float(low), float(high), len(rows), len(np.unique(units)))
    return estimate, _null(np.array(shuffled))


def _estimate(values: np.ndarray, n: int, one: Dynamics) -> Estimate:
    """From the sample's value and those of the resamples. Raises InputError where a group has no pair."""
    if n < 2:
        raise InputError(f"the smallest group has {n} rows: pairs need two")
    low, high = percentiles(values[1:])
    return Estimate(float(values[0]), float(low), float(high), n, min(n, int(one.n_units)))


def _null(values: np.ndarray) -> Null:
    low, high = percentiles(values)
    return Null(float(values.mean()), float(low), float(high))


_ALL, _MEMORIZED = ("all", "all"), ("memorized", "memorized")
STATISTICS: dict[str, Callable[[Spaces, Material], Found]] = {
    "groups-apart": _apart("all"),
    "groups-apart-without-loops": _apart("without loops"),
    "groups-apart-within-domain": _apart_within("domain"),
    "groups-apart-within-document": _apart_within("document"),
    "high-near-memorized": _high_near_memorized,
    "groups-cluster": _clusters,
    "dynamics-differ": _course,
    "distance-size": _size("distance", _ALL),
    "distance-size-by-width": _size("distance", _ALL, by_width=True),
    "distance-size-ratio": _size("distance_ratio", _MEMORIZED),
    "cosine-size": _size("cosine", _ALL),
    "cosine-size-before-norm": _size("cosine", _ALL, state=STATES.index("before the final norm")),
    "cosine-size-memorized": _size("cosine_centred", _MEMORIZED),
    "distance-falls": _distance_falls,
    "sizes-agree": _agreement,
}
"""Statistic of each claim about hidden states, by its id."""


def statistics_of(spaces: Spaces) -> dict[str, Statistic]:
    """Statistic of each claim about hidden states, by its id."""

    def bound(statistic: Callable[[Spaces, Material], Found]) -> Statistic:
        return lambda found: statistic(spaces, found)

    return {name: bound(statistic) for name, statistic in STATISTICS.items()}
