import numpy as np
import pytest

from memviz.measures import boundary

CONTEXT = np.array([[np.nan, 4.0, 3.0, 2.0, 1.0]])
CONTINUATION = np.array([[5.0, 6.0, 7.0, 8.0]])


@pytest.mark.parametrize(("window", "expected"), [(1, 5 - 1), (2, 5.5 - 1.5), (4, 6.5 - 2.5), (5, np.nan), (9, np.nan)])
def test_windows_by_hand(window, expected):
    np.testing.assert_allclose(boundary.boundary_effect(CONTEXT, CONTINUATION, window), [expected])


def test_a_window_over_index_zero_is_unknown():
    assert np.isnan(boundary.boundary_effect(CONTEXT[:, :4], CONTINUATION, 4)).all()


def test_measures_name_their_mode(make_trace):
    trace = make_trace(
        [[0] * 4],
        [[1] * 4],
        context_entropy=CONTEXT.copy(),
        free_running={"entropy": CONTINUATION},
        teacher_forced={"entropy": np.array([[5.0, 1.0, 1.0, 1.0]])},
    )
    assert boundary.entropy_jump(trace).tolist() == [4]
    assert boundary.entropy_jump_w4_free_running(trace).tolist() == [4]
    assert boundary.entropy_jump_w4_teacher_forced(trace).tolist() == [2 - 2.5]


def test_one_token_of_context_or_continuation(make_trace):
    assert np.isnan(boundary.entropy_jump(make_trace([[1, 2]], k=1))).all()
    trace = make_trace([[1]], k=2, free_running={"entropy": np.array([[3.0]])})
    assert boundary.entropy_jump(trace).tolist() == [2]
    assert np.isnan(boundary.entropy_jump_w4_free_running(trace)).all()


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"^window: got 0, expected at least 1 index on either side of the boundary$"):
        boundary.boundary_effect(CONTEXT, CONTINUATION, 0)
