"""Figures of Causes by the data in them; foreign tokens stay text."""

from __future__ import annotations

import numpy as np

from memviz.figures.causes import heads_figure, heat_figure, silenced_figure, strip_html, written_figure
from memviz.measures.causes import Contributions, Heads


def heads() -> Heads:
    m = 2
    zero = np.log(np.array([[0.5, 0.5], [0.25, 0.5], [0.5, 0.125]], np.float32))
    whole = np.log(np.array([0.5, 0.5], np.float32))
    return Heads(
        true_ids=np.array([3, 4]),
        layer=np.array([1, 1, 3], np.int32),
        number=np.array([0, 1, 0], np.int32),
        whole_logprob=whole,
        whole_match=np.array([True, True]),
        zero_logprob=zero,
        zero_match=np.array([[True, True], [False, True], [True, False]]),
        mean_logprob=zero,
        mean_match=np.ones((3, m), bool),
        n_silenced=np.array([1, 2, 3], np.int32),
        strongest_logprob=np.zeros((3, m), np.float32),
        strongest_match=np.zeros((3, m), bool),
        random_logprob=np.stack([np.full((3, m), -1.0), np.full((3, m), -3.0)], axis=1).astype(np.float32),
        random_match=np.zeros((3, 2, m), bool),
    )


def test_heads_stand_at_their_layer_and_number() -> None:
    found = heads_figure(heads(), "zero", 2).data[0]
    np.testing.assert_allclose(found.z, [[0, np.log(2) / 2], [np.nan] * 2, [np.log(4) / 2, np.nan]], atol=1e-6)
    np.testing.assert_array_equal(np.nan_to_num(found.customdata, nan=-1), [[0, 2], [-1, -1], [1, -1]])


def test_several_heads_stand_beside_the_range_of_random_orders() -> None:
    figure = silenced_figure(heads())
    band, random, strongest = figure.data
    assert list(strongest.x) == [0, 1, 2, 3] and list(strongest.y)[1:] == [0, 0, 0]
    np.testing.assert_allclose(list(random.y)[1:], [-2, -2, -2])
    assert min(band.y) == -3 and max(band.y) == np.float32(np.log(0.5))


def test_what_layers_wrote_is_split_where_it_adds_up() -> None:
    layer = np.array([[1.0, 3.0], [2.0, -2.0]], np.float32)
    rest = {name: np.zeros(2, np.float32) for name in ("difference", "start", "constant")}
    ids = np.array([1, 2])
    known = Contributions(ids, ids, layer=layer, attention=layer / 2, **rest)
    bars = {bar.name: list(bar.y) for bar in written_figure(known, None).data}
    assert bars == {"attention": [1.0, 0.0], "MLP": [1.0, 0.0]}
    assert list(written_figure(known, 1).data[0].y) == [1.5, -1.0]
    unknown = Contributions(ids, ids, layer=layer, attention=np.full((2, 2), np.nan), **rest)
    assert [bar.name for bar in written_figure(unknown, None).data] == ["the layer"]


def test_foreign_tokens_stay_text() -> None:
    words = ["<img src=x onerror=alert(1)>", '"a&b']
    strip = strip_html(np.array([1.5, np.nan]), words, "nats", 1.5, np.array([True, False]))
    assert "<img" not in strip and "&lt;img" in strip and "&quot;a&amp;b" in strip
    assert strip.count("border-bottom") == 1 and ",0.70)" in strip and ",0.00)" in strip
    figure = heat_figure(np.zeros((2, 2)), words, words, "%{customdata[0]}", ("x", "y", "z"), 6.0)
    assert "<img" not in str(figure.to_json())
    further = heat_figure(np.zeros((1, 2)), ["a"], ["b", "c"], "", ("x", "y", "z"), 6.0, further=[["p", "q"]])
    assert [list(map(tuple, row)) for row in further.data[0].customdata] == [[("a", "b", "p"), ("a", "c", "q")]]
