"""The statistics of finding 4's claims, from what the predictors of a sweep's models did on their test rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.findings.evidence.material import SEED, Found, Material, Statistic
from memviz.measures.score import level_of
from memviz.population.intervals import Estimate, estimate
from memviz.predictor.known import Known
from memviz.predictor.tables import joined
from memviz.sweeps.task import SLIDING

K, M, SHORT = 32, 64, 16
VERY_LOW, VERY_HIGH = 0, 4


@dataclass(frozen=True)
class Outcomes:
    """What one method made of the same test rows, ascending, at each (model, m)."""

    units: np.ndarray
    """(n,) groups of near-duplicates."""
    hits: dict[tuple[str, int], np.ndarray]
    """(model, m) -> (n,) positions that are memorized."""
    right: dict[tuple[str, int, str], np.ndarray]
    """(model, m, method) -> (n,) positions labelled rightly."""

    def accuracy(self, model: str, m: int = M, method: str = "predictor") -> np.ndarray:
        """(n,) share of each row's positions labelled rightly. Raises InputError where the method was not tried."""
        if (model, m, method) not in self.right:
            raise InputError(f"the predictors were not judged at m = {m} with {method}: fit them at m = {M}")
        return self.right[model, m, method] / m


@dataclass(frozen=True)
class Judged:
    """Predictors to be judged: one a size, fitted alike, on the sweep's own weights."""

    known: Sequence[Known]

    def chosen(self, material: Material, setting: str, models: Sequence[str]) -> list[Known]:
        """One predictor for each model. Raises InputError naming the models without."""
        weights = {each["name"]: each["weights"] for sweep in material.sweeps for each in sweep.manifest["models"]}
        usual = {"k": K, "m": M, "seed": 0, "ngrams": False, "transfer": False, "n_rows": None, "split": "group"}
        fitting = [
            each
            for each in sorted(self.known, key=lambda each: not each.shipped)
            if each.setting == setting and usual.items() <= {"split": "group", **each.about["request"]}.items()
        ]
        best: list[str] = list(models)
        for way in dict.fromkeys(map(_way, fitting)):
            of_way = [each for each in fitting if _way(each) == way]
            found = {each.weights: each for each in reversed(of_way)}
            absent = [model for model in models if weights[model] not in found]
            if not absent:
                return [found[weights[model]] for model in models]
            best = min(best, absent, key=len)
        raise InputError(
            f"there is no predictor, setting {setting}, k = {K}, m = {M}, for {', '.join(best)}: "
            "fit one with `memviz predictor fit`"
        )

    def outcomes(self, material: Material, setting: str, models: Sequence[str]) -> Outcomes:
        """Of the same test rows for every model. Raises InputError where they are not those of the sweep."""
        key = (setting, tuple(models))
        if key not in self._kept:
            tables = joined([each.tables() for each in self.chosen(material, setting, models)])
            self._kept[key] = _outcomes(tables.outcomes, material, models)
        return self._kept[key]

    @cached_property
    def _kept(self) -> dict[tuple[str, tuple[str, ...]], Outcomes]:
        return {}


def _outcomes(table: pd.DataFrame, material: Material, models: Sequence[str]) -> Outcomes:
    rows = sorted(set.intersection(*(set(table.loc[table["model"] == model, "row"]) for model in models)))
    swept = material.every[material.every["mode"].eq(SLIDING) & material.every["k"].eq(K)].set_index(["model", "row"])
    hits, right, units = {}, {}, np.zeros(0)
    groups: Any = table.groupby(["model", "m", "method"])
    for (model, m, method), part in groups:
        aligned = part.set_index("row").loc[rows]
        hits[model, m], right[model, m, method] = aligned["n_hits"].to_numpy(), aligned["n_right"].to_numpy()
        units = aligned["group"].to_numpy()
        if m == M and method == "predictor":
            said = swept.reindex([(model, row) for row in rows]).get(f"n_matches_{M}")
            if said is None or not np.array_equal(said.to_numpy(np.float64, na_value=np.nan), hits[model, m]):
                raise InputError(
                    f"the predictor of {model} was judged on other rows than this sweep's: fit it on this one"
                )
    return Outcomes(units, hits, right)


def _way(known: Known) -> tuple[str, bool, int]:
    """How it was fitted: preset, whether on hidden states, windows of a row."""
    request = known.about["request"]
    return request["preset"], request["hidden"], request.get("windows", 1)


Ends = Callable[[Outcomes, str, str], tuple[np.ndarray, np.ndarray]]
"""Outcomes, smallest and largest model -> (n,) and (n,) values whose means are compared; NaN: not of the group."""


def statistics_of(known: Sequence[Known]) -> dict[str, Statistic]:
    """Statistic of each claim of finding 4, by its id."""
    judged = Judged(known)

    def difference(setting: str, ends: Ends, n_sizes: int = 1) -> Statistic:
        def found_of(material: Material) -> Found:
            if len(material.models) < n_sizes:
                raise InputError("one size alone has nothing to be compared with")
            smallest, largest = material.models[0], material.models[-1]
            models = [smallest, largest] if n_sizes > 1 else [largest]
            outcomes = judged.outcomes(material, setting, models)
            return _difference(*ends(outcomes, smallest, largest), outcomes.units, material.n_resamples), None

        return found_of

    def beyond(of: Outcomes, model: str, method: str, m: int = M) -> np.ndarray:
        return of.accuracy(model, m) - of.accuracy(model, m, method)

    def levels(of: Outcomes, model: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        level = level_of(of.hits[model, M], M)
        return np.where(level == VERY_LOW, values, np.nan), np.where(level == VERY_HIGH, values, np.nan)

    def none(of: Outcomes) -> np.ndarray:
        return np.zeros(len(of.units))

    published: dict[str, tuple[Ends, int]] = {
        "predictor-size": (lambda of, small, large: (of.accuracy(large), of.accuracy(small)), 2),
        "predictor-size-beyond-majority": (
            lambda of, small, large: (beyond(of, large, "majority"), beyond(of, small, "majority")),
            2,
        ),
        "predictor-continuation": (lambda of, _, large: (of.accuracy(large), of.accuracy(large, SHORT)), 1),
        "predictor-continuation-beyond-position": (
            lambda of, _, large: (beyond(of, large, "position"), beyond(of, large, "position", SHORT)),
            1,
        ),
        "predictor-full-continuation": (
            lambda of, _, large: (of.accuracy(large) == 1, of.accuracy(large, SHORT) == 1),
            1,
        ),
        "predictor-unmemorized-easier": (lambda of, _, large: levels(of, large, of.accuracy(large)), 1),
        "predictor-unmemorized-easier-full": (lambda of, _, large: levels(of, large, of.accuracy(large) == 1), 1),
        "predictor-beyond-entropy": (lambda of, _, large: (beyond(of, large, "entropy"), none(of)), 1),
        "predictor-beyond-logistic": (lambda of, _, large: (beyond(of, large, "logistic"), none(of)), 1),
        "predictor-beyond-majority": (lambda of, _, large: (beyond(of, large, "majority"), none(of)), 1),
        "predictor-beyond-boosting": (lambda of, _, large: (beyond(of, large, "boosting"), none(of)), 1),
    }
    found = {name: difference("published", ends, n_sizes) for name, (ends, n_sizes) in published.items()}
    context: dict[str, Ends] = {
        "predictor-context": lambda of, _, large: (beyond(of, large, "position"), none(of)),
        "predictor-context-beyond-nll": lambda of, _, large: (beyond(of, large, "context_nll"), none(of)),
    }
    return found | {name: difference("context", ends) for name, ends in context.items()}


def _difference(a: np.ndarray, b: np.ndarray, units: np.ndarray, n_resamples: int) -> Estimate:
    """Mean of a minus mean of b, each over the rows where it is known, units drawn together."""
    known = [~np.isnan(np.asarray(each, np.float64)) for each in (a, b)]
    if not all(each.any() for each in known):
        raise InputError("one of the two groups of test rows is empty")
    columns = np.column_stack([np.where(known[0], a, 0), known[0], np.where(known[1], b, 0), known[1]])
    n = min(int(each.sum()) for each in known)
    n_units = min(len(np.unique(units[each])) for each in known)
    return estimate(
        columns.astype(np.float64),
        units,
        lambda sums: sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3],
        n,
        n_units,
        n_resamples,
        SEED,
    )
