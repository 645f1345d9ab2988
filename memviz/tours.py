"""A tour of one's own: views with address, title, note and picture, in the order in which they are shown."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from memviz import disk
from memviz.errors import InputError
from memviz.settings import Settings

MOST_STOPS = 50
MOST_CHARACTERS = 400
"""Of a title or a note."""
MOST_BYTES = 3_500_000
"""Of one picture."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"


@dataclass(frozen=True)
class Stop:
    """One view. Raises InputError for fields of no use."""

    page: str
    """File name in pages/, without suffix."""
    query: dict[str, str | list[str]]
    """Parameters of the page's address."""
    title: str
    note: str
    picture: str = ""
    """Name of the file that shows it, one self-contained HTML page; empty without."""
    look: str = field(default="", kw_only=True)
    """Which element of the page the note is about, as a CSS selector."""

    def __post_init__(self) -> None:
        for name in ("title", "note"):
            if len(getattr(self, name)) > MOST_CHARACTERS:
                raise InputError(
                    f"the {name} has {len(getattr(self, name)):,} characters: give up to {MOST_CHARACTERS}"
                )
        if not self.title.strip():
            raise InputError("a stop of a tour needs a title: name it")


def _folder(settings: Settings) -> Path:
    return settings.cache / "tour"


def read_tour(settings: Settings) -> list[Stop]:
    """The stops in order; none where there is no tour that can be read."""
    try:
        return [Stop(**each) for each in json.loads((_folder(settings) / "tour.json").read_text("utf-8"))]
    except (OSError, ValueError, TypeError, InputError):
        return []


def keep_tour(stops: Sequence[Stop], settings: Settings) -> None:
    """Keep the stops in this order; pictures that none of them names go. Raises InputError, Failure."""
    if len(stops) > MOST_STOPS:
        raise InputError(f"a tour of {len(stops)} stops is too long: up to {MOST_STOPS}; take one away first")
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    disk.write_text(folder / "tour.json", json.dumps([asdict(each) for each in stops], indent=1) + "\n")
    named = {each.picture for each in stops}
    for path in folder.glob("*.html"):
        if path.name not in named:
            path.unlink(missing_ok=True)


def add_stop(stop: Stop, picture: str, settings: Settings) -> None:
    """Add a view behind the others, with the page that shows it. Raises InputError, Failure."""
    n_bytes = len(picture.encode())
    if n_bytes > MOST_BYTES:
        raise InputError(f"the picture of this view has {n_bytes / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f}")
    name = f"{hashlib.sha256(picture.encode()).hexdigest()[:24]}.html" if picture else ""
    stops = [*read_tour(settings), Stop(stop.page, stop.query, stop.title, stop.note, name, look=stop.look)]
    if picture:
        _folder(settings).mkdir(parents=True, exist_ok=True)
        disk.write_text(_folder(settings) / name, picture)
    keep_tour(stops, settings)


def tour_page(stops: Sequence[Stop], address: str, settings: Settings) -> str:
    """The tour as one page without scripts that needs no network: each stop with its address, note and picture.

    Pictures stand in frames that may do nothing, under a policy of their own that lets nothing in from outside.
    """
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>A memviz tour</title>"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}; frame-src \'self\' about:">'
        "<style>body{font:17px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}"
        "iframe{width:100%;height:80vh;border:1px solid #888;border-radius:6px}section{min-height:96vh}"
        "code{overflow-wrap:anywhere}nav a{margin-right:1rem}</style>"
    ]
    for number, stop in enumerate(stops, 1):
        near = [(number - 1, "\N{LEFTWARDS ARROW} back"), (number + 1, "next \N{RIGHTWARDS ARROW}")]
        links = [f'<a href="#stop-{to}">{said}</a>' for to, said in near if 1 <= to <= len(stops)]
        parts.append(
            f'<section id="stop-{number}"><h2>{html.escape(stop.title)}</h2><nav>{number} of {len(stops)} '
            f"{''.join(links)}</nav><p>{html.escape(stop.note)}</p>{_framed(stop, settings)}"
            f"<p><code>{html.escape(f'{address}{link_of(stop)}')}</code></p></section>"
        )
    return "\n".join((*parts, "</html>\n"))


def link_of(stop: Stop) -> str:
    """Its address after the server's own."""
    return f"{stop.page}?{urlencode(stop.query, doseq=True)}"


def _framed(stop: Stop, settings: Settings) -> str:
    try:
        picture = (_folder(settings) / stop.picture).read_text("utf-8") if stop.picture else ""
    except OSError:
        picture = ""
    if not picture:
        return "<p>Kept without a picture: open the address.</p>"
    strict = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    about = f'title="{html.escape(stop.title)}" srcdoc="{html.escape(strict + picture)}"'
    return f'<iframe sandbox loading="lazy" {about}></iframe>'
