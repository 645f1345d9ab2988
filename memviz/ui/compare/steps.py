"""On the Compare page: M by training step, and the steps that showed the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from memviz.errors import InputError
from memviz.figures.ladder import Rung, step_data
from memviz.ui.common.lookup import corpus_of
from memviz.ui.common.process import samples
from memviz.ui.several import RunRow


def steps_of(rows: Sequence[RunRow], rungs: Sequence[Rung]) -> dict[str, Any]:
    """M by training step, with the exposures of the prompt's own row where the training data are known."""
    last = rows[-1]
    ids = [*last.task.context_ids, *(last.task.continuation_ids or ())][last.task.n_leading(last.card) :]
    known = samples()
    row = known.row_of(ids) if known and known.tokenizer.hash == last.tokenizer.hash else None
    if known is not None and row is not None:
        steps = _exposures()[known.data.order == row]
        n = len(steps)
        times = "held out: never shown in training" if not n else f"shown {n} time{'' if n == 1 else 's'}, as marked"
        return step_data(rungs, steps, last.model.n_steps, f"Row {row} of the training data: {times}.")
    try:
        corpus = corpus_of(last.model, last.tokenizer)
    except InputError:
        corpus = None
    if corpus is None:
        said = "No index of the training data is here, so the steps that showed this text are not known."
        return step_data(rungs, None, last.model.n_steps, said)
    found = corpus.occurrences(np.array(ids), limit=None)
    said = f"Found word for word {found.n_exposures:,} times in {corpus.manifest.name}"
    if not any(entry.last_step for entry in corpus.manifest.shards):
        return step_data(rungs, None, last.model.n_steps, f"{said}, which does not say at which steps.")
    steps = np.concatenate([np.zeros(0, np.int64), *(place.steps for place in found.listed)])
    return step_data(rungs, steps, last.model.n_steps, f"{said}, as marked.")


@st.cache_resource(show_spinner=False)
def _exposures() -> np.ndarray:
    """(n_exposures,) the training step of each exposure, in stream order."""
    known = samples()
    assert known is not None
    return known.data.exposures()["step"].to_numpy()
