"""A sweep's tables, written as its batches are answered, and the manifest that describes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from memviz.catalog import Card, find_model
from memviz.store.keys import request_of
from memviz.sweeps.answering import Run
from memviz.sweeps.results import BLOCK_ROWS, TableFile, table_file
from memviz.sweeps.sums import MOST_UNITS, SUM_COLUMNS, Tally, lines_of
from memviz.sweeps.tables import (
    POSITION_COLUMNS,
    ROW_COLUMNS,
    label_columns,
    lengths_of,
    positions,
    schema_of,
    sequence_columns,
    sequences,
)
from memviz.sweeps.task import sweep_command
from memviz.tasks.base import ENGINE


def write_tables(run: Run, folder: Path, places: ExitStack) -> dict[str, TableFile]:
    """The finished tables, by name; they are in their places when `places` ends well."""
    task = run.asks.task
    schemas = {"sequences": schema_of(sequence_columns(task), run.asks.rows.labels)}
    if task.positions:
        schemas["positions"] = schema_of(POSITION_COLUMNS, {})
    if run.asks.rows.n > MOST_UNITS:
        schemas["sums"] = schema_of(SUM_COLUMNS, {})
    files = {name: places.enter_context(table_file(folder, name, schemas[name])) for name in schemas}
    makers: dict[str, Callable[..., pa.Table]] = {
        "sequences": partial(sequences, to_bytes=run.asks.tokenizer.to_bytes),
        "positions": positions,
    }
    tally = _tally(run, files["sums"]) if "sums" in files else None
    for ask, survey in run.surveys():
        for name, make in makers.items():
            if (file := files.get(name)) is not None:
                n_leading = len(ask.card.leading_ids)
                file.add(make(ask.card.name, ask.condition, ask.block, survey, ask.truth, file.schema, n_leading))
        for table in tally.add(ask, survey) if tally else ():
            files["sums"].add(table)
    for table in tally.rest() if tally else ():
        files["sums"].add(table)
    for file in files.values():
        file.finish()
    return files


def _tally(run: Run, file: TableFile) -> Tally:
    rows = run.asks.rows
    n_vocabulary = max(card.vocab_size for card in run.asks.cards)
    return Tally(lines_of(rows.batches(BLOCK_ROWS)), lengths_of(run.asks.task), n_vocabulary, file.schema)


def manifest_of(run: Run, folder: Path, tables: dict[str, TableFile], files: dict[str, list[int]]) -> dict[str, Any]:
    task, rows, what = run.asks.task, run.asks.rows, run.asks.plan
    columns = {"rows": ROW_COLUMNS | label_columns(rows.labels)}
    columns |= {
        "sequences": sequence_columns(task) | label_columns(rows.labels),
        "positions": POSITION_COLUMNS,
        "sums": SUM_COLUMNS,
    }
    n_rows_of = {"rows": rows.n} | {name: file.n_rows for name, file in tables.items()}
    return {
        "request": {"task": "sweep", **request_of(task)},
        "command": sweep_command(task, str(folder)),
        "rows": {
            "n": rows.n,
            "sha256": rows.sha256,
            "n_read": rows.n_read,
            "n_malformed": rows.n_malformed,
            "n_cut": rows.n_cut,
            "read_as": list(rows.read_as),
            "files": files,
            "lengths": {str(length): count for length, count in rows.lengths.items()},
        },
        "curves": [vars(curve) for curve in what.curves],
        "skipped": [vars(each) for each in what.skipped],
        "models": [_about_model(card, run) for card in run.asks.cards],
        "tables": {
            name: {
                "file": f"{name}.parquet",
                "n_rows": n_rows,
                "columns": {each: {"type": str(kind), "is": text} for each, (kind, text) in columns[name].items()},
            }
            for name, n_rows in n_rows_of.items()
        },
        "engine": ENGINE,
        "provenance": {
            "batches_computed": run.n_computed,
            "batches_reused": run.n_reused,
            "batches_halved": run.n_halved,
            "batch": run.asks.batch,
            "seconds": round(time.monotonic() - run.start, 3),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "device": run.context.device.name,
            "versions": {name: version(name) for name in ("torch", "transformers", "numpy", "pyarrow")},
        },
    }


def _about_model(card: Card, run: Run) -> dict[str, Any]:
    model = find_model(card.name, run.context.settings)
    facts = {name: getattr(model, name) for name in ("family", "size", "step", "n_steps", "seed")}
    known = {name: getattr(card, name) for name in ("name", "label", "revision", "weights", "n_parameters")}
    return known | facts | {"dtype": run.asks.task.dtype, "leading_ids": card.leading_ids}
