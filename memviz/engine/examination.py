"""What is found out about a model when it is made ready: whether it is causal, and which ways of reading it agree."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from memviz.catalog import Card
from memviz.engine.blocks import adds_up, find_blocks, gathered, near, silenced
from memviz.engine.loading import Loaded, first_line
from memviz.engine.reader import Reader
from memviz.engine.sizes import text_config
from memviz.engine.statistics import NOT_FINITE
from memviz.errors import Failure, InputError
from memviz.measures.causes import ADD_UP, APART, NONE

log = logging.getLogger(__name__)
N_ROWS, N_TOKENS = 2, 32
NOISY = 1e-3
LEAKS = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.1}
DISAGREES = {"float32": 0.1, "bfloat16": 0.3, "float16": 0.3}
"""In spreads (standard deviations of the logits): noise that is told, a later token that is seen, ways that differ. In
float32 the right ways of transformers' families stay below 2e-2, the wrong ones mostly above 0.3."""
SEES_LATER = "sees later tokens"
NEEDS_MORE = "needs an encoder, image or audio"
FORWARD_FAILS = "transformers' own forward fails on it"


class Refused(InputError):
    """A model that no number could be relied upon of; `reason` is one of the three above."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Finding:
    """Largest absolute differences of logits between ways that should agree; kept in the card as plain JSON."""

    way: Literal["cache", "whole"]
    """Decoded with its key/value cache, or by reading whole rows again."""
    dtype: str
    device: str
    spread: float
    """Standard deviation of the logits."""
    later: float
    """How far a later token moves what is said before it."""
    stepwise: float | None
    """One pass against single steps with the cache; None where these fail."""
    rolled_back: float | None
    """The same after the cache was rolled back, 0 where it never is; None where that fails."""
    reread: float
    """One pass against passes over shorter rows."""
    heads: str | None = None
    """`ADD_UP`, `APART` or `NONE`; None of cards that were written before it was asked."""

    @property
    def noise(self) -> float:
        """Of the ways that are used."""
        used = [self.stepwise, self.rolled_back] if self.way == "cache" else []
        return max(each for each in (*used, self.reread) if each is not None)

    def remark(self) -> str | None:
        """A sentence for whoever uses the model, where the finding is not that of a healthy one."""
        if self.way == "whole":
            how = "fails" if self.stepwise is None else f"is off by {self.stepwise:.2g} logits"
            return f"decoding with a cache {how}, so whole rows are read again at every token: right, and slow"
        if self.dtype == "float32" and self.noise > NOISY * self.spread:
            return (
                f"one pass and single steps differ by up to {self.noise:.2g} logits (spread {self.spread:.2g}), more "
                "than a healthy model in float32: more positions count as fragile"
            )
        return None


@torch.inference_mode()
def examine(loaded: Loaded) -> dict[str, Any]:
    """The `Finding` as JSON. Raises Refused for a model of which no number is right, Failure.

    Read are two rows of 32 tokens drawn at random (seeded): in one pass beside one whose last tokens are others, most
    at once and the rest one by one, half on a cache that was rolled back, and a shorter piece of each alone.
    """
    length = max(4, min(N_TOKENS, loaded.card.n_positions or N_TOKENS))
    n_later = length // 4
    ids = _ordinary_ids(loaded, length)
    other = torch.cat([ids[:1, :-n_later], _ordinary_ids(loaded, n_later, seed=1)[:1]], dim=1)
    whole, moved = _read_whole(loaded, torch.cat([ids, other])).split([N_ROWS, 1])
    spread = _spread(whole)
    later = _difference(whole[:1, :-n_later], moved[:, :-n_later])
    if later > LEAKS[loaded.dtype] * spread:
        raise Refused(
            SEES_LATER,
            f"{loaded.card.name} {SEES_LATER}: other tokens behind a position move its logits by {later:.2g} (their "
            f"spread is {spread:.2g}), so it is no causal language model; memviz reads causal ones alone",
        )
    pieces = enumerate((length // 4 + 1, length * 3 // 4))
    reread = max(_difference(whole[i, n - 1], _read_whole(loaded, ids[i : i + 1, :n])[0, -1]) for i, n in pieces)
    stepwise, rolled_back = _with_cache(loaded, ids, whole)
    limit = DISAGREES[loaded.dtype] * spread
    with_cache = max(math.inf if each is None else each for each in (stepwise, rolled_back))
    finding = Finding(
        way="cache" if with_cache <= limit else "whole",
        dtype=loaded.dtype,
        device=loaded.device.type,
        spread=spread,
        later=later,
        stepwise=stepwise,
        rolled_back=rolled_back,
        reread=reread,
        heads=_of_heads(loaded, ids[:1, : length // 4], whole[:1, : length // 4]),
    )
    if reread > limit:
        raise Refused(
            FORWARD_FAILS,
            f"{loaded.card.name} cannot be decoded: {FORWARD_FAILS}, its ways of reading disagree: a row read "
            f"whole and read up to a token differ by {reread:.2g} logits there, single steps with a cache by "
            f"{with_cache:.2g} (spread {spread:.2g})",
        )
    return asdict(finding)


def _of_heads(loaded: Loaded, ids: torch.Tensor, logits: torch.Tensor) -> str:
    """Whether silencing no head changes nothing, and the sum over the heads of a layer is its output.

    ids: (1, p); logits: (1, p, V) of a plain pass over them. A model that cannot be looked into has no heads.
    """
    given: dict[nn.Module, torch.Tensor] = {}
    try:
        blocks = [block for block in find_blocks(loaded.model, loaded.dtype) if block.projection is not None]
        chosen = torch.zeros(1, sum(block.n_heads for block in blocks), dtype=torch.bool, device=ids.device)
        with gathered(blocks, given), silenced(blocks, chosen, None):
            again = Reader(loaded, with_cache=False).read(ids).float()
        sums = [adds_up(block, given[block.projection][0], loaded.dtype) for block in blocks if block.projection]
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a forward makes of being watched
        log.info("the heads of %s cannot be found: %s", loaded.card.name, first_line(error))
        return NONE
    if not blocks:
        return NONE
    return ADD_UP if all(sums) and near(again, logits, loaded.dtype) else APART


def with_finding(card: Card, examination: dict[str, Any]) -> Card:
    """The card of an examined model, with what is to be remarked."""
    remark = Finding(**examination).remark()
    return replace(card, examination=examination, remarks=[*card.remarks, *([remark] if remark else [])])


def _spread(logits: torch.Tensor) -> float:
    """Standard deviation of those that are finite. Raises Failure where one is no number, or none is finite."""
    values = logits.cpu().numpy().ravel()  # torch takes ten times as long over it on a processor
    if not np.isfinite(values).all():
        if np.isnan(values).any() or not np.isfinite(values).any():
            raise Failure(NOT_FINITE)
        values = values[np.isfinite(values)]
    return float(values.std())


def _ordinary_ids(loaded: Loaded, length: int, seed: int = 0) -> torch.Tensor:
    """(2, length) ids of the vocabulary without those that a configuration gives a meaning, as a place for images."""
    config = {**loaded.model.config.to_dict(), **text_config(loaded.model).to_dict()}
    special = [id_ for name, id_ in config.items() if name.endswith(("_id", "_index")) and type(id_) is int]
    ordinary = np.setdiff1d(np.arange(loaded.card.vocab_size), special)
    return torch.from_numpy(np.random.default_rng(seed).choice(ordinary, (N_ROWS, length))).to(loaded.device)


def _read_whole(loaded: Loaded, ids: torch.Tensor) -> torch.Tensor:
    """Logits (n, p, V) of one pass. Raises Refused where the model cannot be read by tokens alone."""
    try:
        logits = Reader(loaded, with_cache=False).read(ids).float()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a forward makes of tokens alone
        more = needs_more(loaded.model.config)
        reason = NEEDS_MORE if more else FORWARD_FAILS
        told = f"it {reason}" if more else reason
        raise Refused(reason, f"{loaded.card.name} cannot be read: {told} ({first_line(error)})") from None
    if logits.shape[:2] != ids.shape:
        raise Refused(
            FORWARD_FAILS,
            f"{loaded.card.name} cannot be read: its logits are {tuple(logits.shape)} for {tuple(ids.shape)}",
        )
    return logits


def needs_more(config: Any) -> bool:
    """Whether a configuration speaks of parts beside text."""
    parts = set(getattr(config, "sub_configs", None) or {}) - {"text_config"}
    return any(word in part for part in parts for word in ("vision", "image", "audio", "encoder", "speech"))


def _with_cache(loaded: Loaded, ids: torch.Tensor, whole: torch.Tensor) -> list[float | None]:
    """Differences from one pass of single steps with a cache, and of that cache rolled back; None where it fails."""
    length, found = ids.shape[1], list[float | None]()
    try:
        reader = Reader(loaded)
        found.append(_difference(whole, _in_steps(reader, ids, length - max(1, length // 10))))
        found.append(_rolled_back(reader, ids, length // 2, whole))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a forward makes of its own cache
        log.info("%s cannot be read with a cache: %s", loaded.card.name, first_line(error))
    return [*found, None, None][:2]


def _in_steps(reader: Reader, ids: torch.Tensor, n_first: int) -> torch.Tensor:
    parts = [reader.read(ids[:, :n_first])]
    parts += [reader.read(ids[:, at : at + 1]) for at in range(n_first, ids.shape[1])]
    return torch.cat(parts, dim=1).float()


def _rolled_back(reader: Reader, ids: torch.Tensor, to: int, whole: torch.Tensor) -> float:
    """A single step and a block behind a cache that has read everything; 0 where it never is rolled back."""
    if not reader.can_roll_back:
        return 0.0
    reader.crop(to)
    parts = [reader.read(ids[:, to : to + 1]), reader.read(ids[:, to + 1 :])]
    return _difference(whole[:, to:], torch.cat(parts, dim=1).float())


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest absolute difference; a logit may be minus infinity in both."""
    return float(torch.where(one == other, 0, one - other).abs().nan_to_num(math.inf).max())
