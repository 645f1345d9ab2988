"""Heads over rows: overlaps against loops, chance against what is planted."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from memviz.measures.heads import RowHeads, overlaps, shared, strongest


def made(drop: np.ndarray, n_memorized: int, n_layers: int = 2) -> RowHeads:
    n, h = drop.shape
    per = h // n_layers
    return RowHeads(
        rows=np.arange(n),
        n_matches=np.array([8] * n_memorized + [0] * (n - n_memorized), np.int32),
        m=np.array(8, np.int32),
        layer=np.repeat(np.arange(1, n_layers + 1), per).astype(np.int32),
        number=np.tile(np.arange(per), n_layers).astype(np.int32),
        whole_logprob=np.zeros(n, np.float32),
        drop=drop.astype(np.float32),
    )


def test_shares_are_those_of_every_pair() -> None:
    drop = np.random.default_rng(0).random((7, 20))
    sets = [set(np.argsort(-each)[:3]) for each in drop]
    chosen = strongest(drop, 3)
    assert [set(np.flatnonzero(each)) for each in chosen] == sets
    within = np.mean([len(a & b) / 3 for a, b in combinations(sets, 2)])
    across = np.mean([len(a & b) / 3 for a, b in product(sets[:3], sets[3:])])
    assert shared(chosen) == pytest.approx(within) and shared(chosen[:3], chosen[3:]) == pytest.approx(across)
    assert np.isnan(shared(chosen[:1])) and strongest(np.zeros((1, 4)), 2).tolist() == [[True, True, False, False]]


def test_planted_heads_are_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(1)
    noise = rng.random((24, 40))
    planted = noise.copy()
    planted[:12, [3, 7]] += 2
    planted[12:, [25, 30]] += 2
    found = {each.which: each for each in overlaps(made(planted, 12), 199)}
    assert found["apart"].p <= 0.005 and found["memorized"].p <= 0.005 and found["memorized"].value >= 0.5
    assert found["across"].value < 0.2 and found["memorized"].value > found["memorized"].high
    nothing = {each.which: each for each in overlaps(made(noise, 12), 199)}
    assert all(each.p > 0.01 for each in nothing.values())


def test_a_layer_that_all_rows_need_is_no_finding() -> None:
    """Strongest heads of one layer, at random in it: more in common than among all heads, as much as chance says."""
    drop = np.random.default_rng(2).random((24, 40))
    drop[:, :20] += 2
    found = {each.which: each for each in overlaps(made(drop, 12), 199)}
    assert found["memorized"].value > 1.4 * 4 / 40 and found["memorized"].p > 0.01


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"RowHeads.drop: got shape \(3, 3\), expected \(3, 4\)"):
        RowHeads(*(np.zeros(3),) * 2, np.array(8), *(np.zeros(4),) * 2, np.zeros(3), np.zeros((3, 3)))
