"""Pack a finished sweep of the suite into the one that ships with it: what the pages draw, in a few megabytes.

    python scripts/ship_sweep.py SWEEP [--out memviz/demo/suite/sweep/checkpoints]

What is left out is said in the manifest, as `packed`. Counts, scores and matches stay exact. Of the suite's own sweep
the Boundary page's first view is computed from the packed tables and the index of the stream, and laid beside them;
sweeps of further models of the same rows are packed into folders of its folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from memviz.cli.shared import context_for
from memviz.population import Frequencies, FrequencyTask, align, boundary_curves, boundary_differences
from memviz.population.first_view import CURVES, DIFFERENCES, ENTROPIES, FIRST_VIEW, FREQUENCIES
from memviz.population.ngrams import corpus_of
from memviz.settings import load_settings
from memviz.sweeps import Sweep, read_sweep
from memviz.sweeps.beside import beside_columns
from memviz.sweeps.kept import SHIPPED
from memviz.sweeps.results import MANIFEST, write_manifest
from memviz.sweeps.sums import EDGE
from memviz.sweeps.task import AT, SLIDING
from memviz.tasks.base import answer

ENTROPY_STEP = 1 / 32
"""nats."""
DIGITS = 3
"""Significant digits kept of other floats."""
LAST = 2 * AT + EDGE
"""Index after the last one whose entropies are kept: m = 32 positions from an edge moved by 8."""
EVERYWHERE = ("entropy_before", "entropy_at")
"""Floats kept of every k and mode."""
BESIDE = tuple(beside_columns(AT))
"""What stands beside the hits, without its size."""
PACKED = {
    "sequences": f"generated ids, what stands beside the hits, and floats but for {' and '.join(EVERYWHERE)}: kept at "
    f"k = {AT}, sliding",
    "positions": f"k = {AT}, sliding, indices 0 to {LAST - 1}, the two entropies; the free-running one is null where "
    "it is the teacher-forced one",
    "digits": f"entropies to 1/{round(1 / ENTROPY_STEP)} nats, other floats to {DIGITS} digits",
}


def rounded(values: np.ndarray) -> np.ndarray:
    """Floats with so many significant digits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.abs(values))))
        return np.where(np.isfinite(size), np.round(values * size) / size, values)


def stepped(values: np.ndarray) -> np.ndarray:
    """Entropies as the middle of the step they lie in, so that they stay in the quarter of a nat that bins them."""
    return (np.floor(values / ENTROPY_STEP) + 0.5) * ENTROPY_STEP


def exchanged(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place), values)


def without(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """Columns that begin so are null."""
    for field in table.schema:
        if field.name.startswith(names):
            table = exchanged(table, field.name, pa.nulls(len(table), field.type))
    return table


def sequences(table: pa.Table) -> pa.Table:
    """Fewer digits everywhere; what is kept of one condition only is null elsewhere."""
    asked = pc.and_(pc.equal(table["k"], AT), pc.equal(table["mode"], SLIDING))
    for field in table.schema:
        values = table[field.name]
        if pa.types.is_floating(field.type):
            short = stepped if field.name in EVERYWHERE else rounded
            values = pa.array(short(values.to_numpy()), from_pandas=True).cast(field.type)
        elif field.name != "generated_ids" and not field.name.startswith(BESIDE):
            continue
        if field.name not in EVERYWHERE:
            values = pc.if_else(asked, values, pa.scalar(None, field.type))
        table = exchanged(table, field.name, values)
    return table


def positions(table: pa.Table) -> pa.Table:
    """Entropies around the start of the continuation; all other columns null."""
    free, forced = (stepped(table[f"{name}_entropy"].to_numpy()) for name in ("free_running", "teacher_forced"))
    kept = {
        "free_running_entropy": np.where(free == forced, np.nan, free),
        "teacher_forced_entropy": forced,
    }
    for field in table.schema:
        if field.name in kept:
            values = pa.array(kept[field.name], field.type, from_pandas=True)
            table = exchanged(table, field.name, values)
        elif field.name not in ("model", "row", "mode", "k", "index"):
            table = exchanged(table, field.name, pa.nulls(len(table), field.type))
    return table


def write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", compression_level=19, row_group_size=2**22)


def frequencies(sweep: Sweep) -> Frequencies:
    """How often n-grams of the rows are in the suite's stream, whose index is built in the cache where it is not."""
    context = context_for(load_settings())
    corpus = corpus_of(sweep.task.models[-1], context)
    assert corpus is not None
    return answer(FrequencyTask(sweep, corpus), context).result


def boundary_tables(folder: Path) -> None:
    """What the Boundary page computes for its first view, from the packed sweep and the index of the stream."""
    sweep, curves, differences = read_sweep(folder), [], []
    counted = frequencies(sweep)
    for model in sweep.task.models:
        aligned = align(sweep, model, AT, SLIDING, AT, counted)
        aligned = aligned.where(np.isin(aligned.rows, FIRST_VIEW.apply(sweep.rows)["row"]))
        for quantity in (*ENTROPIES, *FREQUENCIES):
            curves.append(boundary_curves(aligned, quantity).assign(of=model, quantity=quantity))
            differences.append(boundary_differences([aligned], quantity).assign(of=model, quantity=quantity))
    for name, parts in ((CURVES, curves), (DIFFERENCES, differences)):
        table = pa.Table.from_pandas(pd.concat(parts, ignore_index=True), preserve_index=False)
        write(table, folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--out", type=lambda path: Path(path).resolve(), default=SHIPPED)
    options = parser.parse_args()
    found = read_sweep(options.sweep)
    options.out.mkdir(parents=True, exist_ok=True)
    rows, whole = (pq.read_table(found.folder / f"{name}.parquet") for name in ("rows", "sequences"))
    packed, beside = sequences(whole), options.out.parent == SHIPPED
    manifest = json.loads((found.folder / MANIFEST).read_text("utf-8"))
    manifest["packed"] = {name: said for name, said in PACKED.items() if name in ("digits", *manifest["tables"])}
    if beside:
        rows, packed = without(rows, ("ids",)), without(packed, ("generated_ids", "matches", "log_p", *BESIDE))
        manifest["packed"]["sequences"] = "numbers of hits and entropies; no ids, no hit by itself, nothing beside them"
        manifest["packed"]["rows"] = "no token ids: they are those of the sweep that it lies beside"
    write(rows, options.out / "rows.parquet")
    write(packed, options.out / "sequences.parquet")
    manifest["command"] = manifest["command"].replace(str(found.folder), options.out.name)
    if "positions" in manifest["tables"]:
        near = [("k", "==", AT), ("mode", "==", SLIDING), ("index", "<", LAST)]
        kept = positions(pq.read_table(found.folder / "positions.parquet", filters=near))
        write(kept, options.out / "positions.parquet")
        manifest["tables"]["positions"]["n_rows"] = len(kept)
    write_manifest(options.out, manifest)
    if "positions" in manifest["tables"] and not beside:
        boundary_tables(options.out)
    for path in sorted(path for path in options.out.iterdir() if path.is_file()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
