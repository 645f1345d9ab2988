"""The columns of a sweep's tables, documented where they are made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from memviz.records import Survey
from memviz.sweeps.beside import Column, ToBytes, beside_columns, beside_scores
from memviz.sweeps.labels import LABEL_TYPES
from memviz.sweeps.plan import Condition
from memviz.sweeps.task import SweepRequest

_ABOUT_ROW: dict[str, Column] = {
    "row_id": (pa.string(), "what the file calls the row; null without"),
    "domain": (pa.string(), "domain of the row's document; null for rows of a file"),
    "bucket": (pa.int32(), "planned exposures of a row of the bundled corpus, 0 where held out; null for a file"),
    "background": (pa.bool_(), "whether it belongs to the single-exposure background; null for a file"),
    "document": (pa.int32(), "document of the bundled corpus; null for a file"),
    "group": (pa.int64(), "near-duplicates, joined by 16 shared tokens: the smallest row number among them"),
    "template": (pa.string(), "repeating, incrementing or none (Prashanth et al. 2024)"),
    "memorization_class": (
        pa.string(),
        "what memorizing it would be: recite (more than 5 exposures), reconstruct (a template) or recollect; "
        "null where exposures are unknown",
    ),
}
ROW_COLUMNS: dict[str, Column] = {
    "row": (pa.int64(), "number of the row in its source, from 0; malformed ones count"),
    "n_tokens": (pa.int32(), "tokens of the row, before it was cut to what the sweep needs"),
    "ids": (pa.list_(pa.int32()), "its token ids, cut"),
    **_ABOUT_ROW,
}
_KEY: dict[str, Column] = {
    "model": (pa.string(), "catalog name"),
    "row": (pa.int64(), "number of the row in its source, from 0"),
    "mode": (pa.string(), "sliding or anchored; the continuation curve is sliding"),
    "k": (pa.int32(), "context tokens"),
}
_NUMBERS: dict[str, Column] = {
    "start": (pa.int32(), "index in the row of the first context token"),
    "m": (pa.int32(), "continuation tokens decoded: the largest m asked for that fits the row"),
    "on_context_curve": (pa.bool_(), "the row is long enough for every point of this mode's context curve"),
    "on_continuation_curve": (pa.bool_(), "the row is long enough for every point of the continuation curve"),
    "prefix": (pa.int32(), "longest common prefix of generated and true tokens; for a smaller m, at most that m"),
    "context_perplexity": (pa.float32(), "exp of the mean negative log-probability of context tokens that have one"),
    "continuation_perplexity": (pa.float32(), "the same of the m true tokens, teacher-forced"),
    "context_entropy": (pa.float32(), "nats, mean over context indices that have a distribution"),
    "free_running_entropy": (pa.float32(), "nats, mean over the m positions, the model reading its own output"),
    "teacher_forced_entropy": (pa.float32(), "nats, mean over the m positions, the model reading the truth"),
    "entropy_before": (pa.float32(), "nats, at index k - 1, the last context token; null where k is 1"),
    "entropy_at": (pa.float32(), "nats, at index k, the first continuation token; both ways of reading agree on it"),
    "min_margin": (pa.float32(), "logit units, smallest top-1 minus top-2 of the m free-running positions"),
    "n_fragile": (pa.int32(), "free-running positions whose margin is below twice the numerical noise"),
    "first_fragile": (pa.int32(), "the first of them; null where there is none: a smaller m is free of them up to it"),
    "matches": (pa.list_(pa.bool_()), "m of them: the generated id is the row's own token"),
    "generated_ids": (pa.list_(pa.int32()), "the m generated ids, free-running"),
}
POSITION_COLUMNS: dict[str, Column] = {
    **_KEY,
    "index": (pa.int32(), "j, from 0 at the first context token; the continuation begins at k"),
    "true_id": (pa.int32(), "token of the row"),
    "generated_id": (pa.int32(), "free-running; null in the context"),
    "match": (pa.bool_(), "generated_id is true_id; null in the context"),
    "free_running_entropy": (pa.float32(), "nats; in the context equal to teacher_forced_entropy; null at index 0"),
    "teacher_forced_entropy": (pa.float32(), "nats; null at index 0"),
    "logprob": (pa.float32(), "nats, of true_id, the model reading the truth; null at index 0"),
    "rank": (pa.int32(), "of true_id, from 1, the model reading the truth; null in the context"),
    "margin": (pa.float32(), "logit units, top-1 minus top-2, free-running; null in the context"),
}


def lengths_of(task: SweepRequest) -> list[int]:
    """Every m that a sweep gives the number of matches for."""
    return sorted({*task.continuations, *([task.continuation_at] if task.contexts else [])})


def sequence_columns(task: SweepRequest) -> dict[str, Column]:
    """Columns of the table of one row a sequence, model, mode and k."""
    lengths = lengths_of(task)
    matches = {
        f"n_matches_{m}": (pa.int32(), f"matches among the first {m} positions; null where m < {m}") for m in lengths
    }
    sums = {
        f"log_p_{m}": (pa.float64(), f"nats, log-probability of the first {m} true tokens together, teacher-forced")
        for m in lengths
    }
    beside = {f"{name}_{m}": column for m in lengths for name, column in beside_columns(m).items()}
    return {**_KEY, **_ABOUT_ROW, **_NUMBERS, **matches, **sums, **beside}


def schema_of(columns: dict[str, Column], labels: dict[str, str]) -> pa.Schema:
    """An arrow schema whose fields carry their description; labels (name -> "number" or "text") come last."""
    described = columns | label_columns(labels)
    return pa.schema([pa.field(name, kind, metadata={"description": text}) for name, (kind, text) in described.items()])


def label_columns(labels: dict[str, str]) -> dict[str, Column]:
    return {f"label_{name}": (LABEL_TYPES[kind], "carried along from the source") for name, kind in labels.items()}


def _lists(values: np.ndarray) -> pa.Array:
    """Rows of an (n, m) array as lists."""
    array = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    return array.cast(pa.list_(array.type.value_type))


def _or_null(values: np.ndarray) -> pa.Array:
    return pa.array(values, from_pandas=True)  # NaN becomes null


def _mean(values: np.ndarray) -> np.ndarray:
    """(n,) mean over what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis=1, dtype=np.float64) / known.sum(axis=1)


def sequences(
    model: str,
    condition: Condition,
    block: pa.Table,
    survey: Survey,
    truth: np.ndarray,
    schema: pa.Schema,
    n_leading: int,
    to_bytes: ToBytes,
) -> pa.Table:
    """The table of one row a sequence: n rows of `block` under one condition, (n, m) truth."""
    n, m = survey.generated_ids.shape
    match = survey.generated_ids == truth
    n_matches, log_p = match.cumsum(axis=1), survey.teacher_forced_logprob.cumsum(axis=1, dtype=np.float64)
    tokens = block["ids"].combine_chunks().value_lengths().to_numpy()
    fragile = survey.free_running_margin < 2 * float(survey.logit_noise)
    context_logprob, context_entropy = survey.context_logprob[:, n_leading:], survey.context_entropy[:, n_leading:]
    values: dict[str, Any] = {
        "model": pa.repeat(model, n),
        "mode": pa.repeat(condition.mode, n),
        "k": np.full(n, condition.k),
        "start": np.full(n, condition.start),
        "m": np.full(n, m),
        "on_context_curve": _on(condition.context_tokens, tokens),
        "on_continuation_curve": _on(condition.continuation_tokens, tokens),
        "prefix": match.cumprod(axis=1).sum(axis=1),
        "context_perplexity": _or_null(np.exp(-_mean(context_logprob))),
        "continuation_perplexity": np.exp(-log_p[:, -1] / m),
        "context_entropy": _or_null(_mean(context_entropy)),
        "free_running_entropy": survey.free_running_entropy.mean(axis=1, dtype=np.float64),
        "teacher_forced_entropy": survey.teacher_forced_entropy.mean(axis=1, dtype=np.float64),
        "entropy_before": _or_null(context_entropy[:, -1]),
        "entropy_at": survey.free_running_entropy[:, 0],
        "min_margin": survey.free_running_margin.min(axis=1),
        "n_fragile": fragile.sum(axis=1),
        "first_fragile": pa.array(fragile.argmax(axis=1), mask=~fragile.any(axis=1)),
        "matches": _lists(match),
        "generated_ids": _lists(survey.generated_ids),
    }
    lengths = [int(name.removeprefix("n_matches_")) for name in schema.names if name.startswith("n_matches_")]
    decoded = [length for length in lengths if length <= m]
    for length in decoded:
        values[f"n_matches_{length}"] = n_matches[:, length - 1]
        values[f"log_p_{length}"] = log_p[:, length - 1]
    values |= beside_scores(survey, truth, decoded, to_bytes)
    for name in schema.names:
        if name not in values:  # of the row, or of a larger m than was decoded
            values[name] = block[name] if name in block.schema.names else pa.nulls(n)
    return _table(values, schema)


def positions(
    model: str,
    condition: Condition,
    block: pa.Table,
    survey: Survey,
    truth: np.ndarray,
    schema: pa.Schema,
    n_leading: int,
) -> pa.Table:
    """The table of one row a position of the same."""
    n, k = len(block), condition.k
    p = k + survey.generated_ids.shape[1]
    ids = block["ids"].combine_chunks().flatten().to_numpy()
    starts = np.concatenate([[0], block["ids"].combine_chunks().value_lengths().to_numpy().cumsum()[:-1]])
    context_ids = ids[starts[:, None] + condition.start + np.arange(k)]
    in_context = np.broadcast_to(np.arange(p) < k, (n, p)).ravel()

    def whole(context: np.ndarray, continuation: np.ndarray) -> np.ndarray:
        return np.concatenate([context, continuation], axis=1).ravel()

    def only(continuation: np.ndarray) -> pa.Array:
        filler = np.zeros((n, k), continuation.dtype)
        return pa.array(whole(filler, continuation), mask=in_context)

    entropy, logprob = survey.context_entropy[:, n_leading:], survey.context_logprob[:, n_leading:]
    values: dict[str, Any] = {
        "model": pa.repeat(model, n * p),
        "row": np.repeat(block["row"].to_numpy(), p),
        "mode": pa.repeat(condition.mode, n * p),
        "k": np.full(n * p, k),
        "index": np.tile(np.arange(p), n),
        "true_id": whole(context_ids, truth),
        "generated_id": only(survey.generated_ids),
        "match": only(survey.generated_ids == truth),
        "free_running_entropy": _or_null(whole(entropy, survey.free_running_entropy)),
        "teacher_forced_entropy": _or_null(whole(entropy, survey.teacher_forced_entropy)),
        "logprob": _or_null(whole(logprob, survey.teacher_forced_logprob)),
        "rank": only(survey.teacher_forced_rank),
        "margin": only(survey.free_running_margin),
    }
    return _table(values, schema)


def _on(curve_tokens: int | None, tokens: np.ndarray) -> np.ndarray:
    return np.zeros(len(tokens), bool) if curve_tokens is None else tokens >= curve_tokens


def _table(values: dict[str, Any], schema: pa.Schema) -> pa.Table:
    columns = []
    for each in schema:
        value = values[each.name]
        array = value if isinstance(value, (pa.Array, pa.ChunkedArray)) else pa.array(value)
        columns.append(array.cast(each.type))
    return pa.Table.from_arrays(columns, schema=schema)
