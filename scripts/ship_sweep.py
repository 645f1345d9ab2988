"""Pack a finished sweep of the suite into the one that ships with it: what the pages draw, in a few megabytes.

    python scripts/ship_sweep.py SWEEP

Left out, and said in the manifest: what was generated but for k = 32, sliding, and of the positions everything but the
entropies around the start of that continuation. Floats lose digits as said there. Counts and scores stay exact.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from memviz.population.aligned import EDGE
from memviz.sweeps import read_sweep
from memviz.sweeps.kept import SHIPPED
from memviz.sweeps.results import MANIFEST, write_manifest
from memviz.sweeps.task import AT, SLIDING

ENTROPY_STEP = 1 / 128
"""nats."""
DIGITS = 4
"""Significant digits kept of other floats."""
LAST = 2 * AT + EDGE
"""Index after the last one whose entropies are kept: m = 32 positions from an edge moved by 8."""
PACKED = {
    "generated_ids": f"kept at k = {AT}, sliding",
    "positions": f"k = {AT}, sliding, indices 0 to {LAST - 1}, the two entropies",
    "entropies": f"rounded to 1/{round(1 / ENTROPY_STEP)} nats in positions",
    "floats": f"rounded to {DIGITS} significant digits in sequences",
}


def rounded(values: np.ndarray) -> np.ndarray:
    """Floats with so many significant digits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.abs(values))))
        return np.where(np.isfinite(size), np.round(values * size) / size, values)


def without(table: pa.Table, kept: set[str]) -> pa.Table:
    """The same columns, null but for those that are kept."""
    for place, field in enumerate(table.schema):
        if field.name not in kept:
            table = table.set_column(place, field, pa.nulls(len(table), field.type))
    return table


def sequences(table: pa.Table) -> pa.Table:
    """Rounded floats; generated ids where they are kept."""
    asked = pc.and_(pc.equal(table["k"], AT), pc.equal(table["mode"], SLIDING))
    for place, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            values = rounded(table[field.name].to_numpy())
            table = table.set_column(place, field, pa.array(values, from_pandas=True).cast(field.type))
        elif field.name == "generated_ids":
            table = table.set_column(place, field, pc.if_else(asked, table[field.name], pa.scalar(None, field.type)))
    return table


def positions(table: pa.Table) -> pa.Table:
    """Entropies around the start of the continuation."""
    names = ("free_running_entropy", "teacher_forced_entropy")
    for name in names:
        place = table.schema.get_field_index(name)
        values = np.round(table[name].to_numpy() / ENTROPY_STEP) * ENTROPY_STEP
        table = table.set_column(place, table.schema.field(place), pa.array(values, pa.float32(), from_pandas=True))
    return without(table, {"model", "row", "mode", "k", "index", *names})


def write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", compression_level=19, row_group_size=2**22)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    options = parser.parse_args()
    found = read_sweep(options.sweep)
    options.out.mkdir(parents=True, exist_ok=True)
    write(pq.read_table(found.folder / "rows.parquet"), options.out / "rows.parquet")
    whole = pq.read_table(found.folder / "sequences.parquet")
    write(sequences(whole), options.out / "sequences.parquet")
    near = [("k", "==", AT), ("mode", "==", SLIDING), ("index", "<", LAST)]
    kept = positions(pq.read_table(found.folder / "positions.parquet", filters=near))
    write(kept, options.out / "positions.parquet")
    manifest = json.loads((found.folder / MANIFEST).read_text("utf-8")) | {"packed": PACKED}
    manifest["tables"]["positions"]["n_rows"] = len(kept)
    manifest["command"] = manifest["command"].replace(str(found.folder), "sweep")
    write_manifest(options.out, manifest)
    for path in sorted(options.out.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
