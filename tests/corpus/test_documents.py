"""Every input format read as it stands, and every line that cannot be read named with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from support.model_folders import TEXT, TOKENIZERS

from memviz.corpus.documents import Origins, document_shards, input_files
from memviz.errors import InputError
from memviz.rows.layout import Layout
from memviz.tokenizer import Tokenizer

N_IDS = 320


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    TOKENIZERS["plain"]().save(str(folder / "tokenizer.json"))
    return Tokenizer(folder, [])


class Read:
    """What became of some inputs: ids of each document, where it stood, and what was left out."""

    def __init__(self, tokenizer: Tokenizer, *inputs: Path, n_tokens: int = 10**6, **options: Any) -> None:
        self.problems: list[str] = []
        origins = Origins()
        files = input_files(inputs, self.problems.append)
        self.said: list[str] = []
        layout = Layout(**options)
        shards = document_shards(files, tokenizer, origins, self.problems.append, layout, n_tokens, self.said.append)
        self.shards = list(shards)
        self.ids = [
            part.tolist() for shard in self.shards for part in np.split(shard.tokens, np.cumsum(shard.n_tokens)[:-1])
        ]
        self.rows = [int(row) for shard in self.shards for row in shard.row]
        self.places = [f"{Path(row['source']).name}:{row['line']}" for row in origins.table().to_pylist()]
        assert self.rows == list(range(len(self.ids))) and len(self.places) == len(self.ids) == len(origins)
        assert origins.table()["n_tokens"].to_pylist() == [len(ids) for ids in self.ids]


def test_text_files_in_a_folder(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "b" / "c.md").write_bytes(b"\xef\xbb\xbfPeople")
    (tmp_path / "d.cfg").write_text("x")
    (tmp_path / "e.txt").write_text("")
    (tmp_path / "f.txt").write_bytes(b"We\nthe\ncaf\xe9")
    read = Read(tokenizer, tmp_path)
    assert read.ids == [tokenizer.encode(TEXT), tokenizer.encode("People")]
    assert read.places == ["a.txt:1", "c.md:1"]
    assert read.problems == [
        f"{tmp_path}/d.cfg: not one of .txt, .md, .npy, .bin, .jsonl, .csv, .tsv, .parquet; name the file itself to "
        "read it as text",
        f"{tmp_path}/f.txt:3: not UTF-8 (byte 10), so the file is left out",
        f"{tmp_path}/e.txt:1: has no tokens",
    ]
    assert Read(tokenizer, tmp_path / "d.cfg").ids == [tokenizer.encode("x")]


def test_lines_of_json(tokenizer: Tokenizer, tmp_path: Path) -> None:
    lines = [
        json.dumps({"text": "We the", "id": 1}),
        "",
        json.dumps({"ids": [5, 6], "text": "taken from ids"}),
        "{",
        "[1]",
        json.dumps({"body": "x"}),
        json.dumps({"ids": [1.5]}),
        json.dumps({"ids": [True]}),
        json.dumps({"ids": [2**70]}),
        json.dumps({"ids": [N_IDS]}),
        json.dumps({"ids": [3, -1]}),
        json.dumps({"ids": []}),
        '{"text": "\\ud800"}',
        json.dumps({"text": None}),
        "[" * 100_000,
        json.dumps({"text": "People"}),
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "\n".join(lines).encode() + b'\n{"text": "\xff"}\n')
    read = Read(tokenizer, path)
    assert read.ids == [tokenizer.encode("We the"), [5, 6], tokenizer.encode("People")]
    assert read.places == ["a.jsonl:1", "a.jsonl:3", "a.jsonl:16"]
    told = {int(problem.split(":")[1]): problem.split(": ", 1)[1] for problem in read.problems}
    assert sorted(told) == [2, *range(4, 16), 17] and len(read.problems) == 14
    assert told[2] == "is empty"
    assert told[4].startswith("is not JSON (Expecting property name")
    assert told[5] == "is a list, expected an object"
    assert told[6] == told[14] == "has neither 'ids' nor 'text'"
    assert told[7] == told[8] == "'ids' is no list of whole numbers"
    assert told[9] == "'ids' holds a number of more than 64 bits"
    assert told[10].startswith(f"has id {N_IDS}, ids are 0 to {N_IDS - 1}: ")
    assert told[11] == f"has id -1, ids are 0 to {N_IDS - 1}: where -1 fills rows up, --pad-id -1 cuts there"
    assert told[12] == "has no tokens"
    assert told[13] == "'text' is not UTF-8"
    assert told[17].startswith("is not JSON ('utf-8' codec can't decode byte 0xff")


def test_other_columns(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"body": "We the", "input_ids": [7]}))
    assert Read(tokenizer, tmp_path, text_column="body").ids == [tokenizer.encode("We the")]
    assert Read(tokenizer, tmp_path, ids_column="input_ids").ids == [[7]]


def test_parquet(tokenizer: Tokenizer, tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"text": ["We", None, "the"]}), tmp_path / "a.parquet")
    pa.parquet.write_table(pa.table({"ids": [[1, 2], [3]], "text": ["x", "y"]}), tmp_path / "b.parquet")
    pa.parquet.write_table(pa.table({"n": [1]}), tmp_path / "c.parquet")
    (tmp_path / "d.parquet").write_bytes(b"PAR1 no more")
    read = Read(tokenizer, tmp_path)
    assert read.ids == [tokenizer.encode("We"), tokenizer.encode("the"), [1, 2], [3]]
    assert read.places == ["a.parquet:1", "a.parquet:3", "b.parquet:1", "b.parquet:2"]
    assert read.problems[0] == f"{tmp_path}/a.parquet:2: has neither 'ids' nor 'text'"
    assert read.problems[1] == (
        f"{tmp_path}/c.parquet has neither a column 'ids' nor 'text'; it has n: name the column with --ids-column or "
        "--text-column"
    )
    assert read.problems[2].startswith(f"{tmp_path}/d.parquet cannot be read: ")


def test_arrays_of_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([1, 2, 0, 3, 0, 0, 4]))
    np.save(tmp_path / "b.npy", np.array([[1, 2], [3, 4]], np.uint8))
    np.save(tmp_path / "c.npy", np.array([1.0]))
    np.save(tmp_path / "d.npy", np.array(["x"], object))
    (tmp_path / "e.npy").write_bytes(b"no array")
    np.array([0, 5, 6, 0, 7], "<u2").tofile(tmp_path / "f.bin")
    read = Read(tokenizer, tmp_path)
    assert read.ids == [[1, 2, 0, 3, 0, 0, 4], [1, 2], [3, 4], [0, 5, 6, 0, 7]]
    assert [problem.split(" ")[0] for problem in read.problems] == [f"{tmp_path}/{name}.npy" for name in "cde"]
    assert read.problems[0].endswith("holds float64 of shape (1,): expected whole numbers of shape (n, length)")
    assert read.said == [
        f"{tmp_path}/f.bin: f.bin is read as uint16, recognised by its ids: wider ones would lie outside the vocabulary"
    ]
    read = Read(tokenizer, tmp_path / "a.npy", tmp_path / "f.bin", separator=0)
    assert read.ids == [[1, 2], [3], [4], [5, 6], [7]]
    assert read.places == ["a.npy:1", "a.npy:2", "a.npy:3", "f.bin:1", "f.bin:2"]


def test_the_type_of_raw_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    np.array([1, 300, 2], "<u4").tofile(tmp_path / "a.bin")
    assert Read(tokenizer, tmp_path, dtype="uint32").ids == [[1, 300, 2]]
    (tmp_path / "a.bin").write_bytes(b"123")
    (problem,) = Read(tokenizer, tmp_path).problems
    assert problem.startswith(f"{tmp_path}/a.bin does not show how wide its ids are: ")
    (tmp_path / "a.bin").write_bytes(b"")
    assert len(Read(tokenizer, tmp_path).problems) == 1
    with pytest.raises(InputError, match="dtype 'float' is unknown: use one of uint8, uint16, uint32, int32, int64"):
        Layout(dtype="float")


def test_shards_hold_whole_documents(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"ids": [n] * size}) for n, size in enumerate([4, 4, 9, 1])))
    read = Read(tokenizer, tmp_path, n_tokens=8)
    assert [len(shard.tokens) for shard in read.shards] == [8, 9, 1]
    assert [shard.row.tolist() for shard in read.shards] == [[0, 1], [2], [3]]


def test_a_text_too_long_for_memory(tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 1000

    monkeypatch.setattr("psutil.virtual_memory", Memory)
    (tmp_path / "a.txt").write_text("x" * 50)
    with pytest.raises(InputError, match=r"a\.txt is one document and needs about 0\.0 GB to be split into tokens"):
        Read(tokenizer, tmp_path)


def test_what_is_not_there(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none is no file and no folder: name what is to be indexed"):
        Read(tokenizer, tmp_path / "none")
