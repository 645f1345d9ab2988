"""What is kept, on the device, of the distributions at a stretch of positions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from memviz.engine.choosing import Chooser
from memviz.engine.reader import Reader
from memviz.engine.statistics import distributions, score
from memviz.records import N_ALTERNATIVES, UNKNOWN_ID, Scores, Target

_FLOATS = ("log_normaliser", "entropy", "second_moment", "margin", "own_logit", "true_logit")
_IDS = ("own_ids", "true_ids")
_RANKS = ("own_rank", "true_rank")


class Stretch:
    """Statistics of n rows at p positions, with the scores of the token the decoding chose and of the true one.

    An `essential` one keeps the likeliest alternative only.
    """

    def __init__(
        self, n: int, n_positions: int, vocab_size: int, device: torch.device, essential: bool = False
    ) -> None:
        self.n_positions = n_positions
        self.n_kept = 1 if essential else min(N_ALTERNATIVES, vocab_size)
        self.essential = essential
        shape, top = (n, n_positions), (n, n_positions, self.n_kept)
        self.values = {name: torch.full(shape, torch.nan, device=device) for name in _FLOATS}
        self.values |= {name: torch.full(shape, UNKNOWN_ID, device=device) for name in _IDS}
        self.values |= {name: torch.zeros(shape, dtype=torch.long, device=device) for name in _RANKS}
        self.values["top_ids"] = torch.full(top, UNKNOWN_ID, device=device)
        self.values["top_logits"] = torch.full(top, torch.nan, device=device)

    def put(
        self, rows: torch.Tensor | slice, start: int, found: dict[str, torch.Tensor], fresh: torch.Tensor | None = None
    ) -> None:
        """Keep (r, q, ...) values of rows (r,) at positions from `start` on, where `fresh` (r, q), if given."""
        at = slice(start, start + next(iter(found.values())).shape[1])
        for name, value in found.items():
            if fresh is not None:
                value = torch.where(fresh if value.ndim == 2 else fresh[..., None], value, self.values[name][rows, at])
            self.values[name][rows, at] = value

    def copy(self, other: Stretch, n_positions: torch.Tensor) -> None:
        """Take over the first positions (n,) of each row from another stretch."""
        taken = torch.arange(self.n_positions, device=n_positions.device) < n_positions[:, None]
        self.put(slice(None), 0, other.values, taken)

    def target(self, which: str) -> Target:
        """The scores of the chosen (own) or the true tokens as a record."""
        logit, rank = self.host(f"{which}_logit"), self.host(f"{which}_rank")
        return Target(logit, logit - self.host("log_normaliser"), rank.astype(np.int32))

    def scores(self, which: str) -> Scores:
        """Everything as a record, with the chosen or the true tokens as targets."""
        top_ids, normaliser = self.host("top_ids").astype(np.int32), self.host("log_normaliser")
        return Scores(
            **vars(self.target(which)),
            **{name: self.host(name) for name in ("entropy", "second_moment", "margin")},
            top_ids=top_ids,
            argmax_ids=top_ids[..., 0],
            top_logprobs=self.host("top_logits") - normaliser[..., None],
        )

    def host(self, name: str) -> np.ndarray:
        """(n, p, ...) of one name."""
        return self.values[name].cpu().numpy()


def measure_in_chunks(
    into: Stretch,
    flat: torch.Tensor,
    chunk: int,
    logits_of: Callable[[torch.Tensor], torch.Tensor],
    true_ids: torch.Tensor | None = None,
    own_ids: torch.Tensor | None = None,
    choose: Callable[[torch.Tensor, slice], torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """What logits (q, V), made chunk by chunk of (q, ·), say by the names of a stretch's values.

    Of true tokens (q,), where given, and of chosen ones: those given or chosen now, else the likeliest.
    """
    parts = []
    for first in range(0, len(flat), chunk):
        some = slice(first, first + chunk)
        logits = logits_of(flat[some])
        own = choose(logits, some) if choose else None if own_ids is None else own_ids[some]
        parts.append(_measure(logits, into.n_kept, own, None if true_ids is None else true_ids[some]))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _measure(
    logits: torch.Tensor, n_kept: int, own_ids: torch.Tensor | None, true_ids: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    stats = distributions(logits, n_kept)
    found, top_ids = dict(vars(stats)), stats.top_ids[:, 0]
    if own_ids is None:
        found |= {"own_ids": top_ids, "own_logit": stats.top_logits[:, 0], "own_rank": torch.ones_like(top_ids)}
    else:
        found["own_ids"] = own_ids
        found["own_logit"], found["own_rank"] = score(logits, own_ids, top_ids)
    if true_ids is not None:
        found["true_ids"] = true_ids
        found["true_logit"], found["true_rank"] = score(logits, true_ids, top_ids)
    return found


def judge(
    into: Stretch,
    start: int,
    states: torch.Tensor,
    reader: Reader,
    chunk: int,
    true_ids: torch.Tensor | None,
    chooser: Chooser | None = None,
) -> None:
    """Keep what states (n, q, ·) of all rows say from position `start` on, of true tokens (n, q) and chosen ones."""
    n, q = states.shape[:2]
    if not q:
        return
    choose = None
    if chooser and not chooser.takes_likeliest:
        at = torch.arange(start, start + q, device=states.device).repeat(n)
        choose = lambda logits, some: chooser.choose(logits, at[some])  # noqa: E731
    truth = None if true_ids is None else true_ids.flatten()
    found = measure_in_chunks(into, states.flatten(0, 1), chunk, reader.logits, truth, choose=choose)
    into.put(slice(None), start, {name: value.unflatten(0, (n, q)) for name, value in found.items()})
