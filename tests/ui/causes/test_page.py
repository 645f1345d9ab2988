"""The page Causes by AppTest: each view of one row, links, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from support.suite import SMALLEST

from memviz import ui
from memviz.demo.samples import suite_samples
from memviz.gallery import open_store
from memviz.measures.causes import prefix
from memviz.settings import settings
from memviz.tasks.base import Context, answer, ready
from memviz.tasks.causes import KINDS, cause_of, seen_counts
from memviz.tasks.trace import task_of_ids, tokenizer_of
from memviz.ui.common.texts import told

MODEL, K, M = SMALLEST, 6, 5
NUMBERS: dict[str, dict[str, Any]] = {
    "occlusion": {"n_drawn": 2, "seed": 0},
    "heads": {"seed": 0},
    "noise_recovery": {"sigma": 3.0, "n_draws": 1, "seed": 0},
    "contributions": {},
}
SAYS = {
    "occlusion": "most hangs on",
    "heads": "costs most",
    "noise_recovery": "noise",
    "contributions": "adds most to the true token",
}


def opened(app: AppTest, **said: Any) -> AppTest:
    app.run()
    prompt = {"model": MODEL, "context": K, "continuation": M, "drawn": 2, "draws": 1}
    for name, value in {**prompt, **said}.items():
        app.session_state[f"causes_{name}"] = value
    return app.switch_page("../pages/causes.py").run()


def test_with_an_empty_cache_nothing_is_computed_unasked(app: AppTest) -> None:
    page = opened(app, view="noise_recovery")
    assert not page.exception and page.title[0].value == "Causes"
    assert (
        f"It reads 37 rows of {K + M} tokens: about 1 s" in page.info[0].value
    )  # 1 draw, 3 ways of 2 layers' 6 states
    assert all(job.task is None for job in ui.worker()._jobs.values())


@pytest.mark.parametrize("view", KINDS)
def test_a_view_says_what_its_record_says(app: AppTest, view: str) -> None:
    told = [(0, 0)]
    context = Context(settings(), open_store(settings()), report=lambda done, total: told.append((done, total)))
    card = ready(MODEL, context)
    own, known = tokenizer_of(card, settings()), suite_samples()
    assert known is not None
    row = known.known_row(MODEL)
    whole = task_of_ids(known.data.ids[row].tolist(), card, K, M, dtype="float32")
    counts = seen_counts(card, own, settings(), known)
    task = cause_of(whole, view, card, own, counts, **NUMBERS[view])
    found = answer(task, context).result
    if view == "noise_recovery":
        assert told[-1] == (task.n_rows(card),) * 2, "as many rows as were said before"
    page = opened(app, view=view, row=row)
    assert not page.exception and not page.error, [each.value for each in page.error]
    said = " ".join(each.value for each in page.markdown)
    assert SAYS[view] in said and not page.info
    if view == "occlusion":
        assert f"all {int(prefix(found.whole_match))} leading matches" in said or "Nothing is recited" in said
    if view == "heads":
        strongest = int(np.argmax(found.drop("zero")))
        assert f"Layer {found.layer[strongest]}, head {found.number[strongest]}" in said
    if view == "contributions":
        assert f"Layer {int(found.layer.mean(axis=1).argmax()) + 1} adds most" in said


def test_replacements_are_as_frequent_as_what_they_stand_for(app: AppTest) -> None:
    app.run()
    context = Context(settings(), open_store(settings()))
    card = ready(MODEL, context)
    own, known = tokenizer_of(card, settings()), suite_samples()
    assert known is not None
    counts = np.zeros(card.vocab_size)
    for ids, times in zip(known.data.ids, known.data.bucket, strict=True):
        np.add.at(counts, ids, times)
    found = seen_counts(card, own, settings(), known)
    assert found is not None
    np.testing.assert_array_equal(found, counts)
    whole = task_of_ids(known.data.ids[5].tolist(), card, K, M)
    task = cause_of(whole, "occlusion", card, own, found, n_drawn=8, seed=1)
    drawn = np.array(task.replacement_ids).reshape(K, 8)  # type: ignore[attr-defined]
    for own_id, others in zip(whole.context_ids, drawn, strict=True):
        assert own_id not in others
        assert set(np.floor(np.log2(1 + counts[others]))) == {np.floor(np.log2(1 + counts[own_id]))}
    assert not own.piece(0).raw or own.piece(0).special or 0 in own.text_ids


def test_what_cannot_be_asked_is_one_sentence(app: AppTest) -> None:
    page = opened(app, drawn=1000)
    assert page.error[0].value == told("Replacements a token is 1,000: give a number from 1 to 64")
    page = opened(app, view="noise_recovery", sigma=-1.0)
    assert page.error[0].value == told("Noise, deviations is -1.0: give a number from 0.01 to 100.0")
