"""The Trace page's answer, in one sentence computed from the run."""

from __future__ import annotations

from collections.abc import Mapping

from memviz.records import Run
from memviz.tasks.trace import TraceTask
from memviz.ui.common.texts import escaped


def answer_of(run: Run, task: TraceTask, values: Mapping[str, float]) -> str:
    """Whether it is what the text says, as Markdown; `values` are the run's measures."""
    trace, name = run.trace, escaped(task.model)
    m = trace.n_continuation
    if trace.continuation_ids is None:
        mean = float(trace.free_running.entropy[0].mean())
        return f"{name} writes {m} tokens; nothing says what the text goes on with. Mean entropy {mean:.2f} nats."
    match = trace.generated_ids[0] == trace.continuation_ids[0]
    n, prefix = int(match.sum()), int(values["longest_common_prefix"])
    once = "" if task.decoding.greedy else " in this one sample"
    score = f"M = {values['memorization_score']:.2f}{once}"
    if n == m:
        return f"{name} recites all {m} tokens of the text: {score}."
    if n == 0:
        return f"{name} recites none of the {m} tokens of the text: {score}."
    fragile = trace.free_running.margin[0, prefix] < 2 * float(trace.logit_noise)
    hedge = ", so near a tie that another machine may write it otherwise" if fragile else ""
    start = (
        f"recites {prefix} token{'s' if prefix > 1 else ''} and leaves the text"
        if prefix
        else "leaves the text at once"
    )
    behind = f"{n - prefix} later token{'s match' if n - prefix > 1 else ' matches'}" if n > prefix else "none matches"
    return f"{name} {start} at index {trace.n_context + prefix}{hedge}; {behind} after that: {score}."
