"""The numerical noise of a model: never less than one step of its numbers."""

import numpy as np
import pytest
import torch
from support.tiny_models import VOCAB, one_pass, tiny

from memviz.engine.loading import Loaded
from memviz.engine.noise import measure_logit_noise
from memviz.engine.reader import Fed, Reader


@pytest.mark.parametrize(("dtype", "step"), [("float32", 2.0**-19), ("float16", 2.0**-6), ("bfloat16", 2.0**-3)])
def test_two_ways_that_agree_to_the_last_bit(dtype: str, step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers next to 20 are this far away."""
    loaded = tiny("llama", dtype)
    always = torch.full((VOCAB,), -3.0)
    always[7] = 20.0
    monkeypatch.setattr(Reader, "feed", lambda self, ids: Fed(always.to(ids.device).expand(*ids.shape, VOCAB), None))
    monkeypatch.setattr(Reader, "logits", lambda self, states: states)
    assert measure_logit_noise(loaded) == step


def test_noise_of_a_model_is_small_beside_its_logits(family: Loaded) -> None:
    noise = measure_logit_noise(family)
    largest = one_pass(family, torch.arange(48)[None])[0].abs().max().numpy()
    assert 0 < noise < 1e-4 * largest and noise >= np.spacing(largest) / 8
