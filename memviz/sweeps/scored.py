"""The bundled suite's measured scores as sequences of a sweep: of rows and of training seeds its own does not have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from memviz.demo.suite import SUITE_FOLDER, read_data
from memviz.sweeps.rowset import SUITE
from memviz.sweeps.task import AT, SLIDING

_SEED = re.compile(r"(.+)@seed(\d+)")


def scored_background(models: Sequence[str]) -> pd.DataFrame:
    """Sequences of the sample of the single-exposure background that was scored, k = 32, sliding.

    The columns of a sweep that are known; no two rows of the corpus share 16 tokens, so each is a group of its own.
    """
    scores = _scores(models)
    return _sequences(scores[read_data().background[scores["row"].to_numpy()]])


def scored_seeds(known: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], pd.DataFrame | None]:
    """Further training seeds of models that a manifest names: what it says of these, and their sequences, as above.

    Of bucketed rows, k = 32, sliding. Nothing where they are not the suite's own final weights.
    """
    listed = {each["name"]: each for each in known}
    final = [name for name, each in listed.items() if each["family"] == SUITE and each["step"] == each["n_steps"]]
    if not final:
        return [], None
    scores, found = _scores(), []
    for name in scores["model"].unique():
        match = _SEED.fullmatch(name)
        if match and match[1] in final and name not in listed:
            same = {key: value for key, value in listed[match[1]].items() if key != "weights"}
            found.append(same | {"name": name, "seed": int(match[2])})
    mine = scores[scores["model"].isin([each["name"] for each in found])]
    return found, _sequences(mine[~read_data().background[mine["row"].to_numpy()]]) if found else None


def _scores(models: Sequence[str] | None = None) -> pd.DataFrame:
    asked: list[tuple[str, str, Any]] = [("condition", "==", SLIDING)]
    asked += [] if models is None else [("model", "in", list(models))]
    return pd.read_parquet(SUITE_FOLDER / "scores.parquet", filters=asked)


def _sequences(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores in the columns of a sweep."""
    data, row = read_data(), scores["row"].to_numpy(np.int64)
    longest = max(int(each[1]) for name in scores if (each := re.fullmatch(r"n_matches_(\d+)", str(name))))
    about: dict[str, Any] = {"mode": SLIDING, "k": AT, "start": 0, "m": longest, "group": row}
    about |= {"on_context_curve": False, "on_continuation_curve": True, "template": None, "memorization_class": None}
    of_row = {"domain": data.domain, "bucket": data.bucket, "background": data.background}
    known = scores.drop(columns=["condition", "prefix"])
    return known.assign(**about, **{name: values[row] for name, values in of_row.items()}).reset_index(drop=True)
