"""Names of the shipped suite's models, from its recipe."""

from __future__ import annotations

from memviz.demo.recipe import SHIPPED
from memviz.demo.suite import read_data
from memviz.demo.training import checkpoint_steps

SIZES = tuple(size.name for size in SHIPPED.sizes)
SMALLEST, SECOND_SMALLEST, LARGEST = SIZES[0], SIZES[1], SIZES[-1]
SEEDS = tuple(f"{size.name}@seed{seed}" for size in SHIPPED.sizes for seed in range(1, size.n_seeds))
STEPPED = SHIPPED.stepped.name
STEPS = tuple(f"{STEPPED}@step{step}" for step in checkpoint_steps(SHIPPED.stepped, read_data().n_steps)[:-1])
"""Its checkpoints before the last, the earliest first."""
