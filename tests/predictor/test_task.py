"""A fit from a sweep to its tables: whole, the same after it was stopped; what is applied is what was fitted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.sweeps import Lab

from memviz.catalog import Card, find_model, read_card
from memviz.engine.states import read_states
from memviz.errors import InputError
from memviz.predictor import (
    SETTINGS,
    FitTask,
    Known,
    epochs_of,
    fit_task,
    known_predictors,
    objection,
    predict,
    predict_context,
    predictors_for,
    read_known,
)
from memviz.predictor.applying import inputs_of
from memviz.predictor.data import read_data
from memviz.predictor.files import ABOUT, WEIGHTS
from memviz.predictor.judging import evaluate_on
from memviz.predictor.network.artifact import load
from memviz.predictor.task import CHECKPOINT
from memviz.records import Trace
from memviz.sweeps import RowSet, Sweep, SweepTask
from memviz.tasks.base import task_from
from memviz.tasks.trace import TraceTask

K, M = 8, 16
pytestmark = pytest.mark.usefixtures("few_resamples")


def task_of(sweep: Sweep, setting: str = "causal", model: str = "tiny", **options) -> FitTask:
    return fit_task(sweep, model, setting, **{"k": K, "m": M, "preset": "small"} | options)


@pytest.fixture(scope="module")
def fitted(lab: Lab, sweep: Sweep) -> dict[str, Known]:
    """Setting -> a predictor of `tiny`."""
    said: list[str] = []
    found = {}
    for setting in SETTINGS:
        task = task_of(sweep, setting)
        key, known, was_fitted = lab.answer(task, say=said.append)
        assert (key, was_fitted, known.folder) == (task.hash, False, task.folder(lab.settings))
        found[setting] = known
    assert any("at most" in line and "epochs" in line for line in said), said
    return found


@pytest.fixture(scope="module")
def card(lab: Lab) -> Card:
    found = read_card(find_model("tiny", lab.settings), lab.settings)
    assert found is not None
    return found


def trace_of(lab: Lab, ids: list[int], model: str = "tiny", n_context: int = K) -> Trace:
    task = TraceTask(model, tuple(ids[:n_context]), tuple(ids[n_context:]), len(ids) - n_context)
    return lab.answer(task).result.trace


def test_a_fit_is_whole_and_found_again(lab: Lab, sweep: Sweep, fitted: dict[str, Known], card: Card) -> None:
    known = fitted["causal"]
    assert {path.name for path in known.folder.iterdir() if not path.name.startswith(".")} == {
        ABOUT, WEIGHTS, "progress.jsonl", *(f"{name}.parquet" for name in vars(known.tables()))
    }  # fmt: skip
    assert lab.answer(task_of(sweep)).was_stored
    assert lab.store.get(known.id) is not None
    assert predictors_for(card, lab.settings)["causal"].id == known.id
    assert [each["epoch"] for each in epochs_of(known.folder)] == list(range(1, len(known.about["epochs"]) + 1))
    for name in ("temperature", "weights", "data", "features", "normalisation", "metrics", "versions"):
        assert known.about[name], name
    accuracy = known.tables().metrics.query("method == 'predictor' and metric == 'token_accuracy' and m == 16")
    assert known.about["metrics"]["token_accuracy"] == pytest.approx(accuracy["value"].iloc[0])


def test_what_decides_the_numbers_is_in_the_hash_and_nothing_else(sweep: Sweep) -> None:
    task = task_of(sweep)
    assert task_from(task.request(), FitTask) == task
    assert replace(task, sweep="/elsewhere").hash == task.hash
    others = [
        task_of(sweep, "published"),
        task_of(sweep, model="twin"),
        *(
            task_of(sweep, **{name: value})
            for name, value in (("seed", 1), ("hidden", False), ("n_rows", 60), ("m", 8))
        ),
        task_of(sweep, preset="default"),
        task_of(sweep, transfer=True),
    ]
    assert len({each.hash for each in (task, *others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"setting": "clairvoyant"}, "setting 'clairvoyant' is unknown: use one of published, causal, context"),
        ({"preset": "huge"}, "preset 'huge' is unknown"),
        ({"m": 0}, "m is 0: give at least 1"),
        ({"n_rows": 3}, "3 rows are too few"),
        ({"transfer": True, "hidden": True}, "transfer to other models is for statistics alone"),
    ],
)
def test_fields_that_cannot_be_used_are_named(sweep: Sweep, options: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        fit_task(sweep, "tiny", **options)


def test_the_test_part_is_asked_as_it_was_saved(lab: Lab, sweep: Sweep, fitted: dict[str, Known]) -> None:
    data = read_data(sweep, "tiny", K, M, lab.context(), parts=("test",))
    for known in fitted.values():
        right = (load(known.folder).probability(data.inputs) >= 0.5) == data.match
        kept = known.tables().outcomes.query("method == 'predictor' and m == 16")
        np.testing.assert_array_equal(kept["row"], data.rows)
        np.testing.assert_array_equal(kept["n_right"], right.sum(axis=1))


class Stopped(Exception):
    pass


def test_stopped_and_run_again_gives_the_same_files(
    lab: Lab, sweep: Sweep, fitted: dict[str, Known], tmp_path: Path
) -> None:
    known, task = fitted["causal"], task_of(sweep)
    aside = tmp_path / "first"
    shutil.move(known.folder, aside)
    try:
        per_epoch = -(-known.about["data"]["rows"]["train"] // known.about["preset"]["batch"])

        def stop(done: int, total: int) -> None:
            if done > per_epoch + 1:
                raise Stopped

        with pytest.raises(Stopped):
            lab.answer(task, report=stop)
        assert (known.folder / CHECKPOINT).is_file() and not (known.folder / ABOUT).exists()
        assert len(epochs_of(known.folder)) == 1
        assert known.id not in {each.id for each in known_predictors(lab.settings)}
        lab.answer(task)
        assert (known.folder / WEIGHTS).read_bytes() == (aside / WEIGHTS).read_bytes()
        again = read_known(known.folder)
        assert again.about["temperature"] == known.about["temperature"]
        assert not (known.folder / CHECKPOINT).exists()
    finally:
        shutil.rmtree(known.folder)
        shutil.move(aside, known.folder)


def test_a_trace_is_predicted_as_the_sweeps_row_was(
    lab: Lab, sweep: Sweep, rows: list[list[int]], fitted: dict[str, Known], card: Card
) -> None:
    data = read_data(sweep, "tiny", K, M, lab.context())
    for setting, known in fitted.items():
        expected = load(known.folder).probability(data.inputs.rows(np.array([1])))
        found = predict(known, trace_of(lab, rows[1]), card)
        np.testing.assert_allclose(found, expected, atol=2e-3, err_msg=setting)


def test_the_truth_is_never_read(lab: Lab, rows: list[list[int]], fitted: dict[str, Known], card: Card) -> None:
    other = rows[1][:K] + rows[5][K:]
    for known in fitted.values():
        a, b = (predict(known, trace_of(lab, ids), card) for ids in (rows[1], other))
        np.testing.assert_allclose(a, b, atol=1e-6)
        without = TraceTask("tiny", tuple(rows[1][:K]), None, M)
        c = predict(known, lab.answer(without).result.trace, card)
        np.testing.assert_allclose(a, c, atol=1e-5)


def test_context_alone_says_the_same_before_anything_is_generated(
    lab: Lab, rows: list[list[int]], fitted: dict[str, Known], card: Card
) -> None:
    contexts = np.array([row[:K] for row in rows[:3]], np.int64)
    found = predict_context(fitted["context"], card, contexts, lab.backend)
    assert found.shape == (3, M)
    expected = np.concatenate([predict(fitted["context"], trace_of(lab, row), card) for row in rows[:3]])
    np.testing.assert_allclose(found, expected, atol=1e-3)
    with pytest.raises(InputError, match="reads what is generated"):
        predict_context(fitted["causal"], card, contexts, lab.backend)


def test_reading_a_context_is_reading_the_row_that_begins_with_it(lab: Lab, rows: list[list[int]]) -> None:
    from memviz.predictor.network.reading import read_contexts

    loaded = lab.loaded("tiny")
    contexts = np.array([row[:K] for row in rows[:4]], np.int64)
    found = read_contexts(loaded, contexts)
    written = np.array([[*row[:K], lab.generate("tiny", row[:K], 1)[0]] for row in rows[:4]], np.int64)
    states = read_states(loaded, written, (2,))
    assert found.hidden is not None
    np.testing.assert_allclose(found.hidden, states.hidden[:, :K, 0], atol=2e-3, rtol=2e-3)
    for column, name in enumerate(("entropy", "margin", "logprob")):
        np.testing.assert_allclose(found.statistics[:, 1:, column], getattr(states, name)[:, 1:], atol=1e-4)


def test_shorter_and_longer_traces(lab: Lab, rows: list[list[int]], fitted: dict[str, Known], card: Card) -> None:
    longer = [*rows[1], 9, 10]
    whole, found = (predict(fitted["causal"], trace_of(lab, ids), card)[0] for ids in (rows[1], longer))
    np.testing.assert_allclose(found[:M], whole, atol=1e-4)
    assert np.isnan(found[M:]).all()
    short = predict(fitted["causal"], trace_of(lab, rows[1][: K + 5]), card)[0]
    np.testing.assert_allclose(short, whole[:5], atol=1e-4)


def test_leading_tokens_are_not_counted(lab: Lab, rows: list[list[int]], fitted: dict[str, Known]) -> None:
    from memviz.engine.preparing import prepare

    other = prepare(find_model("tiny-bos", lab.settings), lab.settings)
    assert other.leading_ids == [1]
    known = replace(fitted["causal"], about=fitted["causal"].about | {"weights": other.weights})
    trace = trace_of(lab, [1, *rows[1]], "tiny-bos", K + 1)
    assert predict(known, trace, other).shape == (1, M)
    assert objection(known, other, K) is None
    states = read_states(lab.loaded("tiny-bos"), np.concatenate([trace.context_ids, trace.generated_ids], axis=1), (2,))
    inputs = inputs_of(trace, 1)
    assert inputs.k == K and inputs.hidden is not None
    np.testing.assert_allclose(inputs.hidden, states.hidden[:, 1:, 0], atol=2e-3, rtol=2e-3)
    for column, name in enumerate(("entropy", "margin", "logprob")):
        np.testing.assert_allclose(inputs.statistics[..., column], getattr(states, name)[:, 1:], atol=1e-4)
    by_context = replace(fitted["context"], about=fitted["context"].about | {"weights": other.weights})
    before = predict_context(by_context, other, trace.context_ids, lab.backend)
    np.testing.assert_allclose(before, predict(by_context, trace, other), atol=1e-3)


def test_a_model_it_was_not_fitted_on_is_refused(
    lab: Lab, sweep: Sweep, rows: list[list[int]], fitted: dict[str, Known], card: Card
) -> None:
    twin = read_card(find_model("twin", lab.settings), lab.settings)
    assert twin is not None
    known = fitted["causal"]
    with pytest.raises(InputError, match="fitted on tiny, whose weights are not those of twin"):
        predict(known, trace_of(lab, rows[1], "twin"), twin)
    with pytest.raises(InputError, match="weights are not those of twin"):
        evaluate_on(known, sweep, "twin", lab.context())
    assert "causal" not in predictors_for(twin, lab.settings)
    assert objection(known, card, K) is None
    assert "fitted at k = 8, the context has 9 tokens" in (objection(known, card, K + 1) or "")
    assert "drew its tokens" in (objection(known, card, K, greedy=False) or "")
    with pytest.raises(InputError, match="no hidden states"):
        predict(known, replace(trace_of(lab, rows[1]), hidden=None), card)


def test_rows_of_another_file_are_not_taken_for_test_rows(
    lab: Lab, rows: list[list[int]], fitted: dict[str, Known]
) -> None:
    turned = SweepTask(
        ("tiny",), RowSet(lab.jsonl(rows[::-1], "turned.jsonl")), contexts=(), continuations=(M,), context_at=K
    )
    with pytest.raises(InputError, match="which of this sweep's rows it has seen is not known"):
        evaluate_on(fitted["causal"], lab.sweep(turned, "turned"), "tiny", lab.context())


def test_transfer_is_asked_for_and_told(lab: Lab, sweep: Sweep, card: Card) -> None:
    task = task_of(sweep, transfer=True)
    _, known, _ = lab.answer(task)
    assert known.transfers and known.about["features"]["hidden"] == 0
    tables = evaluate_on(known, sweep, "twin", lab.context())
    line = tables.metrics.iloc[0]
    assert (line["fitted_on"], line["model"]) == ("tiny", "twin")
    assert predictors_for(card, lab.settings)["causal"].id != known.id  # not unless asked for


def test_labels_that_are_shuffled_cannot_be_predicted(lab: Lab, sweep: Sweep) -> None:
    from memviz.predictor.features import tokens_of
    from memviz.predictor.metrics import auroc
    from memviz.predictor.network.fit import Trainer
    from memviz.predictor.presets import PRESETS

    data = read_data(sweep, "tiny", K, M, lab.context())
    shuffled = np.random.default_rng(0).permutation(data.match.ravel()).reshape(data.match.shape)
    tokens = tokens_of(data.inputs, "published", M)
    train, rest = data.places("train"), np.flatnonzero(data.part > 0)
    trainer = Trainer(
        PRESETS["small"], "published", K, (tokens.rows(train), shuffled[train]), (tokens.rows(rest), shuffled[rest]), 0
    )
    for _ in trainer.epochs():
        pass
    assert abs(auroc(trainer.fitted().logits(tokens.rows(rest), M), shuffled[rest]) - 0.5) < 0.1
