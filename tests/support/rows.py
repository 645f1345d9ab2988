"""What a file of rows gives, as the tests of its readers ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memviz.rows.layout import File, Layout, Record
from memviz.rows.reading import read_records

N_IDS = 2**31


def told(path: Path, n_ids: int = N_IDS, **layout: Any) -> tuple[list[Record], list[tuple[int, str]], list[str]]:
    """Records, what was left out, and what was said of the file."""
    refused: list[tuple[int, str]] = []
    said: list[str] = []
    file = File(path, Layout(**layout), n_ids, lambda line, problem: refused.append((line, problem)), said.append)
    return list(read_records(file)), refused, said


def read(path: Path, n_ids: int = N_IDS, **layout: Any) -> tuple[list[Record], list[tuple[int, str]]]:
    found, refused, _ = told(path, n_ids, **layout)
    return found, refused


def ids_of(path: Path, n_ids: int = N_IDS, **layout: Any) -> list[list[int]]:
    """The ids of all rows of a file of which none is left out."""
    found, refused = read(path, n_ids, **layout)
    assert not refused
    return [record.content.tolist() for record in found]
