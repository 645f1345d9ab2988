"""What a per-prompt measure is, and the one list of them: pages, command line and help texts read it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memviz.records import Scores, Trace

UNITS = frozenset({"share", "tokens", "position", "level", "yes/no", "nats", "log10", "ratio", "nats/bit", "z-score"})


@dataclass(frozen=True)
class Measure:
    """One number per sequence, with everything needed to show it."""

    name: str
    label: str
    unit: str
    """One of `UNITS`."""
    source: str
    """The publication that defines it, or "memviz"."""
    help: str
    needs_truth: bool
    needs_texts: bool
    compute: Callable[..., np.ndarray]
    """Trace (and the texts, where `needs_texts`) -> (n,)."""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"measure {self.name}: got unit {self.unit!r}, expected one of {sorted(UNITS)}")
        if not self.help:
            raise ValueError(f"measure {self.name}: its function has no docstring, which is its help text")


MEASURES: dict[str, Measure] = {}

Compute = Callable[..., np.ndarray]


def measure(
    name: str, *, label: str, unit: str, source: str, needs_truth: bool = True, needs_texts: bool = False
) -> Callable[[Compute], Compute]:
    """Register the decorated function, whose docstring is the help text. Raises ValueError if the name is taken."""

    def register(compute: Compute) -> Compute:
        if name in MEASURES:
            raise ValueError(f"measure {name} is registered twice; give one of the two another name")
        text = " ".join((inspect.getdoc(compute) or "").split())
        MEASURES[name] = Measure(name, label, unit, source, text, needs_truth, needs_texts, compute)
        return compute

    return register


def compute_all(trace: Trace, texts: Sequence[bytes] | None = None) -> dict[str, np.ndarray]:
    """Every measure by name, each (n,) float64: NaN where undefined or unknown, inf where the answer is "never".

    `texts`: the true continuations as UTF-8 bytes, one per sequence. Raises ValueError if their number is not n.
    """
    n = len(trace.generated_ids)
    if texts is not None and len(texts) != n:
        raise ValueError(f"texts: got {len(texts)}, expected {n}, one true continuation per sequence")
    has_truth = trace.continuation_ids is not None and trace.teacher_forced is not None
    values: dict[str, np.ndarray] = {}
    for name, one in MEASURES.items():
        if (one.needs_truth and not has_truth) or (one.needs_texts and texts is None):
            values[name] = np.full(n, np.nan)
        else:
            arguments: tuple[Any, ...] = (trace, texts) if one.needs_texts else (trace,)
            values[name] = one.compute(*arguments).astype(np.float64)
    return values


def true_ids(trace: Trace) -> np.ndarray:
    """(n, m) int64 true tokens. Raises ValueError where there are none."""
    if trace.continuation_ids is None:
        raise ValueError("this trace has no true continuation; trace the prompt with one to compare with it")
    return trace.continuation_ids


def teacher_forced(trace: Trace) -> Scores:
    """Scores of the true tokens, the model reading the truth. Raises ValueError where there are none."""
    if trace.teacher_forced is None:
        raise ValueError("this trace has no teacher-forced scores; trace the prompt with its true continuation")
    return trace.teacher_forced
