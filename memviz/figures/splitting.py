"""The tokens of a text with the movable border between context and continuation, as plain data for its component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memviz.figures.glyphs import segments
from memviz.figures.source import Source, digest
from memviz.records import Piece

SPLIT = Source("split/split", ("split/split",))
N_SHOWN = 800
"""Tokens drawn at most; the border can be moved among them."""


def split_data(pieces: Sequence[Piece], n_tokens: int, n_context: int, n_continuation: int) -> dict[str, Any]:
    """The component's data, plain JSON types; `id` changes when the text does, not when its border moves.

    pieces: the first `N_SHOWN` at most of the text's n_tokens tokens.
    """
    drawn, rest = [segments(piece) for piece in pieces[:N_SHOWN]], max(0, n_tokens - N_SHOWN)
    return {
        "id": digest([drawn, rest]),
        "segments": drawn,
        "rest": rest,
        "context": n_context,
        "continuation": n_continuation,
    }
