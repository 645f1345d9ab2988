"""A run as files: the JSON document of the command line, one table row a position, and the command that repeats it."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from memviz.corpus import Kind
from memviz.corpus.attribution import Counts, Tokens
from memviz.figures.linked import N_LISTED, Marks, Pieces, linked_data
from memviz.figures.tracks import Track
from memviz.measures import compute_all
from memviz.measures.boundary import entropy_curve
from memviz.measures.changepoints import change_points
from memviz.measures.score import first_divergence, longest_common_prefix, resynchronisation
from memviz.records import VERIFIED, Run, Scores, Trace
from memviz.tasks.trace import TraceTask
from memviz.tokenizer import Tokenizer

FORMAT = 1
N_EXPORTED = 20
"""Alternatives per position in the JSON document."""


@dataclass(frozen=True)
class Attributed:
    """Counts of a prompt's n-grams in an index, by which tokens were looked up and what was counted."""

    index: str
    until_step: int | None
    """Last training step that counts, None for the whole stream."""
    own_rows: np.ndarray
    """(r,) rows left out of the kind "other"."""
    counts: dict[tuple[Tokens, Kind], Counts]

    def columns(self) -> dict[str, np.ndarray]:
        """One array of k + m values each, such as true_count_3gram_other and generated_suffix_stream."""
        found: dict[str, np.ndarray] = {}
        for (tokens, kind), counts in self.counts.items():
            found |= {f"{tokens}_count_{n}gram_{kind}": counts.of(n) for n in counts.order}
            if kind != "rows":  # the same as in the stream
                found[f"{tokens}_suffix_{kind}"] = counts.suffix
        return found


def plain(value: Any) -> Any:
    """Numbers and arrays as JSON knows them: NaN and infinity become null."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def measures_of(trace: Trace, tokenizer: Tokenizer) -> dict[str, float | None]:
    """Every registered measure of a trace's only prompt; None where it is undefined, unknown or infinite."""
    truth = trace.continuation_ids
    texts = None if truth is None else [tokenizer.to_bytes(truth[0])]
    return {name: plain(float(values[0])) for name, values in compute_all(trace, texts).items()}


def document(
    run: Run,
    tokenizer: Tokenizer,
    attributed: Attributed | None = None,
    predicted: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """A run of one prompt as the JSON document of format 1; positions t count from the first continuation token.

    Logarithms are natural, ranks start at 1; null stands for what is undefined, unknown or infinite. `change_points`
    are indices of the whole row, context included. `ngrams` is there only where counts are given, `p_memorized` where
    predictions are: (m,) by the predictor's setting.
    """
    trace, about = run.trace, run.provenance
    truth, forced = trace.continuation_ids, trace.teacher_forced
    values = measures_of(trace, tokenizer)
    diverged = None if truth is None else int(first_divergence(trace)[0])
    return plain(
        {
            "format": FORMAT,
            "model": {
                "name": about["model"],
                **{name: about[name] for name in ("revision", "weights", "dtype", "device")},
            },
            "context_ids": trace.context_ids[0],
            "continuation_ids": None if truth is None else truth[0],
            "generated_ids": trace.generated_ids[0],
            "memorization_score": values["memorization_score"],
            "longest_common_prefix": None if truth is None else int(longest_common_prefix(trace)[0]),
            "first_divergence": None if diverged == -1 else diverged,
            "context": {"entropy": trace.context.entropy[0]},
            "free_running": {
                **_columns(trace.free_running, ("entropy", "logprob", "margin")),
                "top_ids": trace.free_running.top_ids[0, :, :N_EXPORTED],
                "top_logprobs": trace.free_running.top_logprobs[0, :, :N_EXPORTED],
            },
            "teacher_forced": forced and _columns(forced, ("logprob", "rank", "entropy", "argmax_ids", "margin")),
            "fragile": trace.fragile[0],
            "boundary": {
                "entropy_jump": values["entropy_jump"],
                "change_points": change_points(entropy_curve(trace, "free_running")[0]),
            },
            "measures": values,
            **({} if attributed is None else {"ngrams": _ngrams(attributed)}),
            **({"p_memorized": dict(predicted)} if predicted else {}),
        }
    )


def _ngrams(attributed: Attributed) -> dict[str, Any]:
    about = {"index": attributed.index, "until_step": attributed.until_step, "own_rows": attributed.own_rows}
    return {**about, **attributed.columns()}


def linked_view(run: Run, tokenizer: Tokenizer, tracks: Sequence[Track] = ()) -> dict[str, Any]:
    """A run of one prompt as the data of the linked component (`figures.linked`)."""
    trace, k = run.trace, run.trace.n_context
    truth = trace.continuation_ids
    tables = [trace.context.top_ids, trace.free_running.top_ids]
    if trace.teacher_forced is not None:
        tables.append(trace.teacher_forced.top_ids)
    listed = np.unique(np.concatenate([ids[0, :, :N_LISTED].ravel() for ids in tables]))
    pieces: Pieces = {
        "context": tokenizer.pieces(trace.context_ids[0]),
        "true": None if truth is None else tokenizer.pieces(truth[0]),
        "generated": tokenizer.pieces(trace.generated_ids[0]),
        "alternatives": {int(token_id): tokenizer.piece(int(token_id)) for token_id in listed if token_id >= 0},
    }
    marks = Marks(change_points=tuple(change_points(entropy_curve(trace, "free_running")[0])))
    if truth is not None:
        diverged, again = (int(positions[0]) for positions in (first_divergence(trace), resynchronisation(trace)))
        marks = Marks(
            first_divergence=None if diverged < 0 else k + diverged,
            resynchronised=None if again < 0 else k + again,
            change_points=marks.change_points,
            memorized_end=k + int(longest_common_prefix(trace)[0]),
        )
    return linked_data(trace, 0, pieces, marks=marks, tracks=tracks)


def ids_file(task: TraceTask) -> str:
    """The token ids of a task, as `memviz trace --ids-file` reads them."""
    return json.dumps({"context_ids": task.context_ids, "continuation_ids": task.continuation_ids})


def _columns(scores: Scores, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: getattr(scores, name)[0] for name in names}


def table(
    run: Run,
    tokenizer: Tokenizer,
    attributed: Attributed | None = None,
    predicted: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """One row an index of the whole row of tokens; columns say which way of reading they come from. NaN: undefined."""
    trace = run.trace
    k, m = trace.n_context, trace.n_continuation
    own = np.concatenate([trace.context_ids[0], trace.generated_ids[0]])
    columns: dict[str, Any] = {
        "index": np.arange(k + m),
        "part": ["context"] * k + ["continuation"] * m,
        "generated_id": own,
        "generated_token": [piece.raw.decode("utf-8", "backslashreplace") for piece in tokenizer.pieces(own)],
    }
    if trace.continuation_ids is not None:
        true = np.concatenate([trace.context_ids[0], trace.continuation_ids[0]])
        columns["true_id"] = true
        columns["true_token"] = [piece.raw.decode("utf-8", "backslashreplace") for piece in tokenizer.pieces(true)]
        columns["match"] = own == true
    for mode in ("free_running", "teacher_forced"):
        scores = getattr(trace, mode)
        for name in ("entropy", "logprob", "rank", "margin", "argmax_ids") if scores is not None else ():
            values = np.concatenate([getattr(trace.context, name)[0], getattr(scores, name)[0]])
            if name == "rank":
                values = np.where(values > 0, values, np.nan)
            columns[f"{mode}_{name}"] = values
    columns["fragile"] = np.concatenate([np.zeros(k, bool), trace.fragile[0]])
    columns |= {} if attributed is None else attributed.columns()
    for setting, values in (predicted or {}).items():
        columns[f"p_memorized_{setting}"] = np.concatenate([np.full(k, np.nan), values])
    return pd.DataFrame(columns)


def command(task: TraceTask, ids_file: str = "ids.json") -> str:
    """The command line that repeats a run from a file of its ids, `{"context_ids": …, "continuation_ids": …}`."""
    decoding = task.decoding
    words = ["memviz", "trace", "--model", task.model, "--ids-file", ids_file, "--dtype", task.dtype]
    if task.continuation_ids is None:
        words += ["--continuation", str(task.n_steps)]
    if not decoding.greedy:
        words.append("--sample")
    for name in ("temperature", "top_k", "top_p", "seed"):
        if getattr(decoding, name) is not None:
            words += [f"--{name.replace('_', '-')}", str(getattr(decoding, name))]
    if decoding.bar_eos:
        words.append("--bar-eos")
    if task.leading != "model":
        words += ["--leading", task.leading]
    if task.all_layers:
        words.append("--all-layers")
    if task.reading != VERIFIED:
        words += ["--reading", task.reading]
    return shlex.join([*words, "--out", "trace.json"])
