"""The causal views of one row that change what is read: other contexts, restored states; how rows are scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from memviz.engine.blocks import captured, find_blocks, noise_on, restored
from memviz.engine.loading import Loaded
from memviz.engine.reader import Reader, tokens_at_once
from memviz.engine.sizes import vocab_size
from memviz.engine.statistics import most_likely, require_finite
from memviz.engine.tracing import positions_at_once, rows_that_fit
from memviz.measures.causes import KINDS_RESTORED, Occlusion, Recovery, prefix

Tick = Callable[[int], None]
"""Called with the rows that were read since the last call; raises to cancel."""
MOST_ROWS = 64
"""Rows read together."""


class Row:
    """One row of a loaded model: context with leading tokens, and truth; and how changed rows are scored."""

    def __init__(self, loaded: Loaded, context_ids: Sequence[int], true_ids: Sequence[int]) -> None:
        self.loaded, self.device = loaded, loaded.device
        self.ids = torch.tensor([[*context_ids, *true_ids]], device=loaded.device)
        self.true_ids = torch.tensor(list(true_ids), device=loaded.device)
        self.m, self.p = len(true_ids), self.ids.shape[1]
        self.chunk = positions_at_once(vocab_size(loaded.model, loaded.card.vocab_size))

    @cached_property
    def at_once(self) -> int:
        """Rows read together."""
        return max(1, min(MOST_ROWS, tokens_at_once(self.loaded) // self.p, rows_that_fit(self.loaded, self.p, 0)))

    @property
    def truth(self) -> np.ndarray:
        return self.true_ids.cpu().numpy()

    def judge(self, reader: Reader, states: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """(n, m) log p(true) in nats and whether it is the argmax, of states whose last m + 1 are asked."""
        asked = states[:, -self.m - 1 : -1].flatten(0, 1)
        target = self.true_ids.repeat(len(states))
        logprob, match = [], []
        for part, wanted in zip(asked.split(self.chunk), target.split(self.chunk), strict=True):
            logits = reader.logits(part[None])[0].float()
            logprob.append(logits.log_softmax(-1).gather(-1, wanted[:, None])[:, 0])
            match.append(most_likely(logits) == wanted)
        found = torch.cat(logprob)
        require_finite(found)
        shape = (len(states), self.m)
        return found.view(shape).cpu().numpy(), torch.cat(match).view(shape).cpu().numpy()

    def score(
        self,
        n: int,
        changed: Callable[[slice], AbstractContextManager[Any]],
        tick: Tick = lambda n: None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `judge`, of the row read n times, each time as `changed` makes it of the rows of a slice."""
        logprob, match = [], []
        for start in range(0, n, self.at_once):
            part = slice(start, min(n, start + self.at_once))
            reader = Reader(self.loaded, with_cache=False)
            with changed(part):
                states = reader.feed(self.ids.expand(part.stop - start, -1)).states
            found = self.judge(reader, states)
            logprob.append(found[0])
            match.append(found[1])
            tick(part.stop - start)
        return np.concatenate(logprob), np.concatenate(match)

    def unchanged(self) -> tuple[np.ndarray, np.ndarray]:
        """(m,) log p(true) and matches."""
        logprob, match = self.score(1, lambda rows: nullcontext())
        return logprob[0], match[0]


@torch.inference_mode()
def read_occlusion(row: Row, n_leading: int, replacement_ids: np.ndarray, tick: Tick) -> Occlusion:
    """Each of the k tokens behind the leading ones replaced by the S of (k, S) ids, and dropped.

    What stands before the changed token is read once, where the cache can be rolled back.
    """
    k, n_drawn = replacement_ids.shape
    whole = Reader(row.loaded)
    logprob, match = row.judge(whole, whole.feed(row.ids).states)
    replaced, dropped = [], []
    is_only = n_leading + k == 1  # nothing would be left to be read
    for j, others in enumerate(torch.from_numpy(replacement_ids).to(row.device)):
        at = n_leading + j
        rows = row.ids.repeat(n_drawn if is_only else n_drawn + 1, 1)
        rows[:n_drawn, at] = others
        rows[n_drawn:, at:-1] = row.ids[:, at + 1 :]  # the last token stays, where nothing that is asked sees it
        found = []
        for part in torch.arange(len(rows)).chunk(-(-len(rows) // row.at_once)):
            found.append(_behind(row, whole, rows[part], at, int((part < n_drawn).sum())))
            tick(len(part))
        logprobs, matches = (np.concatenate(each) for each in zip(*found, strict=True))
        replaced.append((logprobs[:n_drawn], matches[:n_drawn]))
        dropped.append(_nothing(row) if is_only else (logprobs[n_drawn:], matches[n_drawn:]))
        tick(int(is_only))
    falls = (logprob - np.concatenate([each[0] for each in dropped])).mean(axis=1)
    return Occlusion(
        true_ids=row.truth,
        whole_logprob=logprob[0],
        whole_match=match[0],
        replaced_logprob=np.concatenate([each[0] for each in replaced]).reshape(k, n_drawn, row.m),
        replaced_match=np.concatenate([each[1] for each in replaced]).reshape(k, n_drawn, row.m),
        dropped_logprob=np.concatenate([each[0] for each in dropped]),
        dropped_match=np.concatenate([each[1] for each in dropped]),
        kept=_least(row, n_leading, np.argsort(falls, kind="stable"), int(prefix(match[0])), tick),
    )


def _nothing(row: Row) -> tuple[np.ndarray, np.ndarray]:
    return np.full((1, row.m), np.nan, np.float32), np.zeros((1, row.m), bool)


def _behind(row: Row, whole: Reader, ids: torch.Tensor, at: int, n_whole: int) -> tuple[np.ndarray, np.ndarray]:
    """As `Row.judge`, of rows (n, p) that are the whole one up to index `at`; those behind `n_whole` lack one token.

    Theirs end one token early, on one that is not asked.
    """
    n, shared = len(ids), min(at, row.p - row.m - 1 - (n_whole < len(ids)))  # the states that are asked are read here
    if shared and whole.can_roll_back:
        reader = whole.split(torch.zeros(n, dtype=torch.int64, device=row.device), shared)
        states = reader.feed(ids[:, shared:]).states
    else:
        reader = Reader(row.loaded, with_cache=False)
        states = reader.feed(ids).states
    return row.judge(reader, torch.cat([states[:n_whole], states[n_whole:].roll(1, dims=1)]))


def _least(row: Row, n_leading: int, order: np.ndarray, n_matches: int, tick: Tick) -> np.ndarray:
    """(k,) bool: tokens left when each is dropped in turn where the prefix stays at least as long."""
    left = np.ones(len(order), bool)
    for j in order.tolist() if n_matches else ():
        left[j] = False
        keep = torch.cat([torch.ones(n_leading, dtype=torch.bool), torch.from_numpy(left)]).to(row.device)
        ids = row.ids[:, torch.cat([keep, torch.ones(row.m, dtype=torch.bool, device=row.device)])]
        if ids.shape[1] > row.m:
            reader = Reader(row.loaded, with_cache=False)
            left[j] = prefix(row.judge(reader, reader.feed(ids).states)[1][0]) < n_matches
        else:
            left[j] = True
        tick(1)
    return left


@torch.inference_mode()
def read_recovery(row: Row, n_leading: int, sigma: float, n_draws: int, seed: int, tick: Tick) -> Recovery:
    """Noise on the context's embeddings, and each state of each layer restored at each of the k context tokens.

    The noise is normal, `sigma` times the standard deviation of the embeddings of the row's context.
    """
    model, k = row.loaded.model, row.p - row.m - n_leading
    blocks = find_blocks(model, row.loaded.dtype)
    modules: list[nn.Module | None] = [block.module for block in blocks]
    for part in range(2):
        modules += [block.parts[part] if block.parts else None for block in blocks]
    embedding = model.get_input_embeddings()
    clean: dict[nn.Module, torch.Tensor] = {}
    with captured([embedding, *(each for each in modules if each is not None)], clean):
        logprob, _ = row.unchanged()
    states = [None if each is None else clean[each][0] for each in modules]
    words = clean[embedding][0, n_leading : n_leading + k]
    drawn = np.random.default_rng(seed).standard_normal((n_draws, *words.shape)).astype(np.float32)
    noise = torch.from_numpy(drawn).to(words) * (sigma * words.float().std()).to(words)
    noisy, _ = row.score(n_draws, lambda rows: noise_on(model, noise[rows], n_leading), tick)
    known = torch.tensor([i for i, each in enumerate(modules) if each is not None], device=row.device)
    which = known.repeat_interleave(k)
    at = torch.arange(n_leading, n_leading + k, device=row.device).repeat(len(known))
    total = np.zeros((len(which), row.m))
    for one in noise:

        def changed(rows: slice, one: torch.Tensor = one) -> AbstractContextManager[Any]:
            stack = ExitStack()
            stack.enter_context(noise_on(model, one.expand(rows.stop - rows.start, -1, -1), n_leading))
            stack.enter_context(restored(modules, states, which[rows], at[rows]))
            return stack

        total += row.score(len(which), changed, tick)[0]
    back = np.full((len(modules), k, row.m), np.nan, np.float32)
    back[known.cpu().numpy()] = (total / n_draws).reshape(len(known), k, row.m)
    return Recovery(row.truth, logprob, noisy, back.reshape(len(KINDS_RESTORED), len(blocks), k, row.m))
