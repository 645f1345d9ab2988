"""The bundled suite's measured scores as sequences of a sweep: of rows that its own sweep does not have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from memviz.demo.suite import SUITE_FOLDER, read_data
from memviz.sweeps.task import AT, SLIDING


def scored_background(models: Sequence[str]) -> pd.DataFrame:
    """Sequences of the sample of the single-exposure background that was scored, k = 32, sliding.

    The columns of a sweep that are known; no two rows of the corpus share 16 tokens, so each is a group of its own.
    """
    data = read_data()
    asked = [("condition", "==", SLIDING), ("model", "in", list(models))]
    scores = pd.read_parquet(SUITE_FOLDER / "scores.parquet", filters=asked)
    scores = scores[data.background[scores["row"].to_numpy()]]
    row = scores["row"].to_numpy(np.int64)
    longest = max(int(name.removeprefix("n_matches_")) for name in scores if name.startswith("n_matches_"))
    about = {"mode": SLIDING, "k": AT, "start": 0, "m": longest, "group": row}
    about |= {"on_context_curve": False, "on_continuation_curve": True, "template": None, "memorization_class": None}
    of_row = {"domain": data.domain, "bucket": data.bucket, "background": data.background}
    known = scores.drop(columns=["condition", "prefix"])
    return known.assign(**about, **{name: values[row] for name, values in of_row.items()}).reset_index(drop=True)
