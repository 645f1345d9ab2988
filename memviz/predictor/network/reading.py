"""What a model says of contexts alone, before anything is generated: the inputs of the context setting."""

from __future__ import annotations

import numpy as np
import torch

from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader
from memviz.engine.sizes import n_layers, vocab_size
from memviz.engine.stretch import Stretch
from memviz.predictor.features import Inputs, compact


@torch.inference_mode()
def read_contexts(loaded: Loaded, context_ids: np.ndarray) -> Inputs:
    """Inputs of (n, k) contexts, leading tokens included, by one pass over them.

    Statistics at index k are of the distribution for the first continuation token, its log-probability that of the
    likeliest token (the lowest id of several).
    """
    n, k = context_ids.shape
    ids = torch.from_numpy(np.ascontiguousarray(context_ids)).to(loaded.device)
    logits, hidden = Reader(loaded.model, (n_layers(loaded.model),)).feed(ids)
    assert hidden is not None
    stretch = Stretch(n, k + 1, vocab_size(loaded.model, loaded.card.vocab_size), essential=True)
    targets = torch.cat([ids[:, 1:], logits[:, -1:].argmax(dim=-1)], dim=1)
    stretch.record(np.arange(n), 1, logits, true_ids=targets)
    statistics = [stretch.stats["entropy"], stretch.stats["margin"], stretch.target(stretch.true).logprob]
    return Inputs(k, compact(hidden[:, :, 0].float().cpu().numpy()), np.stack(statistics, axis=2))
