"""What is found out about a model when it is made ready: whether it is causal, and which ways of reading it agree."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch

from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader
from memviz.weights import ModelError

Way = Literal["verified", "plain", "whole"]
N_ROWS, N_TOKENS, N_LATER, N_BEFORE = 2, 32, 8, 16
"""Rows and tokens read; how many at the end are changed; how many are read at once before single steps."""


@torch.inference_mode()
def measure(loaded: Loaded) -> dict[str, float]:
    length = min(N_TOKENS, loaded.card.n_positions or N_TOKENS)
    n_later, n_before = length // 4, length // 2
    ids = _ordinary(loaded, (N_ROWS, length))
    other = ids.clone()
    other[:, -n_later:] = _ordinary(loaded, (N_ROWS, n_later), seed=1)

    whole = _reader(loaded).feed(ids)[0].float()
    moved = _reader(loaded).feed(other)[0].float()
    out = {"spread": float(whole[whole.isfinite()].std()), "largest": float(whole[whole.isfinite()].abs().max())}
    out["later"] = _off(whole[:, :-n_later], moved[:, :-n_later])
    reader = _reader(loaded)
    steps = [reader.feed(ids[:, :n_before])[0]]
    steps += [reader.feed(ids[:, at : at + 1])[0] for at in range(n_before, length)]
    out["stepwise"] = _off(whole, torch.cat(steps, dim=1).float())
    again = _reader(loaded)
    if again.can_roll_back:
        again.feed(ids)
        again.crop(n_before)
        rolled = [again.feed(ids[:, at : at + 1])[0] for at in range(n_before, n_before + 2)]
        rolled.append(again.feed(ids[:, n_before + 2 :])[0])
        out["rolled"] = _off(whole[:, n_before:], torch.cat(rolled, dim=1).float())
    lengths = sorted({length // 4 + 1, length // 2, length * 3 // 4})
    out["reread"] = max(_off(whole[:, n - 1], _reader(loaded).feed(ids[:, :n])[0][:, -1].float()) for n in lengths)
    return out

def _reader(loaded):
    return Reader(loaded.model, ())

def _off(one, other):
    return float(torch.where(one == other, 0, one - other).abs().max())

def _ordinary(loaded, shape, seed=0):
    config = loaded.model.config.get_text_config()
    said = {v for k, v in {**loaded.model.config.to_dict(), **config.to_dict()}.items() if k.endswith(("token_id", "token_index")) and type(v) is int}
    allowed = np.setdiff1d(np.arange(loaded.card.vocab_size), list(said))
    return torch.from_numpy(np.random.default_rng(seed).choice(allowed, shape)).to(loaded.device)
