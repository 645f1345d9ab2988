"""What names and links of an earlier edition of the bundled suite were of, whose files no longer come along."""

from __future__ import annotations

from memviz.catalog.sources import SUITE_MODELS
from memviz.errors import InputError
from memviz.weights import read_json

FORMER = SUITE_MODELS.parent / "former.json"
"""edition: its name; models: name -> that of the nearest size now; runs: beginning of a request's hash -> title."""


def former(name: str) -> str:
    """One sentence on a model's name, or the beginning of a request's hash, of an earlier edition; empty for others."""
    try:
        known = read_json(FORMER)
    except InputError:
        return ""
    edition = f"of the bundled suite's {known['edition']} edition, which this version no longer carries"
    if nearest := known["models"].get(name.partition("@")[0]):
        return f"model {name!r} was {edition}: the size nearest to it is {nearest!r}"
    runs = known["runs"].items() if len(name) >= 8 else ()
    title = next((title for run, title in runs if run.startswith(name[: len(run)])), "")
    return title and f"this link is to {title!r} of the gallery {edition}: see the gallery for what takes its place"
