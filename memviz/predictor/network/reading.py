"""What a model says of contexts alone, before anything is generated: the inputs of the context setting."""

from __future__ import annotations

import numpy as np
import torch

from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader
from memviz.engine.sizes import n_layers, vocab_size
from memviz.engine.statistics import most_likely, require_finite
from memviz.engine.stretch import Stretch, judge
from memviz.engine.tracing import positions_at_once
from memviz.predictor.features import Inputs, compact


@torch.inference_mode()
def read_contexts(loaded: Loaded, context_ids: np.ndarray) -> Inputs:
    """Inputs of (n, k) contexts, leading tokens included, by one pass over them.

    Statistics at index k are of the distribution for the first continuation token, its log-probability that of the
    likeliest token (the lowest id of several).
    """
    n, k = context_ids.shape
    ids = torch.from_numpy(np.ascontiguousarray(context_ids)).to(loaded.device)
    reader = Reader(loaded, (n_layers(loaded.model),))
    fed = reader.feed(ids)
    assert fed.hidden is not None
    n_ids = vocab_size(loaded.model, loaded.card.vocab_size)
    stretch = Stretch(n, k + 1, n_ids, loaded.device, essential=True)
    likeliest = most_likely(reader.logits(fed.states[:, -1:]))
    judge(stretch, 1, fed.states, reader, positions_at_once(n_ids), torch.cat([ids[:, 1:], likeliest], dim=1))
    require_finite(stretch.values["log_normaliser"][:, 1:])
    statistics = [stretch.host("entropy"), stretch.host("margin"), stretch.target("true").logprob]
    return Inputs(k, compact(fed.hidden[:, :, 0].float().cpu().numpy()), np.stack(statistics, axis=2))
