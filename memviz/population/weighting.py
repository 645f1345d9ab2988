"""Prevalence is designed: a suite's rows weighted to a stated population (measures.md, rule 8)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from memviz.demo.stream import TrainingData
from memviz.errors import InputError
from memviz.sweeps.sums import STRATUM_OF

Population = Literal["swept", "rows", "exposures"]
POPULATIONS: dict[Population, str] = {
    "swept": "rows of the sweep, each once",
    "rows": "distinct rows of the training corpus",
    "exposures": "exposures of the training stream",
}
"""Populations in words; held-out rows are in the first only, and are drawn beside the others as their floor."""
_STRATUM = list(STRATUM_OF)


def strata_of(data: TrainingData) -> pd.DataFrame:
    """How many rows the corpus has: columns domain, bucket, background, n_rows."""
    about = pd.DataFrame({"domain": data.domain, "bucket": data.bucket, "background": data.background})
    return about.groupby(_STRATUM).size().rename("n_rows").reset_index()


def _check_covered(rows: pd.DataFrame, strata: pd.DataFrame, population: Population) -> None:
    """Raise InputError where a part of a population lies in strata that the sweep has no row of.

    The rest may not be rescaled to stand for it: of the suite's distinct rows 82 % are background.
    """
    asked = strata.merge(rows[_STRATUM].drop_duplicates().assign(asked=True), on=_STRATUM, how="left")
    mass = asked["n_rows"] * _per_row(asked["bucket"], population)
    absent = asked[asked["asked"].isna() & (mass > 0)]
    if absent.empty:
        return
    share = float(mass[absent.index].sum() / mass.sum())
    first = absent.loc[mass[absent.index].idxmax()]
    part = "the background" if first["background"] else f"those planted {first['bucket']} times"
    raise InputError(
        f"{POPULATIONS[population]} cannot be answered from these rows: {share:.0%} of them are of strata that were "
        f"not swept, most of all {part} of {first['domain']}; sweep a sample of each stratum too"
    )


def _per_row(bucket: pd.Series, population: Population) -> np.ndarray:
    """What one row of a bucket counts in a population."""
    return np.where(bucket == 0, 0, 1 if population == "rows" else bucket).astype(np.float64)


def row_weights(rows: pd.DataFrame, strata: pd.DataFrame, population: Population) -> pd.Series:
    """Weight of each row of a sweep's table of rows, indexed by row number; 0 for held-out rows, mean 1 over the rest.

    Rows of one domain, bucket and part stand for all of that stratum in the corpus. Take all rows of the sweep, then
    filter. All ones for "swept". Raises InputError where a row's stratum is unknown, or a stratum has no row.
    """
    index = pd.Index(rows["row"], name="row")
    if population == "swept":
        return pd.Series(1.0, index, name="weight")
    asked = rows[_STRATUM].reset_index(drop=True)
    counted = asked.merge(strata, on=_STRATUM, how="left")["n_rows"]
    if counted.isna().any():
        stranger = rows["row"].iloc[int(counted.isna().to_numpy().argmax())]
        raise InputError(
            f"row {stranger} is of no stratum of the bundled corpus: only its rows can be weighted to its populations"
        )
    _check_covered(rows, strata, population)
    n_asked = asked.groupby(_STRATUM)["domain"].transform("size")
    weight = _per_row(asked["bucket"], population) * counted.to_numpy() / n_asked.to_numpy()
    if weight.any():
        weight /= weight[weight > 0].mean()
    return pd.Series(weight, index, name="weight")
