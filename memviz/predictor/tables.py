"""The tables of an evaluation, and what their columns mean."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from memviz.disk import new_file
from memviz.errors import InputError

_ABOUT = {
    "predictor": "id of the predictor (hash of its fit)",
    "fitted_on": "the model whose rows it was fitted on",
    "model": "the model asked about: the same, but for transfer",
    "setting": "published, causal or context",
    "k": "context tokens",
    "m": "continuation size: the first m positions; published sees no more than these",
    "method": "predictor, a baseline (see METHODS), or oracle_rank, which reads the true tokens",
}
TABLES: dict[str, dict[str, str]] = {
    "metrics": _ABOUT
    | {
        "metric": "a name of METRICS",
        "value": "on the test part",
        "low": "lower end of the 95 % percentile interval over row groups; NaN where none is given",
        "high": "upper end",
        "n": "test rows",
        "n_units": "row groups among them",
        "prevalence": "share of positions whose generated token is the true one",
    },
    "differences": _ABOUT
    | {
        "metric": "a name of COMPARED",
        "value": "the predictor's less that of the method, on the test part",
        "low": "lower end of its 95 % percentile interval over row groups, drawn alike for both",
        "high": "upper end",
    },
    "calibration": _ABOUT
    | {
        "bin": "tenth of the probability axis, 0 to 9",
        "probability": "mean predicted probability of the bin",
        "share": "share of its positions that are memorized",
        "n": "positions in it",
    },
    "curves": _ABOUT
    | {
        "curve": "roc or precision_recall",
        "x": "roc: false positive rate; precision_recall: recall",
        "y": "roc: true positive rate; precision_recall: precision",
        "threshold": "probability from which a position is called memorized",
    },
    "levels": _ABOUT
    | {
        "level": "of the memorization score at this m, 0 very low to 4 very high",
        "metric": "token_accuracy or full_accuracy",
        "value": "on test rows of the level",
        "low": "lower end of the 95 % percentile interval over row groups",
        "high": "upper end",
        "n": "test rows of the level",
    },
    "confusion": _ABOUT
    | {
        "threshold": "probability from which a position is called memorized",
        "true_positive": "positions",
        "false_positive": "positions",
        "false_negative": "positions",
        "true_negative": "positions",
    },
    "outcomes": _ABOUT
    | {
        "row": "test row",
        "group": "its group of near-duplicates, or document, and stratum (`design_units`)",
        "n_hits": "positions whose generated token is the true one",
        "n_right": "positions labelled rightly at probability 0.5",
        "divergence": "first position whose generated token is not the true one; m where there is none",
        "predicted_divergence": "first position with a probability below 0.5, with a hazard of being intact; or m",
    },
}
"""Table -> column -> what it is."""


SLIM_POINTS = 31


@dataclass(frozen=True)
class Tables:
    """One evaluation of one or several predictors; columns as in `TABLES`."""

    metrics: pd.DataFrame
    differences: pd.DataFrame
    calibration: pd.DataFrame
    curves: pd.DataFrame
    levels: pd.DataFrame
    confusion: pd.DataFrame
    outcomes: pd.DataFrame

    def of(self, predictor: str) -> Tables:
        """The lines of one predictor."""
        return Tables(
            **{
                each.name: getattr(self, each.name).loc[lambda table: table["predictor"] == predictor]
                for each in fields(self)
            }
        )


def joined(parts: list[Tables]) -> Tables:
    """Several evaluations as one. Raises InputError for none."""
    if not parts:
        raise InputError("there is no evaluated predictor: fit one first")
    return Tables(
        **{f.name: pd.concat([getattr(each, f.name) for each in parts], ignore_index=True) for f in fields(Tables)}
    )


def write_tables(tables: Tables, folder: Path) -> None:
    """Write one Parquet file a table, each whole or not at all. Raises Failure."""
    for name in TABLES:
        table = getattr(tables, name)
        words = [column for column in table if not pd.api.types.is_numeric_dtype(table[column])]
        numbers = [column for column in table if column not in words] if name == "outcomes" else False
        with new_file(folder / f"{name}.parquet") as new:
            table.to_parquet(
                new,
                index=False,
                compression="zstd",
                compression_level=19,
                use_dictionary=words,  # numbers that repeat in blocks are packed better without
                use_byte_stream_split=numbers,
            )


def slim(tables: Tables) -> Tables:
    """The same in half the bytes, to be shipped.

    Four digits, in curves three; curves of at most `SLIM_POINTS` points, none of constants; confusion at every second
    threshold; no outcomes of all_miss and domain.
    """
    curves = tables.curves[~tables.curves["method"].isin(("majority", "all_miss"))]
    tenths = 10 * tables.confusion["threshold"]
    outcomes = tables.outcomes[~tables.outcomes["method"].isin(("all_miss", "domain"))]
    lines = curves.groupby([*_ABOUT, "curve"], sort=False)
    place, last = lines.cumcount(), lines["x"].transform("size") - 1
    step = last / (SLIM_POINTS - 1)
    kept = (last < SLIM_POINTS) | (place % step.clip(lower=1) < 1) | (place == last)
    fewer = {"confusion": tables.confusion[(tenths - tenths.round()).abs() < 1e-6], "outcomes": outcomes}
    small = {name: _rounded(fewer.get(name, getattr(tables, name)), 4) for name in TABLES}
    return Tables(**small | {"curves": _rounded(curves[kept], 3)})


def _rounded(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    kinds = {name: {"f": "float32", "i": "int32"}.get(kind.kind) for name, kind in table.dtypes.items()}
    kinds.pop("group", None)  # with its stratum it is larger than that
    return table.round(digits).astype({name: kind for name, kind in kinds.items() if kind})


def read_tables(folder: Path) -> Tables:
    """The tables of a folder. Raises InputError where one cannot be read."""
    try:
        return Tables(**{name: _read(folder, name) for name in TABLES})
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no evaluation that can be read ({error}): fit the predictor again") from None


def _read(folder: Path, name: str) -> pd.DataFrame:
    path = folder / f"{name}.parquet"
    if name == "differences" and not path.is_file():
        return pd.DataFrame(columns=list(TABLES[name]))  # of an evaluation made before there were any
    return pd.read_parquet(path)
