"""The Compare page's answer, in one sentence computed from the runs."""

from __future__ import annotations

from collections.abc import Sequence

from memviz.figures.ladder import Rung
from memviz.measures.score import memorization_score
from memviz.tasks.ladder import Axis
from memviz.ui.common.texts import escaped


def answer_of(rungs: Sequence[Rung], axis: Axis) -> str:
    """Who recites the text, as Markdown; models without a run are left out."""
    scores = [(rung.label, float(memorization_score(rung.trace)[0])) for rung in rungs if rung.trace is not None]
    whole = [label for label, score in scores if score == 1]
    said = [f"{escaped(label)} (M = {score:.2f})" for label, score in scores]
    if len(scores) == 1:
        return f"{said[0]} is the only one computed so far."
    if not whole:
        best = max(range(len(scores)), key=lambda i: scores[i][1])
        by = f" by {escaped(scores[-1][0])}" if axis == "step" else ""
        return f"None of {len(scores)} recites it whole{by}; {said[best]} comes nearest."
    if len(whole) == len(scores):
        return f"All {len(scores)} recite it whole, from {escaped(whole[0])} on."
    if axis == "step" and scores[-1][1] == 1:
        kept = next(i for i in range(len(scores)) if all(score == 1 for _, score in scores[i:]))
        return f"Recited whole from {escaped(scores[kept][0])} on, among these steps; before it, {said[kept - 1]}."
    if whole == [scores[-1][0]] and axis == "size":
        return f"Only the largest, {escaped(whole[0])}, recites it whole; the next, {said[-2]}, does not."
    others = [text for text, (_, score) in zip(said, scores, strict=True) if score < 1]
    return f"{len(whole)} of {len(scores)} recite it whole: {escaped(', '.join(whole))}; {others[-1]} does not."
