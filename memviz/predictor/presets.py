"""Sizes of the predictor and how each is fitted. docs/predictor.md says how the numbers were chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from memviz.store.keys import later

Setting = Literal["published", "causal", "context"]
SETTINGS: tuple[Setting, ...] = ("published", "causal", "context")
Split = Literal["group", "document"]
SPLITS: tuple[Split, ...] = ("group", "document")
PresetName = Literal["default", "small", "published", "ensemble"]


@dataclass(frozen=True)
class Preset:
    """A Transformer encoder and its fitting."""

    n_layers: int
    n_heads: int
    width: int
    feed_forward: int
    dropout: float
    learning_rate: float
    """Peak, after one epoch of linear warm-up; then a cosine to 0 over `n_epochs` where `decays`, else constant."""
    decays: bool
    weight_decay: float
    """0 is plain Adam."""
    batch: int
    """Sequences a step."""
    n_epochs: int
    """At most."""
    patience: int
    """Epochs without a smaller validation loss after which it ends."""
    half: bool
    """Weights are rounded to float16 at the end, and evaluated as such."""
    course: bool = later(False)
    """Beside each statistic stand its largest, smallest and mean value so far."""
    hazard: bool = later(False)
    """The head says whether an intact continuation stays so, and whether one that has left the text hits it again."""
    compressed: int = later(0)
    """Numbers that a hidden state is reduced to before it is read; 0: none, it is read whole."""
    hidden_dropout: float = later(0.0)
    """Of the numbers of a hidden state."""
    members: int = later(1)
    """Encoders fitted together from other first weights; their logits are averaged."""


_SMALL = Preset(2, 4, 48, 96, 0.1, 2e-3, True, 0.01, 32, 8, 3, True)
PRESETS: dict[str, Preset] = {
    "default": Preset(2, 4, 128, 256, 0.1, 1e-3, True, 0.01, 32, 8, 3, False),
    "small": _SMALL,
    "published": Preset(4, 8, 256, 1024, 0.1, 1e-4, False, 0.0, 32, 30, 5, False),
    "ensemble": replace(_SMALL, n_epochs=6, course=True, hazard=True, compressed=4, hidden_dropout=0.5, members=4),
}
"""`published` is in the style of the authors' later code (4 layers, 8 heads, width 256, Adam 1e-4)."""
