"""Seconds and peak memory of each view of a large sweep: first opened, and opened again.

The sweep is made by a generator, not by a model: rows of 64 ids in 40 strata, a tenth of them near-duplicates, four
models, k = m = 32, with the sums that a sweep of so many rows writes. Each view is drawn by Streamlit's AppTest in a
process of its own, in which the page was open on the bundled suite before, as on a server that has been used: imports
are not counted. Memory is that process's largest resident size.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from memviz.sweeps import RowSet, SweepTask
from memviz.sweeps.plan import plan
from memviz.sweeps.preparing import ROWS
from memviz.sweeps.results import BLOCK_ROWS, TableFile, table_file, write_manifest
from memviz.sweeps.sums import ABOUT, SUM_COLUMNS, Lines, Sums, lines_of
from memviz.sweeps.tables import ROW_COLUMNS, schema_of, sequence_columns
from memviz.tasks.base import ENGINE

K = M = 32
VOCABULARY = 50_304
DOMAINS = [f"domain {letter}" for letter in "abcdefgh"]
BUCKETS = np.array([0, 1, 4, 16, 64])
VIEWS = ("population", "transitions", "boundary", "membership", "findings")
FIRST, AGAIN, GIGABYTES = 5.0, 1.0, 2.0
"""Aims."""


def rows_from(start: int, n: int) -> pa.Table:
    """The table of n rows."""
    rng = np.random.default_rng((1, start))
    row = np.arange(start, start + n)
    group = row - (row % 10 == 9)
    mixed = group * 2_654_435_761 % 2**32
    bucket = BUCKETS[mixed // 8 % 5]
    repeats = mixed // 40 % 20 == 0
    classes = np.where(bucket > 5, "recite", np.where(repeats, "reconstruct", "recollect"))
    ids = pa.array(rng.integers(5, VOCABULARY, (n, K + M), np.int32).ravel())
    values: dict[str, Any] = {
        "row": row, "group": group, "bucket": bucket, "background": bucket == 1, "n_tokens": np.full(n, K + M),
        "domain": np.array(DOMAINS)[mixed % 8], "template": np.where(repeats, "repeating", "none"),
        "memorization_class": classes, "ids": pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * (K + M), ids),
    }  # fmt: skip
    return _table(values, schema_of(ROW_COLUMNS, {}), n)


def _table(values: dict[str, Any], schema: pa.Schema, n: int) -> pa.Table:
    arrays = []
    for each in schema:
        value = values.get(each.name)
        array = (
            pa.nulls(n)
            if value is None
            else value
            if isinstance(value, pa.Array | pa.ChunkedArray)
            else pa.array(value)
        )
        arrays.append(array.cast(each.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def answers(rows: pa.Table, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, M) hits and (n, K + M) entropies, free-running and teacher-forced, of the model at a place of the ladder."""
    n, rng = len(rows), np.random.default_rng((2, int(rows["row"][0].as_py())))  # models agree on what is hard
    hard = rng.gamma(2.0, 1.2, (n, 1)).astype(np.float32)
    forced = np.minimum(hard * rng.gamma(2.0, 0.6, (n, K + M)).astype(np.float32), math.log(VOCABULARY) - 0.01)
    of_bucket = rows["bucket"].to_numpy()
    learnt = rng.random(n) < (0.02 + 0.1 * place) * np.log2(1 + of_bucket) / 6
    forced[learnt, K:] *= 0.2
    match = rng.random((n, M)) < np.exp(-(1.5 - 0.2 * place) * forced[:, K:])
    match[learnt] |= rng.random((int(learnt.sum()), M)) < 0.995
    free = forced.copy()
    free[:, K + 1 :] *= rng.uniform(0.8, 1.0, (n, M - 1)).astype(np.float32)
    free[:, 0] = forced[:, 0] = np.nan
    return match, free, forced


def sequences_of(rows: pa.Table, name: str, match: np.ndarray, free: np.ndarray, schema: pa.Schema) -> pa.Table:
    """Every column of the table of sequences; those that no view here draws are filled with any numbers."""
    n, rng = len(rows), np.random.default_rng((3, int(rows["row"][0].as_py())))
    offsets = np.arange(n + 1, dtype=np.int32) * M
    n_hits = match.sum(axis=1)
    values: dict[str, Any] = {each: rows[each] for each in ("row", "row_id", "document", "group", *ABOUT)}
    values |= {"model": pa.repeat(name, n), "mode": pa.repeat("sliding", n), "k": np.full(n, K), "m": np.full(n, M)}
    values |= {
        "start": np.zeros(n, int),
        "on_context_curve": np.ones(n, bool),
        "on_continuation_curve": np.ones(n, bool),
    }
    values |= {"prefix": match.cumprod(axis=1).sum(axis=1), f"n_matches_{M}": n_hits}
    values |= {"entropy_before": free[:, K - 1], "entropy_at": free[:, K], "n_fragile": np.zeros(n, int)}
    values |= {f"common_run_{M}": np.minimum(M, n_hits + 1), f"edit_distance_{M}": M - n_hits, f"bleu_{M}": n_hits / M}
    values["matches"] = pa.ListArray.from_arrays(offsets, pa.array(match.ravel()))
    values["generated_ids"] = pa.ListArray.from_arrays(offsets, pa.array(rng.integers(5, VOCABULARY, n * M, np.int32)))
    for each in schema:
        if each.name not in values and pa.types.is_floating(each.type):
            values[each.name] = rng.random(n, np.float32)
    return _table(values, schema, n)


def blocks(n: int) -> Iterator[pa.Table]:
    for start in range(0, n, BLOCK_ROWS):
        yield rows_from(start, min(BLOCK_ROWS, n - start))


def generate(folder: Path, n: int, names: list[str]) -> None:
    """Write a finished sweep."""
    folder.mkdir(parents=True)
    task = SweepTask(tuple(names), RowSet(str(folder / "source.parquet")), (K,), ("sliding",), (M,))
    schemas = {"rows": schema_of(ROW_COLUMNS, {}), "sequences": schema_of(sequence_columns(task), {})}
    schemas["sums"] = schema_of(SUM_COLUMNS, {})
    with ExitStack() as places:
        files = {name: places.enter_context(table_file(folder, name, schema)) for name, schema in schemas.items()}
        for rows in blocks(n):
            files["rows"].add(rows)
        lines = lines_of(blocks(n))
        for place, name in enumerate(names):
            _write_model(files, lines, n, place, name)
        for file in files.values():
            file.finish()
    (folder / "rows.parquet").rename(folder / ROWS)
    what = plan(task, {K + M: n})
    tables = {
        name: {"file": f"{name}.parquet", "n_rows": files[name].n_rows, "columns": dict.fromkeys(schema.names, "")}
        for name, schema in schemas.items()
    }
    known = {"family": "made", "step": None, "n_steps": None, "seed": 0, "weights": "0" * 64, "dtype": "float32"}
    models = [{"name": name, "size": name, "n_parameters": 10**7 * 4**i, **known} for i, name in enumerate(names)]
    write_manifest(
        folder,
        {
            "request": {"task": "sweep", **{name: value for name, value in task.request().items() if name != "task"}},
            "rows": {"n": n, "sha256": "0" * 64, "n_read": n, "n_malformed": 0, "n_cut": 0, "lengths": {str(K + M): n}},
            "curves": [vars(curve) for curve in what.curves], "skipped": [], "models": models, "tables": tables,
            "engine": ENGINE,
            "provenance": {"seconds": 0.0, "created": "2026-01-01T00:00:00+00:00", "batches_computed": 0},
        },
    )  # fmt: skip


def _write_model(files: dict[str, TableFile], lines: Lines, n: int, place: int, name: str) -> None:
    n_bins = int(math.log(VOCABULARY) / 0.25) + 1
    sums = Sums(len(lines.about), K, M, [M], n_bins)
    for rows in blocks(n):
        match, free, forced = answers(rows, place)
        first = rows["row"].to_numpy() == rows["group"].to_numpy()
        sums.add(lines.of(rows), first, match, free, forced)
        files["sequences"].add(sequences_of(rows, name, match, free, files["sequences"].schema))
    files["sums"].add(sums.table(name, "sliding", K, lines.about, files["sums"].schema))


def peak() -> float:
    """GB that this process held at most; Linux tells it of this program alone, not of the one that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9


def view(name: str, folder: Path) -> None:
    """Draw a view twice, and print what it took."""
    draw = _findings(folder) if name == "findings" else _page(name, folder)
    before, taken = peak(), []
    for _ in range(2):
        start, cpu = time.perf_counter(), time.process_time()
        draw()
        taken += [time.perf_counter() - start, time.process_time() - cpu]
    print("FOUND", json.dumps([*taken, before, peak()]))


def _page(name: str, folder: Path) -> Any:
    from streamlit.testing.v1 import AppTest

    from memviz.jobs import Worker
    from memviz.settings import ROOT
    from memviz.ui.common import every_page

    every_page.warm_up = lambda: None
    Worker._work = lambda self, lane: None  # type: ignore[method-assign]
    for visit in range(2):  # the first for the imports, the second a visitor who opens the page by a link
        app = AppTest.from_file(str(ROOT / "memviz" / "dashboard.py"), default_timeout=500)
        app.run()
        app.switch_page(str(ROOT / "pages" / f"{name}.py"))
        if not visit:
            app.run()
    app.query_params["sweep"] = folder.name[:12]

    def draw() -> None:
        app.run()
        assert not app.exception, app.exception
        assert app.get("plotly_chart"), [each.value for each in app.info]

    return draw


def _findings(folder: Path) -> Any:
    from memviz.findings.evidence.material import material_of
    from memviz.findings.numbers import numbers
    from memviz.sweeps import read_sweep

    sweep = read_sweep(folder)
    return lambda: list(numbers(material_of([sweep]), None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, required=True, help="of each model, 1000000 for the figures of docs/sweeps.md"
    )
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--cache", type=Path, help="a folder where the sweep stays, and is found again")
    parser.add_argument("--views", nargs="*", default=list(VIEWS), choices=VIEWS)
    parser.add_argument("--draw", help=argparse.SUPPRESS)
    args = parser.parse_args()
    cache = args.cache or Path(tempfile.mkdtemp(prefix="memviz-large-"))
    folder = cache / "sweeps" / f"{args.rows:012d}"
    if args.draw:
        view(args.draw, folder)
        return
    try:
        if not (folder / "manifest.json").is_file():
            start = time.perf_counter()
            shutil.rmtree(folder, ignore_errors=True)
            generate(folder, args.rows, [f"made-{i + 1}" for i in range(args.models)])
            n_bytes = {path.stem: path.stat().st_size for path in folder.glob("*.parquet")}
            sizes = ", ".join(f"{name} {size / 1e6:,.0f} MB" for name, size in n_bytes.items())
            print(f"{args.rows:,} rows x {args.models} models made in {time.perf_counter() - start:.0f} s: {sizes}")
        print(f"aims: {FIRST:g} s at first, {AGAIN:g} s again, {GIGABYTES:g} GB; (processor seconds), [GB before]")
        for name in args.views:
            environment = os.environ | {"MEMVIZ_CACHE": str(cache), "MEMVIZ_OFFLINE": "true"}
            command = [sys.executable, __file__, "--draw", name, "--cache", str(cache), "--rows", str(args.rows)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            said = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
            if not said:
                print(f"{name:12}  failed: {done.stderr[-3000:]}")
                continue
            first, cpu, again, cpu_again, before, most = json.loads(said[0].removeprefix("FOUND "))
            print(
                f"{name:12} {first:7.2f} s ({cpu:.2f}) {again:7.2f} s ({cpu_again:.2f})  {most:.2f} GB [{before:.2f}]",
                flush=True,
            )
    finally:
        if args.cache is None:
            shutil.rmtree(cache, ignore_errors=True)


if __name__ == "__main__":
    main()
