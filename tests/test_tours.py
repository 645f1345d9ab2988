"""A tour of one's own: kept in order, cleaned up after, taken along as one page that does nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from memviz.errors import InputError
from memviz.settings import Settings, load_settings
from memviz.tours import MOST_STOPS, Stop, add_stop, keep_tour, read_tour, tour_page


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(cache=tmp_path / "cache")


def test_stops_are_kept_in_order_and_pictures_go_with_them(settings: Settings) -> None:
    assert read_tour(settings) == []
    for name in ("first", "second"):
        add_stop(Stop("trace", {"run": [name], "tok": ["3"]}, name, "see"), f"<p>{name}</p>", settings)
    first, second = read_tour(settings)
    assert [first.title, second.title] == ["first", "second"] and first.query == {"run": ["first"], "tok": ["3"]}
    keep_tour([second, first], settings)
    assert read_tour(settings) == [second, first]
    keep_tour([second], settings)
    assert [path.name for path in (settings.cache / "tour").glob("*.html")] == [second.picture]


def test_the_page_shows_every_stop_in_a_frame_that_may_do_nothing(settings: Settings) -> None:
    wicked = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    add_stop(Stop("map", {"sweep": "suite"}, "A <b>map</b>", "n & m"), wicked, settings)
    add_stop(Stop("trace", {}, "No picture", ""), "", settings)
    page = tour_page(read_tour(settings), "http://here/", settings)
    assert "A &lt;b&gt;map&lt;/b&gt;" in page and "n &amp; m" in page and "1 of 2" in page
    assert "http://here/map?sweep=suite" in page and "Kept without a picture" in page
    assert "<script" not in page and "<img" not in page  # they are text of a frame's attribute
    (frame,) = re.findall(r"<iframe ([^>]*)>", page)
    assert frame.startswith("sandbox ") and "allow-scripts" not in frame and "default-src 'none'" in page


@pytest.mark.parametrize(("title", "note"), [("", "note"), ("x" * 401, ""), ("x", "y" * 401)])
def test_stops_of_no_use_are_refused(title: str, note: str) -> None:
    with pytest.raises(InputError, match=r"needs a title|up to 400"):
        Stop("trace", {}, title, note)


def test_a_tour_has_an_end(settings: Settings) -> None:
    with pytest.raises(InputError, match="too long"):
        keep_tour([Stop("trace", {}, "x", "")] * (MOST_STOPS + 1), settings)
    with pytest.raises(InputError, match=r"4\.0 MB"):
        add_stop(Stop("trace", {}, "x", ""), "x" * 4_000_000, settings)


def test_a_tour_that_cannot_be_read_is_none(settings: Settings) -> None:
    add_stop(Stop("trace", {}, "x", ""), "", settings)
    (settings.cache / "tour" / "tour.json").write_text('[{"page": 3}]')
    assert read_tour(settings) == []
