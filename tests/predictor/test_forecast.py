"""A forecast made before anything is generated is kept, and is what the finished trace gives as well."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from support.sweeps import Lab
from support.tasks import CPU, CUDA

from memviz.catalog import find_model, read_card
from memviz.errors import InputError
from memviz.predictor import fit_task, predict
from memviz.predictor.applying import inputs_of
from memviz.predictor.forecast import ForecastTask
from memviz.predictor.forward import probability, read_weights
from memviz.sweeps import Sweep
from memviz.tasks.base import stored
from memviz.tasks.trace import TraceTask

K, M = 8, 16
pytestmark = pytest.mark.usefixtures("few_resamples")


def test_a_forecast_is_what_the_trace_gives_later(lab: Lab, sweep: Sweep, rows: list[list[int]]) -> None:
    task = fit_task(sweep, "tiny", "context", k=K, m=M, preset="small", n_rows=60, seed=3)
    known = lab.answer(task).result
    card = read_card(find_model("tiny", lab.settings), lab.settings)
    assert card is not None
    before = datetime.now(UTC).replace(microsecond=0)  # kept to the second
    asked = ForecastTask("tiny", tuple(rows[5][:K]), known.id)
    assert stored(asked, lab.context()) is None
    key, found, was_stored = lab.answer(asked)
    assert (key, was_stored) == (asked.key([card], CPU), False) and before <= found.created <= datetime.now(UTC)
    assert found.probability.shape == (M,) and ((found.probability > 0) & (found.probability < 1)).all()
    again = stored(asked, lab.context())
    assert again is not None and again.created == found.created
    np.testing.assert_array_equal(again.probability, found.probability)
    assert lab.answer(asked).was_stored

    trace = lab.answer(TraceTask("tiny", tuple(rows[5][:K]), tuple(rows[5][K:]), M)).result.trace
    expected = predict(known, trace, card)[0]
    np.testing.assert_allclose(found.probability, expected, atol=1e-3)
    without_torch = probability(read_weights(known.folder), known.about, inputs_of(trace), M)[0]
    np.testing.assert_allclose(without_torch, expected, atol=1e-4)


def test_the_key_has_what_decides_the_forecast(lab: Lab, sweep: Sweep) -> None:
    asked = ForecastTask("tiny", (6, 7, 8), "a" * 64)
    tiny, twin = (read_card(find_model(name, lab.settings), lab.settings) for name in ("tiny", "twin"))
    assert tiny is not None and twin is not None
    half = replace(asked, dtype="bfloat16")
    keys = {
        *(each.key([tiny], CPU) for each in (asked, half, replace(asked, context_ids=(6, 7)))),
        replace(asked, predictor="b" * 64).key([tiny], CPU),
        asked.key([twin], CPU),
        half.key([tiny], CUDA),
    }
    assert len(keys) == 6
    assert replace(asked, model="the same under another name").key([tiny], CUDA) == asked.key([tiny], CPU)


def test_a_predictor_that_is_gone_is_one_sentence(lab: Lab) -> None:
    with pytest.raises(InputError, match="no longer kept here"):
        lab.answer(ForecastTask("tiny", (6, 7, 8), "a" * 64))
