"""Which texts of a sweep a map, a comparison or a curve is about."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from memviz.errors import InputError
from memviz.population.filters import Filters
from memviz.sweeps.results import Sweep, read_sweep
from memviz.weights import BYTES_PER_PARAMETER


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

    def request(self) -> dict[str, Any]:
        """Plain JSON, from which `scope_from` makes an equal one."""
        return asdict(self)

    def identity(self, sweep: Sweep) -> dict[str, Any]:
        """What of it decides a result: the sweep's own request and rows in place of where it lies."""
        manifest = sweep.manifest
        about = {"request": manifest["request"], "rows": manifest["rows"]["sha256"], "engine": manifest.get("engine")}
        return {name: value for name, value in self.request().items() if name != "folder"} | {"sweep": about}


def scope_from(request: dict[str, Any]) -> Scope:
    """Raises KeyError, TypeError or InputError where it is none."""
    values = {f.name: request[f.name] for f in fields(Scope)}
    filters = {name: tuple(each) for name, each in values["filters"].items()}
    return Scope(**values | {"filters": Filters(**filters)})
