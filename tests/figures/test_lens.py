"""The figures of the layers, by the data in them."""

from __future__ import annotations

import numpy as np

from memviz.figures.lens import commit_figure, depth_figure, lens_figure
from memviz.measures.lens import NEVER, LensScores

L, M, K = 3, 4, 10
RANK = np.array([[9, 1, 20_000, 3], [1, 1, 100, 2], [1, 1, 10, 1]], np.int32)
"""Commit layers 1, 0, none, 2."""


def scores(probability: float = 0.25) -> LensScores:
    return LensScores(
        rank=RANK,
        logprob=np.log(np.full((L, M), probability, np.float32)),
        entropy=np.ones((L, M), np.float32),
        top_ids=np.zeros((L, M, 5), np.int32),
        top_logprobs=np.zeros((L, M, 5), np.float32),
    )


def test_a_cell_is_its_layer_and_position_on_a_fixed_scale() -> None:
    heat, _, line, marks = lens_figure(scores(), "rank", ["a", "<b>", " c", "d"], K, chosen=(1, 2)).data
    np.testing.assert_allclose(heat.z, np.log10(np.minimum(RANK, 10_000)))
    assert (heat.zmin, heat.zmax) == (0, 4)
    assert [tuple(cell) for cell in marks.customdata] == [(y, x) for y, x in zip(marks.y, marks.x, strict=True)]
    assert len(marks.x) == L * M and "rank 20,000" in marks.text[2] and "&lt;b&gt;" in marks.text[1]
    assert list(line.y) == [0.5, 0.5, -0.5, -0.5, None, None, 1.5, 1.5]
    heat = lens_figure(scores(), "probability", list("abcd"), K).data[0]
    np.testing.assert_allclose(heat.z, 0.25)
    assert (heat.zmin, heat.zmax) == (0, 1)


def test_tokens_stand_on_the_axis_as_text_never_as_markup() -> None:
    figure = lens_figure(scores(), "rank", ["a", "<b>", " c", "d"], K, chosen=(1, 2))
    assert list(figure.layout.xaxis.ticktext)[:2] == ["a  10", "&lt;b&gt;  11"]
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (1.5, 2.5, 0.5, 1.5)


def test_cells_are_written_with_what_they_say_where_there_is_room() -> None:
    tops = ["a", "<b>", "·longer word", "d", *["x"] * (L * M - 4)]
    heat = lens_figure(scores(), "rank", list("abcd"), K, tops=tops).data[0]
    assert list(heat.text[0]) == ["a", "&lt;b", "lo", "d"]
    assert lens_figure(scores(), "rank", list("abcd"), K).data[0].text is None


def test_models_of_different_depth_share_an_axis() -> None:
    figure = commit_figure({"small": (np.array([1, NEVER]), 2), "large": (np.array([3, 0]), 4)}, ["a", "<"], K)
    (heat,) = figure.data
    np.testing.assert_array_equal(heat.z, [[0.5, np.nan], [0.75, 0]])
    assert list(heat.x) == [10, 11] and list(heat.y) == ["small", "large"]
    assert tuple(heat.text[0]) == ("from layer 1 of 2", "the last layer says another token")
    (line,) = depth_figure({"one": scores(0.5)}).data
    np.testing.assert_allclose(line.x, [0, 0.5, 1])
    np.testing.assert_allclose(line.y, 0.5)


def test_nothing_to_draw_is_drawn_empty() -> None:
    assert not commit_figure({}, [], K).data and not depth_figure({}).data
