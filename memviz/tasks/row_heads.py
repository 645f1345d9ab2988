"""The task behind heads over rows: each head of a model silenced on many rows of one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memviz.catalog import Card
from memviz.errors import InputError
from memviz.measures.heads import RowHeads
from memviz.tasks.base import Context, Task
from memviz.tasks.causes import check_heads

MOST_ROWS = 1000


@dataclass(frozen=True)
class RowHeadsTask(Task[RowHeads]):
    """n rows of k context and m true tokens. Raises InputError where a field cannot be used; `report` counts rows."""

    kind = "row_heads"
    record = RowHeads
    long = True
    kept = True

    model: str
    rows: tuple[int, ...]
    """Numbers in their source."""
    n_matches: tuple[int, ...]
    """Of each row, m or none."""
    n_leading: int
    """Of a row's tokens the tokenizer's own, in front."""
    m: int
    ids: tuple[int, ...]
    """Rows side by side, leading tokens included."""
    dtype: str = "float32"

    def __post_init__(self) -> None:
        n = len(self.rows)
        if not 2 <= n <= MOST_ROWS:
            raise InputError(f"{n} rows are asked for: heads are compared over 2 to {MOST_ROWS}")
        if len(self.n_matches) != n or len(self.ids) % n or self.m >= len(self.ids) // n:
            raise InputError(f"{len(self.ids)} tokens are not {n} rows of a context and {self.m} further tokens")
        if set(self.n_matches) != {0, self.m}:
            raise InputError("heads are compared between rows with M = 1 and with M = 0: give some of each")

    def check(self, cards: Sequence[Card]) -> None:
        bad = [each for each in self.ids if not 0 <= each < cards[0].vocab_size]
        if bad:
            raise InputError(f"id {bad[0]} is outside the vocabulary of {cards[0].name}")
        check_heads(cards[0])

    def compute(self, cards: Sequence[Card], context: Context) -> RowHeads:
        from memviz.engine.causes import Row
        from memviz.engine.heads import cost_of_heads

        loaded, _ = context.loaded(cards[0], self.dtype)
        context.say("silencing one head after another, row by row")
        table = np.array(self.ids, np.int64).reshape(len(self.rows), -1)
        rows = [Row(loaded, each[: -self.m].tolist(), each[-self.m :].tolist()) for each in table]
        done = 0

        def tick(n: int) -> None:
            nonlocal done
            done += n
            context.report(done, len(rows))

        layer, number, whole, drop = cost_of_heads(rows, tick)
        return RowHeads(
            rows=np.array(self.rows, np.int64),
            n_matches=np.array(self.n_matches, np.int32),
            m=np.array(self.m, np.int32),
            layer=layer,
            number=number,
            whole_logprob=whole,
            drop=drop,
        )
