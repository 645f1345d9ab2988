"""The ladder: one prompt under several models, as the plain data that its component draws.

Columns are the positions of the continuation or, where tokenizers differ, the characters of its text. Values keep the
records' meaning; logarithms are natural, ranks start at 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from memviz.figures.glyphs import segments
from memviz.figures.source import Source, digest
from memviz.figures.tracks import Series, Track, drawn_track, entropy_track, numbers, surprisals
from memviz.measures.ladder import Ladder, Mode, character_spans, ladder_of
from memviz.records import Piece, Scores, Target, Trace

FORMAT = 1
VIEWS = ("read", "grid")
METRICS = ("p", "entropy")
N_LISTED = 6
"""Alternatives listed per model and position."""
LADDER = Source("ladder/ladder", ("trace/trace", "ladder/ladder"))
MODES: tuple[Mode, ...] = ("free_running", "teacher_forced")


@dataclass(frozen=True)
class Rung:
    """One row: a model, and its trace where there is one."""

    name: str
    """Of the model; tells rows apart."""
    label: str
    facts: str
    """Under the label, such as its parameters."""
    piece: Callable[[int], Piece]
    trace: Trace | None = None
    status: str = ""
    """What to say where there is no trace."""
    step: int | None = None


@dataclass
class _Table:
    """Every drawn piece once; ids of different tokenizers are told apart by what they look like."""

    segments: list[list[str]] = field(default_factory=list)
    _places: dict[tuple[str, ...], int] = field(default_factory=dict)
    _known: dict[tuple[int, int], int] = field(default_factory=dict)

    def of(self, rung: Rung, ids: np.ndarray) -> list[Any]:
        """The places of (p,) or (p, a) ids, in the same shape; null for unknown ids (negative)."""
        if ids.ndim > 1:
            return [self.of(rung, row) for row in ids]
        return [None if i < 0 else self._place(rung, i) for i in ids.tolist()]

    def _place(self, rung: Rung, token_id: int) -> int:
        key = (id(rung.piece), token_id)
        if key not in self._known:
            drawn = tuple(segments(rung.piece(token_id)))
            if drawn not in self._places:
                self._places[drawn] = len(self.segments)
                self.segments.append(list(drawn))
            self._known[key] = self._places[drawn]
        return self._known[key]


def ladder_data(
    rungs: Sequence[Rung], aligned: bool, tracks: Sequence[Track] = (), steps: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Rows of one prompt as the component's data; at least one of them has a trace.

    aligned: all models split the text alike, so columns are positions; else they are characters, and nothing is
    compared position by position. `steps` is what `step_data` says. The caller may add the seeds pinned (index or
    None), view, mode, metric, base (name), differences and only (bool). Raises ValueError where traces are of other
    prompts.
    """
    table = _Table()
    known = [rung for rung in rungs if rung.trace is not None]
    traces = [rung.trace for rung in known if rung.trace is not None]
    if not traces:
        raise ValueError("none of the models has a trace: run at least one of them")
    rows = [_row(rung, table) for rung in rungs]
    data: dict[str, Any] = {"format": FORMAT, "aligned": aligned, "rows": rows, "steps": steps}
    data["context"] = table.of(known[0], traces[0].context_ids[0])
    if aligned:
        ladder = ladder_of(traces)
        data |= {
            "n_context": ladder.n_context,
            "n_continuation": len(ladder.true_ids),
            "first": ladder.n_context,
            "tokens": table.of(known[0], ladder.true_ids),
            "differs": {mode: ladder.differing(mode).astype(int).tolist() for mode in MODES},
        }
        data["tracks"] = [drawn_track(track, len(_curve(traces[0]))) for track in (_overlay(rungs, ladder), *tracks)]
    else:
        data |= _characters(known, rows, table)
        data["tracks"] = []
    data["segments"] = table.segments
    return {**data, "id": digest(data)}


def _row(rung: Rung, table: _Table) -> dict[str, Any]:
    row: dict[str, Any] = {"name": rung.name, "label": rung.label, "facts": rung.facts, "step": rung.step}
    trace = rung.trace
    if trace is None:
        return {**row, "status": rung.status}
    one, k = ladder_of([trace]), trace.n_context
    assert trace.free_running_true is not None and trace.teacher_forced is not None
    targets: dict[Mode, tuple[Scores, Target | Scores]] = {
        "free_running": (trace.free_running, trace.free_running_true),
        "teacher_forced": (trace.teacher_forced, trace.teacher_forced),
    }
    return {
        **row,
        "status": None,
        "score": float(one.score[0]),
        "prefix": int(one.prefix[0]),
        "divergence": None if one.divergence[0] < 0 else k + int(one.divergence[0]),
        "n_context": k,
        "context_entropy": numbers(trace.context.entropy[0], 3),
        "tokens": table.of(rung, one.true_ids),
        **{
            mode: {
                "shown": table.of(rung, one.shown_ids[mode][0]),
                "match": one.match(mode)[0].astype(int).tolist(),
                "surprisal": surprisals(-target.logprob[0]),
                "rank": target.rank[0].tolist(),
                "entropy": numbers(scores.entropy[0], 3),
                "top": table.of(rung, scores.top_ids[0, :, :N_LISTED]),
                "top_surprisal": [surprisals(-values) for values in scores.top_logprobs[0, :, :N_LISTED]],
            }
            for mode, (scores, target) in targets.items()
        },
    }


def _curve(trace: Trace) -> np.ndarray:
    return np.concatenate([trace.context.entropy[0], trace.free_running.entropy[0]])


def _overlay(rungs: Sequence[Rung], ladder: Ladder) -> Track:
    """The entropy curves of all rows; the component knows their values by row."""
    highest = max(float(np.nanmax(values)) for values in ladder.entropy.values())
    series: list[Series] = [
        {"label": rung.label, "values": f"r{place}", "style": f"r{place}"}
        for place, rung in enumerate(rungs)
        if rung.trace is not None
    ]
    return entropy_track(highest, series)


def _characters(known: Sequence[Rung], rows: Sequence[dict[str, Any]], table: _Table) -> dict[str, Any]:
    """Spans of every row's tokens, and the characters they lie over."""
    text, spans = "", {}
    for rung in known:
        trace = rung.trace
        assert trace is not None and trace.continuation_ids is not None
        ids = np.concatenate([trace.context_ids[0], trace.continuation_ids[0]]).tolist()
        pieces = [rung.piece(i) for i in ids]
        own = b"".join(piece.raw for piece in pieces if not piece.special).decode("utf-8", "replace")
        text = max(text, own, key=len)
        spans[rung.name] = character_spans(pieces)[trace.n_context :]
    for row in rows:
        if row["name"] in spans:
            row["spans"] = spans[row["name"]].tolist()
    first, last = (int(edge) for edge in (min(s.min() for s in spans.values()), max(s.max() for s in spans.values())))
    drawn = [segments(Piece(character.encode(), False, "")) for character in text[first:last]]
    return {"first": first, "characters": ["".join(parts) for parts in drawn], "n_context": first}


def step_data(rungs: Sequence[Rung], exposures: np.ndarray | None, n_steps: int | None, said: str) -> dict[str, Any]:
    """M and mean log p(true) of each checkpoint, with the training steps that showed the row.

    exposures (e,) steps, or None where unknown; `said` tells what they are. Mean log p is teacher-forced, nats a token.
    """
    points = []
    for place, rung in enumerate(rungs):
        if rung.trace is None or rung.step is None or rung.trace.teacher_forced is None:
            continue
        one = ladder_of([rung.trace])
        mean = float(one.logprob["teacher_forced"].mean(dtype=np.float64))
        seen = None if exposures is None else int((exposures < rung.step).sum())
        points.append({"row": place, "step": rung.step, "score": float(one.score[0]), "logprob": mean, "seen": seen})
    steps = None if exposures is None else np.sort(exposures).tolist()
    return {"points": points, "exposures": steps, "n_steps": n_steps, "said": said}
