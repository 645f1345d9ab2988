"""What is on disk: finished shards are used again, nothing half-written is read, nothing damaged is believed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from support.corpus import HASH, random_stream, table
from support.serving import ROOT

from memviz.corpus import Corpus, StreamShard, build
from memviz.corpus.suffixes import id_bytes, sorted_suffixes
from memviz.errors import Failure, InputError

STREAM = random_stream(0)
TEXT = STREAM.rows[0]
BORDERS = (10, 30)


class Stopped(Exception):
    pass


def shards() -> Iterator[StreamShard]:
    for a, b in ((0, 10), (10, 30), (30, len(STREAM.segments))):
        yield STREAM.shard(STREAM.segments[a:b])


def build_all(folder: Path, stop_after: int | None = None) -> list[bool]:
    """Whether each shard was there already."""
    reused: list[bool] = []

    def report(n_tokens: int, was_there: bool) -> None:
        reused.append(was_there)
        if len(reused) == stop_after:
            raise Stopped

    build(folder, "test", HASH, 10, shards(), table(12), report)
    return reused


def test_the_manifest(tmp_path: Path) -> None:
    manifest = STREAM.build(tmp_path, BORDERS)
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["format"] == 1 and content["name"] == "test" and content["tokenizer_hash"] == HASH
    assert content["n_tokens"] == manifest.n_tokens == sum(len(segment.ids) for segment in STREAM.segments)
    assert (content["n_rows"], content["n_segments"], content["dtype"]) == (12, len(STREAM.segments), "uint16")
    steps = [STREAM.segments[border - 1].step for border in (*BORDERS, len(STREAM.segments))]
    assert [shard["last_step"] for shard in content["shards"]] == steps
    assert Corpus.open(tmp_path).manifest == manifest


KILLED = """
import os, signal, sys
from pathlib import Path
from corpus.test_building import STREAM, build, shards, table, HASH

done = 0

def report(n_tokens, was_there):
    global done
    done += 1
    if done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

build(Path(sys.argv[1]), "test", HASH, 10, shards(), table(12), report)
"""


def test_a_killed_build_goes_on_to_the_same_index(tmp_path: Path) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    build_all(whole)
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, folder], env=os.environ | {"PYTHONPATH": path}, check=False
    ).returncode
    assert ended == -signal.SIGKILL and not (folder / "manifest.json").exists()
    assert build_all(folder) == [True, True, False]

    def files(of: Path) -> dict[str, bytes]:
        return {str(path.relative_to(of)): path.read_bytes() for path in of.rglob("*") if path.is_file()}

    assert files(folder) == files(whole)


def test_an_interrupted_build_goes_on(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        build_all(tmp_path, stop_after=2)
    with pytest.raises(InputError, match="holds no n-gram index: build one with `memviz corpus build`"):
        Corpus.open(tmp_path)
    (tmp_path / "half.tmp").mkdir()
    (tmp_path / "half.tmp" / "tokens.npy").write_bytes(b"half")
    assert build_all(tmp_path) == [True, True, False]
    assert not list(tmp_path.rglob("*.tmp"))
    assert build_all(tmp_path) == [True, True, True]
    whole = STREAM.corpus(tmp_path / "other", BORDERS)
    again = Corpus.open(tmp_path, HASH)
    for kind in ("stream", "rows", "other"):
        assert (again.counts(TEXT, kind=kind) == whole.counts(TEXT, kind=kind)).all()
    assert again.manifest.shards == whole.manifest.shards


def test_an_error_while_a_shard_is_written_leaves_the_old_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    STREAM.build(tmp_path)
    before = Corpus.open(tmp_path).counts(TEXT, kind="stream")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Failure, match="no space left in"):
            STREAM.build(tmp_path, BORDERS)
    assert (Corpus.open(tmp_path).counts(TEXT, kind="stream") == before).all()
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_no_manifest_names_is_removed(tmp_path: Path) -> None:
    STREAM.build(tmp_path, BORDERS)
    reader = Corpus.open(tmp_path)
    before = reader.counts(TEXT, kind="stream")
    STREAM.build(tmp_path)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
    assert (reader.counts(TEXT, kind="stream") == before).all()  # an open reader keeps its files


def test_what_earlier_shards_showed_is_part_of_a_shard(tmp_path: Path) -> None:
    """The same segments after another beginning: counts of rows differ, so the shard may not be used again."""
    cut = STREAM.shard(STREAM.segments[30:])
    first = build(tmp_path, "a", HASH, 10, [cut], table(12)).shards[0]
    second = build(tmp_path, "a", HASH, 10, [*list(shards())[:2], cut], table(12)).shards[2]
    assert first.key != second.key


def test_one_build_at_a_time(tmp_path: Path) -> None:
    with FileLock(tmp_path / "build.lock"), pytest.raises(InputError, match="is being built by another process"):
        build_all(tmp_path)


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    STREAM.build(tmp_path)
    sentence = "the index test was built with tokenizer 000000000000, the model's is ffffffffffff: their ids mean"
    with pytest.raises(InputError, match=sentence):
        Corpus.open(tmp_path, "f" * 64)


@pytest.mark.parametrize("name", ["tokens.npy", "keys.npy", "totals.npy", "by_row.npy"])
@pytest.mark.parametrize("harm", ["truncated", "missing", "empty", "other"])
def test_damaged_arrays_are_refused(tmp_path: Path, name: str, harm: str) -> None:
    entry = STREAM.build(tmp_path).shards[0]
    path = tmp_path / entry.key / name
    content = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "other":
        np.save(path, np.zeros(3))
    else:
        path.write_bytes(content[: len(content) - 9 if harm == "truncated" else 0])
    with pytest.raises(InputError, match=rf"{name} is damaged \(.*\): build the index again"):
        Corpus.open(tmp_path)
    assert Corpus.open(tmp_path.parent / rebuilt(tmp_path)).verify() == []


def rebuilt(folder: Path) -> Path:
    STREAM.build(folder)
    return folder


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 1}', '{"format": 2}', "\x00"])
@pytest.mark.parametrize("name", ["manifest.json", "shard.json"])
def test_damaged_descriptions_are_refused(tmp_path: Path, name: str, content: str) -> None:
    entry = STREAM.build(tmp_path).shards[0]
    folder = tmp_path if name == "manifest.json" else tmp_path / entry.key
    (folder / name).write_text(content)
    with pytest.raises(InputError, match="build the index again"):
        Corpus.open(tmp_path)


def test_a_changed_byte_is_found_on_request(tmp_path: Path) -> None:
    entry = STREAM.build(tmp_path).shards[0]
    corpus = Corpus.open(tmp_path)
    assert corpus.verify() == []
    for path in (tmp_path / entry.key / "keys.npy", next(tmp_path.glob("rows-*.parquet"))):
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)
    assert len(corpus.verify()) == 2 and all("is damaged" in problem for problem in corpus.verify())


def test_without_the_library_nothing_is_built_but_everything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    STREAM.build(tmp_path / "there")
    monkeypatch.setitem(sys.modules, "pydivsufsort", None)
    with pytest.raises(Failure, match="pydivsufsort has no wheel for this system"):
        STREAM.build(tmp_path / "new")
    assert Corpus.open(tmp_path / "there").counts(TEXT, kind="stream").max() > 0


def test_memory_is_looked_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 1000

    monkeypatch.setattr("psutil.virtual_memory", Memory)
    with pytest.raises(InputError, match=r"a shard of [\d,]+ tokens needs about 0\.0 GB to be indexed; 0\.0 GB are"):
        STREAM.build(tmp_path)


def arrays(**changed: object) -> StreamShard:
    given = {"tokens": [1, 2, 3], "row": [0, 1], "n_tokens": [2, 1], "row_offset": [0, 0], "row_length": [2, 2]}
    values = {name: np.array(value) for name, value in ({"step": [0, 4]} | given | changed).items()}
    return StreamShard(**values)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"step": [3, 2]}, "StreamShard.step: it falls"),
        ({"n_tokens": [2, 2]}, "StreamShard.n_tokens: they add up to 4, expected 3 tokens"),
        ({"n_tokens": [3, 0]}, "StreamShard.n_tokens: got 0, expected at least 1"),
        ({"row_length": [2, 0]}, "StreamShard.row_offset: a segment reaches outside its row"),
        ({"row_offset": [-1, 0]}, "StreamShard.row_offset: a segment reaches outside its row"),
        ({"step": [0]}, r"StreamShard.step: got shape \(1,\), expected \(2,\) as of row"),
        ({"tokens": [0.5, 1, 2]}, "StreamShard.tokens: got float64"),
    ],
)
def test_streams_that_are_none(changed: dict[str, object], sentence: str) -> None:
    arrays()
    with pytest.raises(ValueError, match=sentence):
        arrays(**changed)


def test_streams_that_cannot_be_indexed(tmp_path: Path) -> None:
    def attempt(*parts: StreamShard, vocab_size: int = 10, n_rows: int = 2) -> None:
        build(tmp_path, "x", HASH, vocab_size, parts, table(n_rows))

    with pytest.raises(InputError, match="has ids 1 to 3, the vocabulary 0 to 2: was it split by another tokenizer"):
        attempt(arrays(), vocab_size=3)
    with pytest.raises(InputError, match="has ids -1 to 3"):
        attempt(arrays(tokens=[-1, 2, 3]))
    with pytest.raises(InputError, match="the stream has row 1, the table of rows has 1 rows"):
        attempt(arrays(), n_rows=1)
    with pytest.raises(InputError, match="a shard starts at step 0 after one that ends at 4"):
        attempt(arrays(), arrays())
    with pytest.raises(InputError, match="the corpus has no tokens"):
        attempt()


@pytest.mark.parametrize("vocab_size", [200, 255, 256, 65535, 65536, 2**24])
def test_suffixes_are_sorted_as_ids(vocab_size: int) -> None:
    generator = np.random.default_rng(0)
    text = generator.choice([0, 1, 200, vocab_size - 1, vocab_size], 60).astype(np.uint32)
    expected = sorted(range(60), key=lambda place: text[place:].tolist())
    assert sorted_suffixes(text, vocab_size).tolist() == expected
    assert 256 ** (id_bytes(vocab_size) - 1) <= vocab_size < 256 ** id_bytes(vocab_size)
