"""What an encoder cannot see does not change what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.predictor import QUICK, D, K, M, random_inputs

from memviz.predictor.features import Inputs, scaling_of, tokens_of
from memviz.predictor.network.module import (
    HAZARD_SHARE,
    Encoder,
    Network,
    chained,
    network_of,
    tensors,
    with_course,
)
from memviz.predictor.presets import PRESETS, SETTINGS, Preset, Setting

FULL = replace(QUICK, course=True, hazard=True, compressed=4, hidden_dropout=0.3, members=2)
BOTH = pytest.mark.parametrize("preset", [QUICK, FULL], ids=["plain", "full"])


def encoder_of(inputs: Inputs, setting: str, preset: Preset, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    found = network_of(preset, setting, K, M, scaling_of(tokens_of(inputs, setting)))
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


def said(encoder: Network, inputs: Inputs, m: int = M) -> np.ndarray:
    return encoder.logits(tokens_of(inputs, encoder.setting, m), m)


@BOTH
@pytest.mark.parametrize("states", [True, False])
@pytest.mark.parametrize("t", range(M))
def test_the_causal_mask_hides_the_future(states: bool, t: int, preset: Preset) -> None:
    inputs = random_inputs(7)
    encoder = encoder_of(inputs, "causal", preset)
    first_hidden = K + t if states else K + t + 1  # the first index that position t must not see
    before, after = said(encoder, inputs), said(encoder, changed(inputs, first_hidden, states))
    np.testing.assert_array_equal(before[:, : t + 1], after[:, : t + 1])
    seen = said(encoder, changed(inputs, first_hidden - 1, states))
    assert (np.abs(seen - before)[:, t] > 1e-5).all(), "it does not see what it may see either"


@BOTH
@pytest.mark.parametrize("states", [True, False])
def test_the_context_setting_sees_nothing_generated(states: bool, preset: Preset) -> None:
    inputs = random_inputs(7)
    encoder = encoder_of(inputs, "context", preset)
    first_hidden = K if states else K + 1
    before = said(encoder, inputs)
    np.testing.assert_array_equal(before, said(encoder, changed(inputs, first_hidden, states)))
    assert (np.abs(said(encoder, changed(inputs, first_hidden - 1, states)) - before) > 1e-5).all()
    assert inputs.hidden is not None
    enough = Inputs(K, inputs.hidden[:, :K], inputs.statistics[:, : K + 1])
    np.testing.assert_array_equal(before, said(encoder, enough))


@BOTH
def test_the_published_setting_sees_all_that_is_generated_and_no_context(preset: Preset) -> None:
    inputs = random_inputs(7)
    encoder = encoder_of(inputs, "published", preset)
    before = said(encoder, inputs)
    last = changed(inputs, K + M - 1, True)
    assert (np.abs(said(encoder, last) - before) > 1e-6).all()
    assert inputs.hidden is not None
    other = inputs.hidden.copy()
    other[:, :K] = 0
    np.testing.assert_array_equal(before, said(encoder, replace(inputs, hidden=other)))


@BOTH
@pytest.mark.parametrize("setting", ["causal", "context"])
def test_asking_for_fewer_positions_changes_none(setting: str, preset: Preset) -> None:
    inputs = random_inputs(7)
    encoder = encoder_of(inputs, setting, preset)
    np.testing.assert_allclose(said(encoder, inputs, 3), said(encoder, inputs)[:, :3], atol=2e-6)


@BOTH
@pytest.mark.parametrize("setting", SETTINGS)
def test_rows_do_not_see_each_other(setting: str, preset: Preset) -> None:
    inputs = random_inputs(200)  # more than one batch
    encoder = encoder_of(inputs, setting, preset)
    alone = np.concatenate([said(encoder, inputs.rows(np.array([row]))) for row in (0, 130, 199)])
    np.testing.assert_allclose(said(encoder, inputs)[[0, 130, 199]], alone, atol=1e-5)


def test_without_hidden_states_it_has_no_weights_for_them() -> None:
    inputs = replace(random_inputs(5), hidden=None)
    encoder = encoder_of(inputs, "causal", QUICK)
    assert isinstance(encoder, Encoder) and encoder.of_hidden is None
    assert said(encoder, inputs).shape == (5, M)


def test_the_published_preset_is_as_large_as_said() -> None:
    sizes = PRESETS["published"]
    assert (sizes.n_layers, sizes.n_heads, sizes.width, sizes.learning_rate) == (4, 8, 256, 1e-4)
    small = Encoder(PRESETS["small"], "context", 32, 64, scaling_of(tokens_of(random_inputs(5), "context")))
    assert small.of_hidden is not None and small.of_hidden.in_features == D
    assert sum(each.numel() for each in small.parameters()) < 100_000


def test_a_chained_logit_is_the_sum_over_where_the_text_is_left() -> None:
    """By brute force: over every place of the first divergence, and none."""
    said = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    stays, hits = said.sigmoid().unbind(dim=-1)
    for row in range(3):
        for t in range(5):
            whole = [float(stays[row, :place].prod()) for place in range(6)]
            left = [whole[place] * (1 - float(stays[row, place])) for place in range(5)]
            p = whole[t + 1] + sum(left[place] * float(hits[row, t]) for place in range(t))
            assert chained(said)[row, t].item() == pytest.approx(np.log(p / (1 - p)), abs=1e-9)
    sure = chained(torch.tensor([[[60.0, 0.0], [60.0, 0.0], [-60.0, -60.0], [60.0, -60.0]]], requires_grad=True))
    assert (sure[0, :2] > 20).all() and (sure[0, 2:] < -20).all() and sure.isfinite().all()
    weights = torch.zeros(1, 4, 2, requires_grad=True)
    chained(weights).sum().backward()
    assert weights.grad is not None and weights.grad.isfinite().all()


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_course_is_what_came_so_far(setting: Setting) -> None:
    values = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(0))
    found, k = with_course(values, setting, 3), 3
    for row, j, s in np.ndindex(2, 6, 2):
        spans = [values[row, : j + 1, s]]
        if setting == "causal":
            spans.append(values[row, k - 1 : j + 1, s] if j >= k - 1 else torch.zeros(1))
        if setting == "published":
            spans.append(values[row, j:, s])
        expected = [values[row, j, s], *(f(span) for span in spans for f in (torch.max, torch.min, torch.mean))]
        np.testing.assert_allclose(found[row, j, s::2], torch.stack(expected), atol=1e-6)


@pytest.mark.parametrize("preset", [replace(FULL, members=1), FULL], ids=["one", "two"])
def test_the_loss_is_that_of_the_labels_and_of_the_first_divergence(preset: Preset) -> None:
    inputs = random_inputs(3)
    network = encoder_of(inputs, "causal", preset)
    match = torch.tensor([[1, 1, 0, 1, 0, 0, 0, 1], [0] * 8, [1] * 8], dtype=torch.float32)
    batch = tensors(tokens_of(inputs, "causal", M), slice(None), torch.device("cpu"))
    members = [network] if isinstance(network, Encoder) else list(network.members)
    expected = []
    for each in members:
        logits, intact = each.answers(*batch, M)
        assert intact is not None
        p, stays = (each.detach().double().sigmoid() for each in (logits, intact))
        by_label = [-torch.log(p[i, t] if match[i, t] else 1 - p[i, t]) for i in range(3) for t in range(M)]
        first = [
            -torch.log(stays[0, 0]) - torch.log(stays[0, 1]) - torch.log(1 - stays[0, 2]),
            -torch.log(1 - stays[1, 0]),
        ]
        first.append(-torch.log(stays[2]).sum())
        expected.append(sum(by_label) / 24 + HAZARD_SHARE * sum(first) / 24)
    assert network.loss(*batch, M, match).item() == pytest.approx(sum(expected).item() / len(expected), rel=1e-4)
