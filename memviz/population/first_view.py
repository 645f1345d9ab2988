"""Boundary statistics that were computed beforehand, for the view a first visitor sees of the suite's own sweep."""

from __future__ import annotations

import pandas as pd

from memviz.population.filters import Filters
from memviz.population.ngrams import ORDERS
from memviz.sweeps.results import Sweep
from memviz.sweeps.task import AT

FIRST_VIEW = Filters(parts=("planted",))
ENTROPIES = ("entropy_free_running", "entropy_teacher_forced")
FREQUENCIES = tuple(f"frequency_{n}" for n in ORDERS)
"""Of the true tokens, own copies removed."""
CURVES, DIFFERENCES = "boundary-curves.parquet", "boundary-differences.parquet"


def computed_before(
    sweep: Sweep, filters: Filters, model: str, k: int, m: int, quantity: str, name: str
) -> pd.DataFrame | None:
    """The table `name` of one model and quantity, as `boundary_curves` or `boundary_differences` gives it, or None."""
    path = sweep.folder / name
    if filters != FIRST_VIEW or (k, m) != (AT, AT) or not path.is_file():
        return None
    found = pd.read_parquet(path, filters=[("of", "==", model), ("quantity", "==", quantity)])
    return None if found.empty else found.drop(columns=["of", "quantity"]).reset_index(drop=True)
