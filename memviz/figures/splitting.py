"""The tokens of a text with the movable border between context and continuation, as plain data for its component."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memviz.figures.glyphs import segments
from memviz.records import Piece

COMPONENTS = Path(__file__).parent / "components"
N_SHOWN = 800
"""Tokens drawn at most; the border can be moved among them."""


def split_data(pieces: Sequence[Piece], n_tokens: int, n_context: int, n_continuation: int) -> dict[str, Any]:
    """The component's data, plain JSON types; `id` changes when the text does, not when its border moves.

    pieces: the first `N_SHOWN` at most of the text's n_tokens tokens.
    """
    drawn, rest = [segments(piece) for piece in pieces[:N_SHOWN]], max(0, n_tokens - N_SHOWN)
    return {
        "id": hashlib.sha256(json.dumps([drawn, rest]).encode()).hexdigest()[:16],
        "segments": drawn,
        "rest": rest,
        "context": n_context,
        "continuation": n_continuation,
    }


def split_css() -> str:
    """The component's style sheet."""
    return (COMPONENTS / "split" / "split.css").read_text("utf-8")


def split_js() -> str:
    """The component as one ES module."""
    modules = [(COMPONENTS / name).read_text("utf-8") for name in ("trace/nodes.js", "split/split.js")]
    return re.sub(r"^import .*\n", "", "\n".join(modules), flags=re.MULTILINE)
