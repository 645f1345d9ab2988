"""A run as files: what they hold, from a trace made by hand and from a tiny model's."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.model_folders import TEXT, write_model
from support.tasks import context_of

from memviz.catalog import find_model
from memviz.corpus.attribution import Counts
from memviz.engine.backend import Backend
from memviz.engine.preparing import prepare
from memviz.export import Attributed, command, document, ids_file, linked_view, measures_of, plain, table
from memviz.measures import MEASURES
from memviz.records import Decoding, Run
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import answer
from memviz.tasks.trace import TraceTask, task_of_text, tokenizer_of
from memviz.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run with truth, one without, and their tokenizer."""
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny", tokenizer="bos")
    settings = Settings(cache=home / "cache", model_roots=(home / "models",), device="cpu")
    card = prepare(find_model("tiny", settings), settings)
    backend, store, tokenizer = Backend(settings), Store(home / "results", 2**30), tokenizer_of(card, settings)
    task = task_of_text(TEXT, card, tokenizer, 6, 8)
    open_task = TraceTask("tiny", task.context_ids, None, 4)
    run, open_run = (answer(one, context_of(backend, store)).result for one in (task, open_task))
    return SimpleNamespace(task=task, run=run, open_task=open_task, open_run=open_run, tokenizer=tokenizer)


def test_plain_json() -> None:
    value = {"a": np.array([[1.0, np.nan], [np.inf, -np.inf]]), "b": (np.int64(3), np.float32(0.5), np.bool_(True))}
    assert plain(value) == {"a": [[1.0, None], [None, None]], "b": [3, 0.5, True]}
    assert plain([None, "x", float("nan"), np.array(2.5)]) == [None, "x", None, 2.5]


def test_measures_are_the_registered_ones(made: SimpleNamespace) -> None:
    values = measures_of(made.run.trace, made.tokenizer)
    assert set(values) == set(MEASURES)
    assert all(value is None or np.isfinite(value) for value in values.values())
    trace = made.run.trace
    assert values["memorization_score"] == pytest.approx(np.mean(trace.generated_ids == trace.continuation_ids))
    assert measures_of(made.open_run.trace, made.tokenizer)["memorization_score"] is None


@pytest.mark.parametrize("name", ["run", "open_run"])
def test_documents_are_strict_json(made: SimpleNamespace, name: str) -> None:
    run: Run = getattr(made, name)
    values: dict[str, Any] = document(run, made.tokenizer)
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["generated_ids"] == run.trace.generated_ids[0].tolist()
    assert values["context"]["entropy"][0] is None and None not in values["context"]["entropy"][1:]
    assert (values["teacher_forced"] is None) == (name == "open_run")
    assert np.shape(values["free_running"]["top_ids"]) == (len(values["generated_ids"]), 20)


def test_a_table_has_a_row_an_index(made: SimpleNamespace) -> None:
    frame, trace = table(made.run, made.tokenizer), made.run.trace
    k, m = 7, 8
    assert list(frame["index"]) == list(range(k + m))
    assert list(frame["part"]) == ["context"] * k + ["continuation"] * m
    assert list(frame["true_id"]) == [*made.task.context_ids, *made.task.continuation_ids]
    assert list(frame["generated_id"][k:]) == trace.generated_ids[0].tolist()
    assert list(frame["match"]) == list(frame["generated_id"] == frame["true_id"])
    assert "".join(frame["true_token"][1:]) == made.tokenizer.to_bytes(frame["true_id"][1:].to_numpy()).decode()
    for mode in ("free_running", "teacher_forced"):
        scores = getattr(trace, mode)
        np.testing.assert_array_equal(frame[f"{mode}_entropy"][k:], scores.entropy[0])
        np.testing.assert_array_equal(frame[f"{mode}_entropy"][:k], trace.context.entropy[0])
        assert np.isnan(frame[f"{mode}_rank"][0]) and frame[f"{mode}_rank"][1:].min() >= 1
    assert not frame["fragile"][:k].any()
    open_frame = table(made.open_run, made.tokenizer)
    assert len(open_frame) == k + 4 and not {"true_id", "match", "teacher_forced_entropy"} & set(open_frame)


def test_counts_of_an_index_are_columns(made: SimpleNamespace) -> None:
    t = made.run.trace.n_context + made.run.trace.n_continuation
    ngrams = np.tile(np.arange(t), (2, 1))
    ngrams[1, 0] = -1  # no 2-gram ends at index 0
    counts = Counts((1, 2), ngrams, np.arange(t))
    attributed = Attributed("mine", 7, np.array([3]), {("true", "other"): counts, ("true", "rows"): counts})
    frame = table(made.run, made.tokenizer, attributed)
    new = [name for name in frame.columns if name not in table(made.run, made.tokenizer).columns]
    assert new == [
        "true_count_1gram_other", "true_count_2gram_other", "true_suffix_other",
        "true_count_1gram_rows", "true_count_2gram_rows",
    ]  # fmt: skip
    assert frame["true_count_1gram_other"].tolist() == list(range(t))
    assert np.isnan(frame["true_count_2gram_rows"][0]) and frame["true_count_2gram_rows"][1] == 1
    values = document(made.run, made.tokenizer, attributed)
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert (values["ngrams"]["index"], values["ngrams"]["until_step"], values["ngrams"]["own_rows"]) == ("mine", 7, [3])
    assert values["ngrams"]["true_count_2gram_other"][:3] == [None, 1, 2]
    assert "ngrams" not in document(made.run, made.tokenizer)


def test_the_linked_view_is_json_and_knows_its_tokens(made: SimpleNamespace) -> None:
    for run, task in ((made.run, made.task), (made.open_run, made.open_task)):
        view = json.loads(json.dumps(linked_view(run, made.tokenizer), allow_nan=False))
        ids = [view["pieces"]["ids"][place] for place in view["tokens"]]
        assert ids == [*task.context_ids, *(task.continuation_ids or run.trace.generated_ids[0].tolist())]


def test_ids_of_a_task(made: SimpleNamespace) -> None:
    assert json.loads(ids_file(made.task)) == {
        "context_ids": list(made.task.context_ids),
        "continuation_ids": list(made.task.continuation_ids),
    }
    assert json.loads(ids_file(made.open_task))["continuation_ids"] is None


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            TraceTask("m", (1,), (2, 3), 2),
            "memviz trace --model m --ids-file ids.json --dtype float32 --out trace.json",
        ),
        (
            TraceTask("a b", (1,), None, 9, dtype="bfloat16", all_layers=True),
            "memviz trace --model 'a b' --ids-file ids.json --dtype bfloat16 --continuation 9 --all-layers "
            "--out trace.json",
        ),
        (
            TraceTask("m", (1,), None, 9, Decoding(0.7, 5, 0.9, 3, bar_eos=True)),
            "memviz trace --model m --ids-file ids.json --dtype float32 --continuation 9 --sample --temperature 0.7 "
            "--top-k 5 --top-p 0.9 --seed 3 --bar-eos --out trace.json",
        ),
    ],
)
def test_the_command_of_a_task(task: TraceTask, words: str) -> None:
    assert command(task) == words and shlex.join(shlex.split(words)) == words


def test_bytes_that_are_no_text_are_shown_escaped(made: SimpleNamespace, tmp_path: Path) -> None:
    tokenizer: Tokenizer = made.tokenizer
    (half, _) = tokenizer.encode("é")
    assert tokenizer.piece(half).raw.decode("utf-8", "backslashreplace") == r"\xc3"


def test_predictions_are_columns_of_the_continuation(made: SimpleNamespace) -> None:
    k, m = made.run.trace.n_context, made.run.trace.n_continuation
    said = {"causal": np.append(np.linspace(0, 1, m - 1), np.nan).astype(np.float32)}
    frame = table(made.run, made.tokenizer, None, said)
    assert frame["p_memorized_causal"][:k].isna().all() and frame["p_memorized_causal"][k] == 0
    np.testing.assert_array_equal(frame["p_memorized_causal"][k:], said["causal"])
    values = document(made.run, made.tokenizer, None, said)
    assert json.loads(json.dumps(values, allow_nan=False))["p_memorized"]["causal"][-2:] == [1.0, None]
    assert "p_memorized" not in document(made.run, made.tokenizer)
