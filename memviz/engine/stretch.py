"""What is kept on the host of the distributions at a stretch of positions."""

from __future__ import annotations

import numpy as np
import torch

from memviz.engine.choosing import Chooser
from memviz.engine.statistics import Distributions, distributions, essentials, rank_of, score
from memviz.records import N_ALTERNATIVES, UNKNOWN_ID, Scores, Target


class Targets:
    """Ids, logits and ranks of one target token per position."""

    def __init__(self, n: int, n_positions: int) -> None:
        self.ids = np.full((n, n_positions), UNKNOWN_ID, np.int64)
        self.logit = np.full((n, n_positions), np.nan, np.float32)
        self.rank = np.zeros((n, n_positions), np.int32)


class Stretch:
    """Statistics of n rows at p positions, with the scores of the token the decoding chose and of the true one.

    An `essential` one leaves out the second moment and all alternatives but the first.
    """

    def __init__(self, n: int, n_positions: int, vocab_size: int, essential: bool = False) -> None:
        n_kept = 1 if essential else min(N_ALTERNATIVES, vocab_size)
        self.n_positions = n_positions
        self.own = Targets(n, n_positions)
        self.true = Targets(n, n_positions)
        self.essential = essential
        names = _FLOATS if essential else (*_FLOATS, "second_moment")
        self.stats = {name: np.full((n, n_positions), np.nan, np.float32) for name in names}
        self.stats["top_ids"] = np.full((n, n_positions, n_kept), UNKNOWN_ID, np.int32)
        self.stats["top_logits"] = np.full((n, n_positions, n_kept), np.nan, np.float32)

    def record(
        self,
        rows: np.ndarray,
        start: int,
        logits: torch.Tensor,
        chooser: Chooser | None = None,
        true_ids: torch.Tensor | None = None,
    ) -> None:
        """Keep what (r, q, V) logits say of rows (r,) at positions from `start` on; true_ids (r, q) or none."""
        at = slice(start, start + logits.shape[1])
        stats = essentials(logits) if self.essential else distributions(logits)
        for name, values in self.stats.items():
            values[rows, at] = getattr(stats, name).cpu().numpy()
        if chooser:
            _put(self.own, rows, at, *chooser.choose(logits, stats, start))
        if true_ids is not None and self.essential:
            self._score_essentially(rows, at, logits, stats, true_ids, with_rank=chooser is not None)
        elif true_ids is not None:
            _put(self.true, rows, at, true_ids, *score(logits, true_ids))

    def _score_essentially(
        self,
        rows: np.ndarray,
        at: slice,
        logits: torch.Tensor,
        stats: Distributions,
        true_ids: torch.Tensor,
        with_rank: bool,
    ) -> None:
        """The same of the true tokens, in less time; context tokens, from which nothing is chosen, get no rank."""
        logit = logits.gather(-1, true_ids[..., None])[..., 0].float()
        rank = rank_of(logits, true_ids, stats) if with_rank else torch.zeros_like(true_ids)
        _put(self.true, rows, at, true_ids, logit, rank)

    def copy(self, other: Stretch, n_positions: np.ndarray) -> None:
        """Take over the first positions (n,) of each row from another stretch."""
        rows, positions = np.nonzero(np.arange(self.n_positions) < n_positions[:, None])
        pairs = [(self.stats, other.stats), (vars(self.own), vars(other.own)), (vars(self.true), vars(other.true))]
        for mine, theirs in pairs:
            for name, values in mine.items():
                values[rows, positions] = theirs[name][rows, positions]

    def target(self, targets: Targets) -> Target:
        """The scores of the chosen or the true tokens as a record."""
        return Target(targets.logit, targets.logit - self.stats["log_normaliser"], targets.rank)

    def scores(self, targets: Targets) -> Scores:
        """Everything as a record, with the chosen or the true tokens as targets."""
        stats, normaliser = self.stats, self.stats["log_normaliser"]
        return Scores(
            **vars(self.target(targets)),
            **{name: stats[name] for name in ("entropy", "second_moment", "margin", "top_ids")},
            argmax_ids=stats["top_ids"][..., 0],
            top_logprobs=stats["top_logits"] - normaliser[..., None],
        )


_FLOATS = ("log_normaliser", "entropy", "margin")


def _put(
    targets: Targets, rows: np.ndarray, at: slice, ids: torch.Tensor, logit: torch.Tensor, rank: torch.Tensor
) -> None:
    targets.ids[rows, at] = ids.cpu().numpy()
    targets.logit[rows, at] = logit.cpu().numpy()
    targets.rank[rows, at] = rank.cpu().numpy()
