from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memviz.figures.glyphs import segments
from memviz.records import Piece


def drawn(raw: bytes | str) -> list[str]:
    return segments(Piece(raw if isinstance(raw, bytes) else raw.encode(), False, "name"))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (" the", ["", "·", "the"]),
        ("a b", ["a", "·", "b"]),
        ("·", ["·"]),  # a real middle dot is plain text
        ("\n\n", ["", "↵↵"]),
        ("a\tb", ["a", "→", "b"]),
        ("\r", ["", "␍"]),
        ("\x00", ["", "␀"]),
        ("\x85", ["", "⟨U+0085⟩"]),
        (b"\xe2\x80", ["", "⟨E2⟩⟨80⟩"]),
        (b"\xe2\x80\x93", ["–"]),
        (b"a\xff", ["a", "⟨FF⟩"]),
        (b"\xed\xa0\x80", ["", "⟨ED⟩⟨A0⟩⟨80⟩"]),  # a surrogate is not UTF-8
        ("👩\u200d🔬", ["👩", "⟨ZWJ⟩", "🔬"]),
        ("\u202eabc", ["", "⟨RLO⟩", "abc"]),
        ("\u200b", ["", "⟨ZWSP⟩"]),
        ("\ufe0f", ["", "⟨U+FE0F⟩"]),
        ("\u3164", ["", "⟨U+3164⟩"]),
        ("\U000e0041", ["", "⟨U+E0041⟩"]),
        ("\u2003", ["", "⟨U+2003⟩"]),
        ("e\u0301", ["e\u0301"]),
        ("\u0301", ["", "◌\u0301"]),
        ("שלום", ["שלום"]),
        ("<script>alert(1)</script>", ["<script>alert(1)</script>"]),
        ("", ["", "∅"]),
    ],
)
def test_segments(raw: bytes | str, expected: list[str]) -> None:
    assert drawn(raw) == expected


def test_a_special_token_is_its_name_alone() -> None:
    assert segments(Piece(b"<bos>", True, "<bos>")) == ["", "<bos>"]
    assert drawn("<bos>") == ["<bos>"]  # the same characters as text are text
    assert segments(Piece(b"", True, "")) == ["", "∅"]


@given(st.binary(max_size=30))
def test_nothing_unseen_is_ever_drawn(raw: bytes) -> None:
    parts = drawn(raw)
    assert "".join(parts)
    assert all(parts[1:])  # only the first plain segment may be empty
    for character in "".join(parts):
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cn", "Co", "Cs", "Zs", "Zl", "Zp"}


@given(st.text(alphabet="abcé日 \n\t", min_size=1, max_size=20))
def test_plain_segments_keep_the_text(text: str) -> None:
    back = {"·": " ", "↵": "\n", "→": "\t"}
    parts = drawn(text)
    assert "".join("".join(back[g] for g in part) if i % 2 else part for i, part in enumerate(parts)) == text
