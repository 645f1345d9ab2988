"""The Predictor page's sentence, against numbers by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from memviz.ui.predictor.evaluation import Evaluation
from memviz.ui.predictor.results import answer_of

OURS = {"method": "predictor", "metric": "token_accuracy", "m": 32, "n": 400, "value": 0.82, "low": 0.8, "high": 0.84}
BEST = OURS | {"method": "logistic", "value": 0.7, "low": 0.6, "high": 0.8}
WORSE = BEST | {"method": "position", "value": 0.5}
START = "The predictor of suite-7.6m is right about 82.0% [80.0%, 84.0%] of the tokens of 400 rows"


PAIRED = {"method": "logistic", "metric": "token_accuracy", "m": 32, "value": 0.012, "low": 0.004, "high": 0.02}


def view(*lines: dict[str, Any], paired: tuple[dict[str, Any], ...] = ()) -> Evaluation:
    found = Evaluation(SimpleNamespace(model="suite-7.6m"), (), 32)  # type: ignore[arg-type]
    frames = (pd.DataFrame(each, columns=list(columns)) for each, columns in ((lines, OURS), (paired, PAIRED)))
    vars(found)["tables"] = SimpleNamespace(**dict(zip(("metrics", "differences"), frames, strict=True)))
    return found


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((OURS, WORSE, BEST), f"{START}, the best simpler guess (logistic regression) about 70.0%: +12.0 points."),
        ((OURS, BEST | {"value": 0.81}), f"{START}, the best simpler guess (logistic regression) about 81.0%: not"),
        ((OURS, BEST | {"value": 0.9}), "about 90.0%: -8.0 points."),
        ((OURS,), f"{START}; no simpler guess was judged beside it."),
        ((OURS, BEST | {"m": 16}), "; no simpler guess was judged beside it."),
        ((OURS | {"n": 19},), "Not answerable: the evaluation has fewer than 20 test rows."),
        ((BEST,), "Not answerable"),
    ],
)
def test_it_is_held_against_the_best_simpler_guess(lines: tuple[dict[str, Any], ...], said: str) -> None:
    assert said in answer_of(view(*lines)).replace("\\", "")


def test_the_difference_is_paired_where_it_is_known() -> None:
    better = BEST | {"value": 0.81}
    said = answer_of(view(OURS, better, paired=(PAIRED | {"m": 16, "value": 9.0}, PAIRED))).replace("\\", "")
    assert said == f"{START}, the best simpler guess (logistic regression) about 81.0%: +1.2 [+0.4, +2.0] points."
    said = answer_of(view(OURS, better, paired=(PAIRED | {"low": -0.001},))).replace("\\", "")
    assert said.endswith(": +1.2 [-0.1, +2.0] points, not told from it.")
