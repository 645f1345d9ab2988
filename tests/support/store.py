"""What the tests of the result store and the processes they start have in common."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

import memviz
from memviz.store import Store, request_hash

PLENTY = 2**40
IMPORTS = """
import os, sys
from support.store import arrays, key, same
from memviz.store import Store
root, limit = sys.argv[1], int(sys.argv[2])
"""


def key(i: int) -> str:
    return request_hash({"i": i})


def arrays(i: int) -> dict[str, np.ndarray]:
    return {"x": np.full(1000 + i % 7, i, np.int64)}


def same(result: tuple[dict[str, np.ndarray], dict[str, Any]], i: int) -> bool:
    return np.array_equal(result[0]["x"], arrays(i)["x"]) and result[1] == {"i": i}


def right_ones(store: Store, numbers: Iterable[int]) -> set[int]:
    """Which of the results are there; those that are must be what was put."""
    found = {i: store.get(key(i)) for i in numbers}
    assert all(result is None or same(result, i) for i, result in found.items())
    return {i for i, result in found.items() if result is not None}


def start(script: str, root: Path, *args: object, limit: int = PLENTY) -> subprocess.Popen[str]:
    """Another process, in which `root` and `limit` are set."""
    search = os.pathsep.join([str(Path(memviz.__file__).parent.parent), str(Path(__file__).parents[1])])
    return subprocess.Popen(
        [sys.executable, "-c", IMPORTS + script, str(root), str(limit), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str], text: str = "") -> str:
    """What the process still writes; it must end well."""
    output = process.communicate(text)[0]
    assert process.returncode == 0
    return output


def index_of(store: Store) -> Path:
    return store.root / "index" / "index.sqlite"


def ask(store: Store, query: str) -> Any:
    """The first value SQLite answers, past the store."""
    with closing(sqlite3.connect(index_of(store))) as connection:
        return (connection.execute(query).fetchone() or [None])[0]


def blob_of(store: Store, i: int) -> Path:
    name = ask(store, f"SELECT blob FROM results WHERE key = '{key(i)}'")
    return store.root / "blobs" / name[:2] / f"{name}.safetensors"


FORMAT_1 = """
CREATE TABLE results (
    key TEXT PRIMARY KEY, blob TEXT NOT NULL, n_bytes INTEGER NOT NULL, meta TEXT NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, last_used REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX results_by_blob ON results (blob, n_bytes);
CREATE INDEX results_by_use ON results (pinned, last_used);
CREATE TABLE requests (key TEXT PRIMARY KEY, request TEXT NOT NULL, created REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX requests_by_age ON requests (created);
PRAGMA user_version = 1;
ATTACH '{path}' AS new;
INSERT INTO results SELECT key, blob, n_bytes, meta, pinned, created, last_used FROM new.results;
INSERT INTO requests SELECT * FROM new.requests;
"""
"""The first index, as memviz 0.1 made it, with the rows of one of today."""


def make_format_1(store: Store) -> None:
    """Give a store the first index, with the same rows."""
    store.close()
    old = index_of(store).with_name("old.sqlite")
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FORMAT_1.format(path=index_of(store)))
    old.replace(index_of(store))
