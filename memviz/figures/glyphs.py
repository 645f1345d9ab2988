"""Token pieces as text that can be seen: spaces, control and zero-width characters, partial bytes.

A piece is drawn as segments: strings that are in turn plain text and glyphs, plain first, so that a drawn `·` for a
space and a real `·` can be told apart by style. `" the"` is `["", "·", "the"]`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from memviz.records import Piece

NEWLINE = "↵"
SPACE = "·"
EMPTY = "∅"
_VISIBLE = {" ": SPACE, "\n": NEWLINE, "\t": "→", "\x7f": "␡"} | {
    chr(code): chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)
}
_ABBREVIATIONS = {
    0x00A0: "NBSP", 0x00AD: "SHY", 0x061C: "ALM", 0x200B: "ZWSP", 0x200C: "ZWNJ", 0x200D: "ZWJ", 0x200E: "LRM",
    0x200F: "RLM", 0x2028: "LS", 0x2029: "PS", 0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO",
    0x202E: "RLO", 0x202F: "NNBSP", 0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI",
    0x3000: "IDSP", 0xFEFF: "BOM",
}  # fmt: skip
_BLANK = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
"""Letters and marks that are drawn as nothing at all; variation selectors are handled by range."""
_UNSEEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zs", "Zl", "Zp"}
"""Unicode categories: controls, formats, unassigned and private characters, and spaces other than U+0020."""


def segments(piece: Piece) -> list[str]:
    """Plain text and glyphs in turn, plain first, together never empty; a special token is one glyph, its name."""
    if piece.special:
        return ["", piece.name or EMPTY]
    if not piece.raw:
        return ["", EMPTY]
    drawn = [""]
    for text, is_glyph in _characters(piece.raw):
        if len(drawn) % 2 == is_glyph:  # an odd number of segments ends in plain text
            drawn.append("")
        drawn[-1] += text
    return drawn


def _characters(raw: bytes) -> list[tuple[str, bool]]:
    """Each character, or each byte of an incomplete one, with whether it is drawn as a glyph."""
    found: list[tuple[str, bool]] = []
    after_mark_base = False
    for character in raw.decode("utf-8", "surrogateescape"):
        code = ord(character)
        if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: the byte is in the low bits
            found.append((f"⟨{code - 0xDC00:02X}⟩", True))
            after_mark_base = False
        elif (glyph := _glyph(character)) is not None:
            found.append((glyph, True))
            after_mark_base = False
        else:
            is_mark = unicodedata.category(character).startswith("M")
            if is_mark and not after_mark_base:
                found.append(("◌", True))  # a mark of its own needs something to sit on
            found.append((character, is_mark and not after_mark_base))
            after_mark_base = after_mark_base or not is_mark
    return found


def _glyph(character: str) -> str | None:
    """What stands for a character that cannot be seen or would move its neighbours; None where it may stand itself."""
    if character in _VISIBLE:
        return _VISIBLE[character]
    code = ord(character)
    if code in _ABBREVIATIONS:
        return f"⟨{_ABBREVIATIONS[code]}⟩"
    is_selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    if is_selector or code in _BLANK or unicodedata.category(character) in _UNSEEN:
        return f"⟨U+{code:04X}⟩"
    return None


def visible(pieces: Iterable[Piece]) -> list[str]:
    """Each piece as text that can be seen."""
    return ["".join(segments(piece)) for piece in pieces]
