"""The linked strip, curve and alternatives of one traced prompt: a record as the plain data its component draws.

Quantities keep the record's meaning: index j counts tokens of the whole row, values are from the distribution given
the tokens before j, logarithms are natural, and nothing is known at index 0 (null).
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np

from memviz.figures.glyphs import segments
from memviz.records import Piece, Scores, Target, Trace

FORMAT = 1
MODES = ("free_running", "teacher_forced")
FILLS = ("match", "entropy", "surprisal", "rank", "margin")
N_LISTED = 20  # alternatives listed per position
ENTROPY_DOMAINS = (8.0, 13.0)
"""nats. One axis for all prompts and models, readable where trained models live; the second, past ln V of every known
vocabulary, only where an entropy exceeds the first (untrained checkpoints). Larger -log p are drawn at the edge."""

COMPONENT = Path(__file__).parent / "components" / "trace"
MODULES = ("scales", "words", "nodes", "alternatives", "curves", "strip", "trace")
"""In an order in which each comes after those it imports."""


class Pieces(TypedDict):
    """The pieces of each stretch in order, and of every id in the top lists by id."""

    context: Sequence[Piece]
    true: NotRequired[Sequence[Piece] | None]
    generated: Sequence[Piece]
    alternatives: Mapping[int, Piece]


@dataclass(frozen=True)
class Marks:
    """What to mark along the row; every value is an absolute index j, or None where there is none."""

    first_divergence: int | None = None
    resynchronised: int | None = None
    """First index after the divergence where the generated token is again the true one."""
    change_points: tuple[int, ...] = ()
    memorized_end: int | None = None
    """One past the last token of the memorized run that starts at index k."""


class Series(TypedDict):
    """One line, step line or row of cells; null breaks it."""

    label: str
    values: Sequence[float | None] | Literal["entropy", "surprisal"]
    """k + m values by absolute index, or the name of a quantity that follows the chosen mode."""
    style: Literal["main", "faint", "border"]
    """`border` is for cells: 1 draws a solid border, 0 a dashed one."""


class Track(TypedDict):
    """A further view on the same axis: lines and steps under the entropy curve, cells as a row of the strip."""

    id: str
    label: str
    unit: str
    kind: Literal["line", "steps", "cells"]
    scale: Literal["linear", "log"]
    domain: tuple[float, float]
    series: Sequence[Series]
    texts: NotRequired[Sequence[str | None]]
    """k + m hover texts, shown as text."""


def linked_data(
    trace: Trace, row: int, pieces: Pieces, *, marks: Marks | None = None, tracks: Sequence[Track] = ()
) -> dict[str, Any]:
    """One row of a trace as the component's data, plain JSON types.

    `id` changes whenever anything but the tracks does, `tracks_id` whenever they do.

    The caller may add the seeds `pinned` (index or None), `mode` (one of MODES) and `fill` (one of FILLS).
    Raises ValueError where pieces or tracks do not fit the trace.
    """
    k, m, truth = trace.n_context, trace.n_continuation, trace.continuation_ids
    if not 0 <= row < len(trace.generated_ids):
        raise ValueError(f"row {row} is not in the trace; it holds rows 0 to {len(trace.generated_ids) - 1}")
    table = _table(trace, row, pieces)
    free_target = trace.free_running if trace.free_running_true is None else trace.free_running_true
    noise = 2 * float(trace.logit_noise)
    entropies = [trace.context.entropy[row], trace.free_running.entropy[row]]
    forced = None
    if trace.teacher_forced is not None:
        forced = _stretch(trace.teacher_forced, trace.teacher_forced, None, row, table, noise)
        entropies.append(trace.teacher_forced.entropy[row])
    highest = float(np.nan_to_num(np.concatenate(entropies)).max())
    domain = next((top for top in ENTROPY_DOMAINS if highest <= top), ENTROPY_DOMAINS[-1])
    curve: Track = {
        "id": "entropy", "label": "entropy", "unit": "nats", "kind": "line", "scale": "linear", "domain": (0.0, domain),
        "series": [
            {"label": "entropy", "values": "entropy", "style": "main"},
            {"label": f"−log p({'generated' if truth is None else 'true'})", "values": "surprisal", "style": "faint"},
        ],
    }  # fmt: skip
    marks = marks or Marks()
    tokens = np.concatenate([trace.context_ids[row], (trace.generated_ids if truth is None else truth)[row]])
    data: dict[str, Any] = {
        "format": FORMAT,
        "n_context": k,
        "n_continuation": m,
        "truth": truth is not None,
        "pieces": {"ids": list(table.positions), "segments": table.segments},
        "tokens": table.of(tokens),
        "marks": {
            "first_divergence": marks.first_divergence,
            "resynchronised": marks.resynchronised,
            "change_points": list(marks.change_points),
            "memorized_end": marks.memorized_end,
        },
        "context": _stretch(trace.context, trace.context, None, row, table, noise),
        "free_running": _stretch(trace.free_running, free_target, trace.generated_ids[row], row, table, noise),
        "teacher_forced": forced,
    }
    drawn = [_track(track, k + m) for track in (curve, *tracks)]
    return {**data, "id": _digest(data), "tracks": drawn, "tracks_id": _digest(drawn)}


@dataclass(frozen=True)
class _Table:
    """Every piece once: ids in order of appearance, and how each is drawn."""

    positions: dict[int, int]
    segments: list[list[str]]

    def of(self, ids: Iterable[int]) -> list[int | None]:
        """The places of ids in the table, null for unknown ids (negative)."""
        return [self.positions[int(i)] if i >= 0 else None for i in ids]


def _table(trace: Trace, row: int, pieces: Pieces) -> _Table:
    stretches = [
        ("context", trace.context_ids, pieces["context"]),
        ("generated", trace.generated_ids, pieces["generated"]),
    ]
    if trace.continuation_ids is not None:
        stretches.append(("true", trace.continuation_ids, pieces.get("true") or ()))
    known: dict[int, Piece] = {}
    for name, ids, given in stretches:
        if len(given) != ids.shape[1]:
            raise ValueError(f"pieces[{name!r}]: got {len(given)} pieces, expected {ids.shape[1]}, one per token")
        known |= dict(zip((int(i) for i in ids[row]), given, strict=True))
    listed = [s.top_ids[row, :, :N_LISTED] for s in (trace.context, trace.free_running, trace.teacher_forced) if s]
    for i in np.unique(np.concatenate(listed)).tolist():
        if i >= 0 and i not in known:
            if i not in pieces["alternatives"]:
                raise ValueError(f"pieces['alternatives'] lacks token {i}, which is in the top {N_LISTED} somewhere")
            known[i] = pieces["alternatives"][i]
    return _Table({i: place for place, i in enumerate(known)}, [segments(piece) for piece in known.values()])


def _stretch(
    scores: Scores, target: Scores | Target, shown_ids: np.ndarray | None, row: int, table: _Table, noise: float
) -> dict[str, Any]:
    """Per position of one stretch; `shown_ids` are the tokens of the lower row, the most likely ones if None."""
    top_ids, top = scores.top_ids[row, :, :N_LISTED], -scores.top_logprobs[row, :, :N_LISTED]
    if shown_ids is None:
        shown, surprisal, rank = scores.argmax_ids[row], top[:, 0], np.where(top_ids[:, 0] >= 0, 1, 0)
    else:
        shown, surprisal, rank = shown_ids, -scores.logprob[row], scores.rank[row]
    return {
        "shown": table.of(shown),
        "shown_surprisal": _surprisals(surprisal),
        "shown_rank": rank.tolist(),
        "surprisal": _surprisals(-target.logprob[row]),
        "rank": target.rank[row].tolist(),
        "entropy": _numbers(scores.entropy[row], 3),
        "margin": _numbers(scores.margin[row], 3),
        "fragile": (scores.margin[row] < noise).astype(int).tolist(),
        "top": [table.of(ids) for ids in top_ids],
        "top_surprisal": [_surprisals(values) for values in top],
    }


def _track(track: Track, length: int) -> dict[str, Any]:
    low, high = track["domain"]
    if not low < high or (track["scale"] == "log" and low <= 0):
        raise ValueError(f"track {track['id']!r}: domain ({low}, {high}) does not fit a {track['scale']} scale")
    columns = [(entry["label"], entry["values"]) for entry in track["series"]] + [("texts", track.get("texts"))]
    for label, values in columns:
        if values is not None and not isinstance(values, str) and len(values) != length:
            raise ValueError(
                f"track {track['id']!r}, {label}: got {len(values)} values, expected {length}, one per index"
            )
    series = [
        entry
        if isinstance(entry["values"], str)
        else {**entry, "values": _numbers(np.array(entry["values"], float), 4)}
        for entry in track["series"]
    ]
    return {**track, "domain": [low, high], "series": series, "texts": list(track.get("texts") or ()) or None}


def _numbers(values: np.ndarray, decimals: int) -> list[float | None]:
    """Rounded, -0.0 as 0.0, null where not finite: JSON has neither NaN nor infinity."""
    return [round(v, decimals) + 0.0 if np.isfinite(v) else None for v in np.asarray(values, float).tolist()]


def _surprisals(values: np.ndarray) -> list[float | None]:
    """As exact as a probability shown with three decimals needs, and no longer: most of the data are these."""
    fine, coarse = _numbers(values, 4), _numbers(values, 2)
    return [f if f is None or f < 4 else c for f, c in zip(fine, coarse, strict=True)]


def _digest(value: object) -> str:
    return hashlib.sha256(_json(value).encode()).hexdigest()[:16]


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def component_css() -> str:
    """The component's style sheet, for `st.components.v2.component(css=...)`."""
    return (COMPONENT / "trace.css").read_text("utf-8")


def joined(paths: Iterable[Path]) -> str:
    """Modules as one, in an order in which each comes after those it imports."""
    return re.sub(r"^import .*\n", "", "\n".join(path.read_text("utf-8") for path in paths), flags=re.MULTILINE)


def component_js() -> str:
    """The component's modules as one ES module, for `st.components.v2.component(js=...)`, which takes one string."""
    return joined(COMPONENT / f"{name}.js" for name in MODULES)


def standalone_html(data: dict[str, Any], title: str) -> str:
    """One self-contained page with the same component; its content security policy allows no request at all."""
    script = component_js() + (COMPONENT / "standalone.js").read_text("utf-8")
    return standalone_page(data, title, component_css(), script)


def standalone_page(data: dict[str, Any], title: str, css: str, script: str) -> str:
    """The page that `script` fills: it finds the style sheet under the id "css" and the data under "data"."""
    page = (COMPONENT / "standalone.html").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "HASH": digest,
        "TITLE": html.escape(title),
        "STYLE": (COMPONENT / "standalone.css").read_text("utf-8"),
        "SCRIPT": script,
        "CSS": _in_script(css),
        "DATA": _in_script(data),
    }
    return re.sub(r"{{([A-Z]+)}}", lambda found: parts[found[1]], page)


def _in_script(value: object) -> str:
    """JSON that cannot end or open a tag, whatever text it holds."""
    return _json(value).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
