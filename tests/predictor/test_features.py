"""Which index each setting may look at, against arrays that name their own index."""

from __future__ import annotations

import numpy as np
import pytest
from support.predictor import K, M, random_inputs

from memviz.predictor.features import Inputs, compact, scaling_of, tokens_of


def numbered(n_statistics: int = 3) -> Inputs:
    """Every number is its own index in the row."""
    index = np.arange(K + M, dtype=np.float32)[None, :, None]
    return Inputs(K, np.tile(index, (2, 1, 5)), np.tile(index, (2, 1, n_statistics)))


@pytest.mark.parametrize(
    ("setting", "states", "statistics"),
    [
        ("published", range(K, K + M), range(K, K + M)),
        ("causal", range(K + M - 1), range(1, K + M)),
        ("context", range(K), range(1, K + 1)),
    ],
)
def test_each_setting_sees_its_indices(setting: str, states: range, statistics: range) -> None:
    tokens = tokens_of(numbered(), setting)
    assert tokens.hidden is not None
    assert tokens.hidden[0, :, 0].tolist() == list(states)
    assert tokens.statistics[0, :, 0].tolist() == list(statistics)


@pytest.mark.parametrize("setting", ["published", "causal", "context"])
def test_fewer_positions_are_the_first_ones(setting: str) -> None:
    whole, cut = tokens_of(numbered(), setting), tokens_of(numbered(), setting, 3)
    assert whole.hidden is not None and cut.hidden is not None
    left = M - 3 if setting != "context" else 0
    assert cut.hidden.shape[1] == whole.hidden.shape[1] - left
    np.testing.assert_array_equal(cut.hidden, whole.hidden[:, : cut.hidden.shape[1]])
    np.testing.assert_array_equal(cut.statistics, whole.statistics[:, : cut.statistics.shape[1]])


def test_no_ngram_ends_with_a_token_that_the_context_setting_has_not_seen() -> None:
    inputs = numbered(5)
    tokens = tokens_of(inputs, "context")
    assert tokens.statistics[0, -1].tolist() == [K, K, K, 0, 0]
    assert tokens.statistics[0, -2].tolist() == [K - 1] * 5
    assert inputs.statistics[0, K].tolist() == [K] * 5  # the given arrays stay as they are


def test_scaling_is_numpys() -> None:
    inputs = random_inputs(300)
    tokens = tokens_of(inputs, "causal")
    scaling = scaling_of(tokens)
    assert tokens.hidden is not None
    flat = tokens.hidden.reshape(-1, tokens.hidden.shape[2]).astype(np.float64)
    np.testing.assert_allclose(scaling.hidden_mean, flat.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(scaling.hidden_std, flat.std(axis=0), rtol=1e-5)
    flat = tokens.statistics.reshape(-1, 3)
    np.testing.assert_allclose(scaling.statistics_std, flat.std(axis=0), rtol=1e-4)


def test_a_feature_without_spread_is_not_divided_by_nothing() -> None:
    inputs = Inputs(K, None, np.full((5, K + M, 3), 7, np.float32))
    scaling = scaling_of(tokens_of(inputs, "published"))
    assert scaling.hidden_mean.shape == (0,)
    assert scaling.statistics_std.tolist() == [1, 1, 1]


def test_states_that_overflow_float16_stay_in_float32() -> None:
    assert compact(np.array([[[1.0, -3.0]]], np.float32)).dtype == np.float16
    assert compact(np.array([[[1.0, -70000.0]]], np.float32)).dtype == np.float32
