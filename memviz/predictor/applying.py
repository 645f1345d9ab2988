"""What a predictor says of one run: from its stored trace, or from the context alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.predictor.known import Known
from memviz.records import Trace

if TYPE_CHECKING:
    from memviz.engine.backend import Backend
    from memviz.predictor.features import Inputs


def objection(known: Known, card: Card, n_context: int, greedy: bool = True) -> str | None:
    """Why a predictor cannot be asked about a run, in one sentence; None where it can.

    n_context: tokens of the context, the tokenizer's leading ones left out.
    """
    if known.weights != card.weights and not known.transfers:
        return f"this predictor was fitted on {known.model}, whose weights are not those of {card.name}: fit one"
    if n_context != known.k:
        return f"this predictor was fitted at k = {known.k}, the context has {n_context} tokens: trace with {known.k}"
    if not greedy:
        return "this predictor was fitted on greedy decoding, this run drew its tokens: trace greedily"
    if known.about["request"]["ngrams"]:
        return "this predictor reads n-gram counts, which a trace does not hold: use one without"
    return None


def predict(known: Known, trace: Trace, card: Card) -> np.ndarray:
    """(n, m) float32 P(generated token is the true one) of a stored greedy trace, calibrated; no model is run.

    Reads the context and what the model generated, never the truth. Positions beyond the predictor's m are NaN. The
    trace must hold the last layer's states. Raises InputError.
    """
    from memviz.predictor.network.artifact import load

    inputs = inputs_of(trace, len(card.leading_ids))
    _check(known, card, inputs.k)
    n, m = trace.generated_ids.shape
    asked = min(m, known.m)
    found = np.full((n, m), np.nan, np.float32)
    found[:, :asked] = load(known.folder).probability(inputs, asked)
    return found


def inputs_of(trace: Trace, n_leading: int = 0) -> Inputs:
    """What a predictor may read of a trace. Raises InputError where the last layer's states were not kept."""
    from memviz.predictor.features import STATISTICS, Inputs, compact

    if trace.hidden is None:
        raise InputError("this trace holds no hidden states: trace the prompt again")
    place = int(np.argmax(trace.hidden.layers))
    states = np.concatenate([trace.hidden.context, trace.hidden.free_running], axis=1)[:, n_leading:, place]
    both = (trace.context, trace.free_running)
    statistics = [np.concatenate([getattr(each, name) for each in both], axis=1) for name in STATISTICS]
    return Inputs(
        trace.n_context - n_leading, compact(states), np.stack(statistics, axis=2)[:, n_leading:].astype(np.float32)
    )


def predict_context(
    known: Known, card: Card, context_ids: np.ndarray, backend: Backend, dtype: str = "float32"
) -> np.ndarray:
    """(n, m) float32 P(generated token will be the true one), before anything is generated: one pass over the context.

    context_ids: (n, k) with the tokenizer's leading tokens in front. Only for the context setting. The caller holds the
    device. Raises
    InputError.
    """
    from memviz.predictor.features import Inputs
    from memviz.predictor.network.artifact import load
    from memviz.predictor.network.reading import read_contexts

    if known.setting != "context":
        raise InputError(f"the {known.setting} setting reads what is generated: use a predictor of the context setting")
    n_leading = len(card.leading_ids)
    _check(known, card, context_ids.shape[1] - n_leading)
    read = read_contexts(backend.load(card, dtype), context_ids)
    hidden = None if read.hidden is None else read.hidden[:, n_leading:]
    return load(known.folder).probability(Inputs(read.k - n_leading, hidden, read.statistics[:, n_leading:]))


def _check(known: Known, card: Card, n_context: int) -> None:
    problem = objection(known, card, n_context)
    if problem:
        raise InputError(problem)
