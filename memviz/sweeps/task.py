"""The frozen request of a sweep, and the command line that repeats it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any

from memviz.errors import InputError
from memviz.records import READINGS, VERIFIED
from memviz.store.keys import later
from memviz.sweeps.rowset import NEAR_DUPLICATES, RowSet
from memviz.weights import BYTES_PER_PARAMETER

SLIDING, ANCHORED = "sliding", "anchored"
CONTEXTS, CONTINUATIONS = (8, 16, 32, 64, 96), (16, 32, 48, 64, 96)
AT = 32


@dataclass(frozen=True)
class SweepRequest:
    """Curves over context and continuation size for some models on some rows. Raises InputError for unusable fields."""

    models: tuple[str, ...]
    """Catalog names, in the order of the tables."""
    rows: RowSet = field(default_factory=RowSet)
    contexts: tuple[int, ...] = CONTEXTS
    """k of the context curves; none leaves them out."""
    context_modes: tuple[str, ...] = (SLIDING,)
    """sliding: the first k tokens of the row. anchored: the target stays, and the context grows to the left."""
    continuations: tuple[int, ...] = CONTINUATIONS
    """m of the continuation curve; none leaves it out."""
    context_at: int = AT
    """k of the continuation curve."""
    continuation_at: int = AT
    """m of the context curves."""
    dtype: str = "float32"
    positions: bool = False
    """Also write a table of one row a position."""
    reading: str = later(VERIFIED)
    """One of `READINGS`; a model whose cache cannot be rolled back is always read step by step."""

    def __post_init__(self) -> None:
        for name in ("contexts", "continuations"):  # the same request, however it was written
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        object.__setattr__(self, "context_modes", tuple(dict.fromkeys(self.context_modes)))
        if not self.models:
            raise InputError("a sweep needs a model: name at least one")
        if len(set(self.models)) < len(self.models):
            raise InputError(f"a model is named twice among {', '.join(self.models)}: name each once")
        if not self.contexts and not self.continuations:
            raise InputError("a sweep needs a size: give contexts or continuations")
        sizes = {
            "context": (*self.contexts, self.context_at),
            "continuation": (*self.continuations, self.continuation_at),
        }
        for name, values in sizes.items():
            if min(values) < 1:
                raise InputError(f"a {name} of {min(values)} tokens was asked for: give at least 1")
        unknown = [mode for mode in self.context_modes if mode not in (SLIDING, ANCHORED)]
        if unknown or (self.contexts and not self.context_modes):
            shown = f"context mode {unknown[0]!r} is unknown" if unknown else "contexts need a mode"
            raise InputError(f"{shown}: use {SLIDING} or {ANCHORED}")
        if self.dtype not in BYTES_PER_PARAMETER:
            raise InputError(f"dtype {self.dtype!r} is unknown: use one of {', '.join(BYTES_PER_PARAMETER)}")
        if self.reading not in READINGS:
            raise InputError(f"reading {self.reading!r} is unknown: use one of {', '.join(READINGS)}")


def sweep_command(task: SweepRequest, out: str = "sweep") -> str:
    """The command line that repeats a sweep into a folder."""
    rows, words = task.rows, ["memviz", "sweep", "--models", ",".join(task.models), "--data", task.rows.source]

    def add(option: str, values: tuple[Any, ...], default: tuple[Any, ...] = ()) -> None:
        if values != default:
            words.extend([option, ",".join(map(str, values)) or "none"])

    for option, values in (
        ("--buckets", rows.buckets),
        ("--parts", rows.parts),
        ("--documents", rows.documents),
        ("--rows", rows.rows),
        ("--labels", rows.labels),
    ):
        add(option, values)
    for domain in rows.domains:
        words += ["--domain", domain]
    if rows.sample is not None:
        words += ["--sample", str(rows.sample), "--seed", str(rows.seed)]
    for option, value, default in (
        ("--background", rows.background, None),
        ("--text-column", rows.text_column, "text"),
        ("--ids-column", rows.ids_column, "ids"),
        ("--id-column", rows.id_column, None),
        ("--labels-file", rows.labels_file, None),
        ("--ids-dtype", rows.ids_dtype, None),
        ("--separator", rows.separator, None),
        ("--pad-id", rows.pad_id, None),
        ("--window", rows.window, None),
        ("--groups", rows.groups, NEAR_DUPLICATES),
    ):
        if value != default:
            words += [option, str(value)]
    add("--contexts", task.contexts, CONTEXTS)
    add("--context-mode", task.context_modes, (SLIDING,))
    add("--continuations", task.continuations, CONTINUATIONS)
    add("--context-at", (task.context_at,), (AT,))
    add("--continuation-at", (task.continuation_at,), (AT,))
    if task.dtype != "float32":
        words += ["--dtype", task.dtype]
    if task.positions:
        words.append("--positions")
    if task.reading != VERIFIED:
        words += ["--reading", task.reading]
    return shlex.join([*words, "--out", out])
