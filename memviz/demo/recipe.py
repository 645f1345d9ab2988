"""What the bundled suite is made of: rows, exposures, sizes, schedule. One frozen record, hashed by what it makes."""

from __future__ import annotations

from dataclasses import dataclass, field

ROW = 128
SEQUENCE = 256
WINDOW = 16
"""Rows that share this many tokens in a row count as near-duplicates; measures.md, rule 4."""
SEPARATOR = "<|endoftext|>"


@dataclass(frozen=True)
class Size:
    """One architecture of the suite."""

    name: str
    width: int
    n_layers: int
    n_heads: int
    n_seeds: int = 1
    checkpoints: tuple[float, ...] = ()
    """Shares of all steps after which the first seed's weights are kept, besides the end."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the suite; `assignment_seed` decides which row gets which exposure."""

    sizes: tuple[Size, ...]
    buckets: dict[int, int] = field(default_factory=dict)
    """Exposures of a row -> rows in that bucket. The rows left over are the background, seen once."""
    assignment_seed: int = 0
    n_vocabulary: int = 4096
    max_rows: int | None = None
    passage: int = 4000
    """Characters of the passages that are kept from, or given to, the tokenizer's training."""
    kept_from_tokenizer: float = 0.12
    batch: int = 8
    """Sequences a step."""
    learning_rate: float = 3e-3
    """At width 128; other widths by `rate_power`."""
    rate_power: float = 0.5
    warmup: int = 100
    cooldown: float = 0.1
    """Share of the steps over which the rate falls linearly to nothing."""
    weight_decay: float = 0.0
    muon: float = 0.0
    """Constant rate of the matrices between embedding and output by Muon, the same at every width; 0: AdamW for all."""

    def rate(self, size: Size) -> float:
        """The constant learning rate of a size: one rule for all, by width."""
        return self.learning_rate * (128 / size.width) ** self.rate_power

    @property
    def stepped(self) -> Size:
        """The smallest size that has checkpoints."""
        return next(size for size in self.sizes if size.checkpoints)


FIRST = Recipe(
    sizes=(
        Size("suite-0.3m", 32, 2, 2, n_seeds=3),
        Size("suite-0.7m", 64, 3, 4, n_seeds=3),
        Size("suite-1.8m", 128, 4, 4, checkpoints=(1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)),
        Size("suite-7.6m", 256, 7, 8),
    ),
    buckets={0: 400, 1: 300, 4: 300, 8: 300, 12: 300, 16: 400, 24: 400, 32: 400, 48: 300, 64: 300},
    assignment_seed=1,
)
SECOND = Recipe(
    sizes=(
        Size("ladder-0.8m", 80, 6, 5, n_seeds=3),
        Size("ladder-1.3m", 96, 8, 6, n_seeds=3),
        Size("ladder-2.3m", 128, 9, 4, n_seeds=3, checkpoints=(1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)),
        Size("ladder-3.4m", 160, 9, 5),
        Size("ladder-5.0m", 208, 8, 8),
        Size("ladder-7.4m", 256, 8, 8, checkpoints=(1 / 4, 1 / 2)),
    ),
    buckets={
        0: 400,
        1: 60,
        2: 60,
        4: 120,
        6: 300,
        8: 450,
        12: 450,
        16: 450,
        24: 450,
        32: 450,
        48: 450,
        64: 380,
        96: 50,
        128: 40,
    },
    assignment_seed=2,
    n_vocabulary=2048,
    learning_rate=6e-3,
    cooldown=0.2,
    muon=0.015,
)
"""The second edition, which is being trained."""
SHIPPED = FIRST
"""The edition that memviz comes with."""
SMOKE = Recipe(
    sizes=(Size("suite-tiny", 16, 1, 2, n_seeds=2), Size("suite-small", 32, 2, 2, checkpoints=(0.5,))),
    buckets={0: 16, 1: 16, 4: 16, 16: 16},
    n_vocabulary=512,
    max_rows=240,
    kept_from_tokenizer=0.3,
    warmup=5,
)
