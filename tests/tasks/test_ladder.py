"""Which models form a ladder, and what is asked of each."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.model_folders import TEXT, TOKENIZERS

from memviz.catalog import Card, Folder, Model
from memviz.errors import InputError
from memviz.records import Piece
from memviz.tasks.base import task_from
from memviz.tasks.ladder import (
    Choice,
    LadderTask,
    ascending,
    choices,
    share_tokens,
    split_at,
    step_of,
    tasks_of,
)
from memviz.tasks.trace import TraceTask
from memviz.tokenizer import Tokenizer


def model(name: str, **facts: object) -> Model:
    return Model(name, name, Folder(Path(name)), "", "", **facts)  # type: ignore[arg-type]


def member(size: str, n: int, step: int = 9, seed: int = 0) -> Model:
    name = size + (f"@step{step}" if step < 9 else "") + (f"@seed{seed}" if seed else "")
    return model(name, family="f", size=size, n_parameters=n, step=step, n_steps=9, seed=seed)


BIG, SMALL, EARLY, EARLIER, OTHER = (
    member("big", 200), member("small", 100), member("big", 200, 5), member("big", 200, 2), member("small", 100, seed=1)
)  # fmt: skip


def named(found: list[Choice]) -> dict[str, list[str]]:
    return {choice.label: [one.name for one in choice.models] for choice in found}


def test_sizes_seeds_and_steps_of_a_family() -> None:
    found = choices([BIG, EARLY, OTHER, SMALL, EARLIER, model("alone")])
    assert named(found) == {
        "Sizes of f": ["small", "big"],
        "Sizes and seeds of f": ["small", "small@seed1", "big"],
        "Training steps of big": ["big@step2", "big@step5", "big"],
    }
    assert [choice.axis for choice in found] == ["size", "size", "step"]
    assert choices([BIG, model("alone")]) == []


def test_pythia_is_known_by_its_names() -> None:
    names = ("pythia-14m-deduped@step512", "pythia-70m-deduped", "pythia-14m-deduped")
    sizes = {"14m": 14, "70m": 70}
    models = [model(name, n_parameters=sizes[name.split("-")[1]]) for name in names]
    assert named(choices(models)) == {
        "Sizes of Pythia": ["pythia-14m-deduped", "pythia-70m-deduped"],
        "Training steps of pythia-14m-deduped": ["pythia-14m-deduped@step512", "pythia-14m-deduped"],
    }
    assert [step_of(one) for one in models] == [512, 143_000, 143_000]
    assert step_of(model("alone")) is None


def test_by_hand_models_are_ascending() -> None:
    assert [one.name for one in ascending([BIG, EARLY, SMALL])] == ["small", "big@step5", "big"]


def task(name: str, truth: tuple[int, ...] | None = (3,)) -> TraceTask:
    return TraceTask(name, (1, 2), truth, 1)


def test_a_request_comes_back_from_json_and_names_the_link() -> None:
    asked = LadderTask((task("a"), task("b")), "size")
    again = task_from(asked.request(), LadderTask)
    assert again == asked and again.hash == asked.hash != LadderTask((task("b"), task("a")), "size").hash


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ((), "0 models are chosen: choose from 1 to"),
        ((task("a"), task("a")), "model a is chosen twice"),
        ((task("a", None),), "a comparison needs a text that goes on"),
    ],
)
def test_what_cannot_be_compared(tasks: tuple[TraceTask, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LadderTask(tasks, "hand")


def test_another_kind_of_link_is_refused() -> None:
    with pytest.raises(InputError, match="is of kind 'trace', not a ladder: open it on its own page"):
        task_from(task("a").request(), LadderTask)


def reader(folder: Path, kind: str, name: str) -> tuple[Card, Tokenizer]:
    (folder / name).mkdir()
    TOKENIZERS[kind]().save(str(folder / name / "tokenizer.json"))
    leading = [1] if kind == "fallback" else []
    card = Card(name, name, "", "local", name, [], 1, 400, None, leading, [])
    return card, Tokenizer(folder / name, leading)


def test_models_of_one_tokenizer_are_asked_the_same(tmp_path: Path) -> None:
    readers = [reader(tmp_path, "plain", name) for name in "ab"]
    assert share_tokens(readers)
    first, second = tasks_of(TEXT, readers, 4, 6, "float32")
    assert (first.model, second.model) == ("a", "b")
    assert (first.context_ids, first.continuation_ids) == (second.context_ids, second.continuation_ids)
    assert tasks_of(first.context_ids + (first.continuation_ids or ()), readers, 4, 6, "float32") == (first, second)


def test_models_of_two_tokenizers_are_asked_for_the_same_text(tmp_path: Path) -> None:
    readers = [reader(tmp_path, kind, kind) for kind in ("plain", "fallback")]
    assert not share_tokens(readers)
    tasks = tasks_of(TEXT, readers, 4, 6, "float32")
    parts = [
        [own.to_bytes(ids).decode() for ids in (one.context_ids, one.continuation_ids or ())]
        for one, (_, own) in zip(tasks, readers, strict=True)
    ]
    (context, rest), (other_context, other_rest) = parts
    assert TEXT.startswith(context + rest) and TEXT.startswith(other_context + other_rest)
    assert context.startswith(other_context), "nobody reads beyond the border"
    assert len(other_context + other_rest) >= len(context + rest), "everybody is asked up to the end"
    assert tasks[1].context_ids[0] == 1, "its own leading token"


def test_tokens_on_either_side_of_two_bytes() -> None:
    pieces = [Piece(raw, raw == b"<s>", "") for raw in (b"<s>", b"abc", b"d", b"ef", b"g")]
    assert split_at(pieces, 4, 6) == (3, 1)
    assert split_at(pieces, 5, 6) == (3, 1), "a token over the border is asked for"
    assert split_at(pieces, 3, 7) == (2, 3)
    assert split_at(pieces, 0, 3) == (1, 1)
