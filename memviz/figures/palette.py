"""The colours of Plotly figures: those of the page's theme, put in by the browser, or one theme's own for documents."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Literal

from memviz.settings import ROOT


@dataclass(frozen=True)
class Palette:
    """Colours as Plotly takes them."""

    categorical: tuple[str, ...]
    """Told apart by colour-blind readers in this order."""
    sequential: tuple[str, ...]
    """Ten, from that of the ground to that of most contrast."""
    levels: tuple[str, ...]
    """Five, of score levels from very low to very high; `text` is read on the first three, `ground` on the others."""
    sizes: tuple[str, ...]
    """Six of one hue for ascending model sizes; words in them have a contrast of 4.5, and 1.2 to the next."""
    text: str
    muted: str
    """Of rules, floors and notes."""
    ground: str

    def ladder(self, n: int) -> list[str]:
        """n colours of one hue for ascending sizes; beyond six some repeat."""
        last = len(self.sizes) - 1
        return [self.sizes[round(last * i / (n - 1))] if n > 1 else self.sizes[last // 2] for i in range(n)]


THEMED = Palette(
    categorical=tuple(f"#{i:06d}" for i in range(1, 7)),
    sequential=tuple(f"#{i:06d}" for i in range(11, 21)),
    levels=tuple(f"#{i:06d}" for i in range(26, 31)),
    sizes=("#000017", *(f"#{i:06d}" for i in range(21, 26))),
    text="#000037",
    muted="#000036",
    ground="#000038",
)
"""What Streamlit's theme of Plotly figures writes in the place of colours: its client puts the theme's own there.

So a figure is right in light and dark when it is drawn. Its client keeps no note of what it has put in: where the theme
changes under a page, the text of axes and legends follows by the page's style, marks keep the colours of before.
"""


def palette(mode: Literal["light", "dark"]) -> Palette:
    """The colours of one theme of .streamlit/config.toml, for figures outside the pages."""
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))["theme"][mode]
    return Palette(
        categorical=tuple(theme["chartCategoricalColors"]),
        sequential=tuple(theme["chartSequentialColors"]),
        levels=tuple(theme["chartDivergingColors"][5:]),
        sizes=(theme["chartSequentialColors"][6], *theme["chartDivergingColors"][:5]),
        text=theme["textColor"],
        muted=theme["grayColor"],
        ground=theme["backgroundColor"],
    )
