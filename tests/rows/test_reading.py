"""Rows of every format: what is malformed is named with its line, and what is unusable as a whole is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from memviz.errors import InputError
from memviz.rows.layout import File, Layout, Record
from memviz.rows.reading import read_records

N_IDS = 2**31


def read(path: Path | str, n_ids: int = N_IDS, **layout: Any) -> tuple[list[Record], list[tuple[int, str]]]:
    found, refused, _ = told(path, n_ids, **layout)
    return found, refused


def told(path: Path | str, n_ids: int = N_IDS, **layout: Any) -> tuple[list[Record], list[tuple[int, str]], list[str]]:
    """Records, what was left out, and what was said of the file."""
    refused: list[tuple[int, str]] = []
    said: list[str] = []
    file = File(Path(path), Layout(**layout), n_ids, lambda line, problem: refused.append((line, problem)), said.append)
    found = list(read_records(file)
    assert file.where() >= 0.99 or not found
    return found, refused, said


def test_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [
        json.dumps({"ids": [1, 2, 3], "text": "ignored", "n": 7, "score": 0.5}).encode(),
        b'{"text": "abc", "n": "x", "score": null}',
        b"",
        b"{nonsense",
        b"[1]",
        b'{"ids": [1, -2], "n": 1}',
        b'{"ids": [1, 2.5], "n": 1}',
        b'{"ids": "none", "n": 1}',
        b'{"other": 1}',
        b'{"text": 5}',
        b'{"text": "a", "score": [1]}',
        b'{"text": "\\ud800"}',
        b'{"text": "\xff"}',
        b'{"text": "last"}',
    ]
    path.write_bytes(b"\n".join(lines)
    found, refused = read(path, id_column="n", labels=("score",))
    assert [(r.row, r.line, r.row_id, r.labels) for r in found] == [
        (0, 1, "7", (0.5,)),
        (1, 2, "x", (None,)),
        (13, 14, None, (None,)),
    ]
    assert found[0].content.tolist() == [1, 2, 3] and found[1].content == "abc"
    assert [line for line, _ in refused] == list(range(3, 14)
    said = dict(refused)
    assert said[3] == "is empty" and said[4].startswith("is not JSON") and said[5] == "is a list, expected an object"
    assert "an id outside 0 to" in said[6] and said[7] == "'ids' is no list of whole numbers"
    assert said[8] == "'ids' holds something other than whole numbers"
    assert said[9] == "has neither 'ids' nor 'text'" and said[10] == "'text' is a int, expected text"
    assert "label 'score' is a list" in said[11] and said[12] == "'text' is not UTF-8" and "is not JSON" in said[13]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'\xef\xbb\xbfname,passage,score\na,"two\nlines",1\nb,short\nc,fine,x\nd,\xff,2\ne,"[1, 2]",\n')
    found, refused = read(path, text_column="passage", id_column="name", labels=("score",))
    assert [(r.row, r.line, r.content, r.row_id, r.labels) for r in found] == [
        (0, 2, "two\nlines", "a", ("1",)),
        (2, 5, "fine", "c", ("x",)),
        (4, 7, "[1, 2]", "e", ("",)),
    ]
    assert refused == [(4, "has 2 fields, the header has 3"), (6, "'passage' is not UTF-8")]
    ids = tmp_path / "ids.csv"
    ids.write_text('ids\n"1, 2, 3"\n4 5\n[6 7]\n1.5\n')
    found, refused = read(ids)
    assert [r.content.tolist() for r in found] == [[1, 2, 3], [4, 5], [6, 7]]
    assert refused == [(5, "'ids' holds something other than whole numbers")]


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    columns = {"ids": [[1, 2], None, [3, -1], [4]], "score": [1.0, 2.0, 3.0, None], "extra": [0, 0, 0, 0]}
    pq.write_table(pa.table(columns), path)
    found, refused = read(path, labels=("score",))
    assert [(r.row, r.content.tolist(), r.labels) for r in found] == [(0, [1, 2], (1.0,)), (3, [4], (None,))]
    assert [line for line, _ in refused] == [2, 3]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"rows.parquet cannot be read"):
        read(path)


def test_prefix_and_suffix_arrays_of_the_extraction_benchmark(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    prefix, suffix = (rng.integers(0, 50257, (20, 50)).astype(np.uint16) for _ in range(2)
    np.save(tmp_path / "train_prefix.npy", prefix)
    np.save(tmp_path / "train_suffix.npy", suffix)
    np.save(tmp_path / "counts.npy", np.arange(20)
    found, refused = read(tmp_path / "train_prefix.npy", labels_file=str(tmp_path / "counts.npy"))
    assert not refused and len(found) == 20
    assert (np.array([r.content for r in found]) == np.concatenate([prefix, suffix], axis=1)).all()
    assert [r.labels for r in found] == [(number,) for number in range(20)]
    (tmp_path / "train_suffix.npy").unlink()
    with pytest.raises(InputError, match=r"needs train_suffix.npy beside it"):
        read(tmp_path / "train_prefix.npy")


def test_ids_that_cannot_be_are_named_by_row(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.array([[1, 2], [-1, 2], [3, 2**40]])
    found, refused = read(tmp_path / "rows.npy")
    assert [r.row for r in found] == [0] and [line for line, _ in refused] == [2, 3]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", np.zeros((2, 3)), r"holds float64 of shape \(2, 3\): expected whole numbers"),
        ("a.npy", np.zeros(3, int), r"holds int64 of shape \(3,\)"),
        ("a.npy", np.array([[None]]), "is no array of numbers"),
        ("a.npy", b"nonsense", "is no array of numbers"),
        ("a.csv", b"a,b\n1,2\n", "has neither a column 'ids' nor 'text'; it has a, b"),
        ("a.csv", b"", "has neither a column 'ids' nor 'text'; it has none"),
        ("a.parquet", b"nonsense", "a.parquet cannot be read"),
        ("a.jsonl", None, "is no file"),
    ],
)
def test_unusable_files(tmp_path: Path, name: str, content: object, message: str) -> None:
    path = tmp_path / name
    if isinstance(content, np.ndarray):
        np.save(path, content, allow_pickle=True)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(path)


def test_pairs_of_another_number_and_labels_of_another_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "prefix.npy", np.ones((3, 2), int)
    np.save(tmp_path / "suffix.npy", np.ones((4, 2), int)
    with pytest.raises(InputError, match=r"has 3 rows and .*suffix.npy has 4"):
        read(tmp_path / "prefix.npy")
    np.save(tmp_path / "labels.npy", np.ones((2, 2))
    with pytest.raises(InputError, match=r"labels.npy holds float64 of shape \(2, 2\): expected \(4,\)"):
        read(tmp_path / "suffix.npy", labels_file=str(tmp_path / "labels.npy"))
    with pytest.raises(InputError, match="has no column 'score'; it has text"):
        (tmp_path / "a.csv").write_text("text\na\n")
        read(tmp_path / "a.csv", labels=("score",))
