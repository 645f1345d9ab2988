"""Files of rows: what each gives, which line cannot be used, and what is said of what was recognised."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.rows import ids_of, read, told

from memviz.errors import InputError
from memviz.rows.layout import Layout
from memviz.rows.reading import kind_of

NEITHER = "has neither 'ids' nor 'text'; it has other: name the column with --ids-column or --text-column"


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
        b'{"text": "a", "text": "b"}',
        b'{"text": "last"}',
        b"",
        b"  ",
    ]
    path.write_bytes(b"\n".join(lines))
    found, refused = read(path, id_column="n", labels=("score",))
    assert [(r.row, r.line, r.row_id, r.labels) for r in found] == [
        (0, 1, "7", (0.5,)),
        (1, 2, "x", (None,)),
        (14, 15, None, (None,)),
    ]
    assert found[0].content.tolist() == [1, 2, 3] and found[1].content == "abc"
    assert [line for line, _ in refused] == list(range(3, 15))  # blank lines at the end are no rows
    said = dict(refused)
    assert said[3] == "is empty" and said[4].startswith("is not JSON") and said[5] == "is a list, expected an object"
    assert said[6].startswith("has id -2, ids are 0 to 2147483647") and said[7] == "'ids' is no list of whole numbers"
    assert said[8] == "'ids' holds something other than whole numbers"
    assert said[9] == "has neither 'ids' nor 'text'" and said[10] == "'text' is a int, expected text"
    assert "label 'score' is a list" in said[11] and said[12] == "'text' is not UTF-8" and "is not JSON" in said[13]
    assert said[14] == "has 'text' twice"
    path.write_text('{"other": 1}\n')
    assert read(path)[1] == [(1, NEITHER)]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(
        b'\xef\xbb\xbfname,passage,score\na,"two\nlines",1\nb,short\nc,fine,x\nd,\xff,2\n\ne,"[1, 2]",\n\n\n'
    )
    found, refused = read(path, text_column="passage", id_column="name", labels=("score",))
    assert [(r.row, r.line, r.content, r.row_id, r.labels) for r in found] == [
        (0, 2, "two\nlines", "a", ("1",)),
        (2, 5, "fine", "c", ("x",)),
        (5, 8, "[1, 2]", "e", ("",)),
    ]
    assert refused == [(4, "has 2 fields, the header has 3"), (6, "'passage' is not UTF-8"), (7, "is empty")]
    ids = tmp_path / "ids.csv"
    ids.write_text('ids\n"1, 2, 3"\n4 5\n[6 7]\n1.5\n')
    found, refused = read(ids)
    assert [r.content.tolist() for r in found] == [[1, 2, 3], [4, 5], [6, 7]]
    assert refused == [(5, "'ids' holds something other than whole numbers")]


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars"), (",", None)])
@pytest.mark.parametrize("end", [".csv", ".tsv"])
def test_separators_are_recognised_and_said(tmp_path: Path, separator: str, word: str | None, end: str) -> None:
    path = tmp_path / f"rows{end}"
    path.write_text(
        "\r\n".join(separator.join(line) for line in (("name", "text"), ("a", '"b; c, d | e"'), ("f", "g")))
    )
    found, refused, said = told(path)
    assert [record.content for record in found] == ["b; c, d | e", "g"] and not refused
    own = "," if end == ".csv" else "\t"
    assert said == ([] if separator == own else [f"fields stand between {word or 'commas'}"])


def test_a_separator_that_is_none_of_those_known(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id#text\n1#a\n")
    with pytest.raises(
        InputError, match=r"it has id#text \(fields between commas; commas, semicolons, tabs, bars were"
    ):
        read(tmp_path / "a.csv")


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    columns = {"ids": [[1, 2], None, [3, -1], [4], []], "score": [1.0, 2.0, 3.0, None, 5.0], "extra": [0] * 5}
    pq.write_table(pa.table(columns), path)
    found, refused = read(path, labels=("score",))
    assert [(r.row, list(r.content), r.labels) for r in found] == [(0, [1, 2], (1.0,)), (3, [4], (None,))]
    assert [line for line, _ in refused] == [2, 3, 5]
    lists = pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.uint16(), 2))
    pq.write_table(pa.table({"ids": lists, "n": [2**63 - 1, -(2**63), 0]}), path)
    found, _ = read(path, id_column="n")
    assert [(r.content.tolist(), r.row_id) for r in found] == [
        ([1, 2], "9223372036854775807"),
        ([3, 4], "-9223372036854775808"),
        ([5, 6], "0"),
    ]
    view = {"tokens": pa.array([[1, 2], [3]], pa.list_view(pa.int32())), "id": pa.array(["a", "b"]).dictionary_encode()}
    pq.write_table(pa.table(view), path)
    assert [(r.content.tolist(), r.row_id) for r in read(path)[0]] == [([1, 2], "a"), ([3], "b")]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"rows.parquet cannot be read"):
        read(path)


def table(path: Path, **columns: list[Any]) -> Path:
    """Columns in whatever the name ends with."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".jsonl":
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [";".join(map(str, values)) for values in zip(*columns.values(), strict=True)]
        path.write_text("\n".join([";".join(columns), *lines]) + "\n")
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.csv"])
def test_usual_columns_are_found_and_said(tmp_path: Path, name: str) -> None:
    rows = [[5, 6], [7, 8]]
    for column, others in (("tokens", {"index": [9, 10]}), ("input_ids", {"id": ["x", "y"]})):
        found, refused, said = told(table(tmp_path / name, **{column: rows}, **others))
        ((names, values),) = others.items()
        assert [record.content.tolist() for record in found] == rows and not refused
        assert [record.row_id for record in found] == [str(value) for value in values]
        assert said[-2:] == [f"token ids are in column {column!r}", f"rows are named by column {names!r}"]
    found, _, said = told(table(tmp_path / name, tokens=[1, 2], text=["a", "b"]))  # a number of tokens
    assert [record.content for record in found] == ["a", "b"] and "tokens" not in str(said)
    with pytest.raises(InputError, match="has columns input_ids and tokens: name one of them with --ids-column"):
        read(table(tmp_path / name, tokens=rows, input_ids=rows))
    assert ids_of(table(tmp_path / name, tokens=rows, input_ids=rows), ids_column="tokens") == rows
    table(tmp_path / name, tokens=rows)  # where a column was named, no other is guessed
    if name == "a.jsonl":
        assert [line for line, _ in read(tmp_path / name, text_column="body")[1]] == [1, 2]
    else:
        with pytest.raises(InputError, match="has neither a column 'ids' nor 'body'; it has tokens"):
            read(tmp_path / name, text_column="body")


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_two_columns_of_one_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for text, other, fails in (("text", "text", True), ("text", "more", False)):
        names = [text, other, "more"]
        if name == "a.csv":
            path.write_text(",".join(names) + "\na,b,c\n")
        else:
            pq.write_table(pa.Table.from_arrays([pa.array([each]) for each in "abc"], names), path)
        if fails:
            with pytest.raises(InputError, match=f"{name} has 2 columns called 'text': rename all but one"):
                read(path)
        else:
            assert read(path)[0][0].content == "a"
            with pytest.raises(InputError, match="has 2 columns called 'more'"):
                read(path, labels=("more",))


def test_padding(tmp_path: Path) -> None:
    ids = np.full((3, 8), -1)
    ids[0, :5], ids[1, 2:6], ids[2] = [1, 2, 3, 4, 5], [1, 2, 3, 4], range(8)
    np.save(tmp_path / "a.npy", ids)
    found, refused = read(tmp_path / "a.npy")
    assert [record.row for record in found] == [2]
    assert refused[0] == (1, "has id -1, ids are 0 to 2147483647: where -1 fills rows up, --pad-id -1 cuts there")
    assert ids_of(tmp_path / "a.npy", pad_id=-1) == [[1, 2, 3, 4, 5], [1, 2, 3, 4], list(range(8))]
    np.save(tmp_path / "a.npy", np.array([[7, 7, 1, 7, 2], [7] * 5]))
    found, refused = read(tmp_path / "a.npy", pad_id=7)
    assert [record.content.tolist() for record in found] == [[1]] and refused == [(2, "has no tokens")]
    assert ids_of(table(tmp_path / "a.jsonl", ids=[[3, 0, 0]]), pad_id=0) == [[3]]


def test_windows(tmp_path: Path) -> None:
    ids = np.arange(2 * 3 * 11).reshape(2, 3, 11).astype(np.uint16)
    np.save(tmp_path / "a.npy", ids)
    found, refused = read(tmp_path / "a.npy", window=5)
    flat = ids.reshape(6, 11)
    assert [record.content.tolist() for record in found] == [row[at : at + 5].tolist() for row in flat for at in (0, 5)]
    assert [record.row_id for record in found[:4]] == ["0:0", "0:5", "1:0", "1:5"] and not refused
    assert read(tmp_path / "a.npy", window=12)[1][0] == (1, "has 11 tokens, fewer than a window of 12")
    np.save(tmp_path / "a.npy", np.arange(10))
    assert ids_of(tmp_path / "a.npy", window=4) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert ids_of(tmp_path / "a.npy", separator=3, window=3) == [[0, 1, 2], [4, 5, 6], [7, 8, 9]]
    assert ids_of(tmp_path / "a.npy", whole=True) == [list(range(10))]
    with pytest.raises(InputError, match=r"a.npy is one stream of 10 ids: cut it with --window TOKENS, or at an id"):
        read(tmp_path / "a.npy")
    with pytest.raises(InputError, match="a window of 0 tokens was asked for"):
        Layout(window=0)


@pytest.mark.parametrize("end", [".gz", ".zst"])
def test_packed_files(tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def pack(name: str, content: bytes) -> Path:
        path = tmp_path / f"{name}{end}"
        with pa.CompressedOutputStream(str(path), "gzip" if end == ".gz" else "zstd") as stream:
            stream.write(content)
        return path

    jsonl, tsv = b'{"text": "a"}\n{"text": "b"}\n\n', b"text\tn\na\t1\nb\t2\n"
    for path in (pack("a.jsonl", jsonl), pack("a.tsv", tsv)):
        assert [record.content for record in read(path)[0]] == ["a", "b"]
    if end == ".gz":
        (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(jsonl) + gzip.compress(jsonl))  # as `cat` joins them
        assert [record.content for record in read(tmp_path / "a.jsonl.gz")[0]] == ["a", "b", "a", "b"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=f"a.tsv{end} cannot be read: "):
        read(path)
    monkeypatch.setattr("memviz.rows.reading.MOST_UNPACKED", 1000)
    with pytest.raises(InputError, match=f"b.jsonl{end} unpacks to more than 1,000 bytes: unpack it to read it"):
        read(pack("b.jsonl", jsonl * 100))
    with pytest.raises(InputError, match=f"c.npy{end} is packed, and .npy files are not read that way"):
        kind_of(tmp_path / f"c.npy{end}")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", np.zeros((2, 3)), r"holds float64 of shape \(2, 3\): expected whole numbers"),
        ("a.npy", np.zeros(3), r"holds float64 of shape \(3,\)"),
        ("a.npy", np.array([[None]]), "is no array of numbers"),
        ("a.npy", b"nonsense", "a.npy is no .npy file: save it with numpy.save, or call raw ids NAME.bin"),
        ("a.npy", b"\x93NUMPY nonsense", "is no array of numbers"),
        ("a.jsonl", gzip.compress(b"{}", mtime=0), "a.jsonl is packed by gzip: call it NAME.jsonl.gz"),
        ("a.csv", b"PAR1....", "a.csv is a Parquet file: call it NAME.parquet"),
        ("a.csv", "text\na".encode("utf-16"), "a.csv is UTF-16: save it as UTF-8"),
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


def test_a_named_column_that_is_not_there_is_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,more\na,b\n")
    with pytest.raises(InputError, match=r"a.csv has no column 'body'; it has text, more"):
        read(tmp_path / "a.csv", ids_column="body")
