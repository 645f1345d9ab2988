"""A cell of Inside the model: one layer at one position, named by the address."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from memviz.ui.common.links import index_in
from memviz.ui.layers.readings import MODES, READS, LayersRow


def take_cell(key: str) -> None:
    """A clicked cell goes into the address: `layer`, and `tok`, the token's index."""
    points = st.session_state[key]["selection"]["points"]
    if points:
        layer, t = points[0]["customdata"][:2]
        st.query_params["layer"] = str(int(layer))
        st.query_params["tok"] = str(int(t) + st.session_state[f"{key}_context"])


def chosen_cell(row: LayersRow, mode: str) -> tuple[int, int] | None:
    """(layer, t) that the address names, where there is such a cell."""
    n_layers, m = row.scores(mode).rank.shape
    layer = index_in(st.query_params, "layer")
    index = index_in(st.query_params)
    if layer is None or index is None:
        return None
    t = index - row.n_context
    return (layer, t) if layer < n_layers and 0 <= t < m else None


def show_cell(row: LayersRow, mode: str, cell: tuple[int, int]) -> None:
    """What one layer would say at one position: its likeliest tokens, and the true one with its rank."""
    (layer, t), scores = cell, row.scores(mode)
    last = len(scores.rank) - 1
    true_id = int(row.reading.true_ids[t])
    name = (
        "The embedding" if layer == 0 else f"Layer {layer} of {last}" + (", the model itself" if layer == last else "")
    )
    st.markdown(f"**{name}, index {row.n_context + t}**")
    ids, logprobs = scores.top_ids[layer, t].tolist(), scores.top_logprobs[layer, t].tolist()
    ranks = list(range(1, len(ids) + 1))
    if true_id not in ids:
        ids, logprobs = [*ids, true_id], [*logprobs, float(scores.logprob[layer, t])]
        ranks.append(int(scores.rank[layer, t]))
    listed = pd.DataFrame(
        {
            "true": ["✓" if token_id == true_id else "" for token_id in ids],
            "rank": ranks,
            "token": row.words(ids),
            "p": np.exp(logprobs),
        }
    )
    widths = {"true": st.column_config.TextColumn(width=46), "rank": st.column_config.NumberColumn(width=60)}
    st.dataframe(
        listed, hide_index=True, column_config={**widths, "p": st.column_config.NumberColumn(format="%.3f", width=64)}
    )
    st.caption(f"Entropy {scores.entropy[layer, t]:.2f} nats; {MODES[mode]}: {READS[mode]}.")
