"""The linked strip, curve and alternatives of one traced prompt: a record as the plain data its component draws.

Quantities keep the record's meaning: index j counts tokens of the whole row, values are from the distribution given
the tokens before j, logarithms are natural, and nothing is known at index 0 (null).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np

from memviz.figures.glyphs import segments
from memviz.figures.source import Source, digest
from memviz.figures.tracks import Series, Track, drawn_track, entropy_track, numbers, surprisals
from memviz.records import Piece, Scores, Target, Trace

FORMAT = 1
MODES = ("free_running", "teacher_forced")
FILLS = ("match", "entropy", "surprisal", "rank", "margin")
N_LISTED = 20  # alternatives listed per position
TRACE = Source("trace/trace", ("trace/trace",))


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
    about = "generated" if truth is None else "true"
    series: list[Series] = [
        {"label": "entropy", "values": "entropy", "style": "main"},
        {"label": f"−log p({about})", "values": "surprisal", "style": "faint"},
    ]
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
    drawn = [drawn_track(track, k + m) for track in (entropy_track(highest, series), *tracks)]
    return {**data, "id": digest(data), "tracks": drawn, "tracks_id": digest(drawn)}


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
        "shown_surprisal": surprisals(surprisal),
        "shown_rank": rank.tolist(),
        "surprisal": surprisals(-target.logprob[row]),
        "rank": target.rank[row].tolist(),
        "entropy": numbers(scores.entropy[row], 3),
        "margin": numbers(scores.margin[row], 3),
        "fragile": (scores.margin[row] < noise).astype(int).tolist(),
        "top": [table.of(ids) for ids in top_ids],
        "top_surprisal": [surprisals(values) for values in top],
    }
