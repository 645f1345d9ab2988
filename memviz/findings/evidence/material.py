"""What the claims are judged on: finished sweeps of one source of rows, as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from memviz.errors import InputError
from memviz.findings.claims import Null
from memviz.population.aligned import Aligned, align
from memviz.population.curves import known_columns, size_points
from memviz.population.filters import Filters, is_true
from memviz.population.intervals import N_RESAMPLES, Estimate
from memviz.population.ngrams import Frequencies
from memviz.population.summed import ENTROPIES, Summed, has_sums, summed
from memviz.sweeps.results import Sweep
from memviz.sweeps.rowset import PARTS, SUITE
from memviz.sweeps.scored import scored_seeds
from memviz.sweeps.sums import ABOUT
from memviz.sweeps.task import SLIDING

K = M = 32
T = TypeVar("T")
SEED = 0
_KEY = ["model", "row", "mode", "k"]
_TEXTS = ("model", "mode", "domain", "template", "memorization_class")
_TRAINED = Filters(parts=(PARTS[1],))
_LOOKED_AT = {*_KEY, *ABOUT, "group", "start", "m", "on_context_curve", "on_continuation_curve"}


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
    about: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Model -> what is known of it."""

    @property
    def models(self) -> list[str]:
        return list(self.n_parameters)

    @cached_property
    def sequences(self) -> pd.DataFrame:
        """Of the models of `n_parameters`."""
        ours = self.every["model"].isin(self.n_parameters)
        return self.every if ours.all() else self.every[ours]

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

    @cached_property
    def points(self) -> pd.DataFrame:
        """One line a size and bucketed row that was trained on, at K and M."""
        return size_points(self.trained, M, K)

    @property
    def points_with_held_out(self) -> pd.DataFrame:
        """The same of all bucketed rows, those of bucket 0 among them; made anew each time, for they are many."""
        points = size_points(self.sequences, M, K)
        return points[is_true(points["background"].eq(False))]

    def of_largest(self, sequences: pd.DataFrame) -> pd.DataFrame:
        return sequences[sequences["model"] == self.models[-1]]

    def aligned(self, model: str, k: int = K, entropy: bool = True) -> Aligned:
        """The trained rows of a model from the first sweep that has them. Raises InputError."""
        if k == K:  # asked for again and again
            return self.once(("aligned", model, entropy), lambda: self._aligned(model, k, entropy))
        return self._aligned(model, k, entropy)

    def _aligned(self, model: str, k: int, entropy: bool) -> Aligned:
        reasons = []
        for sweep in self.sweeps:
            try:
                found = align(sweep, model, k, SLIDING, M, self.frequencies, entropy=entropy)
            except InputError as error:
                reasons.append(str(error))
                continue
            return found.where(np.isin(found.rows, self.trained["row"].unique()))
        raise InputError("; ".join(dict.fromkeys(reasons)))

    def check_known(self, quantity: str) -> None:
        """Raise InputError where n-grams were not counted and are needed."""
        if quantity.startswith("frequency") and self.frequencies is None:
            raise InputError("n-gram frequencies need the index of the training stream: build it, then ask again")

    def source(self, model: str, quantity: str, k: int = K) -> Aligned | Summed:
        """What boundaries are drawn from: the sums of a large sweep that has this model, else its rows.

        Raises InputError.
        """
        self.check_known(quantity)
        sweep = next((each for each in self.sweeps if has_sums(each) and model in each.task.models), None)
        if sweep is not None and quantity in ENTROPIES:
            return self.once(("sums", model, k), lambda: summed(sweep, _TRAINED, model, k, M, SLIDING))
        return self.aligned(model, k, quantity.startswith("entropy"))

    def once(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What is made the first time it is asked for under a key."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    @cached_property
    def _kept(self) -> dict[tuple[Any, ...], Any]:
        return {}

    @cached_property
    def by_seed(self) -> dict[int, Material]:
        """Training seed -> the same material with the weights of that seed in every size that has it."""
        about, found = self.about, {}
        for seed in sorted({about[name]["seed"] for name in self.seeds}):
            of_seed = {size_name(about[name]): name for name in self.seeds if about[name]["seed"] == seed}
            models = {of_seed.get(size_name(about[name]), name): n for name, n in self.n_parameters.items()}
            found[seed] = self if models == self.n_parameters else replace(self, n_parameters=models)
        return found


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
    tables = [sweep.read("sequences", _columns(sweep)) for sweep in sweeps]
    if sweeps[0].task.rows.source == SUITE:
        further, scored = scored_seeds(about.values())
        about |= {each["name"]: each for each in further}
        tables += [] if scored is None else [scored]
    n_parameters = {name: each["n_parameters"] for name, each in about.items()}
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
    every = pd.concat(tables, ignore_index=True)
    if any(map(has_sums, sweeps)):
        every = every.astype(dict.fromkeys(_TEXTS, "category"))  # a text a line is most of a large table
    if every.duplicated(_KEY).any():
        every = every.sort_values("m", ascending=False, kind="stable").drop_duplicates(_KEY).sort_index()
    names = tuple(each["name"] for each in seeds)
    return Material(
        tuple(sweeps),
        {name: n_parameters[name] for name in ladder.values()},
        names,
        every,
        frequencies,
        n_resamples,
        about,
    )


def _columns(sweep: Sweep) -> list[str]:
    """Columns of the table of sequences that the claims look at."""
    return [name for name in known_columns(sweep) if name in _LOOKED_AT or name.startswith("n_matches_")]


def size_name(about: Mapping[str, Any]) -> str:
    """Name of a model's size, from what a manifest says of it."""
    return about["size"] or about["name"]


def final_weights(about: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The models at the end of training, of the family with the most sizes."""
    families: dict[str, list[Mapping[str, Any]]] = {}
    for each in about:
        if each["step"] is None or each["step"] == each["n_steps"]:
            families.setdefault(each["family"] or "", []).append(each)
    return max(families.values(), key=lambda found: len({size_name(each) for each in found}), default=[])


Found = tuple[Estimate, Null | None]
Statistic = Callable[[Material], Found]
"""Raises InputError where the sweeps have nothing for it."""
