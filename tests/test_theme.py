"""The palette keeps WCAG 2.1 AA: 4.5 for text, 3 for the marks of figures and controls."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from support.colours import Colour, contrast, luminance, mix, rgb
from support.serving import ROOT

CONFIG = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())


def theme(mode: str) -> dict[str, Any]:
    return CONFIG["theme"][mode]


def grounds(mode: str) -> list[Colour]:
    of = theme(mode)
    return [rgb(of[key]) for key in ("backgroundColor", "secondaryBackgroundColor")] + [
        rgb(of["sidebar"]["backgroundColor"])
    ]


def test_contrast_of_known_pairs() -> None:
    assert contrast(rgb("#000000"), rgb("#ffffff")) == pytest.approx(21)
    assert contrast(rgb("#767676"), rgb("#ffffff")) == pytest.approx(4.54, abs=0.01)  # the textbook limit


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_is_readable(mode: str) -> None:
    text = rgb(theme(mode)["textColor"])
    for ground in grounds(mode):
        assert contrast(text, ground) >= 7
        assert contrast(mix(text, ground, 0.6), ground) >= 4.5, "captions: Streamlit draws them at 60 %"
        assert contrast(rgb(theme(mode)["linkColor"]), ground) >= 4.5
    assert contrast(rgb("#ffffff"), rgb(theme(mode)["primaryColor"])) >= 4.5, "the primary button writes in white"
    assert contrast(rgb(theme(mode)["primaryColor"]), grounds(mode)[0]) >= 3


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_coloured_text_and_marks_are_readable(mode: str) -> None:
    ground = grounds(mode)[0]
    of = theme(mode)
    for name in ("blue", "green", "orange", "red", "yellow", "violet", "gray"):
        mark = rgb(of[f"{name}Color"])
        assert contrast(mark, ground) >= 3, name
        if text := of.get(f"{name}TextColor"):
            assert contrast(rgb(text), mix(mark, ground, 0.1)) >= 4.5, f"{name} text on its own notice"
    for colour in of["chartCategoricalColors"]:
        assert contrast(rgb(colour), ground) >= 3, colour


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_sequential_scale_runs_one_way(mode: str) -> None:
    levels = [luminance(rgb(colour)) for colour in theme(mode)["chartSequentialColors"]]
    assert len(levels) == 10
    assert levels == sorted(levels, reverse=mode == "light")


def test_nothing_is_fetched_or_reported() -> None:
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert "http" not in str(CONFIG)
