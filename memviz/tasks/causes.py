"""The tasks behind Causes: one prompt with its truth under one model, asked for what its recitation hangs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from memviz.catalog import Card, find_model
from memviz.demo.index import SUITE
from memviz.demo.samples import Samples
from memviz.errors import InputError
from memviz.measures.causes import KINDS_RESTORED, Contributions, Heads, Occlusion, Recovery, why_no_heads
from memviz.settings import Settings
from memviz.tasks.base import Context, Task
from memviz.tasks.trace import Leading, TraceTask
from memviz.tokenizer import Tokenizer
from memviz.weights import depth_and_width

if TYPE_CHECKING:
    from memviz.engine.causes import Row, Tick

MOST_DRAWN = 64
"""Replacements of one token."""
MOST_DRAWS = 32
"""Of noise."""
MOST_SIGMA = 100.0
R = TypeVar("R")


@dataclass(frozen=True)
class CauseTask(Task[R], Generic[R]):
    """One prompt with its truth. Raises InputError where a field cannot be used; `report` counts rows read."""

    long = True
    unit: ClassVar[str] = "rows"
    model: str
    context_ids: tuple[int, ...]
    """Token ids, leading tokens included."""
    n_leading: int
    """Of these, the tokenizer's own, which nothing changes."""
    continuation_ids: tuple[int, ...]
    """m true token ids."""
    dtype: str

    def __post_init__(self) -> None:
        self.whole  # noqa: B018 - checks the prompt
        if not 0 <= self.n_leading < len(self.context_ids):
            raise InputError(f"{self.n_leading} of {len(self.context_ids)} context tokens lead: leave at least 1 other")

    @property
    def whole(self) -> TraceTask:
        """The prompt as the Trace page asks it."""
        leading: Leading = "model" if self.n_leading else "none"
        ids, truth = self.context_ids, self.continuation_ids
        return TraceTask(self.model, ids, truth, len(truth), dtype=self.dtype, leading=leading)

    @property
    def text_ids(self) -> tuple[int, ...]:
        """The k context tokens that are not leading ones."""
        return self.context_ids[self.n_leading :]

    def check(self, cards: Sequence[Card]) -> None:
        """Raise InputError where the prompt does not fit the model."""
        self.whole.check(cards)

    def n_rows(self, card: Card) -> int:
        """Rows that will be read, 0 where only the model itself knows."""
        return 0

    def compute(self, cards: Sequence[Card], context: Context) -> Any:
        from memviz.engine.causes import Row

        loaded, _ = context.loaded(cards[0], self.dtype)
        context.say(self.doing)
        done, total = 0, self.n_rows(cards[0])

        def tick(n: int) -> None:
            nonlocal done
            done += n
            context.report(min(done, total) if total else done, total)

        return self.found(Row(loaded, self.context_ids, self.continuation_ids), tick)

    doing: ClassVar[str]
    """What the progress says."""

    def found(self, row: Row, tick: Tick) -> R:
        raise NotImplementedError


@dataclass(frozen=True)
class OcclusionTask(CauseTask[Occlusion]):
    """Each context token replaced by S others and dropped."""

    kind = "occlusion"
    record = Occlusion
    doing = "changing one context token after another"

    replacement_ids: tuple[int, ...] = ()
    """k times S token ids, those of one place side by side."""
    seed: int = 0
    """They were drawn with; it is said, and decides nothing more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        k, n = len(self.text_ids), len(self.replacement_ids)
        if not n or n % k or n // k > MOST_DRAWN:
            raise InputError(f"{n} replacements are given for {k} tokens: give each the same number, 1 to {MOST_DRAWN}")

    @property
    def n_drawn(self) -> int:
        """S"""
        return len(self.replacement_ids) // len(self.text_ids)

    def check(self, cards: Sequence[Card]) -> None:
        super().check(cards)
        bad = [each for each in self.replacement_ids if not 0 <= each < cards[0].vocab_size]
        if bad:
            raise InputError(f"replacement id {bad[0]} is outside the vocabulary of {cards[0].name}")

    def n_rows(self, card: Card) -> int:
        return len(self.text_ids) * (self.n_drawn + 2)

    def found(self, row: Row, tick: Tick) -> Occlusion:
        from memviz.engine.causes import read_occlusion

        ids = np.array(self.replacement_ids, np.int64).reshape(len(self.text_ids), -1)
        return read_occlusion(row, self.n_leading, ids, tick)


def check_heads(card: Card) -> None:
    """Raise InputError where a model was found to have no heads that can be silenced."""
    if why := why_no_heads(card.name, (card.examination or {}).get("heads")):
        raise InputError(why)


@dataclass(frozen=True)
class HeadsTask(CauseTask[Heads]):
    """Each attention head silenced, and sets of them."""

    kind = "heads"
    record = Heads
    doing = "silencing one head after another"

    seed: int = 0
    """Of the random orders."""

    def check(self, cards: Sequence[Card]) -> None:
        super().check(cards)
        check_heads(cards[0])

    def found(self, row: Row, tick: Tick) -> Heads:
        from memviz.engine.heads import read_heads

        return read_heads(row, self.seed, tick)


@dataclass(frozen=True)
class RecoveryTask(CauseTask[Recovery]):
    """Noise on the context's embeddings, one state restored at a time."""

    kind = "noise_recovery"
    record = Recovery
    doing = "restoring one state after another"

    sigma: float = 3.0
    """Of the noise, in standard deviations of the embeddings of this context."""
    n_draws: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sigma <= MOST_SIGMA:
            raise InputError(f"the noise is {self.sigma:g} deviations: give a number above 0, at most {MOST_SIGMA:g}")
        if not 1 <= self.n_draws <= MOST_DRAWS:
            raise InputError(f"{self.n_draws} draws of noise are asked for: give 1 to {MOST_DRAWS}")

    def n_rows(self, card: Card) -> int:
        """Fewer are read where attention and MLP of a block cannot be told apart."""
        n_layers, _ = depth_and_width(Path(card.folder))
        n_states = len(KINDS_RESTORED) * (n_layers or 0) * len(self.text_ids)
        return self.n_draws * (1 + n_states) if n_states else 0

    def found(self, row: Row, tick: Tick) -> Recovery:
        from memviz.engine.causes import read_recovery

        return read_recovery(row, self.n_leading, self.sigma, self.n_draws, self.seed, tick)


@dataclass(frozen=True)
class ContributionsTask(CauseTask[Contributions]):
    """What each layer wrote of the true token."""

    kind = "contributions"
    record = Contributions
    doing = "sharing out what each layer wrote"

    def found(self, row: Row, tick: Tick) -> Contributions:
        from memviz.engine.contributions import read_contributions

        return read_contributions(row)


CAUSES: tuple[type[CauseTask[Any]], ...] = (OcclusionTask, HeadsTask, RecoveryTask, ContributionsTask)


KINDS = {kind.kind: kind for kind in CAUSES}


def cause_of(
    trace: TraceTask, view: str, card: Card, own: Tokenizer, counts: np.ndarray | None = None, **numbers: Any
) -> CauseTask[Any]:
    """One of `CAUSES` of a traced prompt; numbers as its fields, and `n_drawn` for replacements.

    counts: (V,) as `seen_counts` gives them. Raises InputError for an unknown view, or a prompt without truth.
    """
    if view not in KINDS:
        raise InputError(f"view {view!r} is unknown: use one of {', '.join(KINDS)}")
    if trace.continuation_ids is None:
        raise InputError("causes are asked of the true tokens: give a text that goes on after the context")
    n_leading, truth = trace.n_leading(card), trace.continuation_ids
    if view == OcclusionTask.kind:
        n_drawn, seed = numbers.pop("n_drawn"), numbers["seed"]
        if not 1 <= n_drawn <= MOST_DRAWN:
            raise InputError(f"{n_drawn} replacements are asked for each token: give 1 to {MOST_DRAWN}")
        allowed = np.zeros(card.vocab_size, bool)
        allowed[[each for each in own.text_ids if each < card.vocab_size]] = True
        ids = trace.context_ids[n_leading:]
        numbers["replacement_ids"] = draw_replacements(ids, counts, allowed, n_drawn, seed)
    return KINDS[view](trace.model, trace.context_ids, n_leading, truth, trace.dtype, **numbers)


def seen_counts(card: Card, own: Tokenizer, settings: Settings, known: Samples | None) -> np.ndarray | None:
    """(V,) how often a model saw each token in training, where that is known: of models of the suite."""
    if known is None or find_model(card.name, settings).index != SUITE or own.hash != known.tokenizer.hash:
        return None
    return np.pad(known.token_counts, (0, max(0, card.vocab_size - known.tokenizer.n_ids)))[: card.vocab_size]


def draw_replacements(
    ids: Sequence[int], counts: np.ndarray | None, allowed: np.ndarray, n_drawn: int, seed: int
) -> tuple[int, ...]:
    """k times S ids, each drawn from the frequency bin of the token it stands for, never that token itself.

    counts: (V,) how often each id occurs in training data; bins are powers of two of 1 + count. None: nothing is known,
    and all allowed ids are one bin. allowed: (V,) bool, ids that stand for text. A bin that is too small takes all.
    """
    rng = np.random.default_rng(seed)
    bins = np.zeros(len(allowed), np.int64) if counts is None else np.log2(1 + counts).astype(np.int64)
    drawn: list[int] = []
    for own in ids:
        others = allowed.copy()
        others[own] = False
        same = np.flatnonzero(others & (bins == bins[own]))
        pool = same if len(same) else np.flatnonzero(others)
        drawn += rng.choice(pool, n_drawn, replace=len(pool) < n_drawn).tolist()
    return tuple(drawn)
