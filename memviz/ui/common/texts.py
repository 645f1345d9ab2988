"""Texts of unknown origin as Markdown."""

from __future__ import annotations

import re

_LINKS = re.compile(r"(?<=https:)(?=//)|(?<=http:)(?=//)|(?<=www)(?=\.)|(?=@[-\w]+\.[-\w])", re.IGNORECASE)
"""Where an address in a text, which becomes a link by itself, is cut by what cannot be seen."""


def escaped(text: str) -> str:
    """A text of unknown origin so that Markdown shows it as it stands, and makes no link of an address in it."""
    text = _LINKS.sub("\N{WORD JOINER}", text)
    return re.sub(r"([\\`*_{}\[\]()#+\-.!~|<>:$^=&])", r"\\\1", text)


def as_option(text: str) -> str:
    """An option of unknown origin as Markdown; a plain one as it stands, for addresses name options by these words."""
    return text if re.fullmatch(r"(?!.*www\.)[\w .,()'-]*", text) else escaped(text)


def told(error: object) -> str:
    """What an error says, which may quote what others wrote, with nothing but its own `code` read as Markdown."""
    parts = re.split("(`[^`]*`)", str(error))
    return "".join(part if place % 2 else escaped(part) for place, part in enumerate(parts))
