"""A forecast made before anything is generated is kept, and is what the finished trace gives as well."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from support.sweeps import Lab

from memviz.catalog import find_model, read_card
from memviz.errors import InputError
from memviz.predictor import fit_task, predict
from memviz.predictor.applying import inputs_of
from memviz.predictor.forecast import ForecastTask, stored_forecast
from memviz.predictor.forward import probability, read_weights
from memviz.sweeps import Sweep
from memviz.tasks.trace import TraceTask, run_trace

K, M = 8, 16


def test_a_forecast_is_what_the_trace_gives_later(lab: Lab, sweep: Sweep, rows: list[list[int]]) -> None:
    task = fit_task(sweep, "tiny", "context", k=K, m=M, preset="small", n_rows=60, seed=3)
    known = task.run(lab.backend, lab.store, lambda done, total: None, lambda stage: None)[1]
    before = datetime.now(UTC)
    asked = ForecastTask("tiny", tuple(rows[5][:K]), known.id)
    assert stored_forecast(lab.store, asked) is None
    key, found, was_stored = asked.run(lab.backend, lab.store)
    assert (key, was_stored) == (asked.hash, False) and before <= found.created <= datetime.now(UTC)
    assert found.probability.shape == (M,) and ((found.probability > 0) & (found.probability < 1)).all()
    again = stored_forecast(lab.store, asked)
    assert again is not None and again.created == found.created
    np.testing.assert_array_equal(again.probability, found.probability)
    assert asked.run(lab.backend, lab.store)[2]

    trace = run_trace(TraceTask("tiny", tuple(rows[5][:K]), tuple(rows[5][K:]), M), lab.backend, lab.store)[1].trace
    card = read_card(find_model("tiny", lab.settings), lab.settings)
    assert card is not None
    expected = predict(known, trace, card)[0]
    np.testing.assert_allclose(found.probability, expected, atol=1e-3)
    without_torch = probability(read_weights(known.folder), known.about, inputs_of(trace), M)[0]
    np.testing.assert_allclose(without_torch, expected, atol=1e-4)


def test_names_of_forecasts(sweep: Sweep) -> None:
    asked = ForecastTask("tiny", (6, 7, 8), "a" * 64)
    others = [replace(asked, context_ids=(6, 7)), replace(asked, predictor="b" * 64), replace(asked, dtype="bfloat16")]
    assert len({asked.hash, *(other.hash for other in others)}) == 4
    assert replace(asked, model="the same under another name").hash == asked.hash


def test_a_predictor_that_is_gone_is_one_sentence(lab: Lab) -> None:
    with pytest.raises(InputError, match="no longer kept here"):
        ForecastTask("tiny", (6, 7, 8), "a" * 64).run(lab.backend, lab.store)
