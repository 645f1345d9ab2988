"""The n-gram index of the suite's own training stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from memviz.corpus import StreamShard, build
from memviz.corpus.known import index_folder
from memviz.demo.stream import TrainingData
from memviz.demo.suite import SUITE_FOLDER, read_data
from memviz.settings import Settings
from memviz.tokenizer import Tokenizer

SUITE = "suite"
SHARD_STEPS = 1024
"""Steps of the suite's stream in one shard of its index."""
Report = Callable[[int, int], None]


def suite_shards(data: TrainingData, shard_steps: int = SHARD_STEPS) -> Iterator[StreamShard]:
    """The suite's stream as shards of some steps each; a row cut by a sequence's end is two segments."""
    segments = data.segments()
    row, offset, n_tokens, step = (segments[name].to_numpy() for name in ("row", "row_offset", "n_tokens", "step"))
    borders = np.searchsorted(step, np.arange(shard_steps, data.n_steps + shard_steps, shard_steps))
    start = 0
    for stop in borders.tolist():
        part = slice(start, stop)
        whole = np.repeat(offset[part] - np.concatenate([[0], np.cumsum(n_tokens[part])[:-1]]), n_tokens[part])
        tokens = data.ids[np.repeat(row[part], n_tokens[part]), whole + np.arange(len(whole))]
        length = np.full(stop - start, data.ids.shape[1])
        yield StreamShard(tokens, row[part], n_tokens[part], offset[part], length, step[part])
        start = stop


def build_suite_index(
    settings: Settings, report: Report = lambda done, total: None, folder: Path = SUITE_FOLDER
) -> None:
    """Build the suite's index in the cache; shards that are there are reused. Raises InputError, OSError.

    `report(done, total)` counts tokens and may raise to stop.
    """
    data = read_data(folder / "corpus")
    names = data.documents.assign(document=range(len(data.documents)))[["document", "domain", "title"]]
    rows = pa.table({"bucket": data.bucket, "background": data.background, "document": data.document})
    for name in ("domain", "title"):
        rows = rows.append_column(name, pa.array(names[name].to_numpy()[data.document]))
    tokenizer = Tokenizer(folder / "corpus", [])
    total = len(data.order) * data.ids.shape[1]
    n_vocabulary = tokenizer.n_ids
    build(
        index_folder(SUITE, settings),
        SUITE,
        tokenizer.hash,
        n_vocabulary,
        suite_shards(data),
        rows,
        lambda done, _: report(done, total),
    )
