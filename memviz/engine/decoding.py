"""What a model says about rows of tokens, teacher-forced and free-running, in one pass and as few steps as possible.

Nothing waits for the device but the end of a pass and of a block of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from memviz.engine.choosing import Chooser
from memviz.engine.drafting import Drafter
from memviz.engine.fixed import Fixed
from memviz.engine.reader import Fed, Reader
from memviz.engine.statistics import require_finite
from memviz.engine.stretch import Stretch, judge, measure_in_chunks

STAGE = 8
"""Rows of a batch whose first divergences are this near are decoded together from the first of them on."""
STEPS, STEPS_SHOWN = 16, 4
"""Steps whose logits are kept and reduced together at most, and where somebody watches."""


@dataclass
class Work:
    """One batch under way: the request and what was found so far, on the device."""

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
    show: Callable[[int], None] | None
    """Called with the number of continuation tokens chosen so far; None where nobody watches."""
    chunk: int
    """Positions whose logits are made and reduced at once."""
    n_steps: int
    """Steps whose logits are kept before they are reduced."""
    context: Stretch
    forced: Stretch
    free: Stretch
    hidden: dict[str, torch.Tensor]
    """context (n, k, l, d), teacher_forced and free_running (n, m, l, d); empty where none are wanted."""
    places: Callable[[Reader, int], Fixed | None]
    """Gives fixed places for so many rows of a reader, or None: then they decode on a cache that grows."""

    @property
    def k(self) -> int:
        return self.context_ids.shape[1]

    @property
    def m(self) -> int:
        return self.free.n_positions

    @property
    def chosen_ids(self) -> torch.Tensor:
        """(n, m) int64, as far as they are chosen."""
        return self.free.values["own_ids"]

    def shown(self, n_tokens: int) -> None:
        if self.show is not None:
            self.show(n_tokens)


def read_rows(work: Work, reader: Reader, ids: torch.Tensor, into: Stretch, mode: str) -> None:
    """Read context and truth, or the context alone, in as few blocks as may be; index k + t goes to t of `into`."""
    k, size = work.k, reader.block(len(ids), ids.shape[1], work.chunk)
    for start in range(0, ids.shape[1], size):
        fed = reader.feed(ids[:, start : start + size])
        stop = reader.length
        if fed.hidden is not None:
            inside = max(0, min(stop, k) - start)
            work.hidden["context"][:, start : start + inside] = fed.hidden[:, :inside]
            work.hidden[mode][:, max(start - k, 0) : max(stop - k, 0)] = fed.hidden[:, inside:]
        edge = min(max(k - 1 - start, 0), stop - start)  # distributions of context indices in this block
        judge(work.context, start + 1, fed.states[:, :edge], reader, work.chunk, ids[:, start + 1 : start + 1 + edge])
        states, t = fed.states[:, edge : k + work.m - 1 - start], max(start + 1 - k, 0)
        truth = None if work.true_ids is None else work.true_ids[:, t : t + states.shape[1]]
        judge(into, t, states, reader, work.chunk, truth, work.chooser)
        work.tick(stop)
    n_told = min(work.m, ids.shape[1] - k + 1)
    known = [work.context.values["log_normaliser"][:, 1:], into.values["log_normaliser"][:, :n_told]]
    require_finite(torch.cat(known, dim=1))


class FreeRun:
    """Rows that write on, from where they left the truth: all at one position, so nothing is padded."""

    def __init__(self, work: Work, fixed: Fixed | None) -> None:
        self.work, self.fixed = work, fixed
        self.rows = np.zeros(0, np.int64)
        """(r,) those that the reader holds."""
        self.n_known = np.zeros(0, np.int64)
        """(r,) continuation tokens of each that are chosen already."""
        self.reader: Reader | Fixed | None = fixed

    def enter(self, reader: Reader, rows: np.ndarray, n_known: np.ndarray, length: int) -> None:
        """More rows (r,) of a reader of all, of which `length` tokens count: as many as those before have read."""
        places = torch.from_numpy(rows).to(self.work.context_ids.device)
        if self.fixed is not None:
            self.fixed.take(reader, places, length)
        else:
            if len(rows) < len(self.work.context_ids):
                reader = reader.split(places, length)
            reader.crop(length)
            self.reader = self.reader.join(reader) if isinstance(self.reader, Reader) else reader
        self.rows, self.n_known = np.concatenate([self.rows, rows]), np.concatenate([self.n_known, n_known])

    def run(self, start: int, stop: int) -> None:
        """Choose and read continuation tokens start to stop - 1, one at a time, or several where a guess proves right.

        The reader has read the context and `start` tokens. A single row is offered guesses, between blocks of steps.
        """
        work, reader = self.work, self.reader
        assert reader is not None
        rows, row = torch.from_numpy(self.rows).to(work.context_ids.device), int(self.rows[0])
        drafter = None
        if len(rows) == 1 and reader.can_roll_back and work.guesses is not None:
            truth = [] if work.true_ids is None else [work.true_ids[row].tolist()]
            drafter = Drafter(work.context_ids[row].tolist(), [*truth, *work.guesses])
        t, end = start, min(stop, work.m if work.hidden else work.m - 1)  # the last token is read for its state alone
        while t < end:
            draft = drafter.draft(work.chosen_ids[row, : t + 1].tolist(), stop - 1 - t) if drafter else []
            if drafter and draft:
                n_right = self._verify(rows, t, draft)
                drafter.learn(len(draft), n_right)
                t += 1 + n_right
            else:
                size = min(work.n_steps, drafter.pause() if drafter else work.n_steps, end - t)
                self._steps(rows, t, size)
                t += size
            reader.crop(work.k + t)
            work.shown(min(t + 1, work.m))

    def _steps(self, rows: torch.Tensor, start: int, n_steps: int) -> None:
        """Read tokens start to start + n_steps - 1, choosing each next one, without a look at the device."""
        work, reader, last = self.work, self.reader, self.work.m - 1
        assert reader is not None
        ids, longest = work.chosen_ids[rows, start : start + 1], int(self.n_known.max())
        n_known = torch.from_numpy(self.n_known).to(rows.device)[:, None] if longest > start + 1 else None
        logits, chosen, hidden = [], [], []
        for t in range(start, start + n_steps):
            fed = reader.feed(ids)
            if fed.hidden is not None:
                hidden.append(fed.hidden)
            if t < last:
                logits.append(reader.logits(fed.states).squeeze(1))
                ids = work.chooser.choose(logits[-1], slice(t + 1, t + 2))[:, None]
                if n_known is not None and t + 1 < longest:  # the others' next token is known from the pass
                    ids = torch.where(n_known > t + 1, work.chosen_ids[rows, t + 1 : t + 2], ids)
                chosen.append(ids)
            work.tick(work.k + work.m + t + 1)
        if logits:
            fresh = None
            if n_known is not None:
                fresh = torch.arange(start + 1, start + 1 + len(logits), device=rows.device) >= n_known
            self._keep(rows, start + 1, torch.stack(logits, dim=1), torch.cat(chosen, dim=1), fresh)
        if hidden:
            work.hidden["free_running"][rows, start : start + n_steps] = torch.cat(hidden, dim=1)

    def _verify(self, rows: torch.Tensor, t: int, draft: list[int]) -> int:
        """Read token t and a guess of those behind it; how many of the guess were right."""
        work, reader = self.work, self.reader
        assert reader is not None
        guessed = torch.tensor([draft], device=rows.device)
        fed: Fed = reader.feed(torch.cat([work.chosen_ids[rows, t : t + 1], guessed], dim=1))
        logits = reader.logits(fed.states)[:, : work.m - 1 - t]
        own = work.chooser.choose(logits[0], slice(t + 1, t + 1 + logits.shape[1]))
        self._keep(rows, t + 1, logits, own[None], None)
        right = np.array(draft) == own[: len(draft)].cpu().numpy()
        n_right = len(draft) if right.all() else int(right.argmin())
        if fed.hidden is not None:
            work.hidden["free_running"][rows, t : t + 1 + n_right] = fed.hidden[:, : 1 + n_right]
        work.tick(work.k + work.m + t + 1 + n_right)
        return n_right

    def _keep(
        self, rows: torch.Tensor, start: int, logits: torch.Tensor, chosen: torch.Tensor, fresh: torch.Tensor | None
    ) -> None:
        """Reduce logits (r, q, V) of positions from `start` on, whose chosen tokens are (r, q); one look at them."""
        work, truth = self.work, None
        if work.true_ids is not None and not work.free.essential:
            truth = work.true_ids[rows, start : start + logits.shape[1]].flatten()
        own = None if work.chooser.takes_likeliest else chosen.flatten()
        flat = measure_in_chunks(work.free, logits.flatten(0, 1), work.chunk, lambda some: some, truth, own)
        require_finite(flat["log_normaliser"])
        found = {name: value.unflatten(0, logits.shape[:2]) for name, value in flat.items()}
        work.free.put(rows, start, found, fresh)


def decode_verified(work: Work, reader: Reader) -> None:
    """One teacher-forced pass, then only what follows each row's first divergence, on the cropped cache.

    Rows enter the decoding where they diverge, those near each other together: entering copies the cache.
    """
    assert work.true_ids is not None
    m = work.m
    read_rows(work, reader, torch.cat([work.context_ids, work.true_ids], dim=1), work.forced, "teacher_forced")
    same = work.forced.values["own_ids"] == work.true_ids
    prefix = same.cumprod(dim=1)
    work.free.copy(work.forced, (prefix.sum(dim=1) + 1).clamp_max(m))
    if work.hidden:
        taken = prefix.bool()[..., None, None]
        work.hidden["free_running"] = torch.where(taken, work.hidden["teacher_forced"], work.hidden["free_running"])
    agreed = prefix.sum(dim=1).cpu().numpy()  # (n,) longest common prefix
    work.shown(min(int(agreed.min()) + 1, m))
    partial = agreed < m
    groups = [np.flatnonzero(partial & (agreed // STAGE == stage)) for stage in np.unique(agreed[partial] // STAGE)]
    starts = [int(agreed[group].min()) for group in groups]
    free = FreeRun(work, work.places(reader, int(partial.sum())) if groups else None)
    for group, start, stop in zip(groups, starts, [*starts, m][1:], strict=True):
        free.enter(reader, group, agreed[group] + 1, work.k + start)
        free.run(start, stop)
    work.tick(work.k + 2 * m)


def decode_plainly(work: Work, new_reader: Callable[[], Reader]) -> None:
    """Each way of reading on its own, step by step: where the cache forbids to go on from the pass, or to compare."""
    if work.true_ids is not None:
        whole = torch.cat([work.context_ids, work.true_ids], dim=1)
        read_rows(work, new_reader(), whole, work.forced, "teacher_forced")
    reader, n = new_reader(), len(work.context_ids)
    read_rows(work, reader, work.context_ids, work.free, "free_running")
    free = FreeRun(work, work.places(reader, n))
    free.enter(reader, np.arange(n), np.ones(n, np.int64), work.k)
    free.run(0, work.m)
    work.tick(work.k + 2 * work.m)
