"""What a predictor is fitted and judged on: a sweep's rows under one model, one split by row group for all sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memviz.catalog import find_model
from memviz.corpus.known import index_of, seen_until
from memviz.errors import InputError
from memviz.population.intervals import design_units
from memviz.population.ngrams import FrequencyTask
from memviz.predictor.features import NGRAMS, STATISTICS, Inputs
from memviz.predictor.presets import Split
from memviz.sweeps.results import Sweep
from memviz.sweeps.states import Texts, states_of, texts_of, windows_of
from memviz.sweeps.task import SLIDING
from memviz.tasks.base import Context, answer, ready
from memviz.tasks.trace import tokenizer_of
from memviz.weights import depth_and_width

PARTS = ("train", "validation", "test")
SHARES = (0.70, 0.15, 0.15)
SPLIT = 0
"""Seed of the split."""
ORDERS = (1, 2, 3)
"""Of the n-grams that are counted: the baseline reads all, the features the first two."""
MOST_BYTES = 2 * 2**30
"""Of hidden states held at once."""


@dataclass(frozen=True)
class PredictorData:
    """n rows of one model at k and m: what it read and wrote, which tokens were right, and each row's part."""

    model: str
    m: int
    rows: np.ndarray
    """(n,) int64 row numbers, ascending; behind them, once more, those of further windows of training rows."""
    units: np.ndarray
    """(n,) int64 group of near-duplicates, or document, and stratum (`design_units`): all of one are in one part."""
    part: np.ndarray
    """(n,) int8: place in `PARTS`."""
    domain: np.ndarray
    """(n,) str; "" where unknown."""
    inputs: Inputs
    """Free-running, p = k + m."""
    match: np.ndarray
    """(n, m) bool: the generated token is the true one. The label."""
    rank: np.ndarray | None
    """(n, m) int32 teacher-forced rank of the true token, for the oracle alone; None where some are not known."""
    frequency: np.ndarray | None = None
    """(n, 3) float32 mean log(1 + count) of the context's 1-, 2- and 3-grams in what the model was trained on, own
    copies removed, NaN for further windows; for a baseline alone; None where that is not indexed."""

    @property
    def k(self) -> int:
        return self.inputs.k

    def places(self, part: str) -> np.ndarray:
        """Places of a part's rows."""
        return np.flatnonzero(self.part == PARTS.index(part))

    def where(self, places: np.ndarray) -> PredictorData:
        """The rows at some places."""
        names = ("rows", "units", "part", "domain", "match", *_KNOWN)
        cut: dict[str, Any] = {name: None if (each := getattr(self, name)) is None else each[places] for name in names}
        return replace(self, inputs=self.inputs.rows(places), **cut)


_KNOWN = ("rank", "frequency")
"""What may be unknown."""


def part_of(units: np.ndarray, seed: int = SPLIT) -> np.ndarray:
    """(n,) int8 part of each row group, decided by the group's number alone: the same for all sweeps of one source."""
    found = {}
    for unit in np.unique(units).tolist():
        digest = hashlib.sha256(f"{seed}:{unit}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        found[unit] = int(np.searchsorted(np.cumsum(SHARES)[:-1], share, side="right"))
    return np.array([found[unit] for unit in units.tolist()], np.int8)


def units_of(sweep: Sweep, split: Split = "group") -> pd.Series:
    """Row -> number of what is not parted: its group of near-duplicates, or the documents that groups hold together.

    Of documents held together it is the smallest number, so that other sweeps of the same rows give the same parts.
    Raises InputError where the sweep's rows do not say which document they are of.
    """
    if split == "group":
        return sweep.read("rows", ["row", "group"]).set_index("row")["group"]
    table = sweep.read("rows").set_index("row")
    if "document" not in table or table["document"].isna().any():
        raise InputError("the rows of this sweep do not say which document they are of: split by group")
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, document = np.unique(table["document"], return_inverse=True)
    group = np.unique(table["group"], return_inverse=True)[1]
    n = len(names)
    edges = coo_array((np.ones(len(table)), (document, n + group)), shape=2 * (n + int(group.max()) + 1,))
    held = connected_components(edges, directed=False)[1][:n]
    own = pd.Series(names if np.issubdtype(names.dtype, np.integer) else np.arange(n))
    smallest = own.groupby(held).transform("min").to_numpy()
    return pd.Series(smallest[document], table.index, np.int64)


def parts_of(sweep: Sweep, n_rows: int | None = None, split: Split = "group") -> dict[int, str]:
    """Row -> its part, of the rows that a fit on `n_rows` of a sweep reads."""
    units = units_of(sweep, split)
    rows, part = units.index.to_numpy(np.int64), part_of(units.to_numpy(np.int64))
    places = _drawn(np.arange(len(rows)), rows, n_rows)
    return {int(rows[place]): PARTS[part[place]] for place in places}


def read_data(
    sweep: Sweep,
    model: str,
    k: int,
    m: int,
    context: Context,
    hidden: bool = True,
    ngrams: bool = False,
    n_rows: int | None = None,
    parts: tuple[str, ...] = PARTS,
    windows: int = 1,
    split: Split = "group",
) -> PredictorData:
    """Rows of a sweep with their states from the store or the model. n_rows: so many, drawn by a hash.

    windows: of each row of the training part, its own among them (`windows_of`); the others stand behind all rows.
    split: what is in one part alone.
    Raises InputError where the sweep lacks them or they would need too much memory, Failure.
    """
    texts = texts_of(sweep, model, k, m, SLIDING)
    units, part, domain = _design(sweep, texts.rows, split)
    wanted = np.flatnonzero(np.isin(part, [PARTS.index(name) for name in parts]))
    wanted = _drawn(wanted, texts.rows, n_rows)
    layer, width = _last_layer(model, sweep, context)
    training = wanted[part[wanted] == PARTS.index("train")]
    if hidden:
        _check_bytes(len(wanted), len(wanted) + (windows - 1) * len(training), 2 * (k + m) * width)
    if not len(wanted):
        raise InputError(f"the sweep has no rows of {model} in the parts {', '.join(parts)}")
    inputs = _inputs(texts, wanted, layer, hidden, sweep.task.dtype, context)
    counts = _counted(sweep, model, k, texts.rows[wanted], context)
    if ngrams:
        further = _ngrams(counts, model, k + m)
        inputs = replace(inputs, statistics=np.concatenate([inputs.statistics, further], axis=2))
    rank, frequency = _ranks(sweep, model, k, m, texts.rows[wanted]), _frequency(counts, k)

    def of(places: np.ndarray, read: Inputs, match: np.ndarray, *known: np.ndarray | None) -> PredictorData:
        about = (texts.rows[places], units[places], part[places], domain[places])
        return PredictorData(model, m, *about, read, match, *known)

    found = [of(wanted, inputs, texts.match[wanted], rank, frequency)]
    for places, other, its in windows_of(sweep, texts, training, windows, context):
        read = _inputs(other, np.arange(len(places)), layer, hidden, sweep.task.dtype, context)
        unknown = None if frequency is None else np.full((len(places), len(ORDERS)), np.nan, np.float32)
        found.append(of(places, read, other.match, None if rank is None else its, unknown))
    if windows > 1 and len(found) == 1:
        raise InputError(
            f"the sweep keeps no more than k + m = {k + m} tokens of its training rows, so that there are no further "
            "windows: ask for 1, or sweep longer contexts too"
        )
    return _joined(found)


def _design(sweep: Sweep, rows: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units within strata, part and domain of rows, as `PredictorData` has them."""
    columns = [name for name in ("row", "domain", "bucket") if name in sweep.manifest["tables"]["rows"]["columns"]]
    about = sweep.read("rows", columns).set_index("row").loc[rows]
    units = units_of(sweep, split).loc[rows].to_numpy(np.int64)
    strata = ("domain", "bucket") if split == "group" else ("domain",)  # a document has rows of several buckets
    drawn = design_units(units, *(about[name].to_numpy() for name in strata if name in about))
    return drawn, part_of(units), about["domain"].fillna("").to_numpy(str)


def _check_bytes(n_rows: int, n_read: int, each: int) -> None:
    """Raise InputError where the hidden states of what is read, `each` bytes, need more than is allowed."""
    if n_read * each > MOST_BYTES:
        what = "rows" if n_read == n_rows else "windows"
        raise InputError(
            f"the hidden states of {n_read:,} {what} need {n_read * each / 2**30:.1f} GiB, {MOST_BYTES / 2**30:.0f} "
            f"are allowed: ask for at most {MOST_BYTES // (n_read * each // n_rows):,} rows"
        )


def _inputs(texts: Texts, wanted: np.ndarray, layer: int, hidden: bool, dtype: str, context: Context) -> Inputs:
    """What a model reads at some places of its texts, ascending; states are kept where they are asked for."""
    kept, statistics = [], []
    for _, states in states_of(texts, wanted, (layer,), dtype, context):
        statistics.append(np.stack([getattr(states, name) for name in STATISTICS], axis=2))
        if hidden:
            exact = bool((states.scale == 1).all())
            kept.append(states.hidden[:, :, 0] if exact else states.of_layer(layer))
    return Inputs(texts.k, np.concatenate(kept) if kept else None, np.concatenate(statistics).astype(np.float32))


def _joined(parts: Sequence[PredictorData]) -> PredictorData:
    """One after the other."""
    first, kept = parts[0], [each.inputs.hidden for each in parts if each.inputs.hidden is not None]
    if len(parts) == 1:
        return first
    statistics = np.concatenate([each.inputs.statistics for each in parts])
    known = {name: [each for part in parts if (each := getattr(part, name)) is not None] for name in _KNOWN}
    return PredictorData(
        model=first.model,
        m=first.m,
        rows=np.concatenate([each.rows for each in parts]),
        units=np.concatenate([each.units for each in parts]),
        part=np.concatenate([each.part for each in parts]),
        domain=np.concatenate([each.domain for each in parts]),
        inputs=Inputs(first.k, np.concatenate(kept) if kept else None, statistics),
        match=np.concatenate([each.match for each in parts]),
        **{name: np.concatenate(values) if values else None for name, values in known.items()},
    )


def _drawn(wanted: np.ndarray, rows: np.ndarray, n_rows: int | None) -> np.ndarray:
    if n_rows is None or n_rows >= len(wanted):
        return wanted
    order = [hashlib.sha256(f"drawn:{row}".encode()).digest() for row in rows[wanted].tolist()]
    return np.sort(wanted[sorted(range(len(wanted)), key=order.__getitem__)[:n_rows]])


def _last_layer(model: str, sweep: Sweep, context: Context) -> tuple[int, int]:
    """Number and width of a model's last layer. Raises InputError where the sweep was made with other weights."""
    card = ready(model, context)
    if card.weights != sweep.weights_of(model):
        raise InputError(f"the sweep was made with other weights of {model} than those of now: run the sweep again")
    depth, width = depth_and_width(Path(card.folder))
    if depth is None or width is None:
        raise InputError(f"the configuration of {model} does not say how many layers it has, or how wide they are")
    return depth, width


def _ngrams(counts: np.ndarray | None, model: str, length: int) -> np.ndarray:
    """(n, length, 2) float32 log(1 + count) of the generated 1- and 2-grams, own copies removed; 0 for none."""
    if counts is None:
        raise InputError(f"n-gram features need the index of what {model} was trained on: build it, or leave them out")
    known = counts[:, : len(NGRAMS), :length]
    return np.log1p(np.maximum(known, 0)).transpose(0, 2, 1).astype(np.float32)


def _frequency(counts: np.ndarray | None, k: int) -> np.ndarray | None:
    """As `PredictorData.frequency`, of own windows."""
    if counts is None:
        return None
    known = [np.log1p(np.maximum(counts[:, place, order - 1 : k], 0)) for place, order in enumerate(ORDERS)]
    means = [each.mean(axis=1) if each.shape[1] else np.zeros(len(counts)) for each in known]
    return np.stack(means, axis=1).astype(np.float32)


def _counted(sweep: Sweep, model: str, k: int, rows: np.ndarray, context: Context) -> np.ndarray | None:
    """(n, `ORDERS`, from k + m) occurrences of the n-grams that end at each token of context and text, or None.

    A checkpoint's counts are of what it had read. None where the index of what the model was trained on is not built.
    """
    found = find_model(model, context.settings)
    corpus = index_of(found, tokenizer_of(ready(model, context), context.settings), context.settings)
    if corpus is None:
        return None
    context.say("counting n-grams")
    until = seen_until(found.step, found.n_steps)
    asked = FrequencyTask(sweep, corpus, until_step=until, generated=(model, SLIDING, k), orders=ORDERS)
    counted = answer(asked, context).result
    return counted.counts[np.searchsorted(counted.rows, rows)]


def _ranks(sweep: Sweep, model: str, k: int, m: int, rows: np.ndarray) -> np.ndarray | None:
    """(n, m) int32 teacher-forced ranks of the true tokens, or None where the sweep does not hold all of them."""
    if "positions" not in sweep.manifest["tables"]:
        return None
    condition = [("model", "==", model), ("mode", "==", SLIDING), ("k", "==", k), ("index", ">=", k)]
    found = sweep.read("positions", ["row", "index", "rank"], condition)
    place = np.minimum(np.searchsorted(rows, found["row"].to_numpy()), len(rows) - 1)
    index = found["index"].to_numpy() - k
    kept = (rows[place] == found["row"].to_numpy()) & (index < m)
    rank = np.zeros((len(rows), m), np.int32)
    rank[place[kept], index[kept]] = found["rank"].to_numpy(np.int32)[kept]
    return rank if rank.all() else None  # a slim sweep keeps the first positions alone
