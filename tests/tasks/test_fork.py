"""Forks of a run against plain greedy decoding behind the same tokens, and where the text is taken up again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.suite import SMALLEST
from transformers import AutoModelForCausalLM

from memviz.catalog import SUITE_MODELS
from memviz.errors import InputError
from memviz.settings import load_settings
from memviz.store import Store
from memviz.tasks.base import Context, answer, task_from
from memviz.tasks.fork import ForkTask, back_at, fork_of
from memviz.tasks.trace import TraceTask


def test_a_fork_is_what_the_model_writes_behind_the_forced_tokens(tmp_path: Path) -> None:
    context = Context(load_settings(cache=tmp_path, device="cpu"), Store(tmp_path / "store", 10**9))
    task = TraceTask(SMALLEST, (60, 61, 62, 63, 64), None, 9)
    generated = answer(task, context).result.trace.generated_ids[0]
    fork = fork_of(task, generated, 3, 777)
    assert fork.forced_ids == (*generated[:3].tolist(), 777) and fork.n_steps == 5
    _, run, was_stored = answer(fork, context)
    model = AutoModelForCausalLM.from_pretrained(SUITE_MODELS / SMALLEST, dtype=torch.float32)
    prompt = torch.tensor([[*task.context_ids, *fork.forced_ids]])
    plain = model.generate(prompt, max_new_tokens=5, do_sample=False, eos_token_id=None, pad_token_id=0)[0]
    assert fork.written(run).tolist() == plain[5:].tolist() and not was_stored
    again = task_from(json.loads(json.dumps(fork.request())), ForkTask)
    assert again == fork and answer(again, context).was_stored
    assert fork.hash != fork_of(task, generated, 3, 778).hash


def test_nothing_is_forked_at_the_last_token() -> None:
    task = TraceTask("m", (1, 2), None, 3)
    with pytest.raises(InputError, match="behind the last token nothing is written"):
        fork_of(task, np.array([4, 5, 6]), 2, 7)
    with pytest.raises(InputError, match="0 forced tokens"):
        ForkTask("m", (1, 2), (), 3)


@pytest.mark.parametrize(
    ("written", "back"),
    [
        ([9, 1, 2, 3, 4, 5, 6, 7], 1),  # at once
        ([9, 0, 2, 3, 4, 0, 6, 7], 6),  # three in a row are too few; two at the end of the row are not
        ([9, 0, 0, 0, 0, 0, 0, 0], None),
        ([9, 0, 1, 2, 3, 4, 5, 6], None),  # the text one token later is not at its own index
    ],
)
def test_the_text_is_taken_up_again(written: list[int], back: int | None) -> None:
    assert back_at(np.array(written), np.arange(8), 0) == back
