"""What records of causes say, against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memviz.measures.causes import Heads, Occlusion


def test_probabilities_are_means_over_what_was_put_in_place() -> None:
    before, half = np.log(np.float32([0.5, 0.8])), np.ones(2, bool)
    changed = np.log(np.float32([[[0.1, 0.8], [0.3, 0.4]]]))
    dropped = np.log(np.float32([[0.25, 0.8]]))
    found = Occlusion(np.array([3, 4]), before, half, changed, half[None, None], dropped, half[None], np.ones(1, bool))
    np.testing.assert_allclose(found.probability("replaced"), [[0.2, 0.6]], rtol=1e-6)
    np.testing.assert_allclose(found.probability("dropped"), [[0.25, 0.8]], rtol=1e-6)


def heads(n_left: list[int], m: int = 4) -> Heads:
    """Of 4 heads, the first `n_left` positions of m still right where 1, 2 and 4 of them are silenced together."""
    none, right = np.zeros((3, m), np.float32), np.arange(m) < np.array(n_left)[:, None]
    each = np.zeros((4, m), np.float32)
    return Heads(
        true_ids=np.arange(m), layer=np.ones(4, np.int32), number=np.arange(4, dtype=np.int32),
        whole_logprob=none[0], whole_match=np.ones(m, bool), zero_logprob=each, zero_match=each > 0, mean_logprob=each,
        mean_match=each > 0, n_silenced=np.array([1, 2, 4], np.int32), strongest_logprob=none, strongest_match=right,
        random_logprob=none[:, None], random_match=right[:, None],
    )  # fmt: skip


@pytest.mark.parametrize(("n_left", "n_for_half"), [([3, 2, 0], 2), ([2, 3, 0], 1), ([4, 4, 3], None), ([3, 3, 0], 4)])
def test_how_many_heads_take_half(n_left: list[int], n_for_half: int | None) -> None:
    assert heads(n_left).n_for_half == n_for_half


def test_where_nothing_is_recited_no_half_can_go() -> None:
    assert replace(heads([3, 2, 0]), whole_match=np.zeros(4, bool)).n_for_half is None
