"""What an encoder cannot see does not change what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.predictor import QUICK, D, K, M, random_inputs

from memviz.predictor.features import Inputs, scaling_of, tokens_of
from memviz.predictor.network.module import Encoder
from memviz.predictor.presets import PRESETS, SETTINGS


def encoder_of(inputs: Inputs, setting: str, seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    found = Encoder(QUICK, setting, K, M, scaling_of(tokens_of(inputs, setting)))
    with torch.no_grad():  # far from the start, so that everything seen matters
        for parameter in found.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return found.eval()


def changed(inputs: Inputs, index: int, states: bool) -> Inputs:
    """The same with other numbers from an index on, in the states or in the statistics."""
    other = random_inputs(len(inputs.statistics), seed=9)
    assert inputs.hidden is not None and other.hidden is not None
    if states:
        return replace(inputs, hidden=np.concatenate([inputs.hidden[:, :index], other.hidden[:, index:]], axis=1))
    both = (inputs.statistics[:, :index], other.statistics[:, index:])
    return replace(inputs, statistics=np.concatenate(both, axis=1))


def said(encoder: Encoder, inputs: Inputs, m: int = M) -> np.ndarray:
    return encoder.logits(tokens_of(inputs, encoder.setting, m), m)


@pytest.mark.parametrize("states", [True, False])
@pytest.mark.parametrize("t", range(M))
def test_the_causal_mask_hides_the_future(states: bool, t: int) -> None:
    inputs = random_inputs(7)
    encoder = encoder_of(inputs, "causal")
    first_hidden = K + t if states else K + t + 1  # the first index that position t must not see
    before, after = said(encoder, inputs), said(encoder, changed(inputs, first_hidden, states))
    np.testing.assert_array_equal(before[:, : t + 1], after[:, : t + 1])
    seen = said(encoder, changed(inputs, first_hidden - 1, states))
    assert (np.abs(seen - before)[:, t] > 1e-5).all(), "it does not see what it may see either"


@pytest.mark.parametrize("states", [True, False])
def test_the_context_setting_sees_nothing_generated(states: bool) -> None:
    inputs = random_inputs(7)
    encoder = encoder_of(inputs, "context")
    first_hidden = K if states else K + 1
    before = said(encoder, inputs)
    np.testing.assert_array_equal(before, said(encoder, changed(inputs, first_hidden, states)))
    assert (np.abs(said(encoder, changed(inputs, first_hidden - 1, states)) - before) > 1e-5).all()
    assert inputs.hidden is not None
    enough = Inputs(K, inputs.hidden[:, :K], inputs.statistics[:, : K + 1])
    np.testing.assert_array_equal(before, said(encoder, enough))


def test_the_published_setting_sees_all_that_is_generated_and_no_context() -> None:
    inputs = random_inputs(7)
    encoder = encoder_of(inputs, "published")
    before = said(encoder, inputs)
    last = changed(inputs, K + M - 1, True)
    assert (np.abs(said(encoder, last) - before) > 1e-6).all()
    assert inputs.hidden is not None
    other = inputs.hidden.copy()
    other[:, :K] = 0
    np.testing.assert_array_equal(before, said(encoder, replace(inputs, hidden=other)))


@pytest.mark.parametrize("setting", ["causal", "context"])
def test_asking_for_fewer_positions_changes_none(setting: str) -> None:
    inputs = random_inputs(7)
    encoder = encoder_of(inputs, setting)
    np.testing.assert_allclose(said(encoder, inputs, 3), said(encoder, inputs)[:, :3], atol=2e-6)


@pytest.mark.parametrize("setting", SETTINGS)
def test_rows_do_not_see_each_other(setting: str) -> None:
    inputs = random_inputs(200)  # more than one batch
    encoder = encoder_of(inputs, setting)
    alone = np.concatenate([said(encoder, inputs.rows(np.array([row]))) for row in (0, 130, 199)])
    np.testing.assert_allclose(said(encoder, inputs)[[0, 130, 199]], alone, atol=1e-5)


def test_without_hidden_states_it_has_no_weights_for_them() -> None:
    inputs = replace(random_inputs(5), hidden=None)
    encoder = encoder_of(inputs, "causal")
    assert encoder.of_hidden is None
    assert said(encoder, inputs).shape == (5, M)


def test_the_published_preset_is_as_large_as_said() -> None:
    sizes = PRESETS["published"]
    assert (sizes.n_layers, sizes.n_heads, sizes.width, sizes.learning_rate) == (4, 8, 256, 1e-4)
    small = Encoder(PRESETS["small"], "context", 32, 64, scaling_of(tokens_of(random_inputs(5), "context")))
    assert small.of_hidden is not None and small.of_hidden.in_features == D
    assert sum(each.numel() for each in small.parameters()) < 100_000
