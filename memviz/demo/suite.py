"""The suite as files: models in Hugging Face layout, rows and exposures as Parquet. Read without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from memviz.demo.recipe import ROW
from memviz.demo.stream import TrainingData

SAMPLE_SEED = 1
SUITE_FOLDER = Path(__file__).parent / "suite"


def write_table(frame: pd.DataFrame | pa.Table, path: Path) -> None:
    """Write a table as Parquet, packed as small as it goes."""
    table = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, path, compression="zstd", compression_level=19)


def write_data(data: TrainingData, folder: Path) -> None:
    """Write rows.parquet, exposures.parquet, documents.parquet and stream.json into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = pa.FixedSizeListArray.from_arrays(pa.array(data.ids.reshape(-1)), ROW)
    columns = {"bucket": data.bucket, "background": data.background, "document": data.document}
    write_table(pa.table({"ids": ids, **columns}), folder / "rows.parquet")
    write_table(data.exposures(), folder / "exposures.parquet")
    write_table(data.documents, folder / "documents.parquet")
    facts = {"batch": data.batch, "n_steps": data.n_steps, "n_tokens": int(data.sequences.size)}
    (folder / "stream.json").write_text(json.dumps(facts), "utf-8")


def read_data(folder: Path = SUITE_FOLDER / "corpus") -> TrainingData:
    """The corpus that `write_data` wrote."""
    rows = pq.read_table(folder / "rows.parquet")
    ids = rows["ids"].combine_chunks().flatten().to_numpy().reshape(-1, ROW)
    bucket, background, document = (rows[name].to_numpy() for name in ("bucket", "background", "document"))
    return TrainingData(
        ids,
        bucket,
        background,
        document,
        documents=pd.read_parquet(folder / "documents.parquet"),
        order=pd.read_parquet(folder / "exposures.parquet", columns=["row"])["row"].to_numpy(np.int32),
        batch=json.loads((folder / "stream.json").read_text("utf-8"))["batch"],
    )


def background_sample(data: TrainingData, n: int) -> np.ndarray:
    """n rows of the background, or all, drawn by a seed of their own."""
    background = np.flatnonzero(data.background)
    return np.random.default_rng(SAMPLE_SEED).choice(background, min(n, len(background)), replace=False)


def write_facts(folder: Path, **facts: Any) -> None:
    """Write memviz.json, by which a model folder says what it is to the catalog."""
    (folder / "memviz.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
