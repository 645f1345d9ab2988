"""The table behind Inside the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from memviz.measures.lens import NEVER
from memviz.ui.layers.readings import MODES, LayersRow


def table_of(rows: Sequence[LayersRow]) -> pd.DataFrame:
    """One line a model, way of reading, position and layer."""
    parts = []
    for row in rows:
        for mode in MODES:
            scores = row.scores(mode)
            n_layers, m = scores.rank.shape
            layer, t = np.divmod(np.arange(n_layers * m), m)
            true_ids, commit = row.reading.true_ids, scores.commit
            parts.append(
                pd.DataFrame(
                    {
                        "model": row.model.name,
                        "mode": mode,
                        "layer": layer,
                        "depth": scores.depth[layer],
                        "index": t + row.n_context,
                        "t": t,
                        "true_id": true_ids[t],
                        "true_token": np.array(row.words(true_ids), object)[t],
                        "rank": scores.rank.ravel(),
                        "logprob": scores.logprob.ravel(),
                        "entropy": scores.entropy.ravel(),
                        "argmax_id": scores.top_ids[..., 0].ravel(),
                        "argmax_logprob": scores.top_logprobs[..., 0].ravel(),
                        "commit_layer": pd.array(np.where(commit == NEVER, -1, commit)[t], "Int64"),
                    }
                )
            )
    table = pd.concat(parts, ignore_index=True)
    table.loc[table["commit_layer"] < 0, "commit_layer"] = pd.NA
    return table
