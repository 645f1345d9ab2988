"""Generated and true tokens in the alignment of fewest edits, as escaped HTML that wraps with its place."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from memviz.figures.glyphs import segments
from memviz.records import Piece

SAME, OTHER, PUT_IN, LEFT_OUT = "=", "≠", "+", "−"
WORDS = {SAME: "the same", OTHER: "exchanged", PUT_IN: "put in", LEFT_OUT: "left out"}
_GAP = "&nbsp;"
STYLE = """<style>
.aligned{display:flex;flex-wrap:wrap;gap:6px 1px;font:13px/1.45 'Source Code Pro',monospace;margin:0;padding:0}
.aligned div{display:flex;flex-direction:column;border-bottom:2px solid transparent;padding:0 3px;white-space:pre}
.aligned .same{border-bottom-color:currentColor}
.aligned .other{border-bottom:2px dashed #d55e00}
.aligned .in,.aligned .out{border-bottom:2px dotted #0072b2;background:rgba(0,114,178,.14)}
.aligned i{font-style:normal;opacity:.62}
.aligned b{font-weight:600;text-align:center}
</style>"""
_CLASSES = {SAME: "same", OTHER: "other", PUT_IN: "in", LEFT_OUT: "out"}


def mark_of(pair: tuple[int | None, int | None], generated: Sequence[int], true: Sequence[int]) -> str:
    """What became of a pair of `alignment`."""
    i, j = pair
    if i is None or j is None:
        return LEFT_OUT if i is None else PUT_IN
    return SAME if generated[i] == true[j] else OTHER


def aligned_html(
    pairs: Sequence[tuple[int | None, int | None]],
    generated: Sequence[int],
    true: Sequence[int],
    pieces: Sequence[tuple[Piece | None, Piece | None]],
) -> str:
    """A column a pair: the true token, the generated one, and what became of it. Pieces: generated and true."""
    columns = []
    for pair, (own, wanted) in zip(pairs, pieces, strict=True):
        mark = mark_of(pair, generated, true)
        place = f"position {pair[1]}" if pair[1] is not None else f"generated position {pair[0]}"
        columns.append(
            f'<div class="{_CLASSES[mark]}" title="{place}: {WORDS[mark]}">'
            f"<span>{_drawn(wanted)}</span><span>{_drawn(own)}</span><b>{mark}</b></div>"
        )
    return f'{STYLE}<div class="aligned">{"".join(columns)}</div>'


def _drawn(piece: Piece | None) -> str:
    if piece is None:
        return f"<i>{_GAP}</i>"
    return "".join(
        f"<i>{escape(part)}</i>" if glyph else escape(part) for glyph, part in _numbered(segments(piece)) if part
    )


def _numbered(parts: Sequence[str]) -> list[tuple[bool, str]]:
    """With whether each is a glyph: plain text and glyphs in turn, plain first."""
    return [(place % 2 == 1, part) for place, part in enumerate(parts)]
