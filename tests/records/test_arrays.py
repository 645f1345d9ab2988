"""Records and their arrays: what is saved comes back, and what does not fit is named with both shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.traces import small_trace

from memviz.records import Prompts, Trace, from_arrays, to_arrays


@pytest.mark.parametrize("has_truth", [True, False])
def test_what_is_saved_comes_back(has_truth: bool) -> None:
    trace = small_trace(has_truth)
    arrays = to_arrays(trace)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    back = from_arrays(Trace, arrays)
    assert (back.teacher_forced is None) == (not has_truth)
    np.testing.assert_array_equal(back.generated_ids, [[2, 4, 4]])
    np.testing.assert_array_equal(back.context.entropy, np.float32([[np.nan, 1.25]]))
    assert to_arrays(back).keys() == arrays.keys()


def test_an_array_that_is_missing_is_named() -> None:
    arrays = to_arrays(small_trace())
    del arrays["generated_ids"]
    with pytest.raises(ValueError, match=r"Trace\.generated_ids: missing from the stored arrays"):
        from_arrays(Trace, arrays)


def test_shapes_that_do_not_fit_are_said_with_what_was_expected() -> None:
    trace = small_trace()
    with pytest.raises(ValueError, match=r"got shape \(1, 2\), expected \(1, 3\)"):
        replace(trace, continuation_ids=np.array([[2, 3]]))
    with pytest.raises(ValueError, match=r"Prompts\.context_ids: got shape \(1, 0\), expected \(n, k\) with n, k >= 1"):
        Prompts(np.zeros((1, 0), np.int64), None)
