"""Changed contexts, spelled out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from memviz.measures.perturbation import MAX_SCANNED, Perturbed, random_ids, shortest, variants

CONTEXT = (1, 10, 20, 30)  # one leading token


def of(operation: str, *rest: object, **given: object) -> dict[int, tuple[int, ...]]:
    found = variants(operation, CONTEXT, 1, *rest, **given)  # type: ignore[arg-type]
    return {one.at: one.context_ids for one in found}


def test_every_suffix_keeps_the_leading_token() -> None:
    assert of("suffix") == {0: (1,), 1: (1, 30), 2: (1, 20, 30), 3: CONTEXT}
    assert [one.context_ids for one in variants("suffix", (10, 20))] == [(20,), (10, 20)], "no context is left of none"


def test_one_or_more_tokens_are_dropped_or_replaced_at_each_place() -> None:
    assert of("drop") == {0: (1, 20, 30), 1: (1, 10, 30), 2: (1, 10, 20)}
    assert of("drop", 2) == {0: (1, 30), 1: (1, 10)}
    assert of("replace", 1, (7, 8, 9)) == {0: (1, 7, 20, 30), 1: (1, 10, 8, 30), 2: (1, 10, 20, 9)}
    assert of("replace", 2, (7,)) == {0: (1, 7, 7, 30), 1: (1, 10, 7, 7)}, "a short filler is repeated"


def test_more_and_more_is_put_in_front() -> None:
    found = of("prepend", 1, (5, 6, 7, 8, 9))
    assert list(found) == [1, 2, 4, 5] and found[2] == (1, 5, 6, 10, 20, 30)
    assert list(of("prepend", 1, (5, 6, 7, 8, 9), longest=6)) == [1, 2], "what the model cannot read is left out"


def test_long_contexts_are_scanned_at_even_distances() -> None:
    found = [one.at for one in variants("suffix", range(1000))]
    assert len(found) == MAX_SCANNED and found[0] == 1 and found[-1] == 1000
    assert set(np.diff(found)) <= {7, 8}


@pytest.mark.parametrize(("arguments", "message"), [(("replace",), "filler has 0"), (("drop", 4), "the context has 3")])
def test_what_cannot_be_done_is_said(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of(*arguments)  # type: ignore[arg-type]


def test_random_ids_are_those_of_the_seed_and_only_allowed_ones() -> None:
    assert random_ids([3, 5], 20, 1) == random_ids([3, 5], 20, 1) != random_ids([3, 5], 20, 2)
    assert set(random_ids([3, 5], 20, 1)) == {3, 5}


def test_the_shortest_that_suffices_and_the_longer_ones_that_do_not() -> None:
    at, score = np.array([1, 2, 3, 4, 5]), np.array([0, 1, 0.5, 1, 1])
    least, gaps = shortest(at, score, 1)
    assert least == 2 and gaps.tolist() == [3]
    assert shortest(at, score, 1.1) == (None, pytest.approx([]))


def test_scores_of_changed_contexts() -> None:
    found = Perturbed(
        at=np.array([1, 2]),
        generated_ids=np.array([[1, 2], [1, 9]]),
        logprob=np.array([[-1, -3], [0, -1]], np.float32),
        true_ids=np.array([1, 2]),
        whole_ids=np.array([9, 2]),
        whole_logprob=np.zeros(2, np.float32),
    )
    assert found.score.tolist() == [1, 0.5] and found.whole_score == 0.5
    assert found.mean_logprob.tolist() == [-2, -0.5]
