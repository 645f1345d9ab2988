"""An infini-gram index against our own index of the same documents, and what is refused."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.corpus import HASH, exposed

from memviz.corpus import Corpus
from memviz.corpus.added import add
from memviz.errors import InputError

KINDS = ("stream", "rows", "other")


def write(folder: Path, shards: Sequence[Sequence[list[int]]], dtype: str, metadata: bool = True) -> None:
    """The files as infini-gram's documentation describes them, with suffixes sorted by Python."""
    folder.mkdir()
    for number, documents in enumerate(shards):
        width = np.dtype(dtype).itemsize
        parts = [b"\xff" * width + np.array(ids, dtype).tobytes() for ids in documents]
        text, lengths = b"".join(parts), [len(part) for part in parts]
        places = sorted(range(0, len(text), width), key=lambda place, text=text: text[place:])
        pointer = (int(np.ceil(np.log2(len(text)))) + 7) // 8
        (folder / f"tokenized.{number}").write_bytes(text)
        (folder / f"table.{number}").write_bytes(b"".join(place.to_bytes(pointer, "little") for place in places))
        (folder / f"offset.{number}").write_bytes(np.cumsum([0, *lengths[:-1]]).astype(np.uint64).tobytes())
        if metadata:
            lines = [json.dumps({"path": "a.jsonl", "linenum": n, "metadata": {}}) + "\n" for n in range(len(parts))]
            (folder / f"metadata.{number}").write_text("".join(lines))
            offsets = np.cumsum([0, *map(len, lines[:-1])]).astype(np.uint64)
            (folder / f"metaoff.{number}").write_bytes(offsets.tobytes())


def documents_of(seed: int) -> list[list[int]]:
    """Documents of few ids, some repeated in part, so that n-grams of every length occur several times."""
    rng = np.random.default_rng(seed)
    found = [rng.integers(0, 8, rng.integers(1, 40)).tolist() for _ in range(12)]
    found[5] = [*found[1], 300, *found[2]]  # an id whose two bytes sort otherwise than the id
    found[7] = found[3] * 2
    return found


@pytest.mark.parametrize(("seed", "dtype", "n_shards"), [(0, "uint16", 1), (1, "uint16", 3), (2, "uint32", 2)])
def test_every_answer_is_that_of_our_own_index(tmp_path: Path, seed: int, dtype: str, n_shards: int) -> None:
    documents = documents_of(seed)
    edges = [len(documents) * i // n_shards for i in range(n_shards + 1)]
    shards = [documents[a:b] for a, b in itertools.pairwise(edges)]
    write(tmp_path / "theirs", shards, dtype)
    add(tmp_path / "added", tmp_path / "theirs", "theirs", HASH, 400, dtype)
    theirs = Corpus.open(tmp_path / "added", HASH)
    stream = exposed(documents, [(row, None) for row in range(len(documents))])
    ours = stream.corpus(tmp_path / "ours", edges[1:-1], vocab_size=400)
    assert (theirs.manifest.n_tokens, theirs.manifest.n_rows) == (ours.manifest.n_tokens, ours.manifest.n_rows)
    rng = np.random.default_rng(seed)
    texts = [documents[3], documents[5][-20:], rng.integers(0, 8, 25).tolist(), [300, 399, 5, 1000, 2], [4], []]
    for text in texts:
        assert theirs.own_rows(text).tolist() == ours.own_rows(text).tolist()
        for kind in KINDS:
            for asked in ({}, {"own_rows": [1, 3]}):
                counts = [corpus.counts(text, (1, 2, 3, 5, 7), kind, **asked) for corpus in (theirs, ours)]  # type: ignore
                np.testing.assert_array_equal(*counts)
                longest = [corpus.longest_suffix(text, kind, **asked) for corpus in (theirs, ours)]  # type: ignore
                np.testing.assert_array_equal(*longest)
        for without in ([], [3, 7]):
            spans = [
                [(s.start, s.n_tokens, s.count, s.rows.tolist()) for s in corpus.spans(text, 2, without_rows=without)]
                for corpus in (theirs, ours)
            ]
            assert spans[0] == spans[1]
        if text:
            places = [
                [(o.row, o.position, o.n_exposures) for o in corpus.occurrences(text[:2], None).listed]
                for corpus in (theirs, ours)
            ]
            assert places[0] == places[1]
    assert [theirs.row_ids(row).tolist() for row in range(len(documents))] == documents
    assert theirs.about(edges[-2] + 1) == {"source": "a.jsonl", "line": 2} and theirs.verify() == []


def test_ids_of_another_width_or_tokenizer_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "index", [documents_of(0)], "uint16", metadata=False)
    place = tmp_path / "added"
    for dtype, n_ids, message in (
        ("uint32", 400, "holds no ids of uint32 in this order|are no ids of uint32|are no places"),
        ("uint8", 255, "holds no ids of uint8 in this order|are no places"),
        ("uint16", 300, "holds id 300, and the model's tokenizer has ids up to 299"),
        ("uint16", 70_000, "ids of uint16 cannot be those of a tokenizer of 70,000"),
    ):
        with pytest.raises(InputError, match=message):
            add(place, tmp_path / "index", "x", HASH, n_ids, dtype)
    assert not place.exists()
    add(place, tmp_path / "index", "x", HASH, 400, "uint16")
    with pytest.raises(InputError, match="was built with tokenizer 000000000000, the model's is 111111111111"):
        Corpus.open(place, "1" * 64)
    assert Corpus.open(place).about(3) == {}


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no infini-gram index"):
        add(tmp_path / "added", tmp_path, "x", HASH, 400, "uint16")
    write(tmp_path / "index", [documents_of(0)], "uint16")
    table = tmp_path / "index" / "table.0"
    whole = table.read_bytes()
    for content in (whole[:-1], whole[::-1]):
        table.write_bytes(content)
        with pytest.raises(InputError, match=r"table.0 is damaged|holds no ids of uint16 in this order"):
            add(tmp_path / "added", tmp_path / "index", "x", HASH, 400, "uint16")
    table.unlink()
    with pytest.raises(InputError, match=r"table.0 is damaged \(.*No such file"):
        add(tmp_path / "added", tmp_path / "index", "x", HASH, 400, "uint16")
