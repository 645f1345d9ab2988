"""Which texts of a sweep a map, a comparison or a curve is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.maps.layout import PROJECTION
from memviz.population.filters import Filters
from memviz.store.keys import request_of
from memviz.sweeps.results import Sweep, read_sweep
from memviz.tasks.base import Device, Task, result_key
from memviz.weights import BYTES_PER_PARAMETER

R = TypeVar("R", covariant=True)


def check_seed(seed: int) -> None:
    """Raise InputError for a seed that numpy cannot take."""
    if not 0 <= seed < 2**32:
        raise InputError(f"the seed is {seed}: give a whole number from 0 to {2**32 - 1}")


@dataclass(frozen=True)
class Scope:
    """One condition of a sweep, some of its rows, one way of reading. Raises InputError where it cannot be used."""

    folder: str
    """Of the sweep; where it lies does not decide a result."""
    k: int = 32
    m: int = 32
    mode: str = "sliding"
    filters: Filters = field(default_factory=Filters)
    n_rows: int | None = None
    """Rows drawn at random, without replacement, from those that pass; None takes all, or as many as there is room."""
    seed: int = 0
    """Of that draw; models of one sweep get the same rows."""
    free_running: bool = True
    """Whether the model reads its own output, as the study has it, or the true continuation."""
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name, value in (("context", self.k), ("continuation", self.m)):
            if value < 1:
                raise InputError(f"a {name} of {value} tokens was asked for: give at least 1")
        check_seed(self.seed)
        if self.n_rows is not None and self.n_rows < 1:
            raise InputError(f"{self.n_rows} rows were asked for: ask for at least 1")
        if self.dtype not in BYTES_PER_PARAMETER:
            raise InputError(f"dtype {self.dtype!r} is unknown: use one of {', '.join(BYTES_PER_PARAMETER)}")

    def sweep(self) -> Sweep:
        """Raises InputError where the folder holds none."""
        return read_sweep(self.folder)

    def identity(self, sweep: Sweep) -> dict[str, Any]:
        """What of it decides a result: the sweep's own request and rows in place of where it lies."""
        manifest = sweep.manifest
        about = {"request": manifest["request"], "rows": manifest["rows"]["sha256"], "engine": manifest.get("engine")}
        return {name: value for name, value in request_of(self).items() if name != "folder"} | {"sweep": about}


def check_weights(card: Card, sweep: Sweep) -> None:
    """Raise InputError where a model's weights are not those that were swept."""
    if card.weights != sweep.holding(card.name).weights_of(card.name):
        raise InputError(f"{card.name} has other weights than when {sweep.folder} was made: sweep it again")


class ScopedTask(Task[R]):
    """A question about the states of a scope's rows. Its key needs the sweep, and no model."""

    long = True
    on_device = False
    keyed_by_cards = False
    libraries = ("scipy", "umap-learn", "numba")
    if TYPE_CHECKING:

        @property
        def scope(self) -> Scope: ...

    @property
    def precision(self) -> str:
        return self.scope.dtype

    @property
    def versions(self) -> dict[str, int]:
        """Numbers that rise when its own numbers change."""
        return {}

    def check(self, cards: Sequence[Card]) -> None:
        """Raise InputError where a model's weights are not those that were swept."""
        sweep = self.scope.sweep()
        for card in cards:
            check_weights(card, sweep)

    def key(self, cards: Sequence[Card], device: Device) -> str:
        """What was asked, the sweep's identity in place of its folder, weights as swept in place of names.

        Raises InputError where the sweep does not have a model.
        """
        sweep = self.scope.sweep()
        asked = {name: value for name, value in self.request().items() if name not in ("model", "models", "scope")}
        weights = [sweep.holding(name).weights_of(name) for name in self.model_names]
        asked |= {"scope": self.scope.identity(sweep), "weights": weights}
        return result_key(asked, self.precision, device, projection=PROJECTION, **self.versions)


class TwoModelsTask(ScopedTask[R]):
    """A question about the states of the same rows under two models."""

    if TYPE_CHECKING:

        @property
        def models(self) -> tuple[str, str]: ...

    @property
    def model(self) -> str:
        return " and ".join(self.models)

    @property
    def model_names(self) -> tuple[str, ...]:
        return self.models
