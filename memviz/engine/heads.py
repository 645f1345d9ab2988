"""Attention heads silenced: each of one row, sets of them, and each over many rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from memviz.engine.blocks import Block, adds_up, find_blocks, gathered, near, silenced
from memviz.engine.causes import Row, Tick
from memviz.engine.reader import Reader
from memviz.errors import InputError
from memviz.measures.causes import APART, NONE, Heads, why_no_heads

N_RANDOM = 5
"""Random orders beside the strongest heads."""


@torch.inference_mode()
def read_heads(row: Row, seed: int, tick: Tick) -> Heads:
    """Each head silenced, sets of them, and where they look. Raises InputError for a model without heads."""
    blocks, layer, number = _heads(row)
    h, means = len(layer), _means(row, blocks)
    logprob, match = row.unchanged()
    each = torch.eye(h, dtype=torch.bool, device=row.device)
    zero = row.score(h, lambda rows: silenced(blocks, each[rows], None), tick)
    mean = row.score(h, lambda rows: silenced(blocks, each[rows], means), tick)
    strongest = np.argsort(-(logprob - zero[0]).mean(axis=1), kind="stable")
    rng = np.random.default_rng(seed)
    orders = np.stack([strongest, *(rng.permutation(h) for _ in range(N_RANDOM))])
    counts = _counts(h)
    place = np.argsort(orders, axis=1)  # of each head in each order
    sets = torch.from_numpy(place[None] < np.array(counts)[:, None, None]).to(row.device)
    together = row.score(len(counts) * len(orders), lambda rows: silenced(blocks, sets.flatten(0, 1)[rows], None), tick)
    several = [values.reshape(len(counts), len(orders), row.m) for values in together]
    return Heads(
        true_ids=row.truth,
        layer=layer,
        number=number,
        whole_logprob=logprob,
        whole_match=match,
        zero_logprob=zero[0],
        zero_match=zero[1],
        mean_logprob=mean[0],
        mean_match=mean[1],
        n_silenced=np.array(counts, np.int32),
        strongest_logprob=several[0][:, 0],
        strongest_match=several[1][:, 0],
        random_logprob=several[0][:, 1:],
        random_match=several[1][:, 1:],
        attention=_attention(row, blocks),
    )


@torch.inference_mode()
def cost_of_heads(rows: Sequence[Row], tick: Tick) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Layers and numbers (h,) of the heads; log p(true) a token of n rows (n,) and its fall (n, h), heads set to zero.

    Ticks 1 once a row, and 0 between its passes. Raises InputError as `read_heads`.
    """
    blocks, layer, number = _heads(rows[0])
    _means(rows[0], blocks)  # which checks that heads add up
    each = torch.eye(len(layer), dtype=torch.bool, device=rows[0].device)
    whole, drop = [], []
    for row in rows:
        alone = row.unchanged()[0].mean(dtype=np.float64)
        silent = row.score(len(layer), lambda part: silenced(blocks, each[part], None), lambda n: tick(0))[0]
        whole.append(alone)
        drop.append(alone - silent.mean(axis=1, dtype=np.float64))
        tick(1)
    return layer, number, np.array(whole, np.float32), np.array(drop, np.float32)


def _heads(row: Row) -> tuple[list[Block], np.ndarray, np.ndarray]:
    """The blocks; layer from 1 and number from 0 (h,) of each head. Raises InputError where there is none."""
    blocks = find_blocks(row.loaded.model, row.loaded.dtype)
    layer = np.array([i for i, block in enumerate(blocks, 1) for _ in range(block.n_heads)], np.int32)
    number = np.array([head for block in blocks for head in range(block.n_heads)], np.int32)
    if not len(layer):
        raise InputError(why_no_heads(row.loaded.card.name, NONE))
    return blocks, layer, number


def _counts(n_heads: int) -> list[int]:
    return sorted({min(n_heads, 2**i) for i in range(n_heads.bit_length() + 1)})


def n_rows_of_heads(n_heads: int) -> int:
    """Rows that `read_heads` ticks."""
    return 2 * n_heads + len(_counts(n_heads)) * (1 + N_RANDOM)


def _means(row: Row, blocks: Sequence[Block]) -> list[torch.Tensor]:
    """(heads, width) a block: each head's mean over the row. Raises InputError where heads do not add up."""
    means = []
    given: dict[nn.Module, torch.Tensor] = {}
    with gathered(blocks, given):
        Reader(row.loaded, with_cache=False).feed(row.ids)
    for block in blocks:
        if block.projection is None:
            continue
        if not adds_up(block, given[block.projection][0], row.loaded.dtype):
            raise InputError(why_no_heads(row.loaded.card.name, APART))
        means.append(given[block.projection].unflatten(-1, (block.n_heads, -1))[0].mean(dim=0))
    return means


def _attention(row: Row, blocks: Sequence[Block]) -> np.ndarray | None:
    """(h, m, p) float16: how the positions that predict the continuation look at the row; None where it is not told."""
    model = row.loaded.model
    before = model.config._attn_implementation
    try:
        model.set_attn_implementation("eager")
        found = model(input_ids=row.ids, use_cache=False, output_attentions=True).attentions
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a family makes of being asked for what it does not keep
        return None
    finally:
        model.set_attn_implementation(before)
    counts = [block.n_heads for block in blocks if block.projection is not None]
    shapes = [tuple(each.shape) if isinstance(each, torch.Tensor) else () for each in found or ()]
    if shapes != [(1, n, row.p, row.p) for n in counts]:
        return None
    weights = torch.cat([each[0] for each in found])[:, -row.m - 1 : -1]
    sums = weights.float().sum(dim=-1)
    return weights.half().cpu().numpy() if near(sums, torch.ones_like(sums), row.loaded.dtype) else None
