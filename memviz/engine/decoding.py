"""What a model says about rows of tokens, teacher-forced and free-running, in one pass and as few steps as possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from memviz.engine.choosing import Chooser
from memviz.engine.drafting import Drafter
from memviz.engine.reader import Reader
from memviz.engine.stretch import Stretch

STAGE = 8
"""Rows of a batch whose first divergences are this near are decoded together from the first of them on."""


@dataclass
class Work:
    """One batch under way: the request on the device, and what was found so far on the host."""

    context_ids: torch.Tensor
    """(n, k) int64."""
    true_ids: torch.Tensor | None
    """(n, m) int64."""
    chooser: Chooser
    guesses: Sequence[Sequence[int]] | None
    """Other continuations that the model may write again, such as a smaller model's; they only save time.

    None forbids every kind of draft: below float32 a token may depend on how many are read at once."""
    tick: Callable[[int], None]
    """Called with the positions read so far, of k + 2 m; raises to cancel."""
    chunk: int
    """Positions read at once, so that their logits fit."""
    context: Stretch
    forced: Stretch
    free: Stretch
    hidden: dict[str, np.ndarray]
    """context (n, k, l, d), teacher_forced and free_running (n, m, l, d) float32; empty where none are wanted."""

    @property
    def k(self) -> int:
        return self.context_ids.shape[1]

    @property
    def m(self) -> int:
        return self.free.n_positions

    def keep_hidden(self, mode: str, rows: np.ndarray, start: int, hidden: torch.Tensor | None) -> None:
        if hidden is not None and hidden.shape[1]:
            self.hidden[mode][rows, start : start + hidden.shape[1]] = hidden.float().cpu().numpy()

    def true_at(self, rows: np.ndarray, start: int, stop: int) -> torch.Tensor | None:
        return None if self.true_ids is None else self.true_ids[rows, start:stop]


def read_rows(work: Work, reader: Reader, ids: torch.Tensor, into: Stretch, mode: str) -> None:
    """Read context and truth, or the context alone, in as few passes as fit; index k + t is recorded in `into` at t."""
    k, n_indices, rows = work.k, work.k + work.m, np.arange(len(ids))
    size = work.chunk if reader.can_roll_back else ids.shape[1]
    for start in range(0, ids.shape[1], size):
        block = ids[:, start : start + size]
        stop = start + block.shape[1]
        logits, hidden = reader.feed(block)
        if hidden is not None:
            inside = max(0, min(stop, k) - start)
            work.keep_hidden("context", rows, start, hidden[:, :inside])
            work.keep_hidden(mode, rows, max(start - k, 0), hidden[:, inside:])
        edge = min(max(k - 1 - start, 0), block.shape[1])  # distributions of context indices in this block
        if edge:
            work.context.record(rows, start + 1, logits[:, :edge], true_ids=ids[:, start + 1 : start + 1 + edge])
        logits, t = logits[:, edge : n_indices - 1 - start], max(start + 1 - k, 0)
        if logits.shape[1]:
            into.record(rows, t, logits, work.chooser, work.true_at(rows, t, t + logits.shape[1]))
        work.tick(stop)


def run_free(work: Work, reader: Reader, rows: np.ndarray, n_known: np.ndarray, start: int, stop: int) -> None:
    """Choose and read continuation tokens start to stop - 1, one at a time, or several where a guess proves right.

    rows (r,): the rows the reader holds; n_known (r,): how many tokens of each are chosen already, above `start`. The
    reader has read the context and `start` tokens. All rows stay at one position, so nothing is padded; guesses are
    offered where the reader holds a single row.
    """
    m, device, chosen = work.m, work.context_ids.device, work.free.own.ids
    t = start  # continuation tokens read so far
    drafter = None
    if len(rows) == 1 and reader.can_roll_back and work.guesses is not None:
        truth = [] if work.true_ids is None else [work.true_ids[rows[0]].tolist()]
        drafter = Drafter(work.context_ids[rows[0]].tolist(), [*truth, *work.guesses])
    while t < min(stop, m if work.hidden else m - 1):  # only for its hidden state the last token is read
        draft = drafter.draft(chosen[rows[0], : t + 1].tolist(), stop - 1 - t) if drafter else []
        block = np.concatenate([chosen[rows, t : t + 1], np.tile(np.array(draft, np.int64), (len(rows), 1))], axis=1)
        logits, hidden = reader.feed(torch.from_numpy(block).to(device))
        n_right = 0
        if t < m - 1:
            fresh = np.flatnonzero(n_known == t + 1)  # the others' next token is known from the pass
            at = rows[fresh]
            logits = logits[:, : m - 1 - t]
            if len(fresh) < len(rows):
                logits = logits[torch.from_numpy(fresh).to(device)]
            if len(fresh):
                true_ids = None if work.free.essential else work.true_at(at, t + 1, t + 1 + logits.shape[1])
                work.free.record(at, t + 1, logits, work.chooser, true_ids)
            if draft:
                right = np.array(draft) == chosen[rows[0], t + 1 : t + 1 + len(draft)]
                n_right = len(draft) if right.all() else int(right.argmin())
        work.keep_hidden("free_running", rows, t, None if hidden is None else hidden[:, : 1 + n_right])
        if drafter:
            drafter.learn(len(draft), n_right)
        t += 1 + n_right
        n_known = np.maximum(n_known, t + 1)
        if reader.can_roll_back:
            reader.crop(work.k + t)
        work.tick(work.k + m + t)


def decode_verified(work: Work, reader: Reader) -> None:
    """One teacher-forced pass, then only what follows each row's first divergence, on the cropped cache.

    Rows enter the decoding where they diverge, those near each other together: entering copies the cache.
    """
    assert work.true_ids is not None
    n, m = work.true_ids.shape
    read_rows(work, reader, torch.cat([work.context_ids, work.true_ids], dim=1), work.forced, "teacher_forced")
    agreed = (work.forced.own.ids == work.forced.true.ids).cumprod(axis=1).sum(axis=1)  # (n,) longest common prefix
    work.free.copy(work.forced, np.minimum(agreed + 1, m))
    if work.hidden:
        same = np.nonzero(np.arange(m) < agreed[:, None])
        work.hidden["free_running"][same] = work.hidden["teacher_forced"][same]
    partial = agreed < m
    groups = [np.flatnonzero(partial & (agreed // STAGE == stage)) for stage in np.unique(agreed[partial] // STAGE)]
    starts = [int(agreed[group].min()) for group in groups]
    rows, active = np.zeros(0, np.int64), None
    for group, start, stop in zip(groups, starts, [*starts, m][1:], strict=True):
        joining = reader
        if len(group) < n:
            joining = reader.split(torch.from_numpy(group).to(work.true_ids.device), work.k + start)
        joining.crop(work.k + start)
        active = joining if active is None else active.join(joining)
        rows = np.concatenate([rows, group])
        run_free(work, active, rows, np.maximum(agreed[rows], start) + 1, start, stop)
    work.tick(work.k + 2 * m)


def decode_plainly(work: Work, new_reader: Callable[[], Reader]) -> None:
    """Each way of reading on its own, step by step: where rounding or the cache forbids to go on from the pass."""
    if work.true_ids is not None:
        read_rows(
            work, new_reader(), torch.cat([work.context_ids, work.true_ids], dim=1), work.forced, "teacher_forced"
        )
    reader = new_reader()
    read_rows(work, reader, work.context_ids, work.free, "free_running")
    n = len(work.context_ids)
    run_free(work, reader, np.arange(n), np.ones(n, np.int64), 0, work.m)
    work.tick(work.k + 2 * work.m)
