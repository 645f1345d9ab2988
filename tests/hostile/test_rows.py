"""Files of rows, row sets, sweeps and their folders that mean harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.hostile import HTML, NAMES, ROWS, nested
from support.model_folders import write_model

from memviz.catalog import find_model
from memviz.engine.preparing import prepare
from memviz.errors import InputError
from memviz.rows.layout import File, Layout
from memviz.rows.reading import read_records
from memviz.settings import Settings
from memviz.sweeps import RowSet, read_row_set, read_sweep, row_sets, save_row_set
from memviz.sweeps.kept import SHIPPED, kept_sweeps, unfinished
from memviz.sweeps.preparing import prepare_rows
from memviz.tasks.trace import tokenizer_of


@pytest.mark.parametrize("kind", ROWS)
def test_a_file_of_rows_is_refused_with_a_sentence(kind: str, settings: Settings, tmp_path: Path) -> None:
    name, make, sentence = ROWS[kind]
    make(tmp_path / name)
    write_model(settings.model_roots[0] / "m")
    card = prepare(find_model("m", settings), settings)
    refused: list[str] = []
    with pytest.raises(InputError, match=sentence) as raised:
        prepare_rows(
            RowSet(str(tmp_path / name)),
            tmp_path / "rows.parquet",
            16,
            tokenizer_of(card, settings),
            card.vocab_size,
            lambda line, problem: refused.append(problem),
        )
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500 and len(refused) < 10
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "cache", "models"])


@pytest.mark.parametrize("name", [*NAMES, "", ".", "a/b", ".hidden"])
def test_row_sets_are_named_and_no_paths(settings: Settings, tmp_path: Path, name: str) -> None:
    for use in (lambda: save_row_set(name, RowSet(), settings), lambda: read_row_set(name, settings)):
        with pytest.raises(InputError, match="is no name for a row set: use up to 80 letters, digits, spaces, dots"):
            use()
    assert not settings.cache.exists()


def spoiled(good: Any, path: tuple[str, ...], value: Any) -> Any:
    """JSON with one value replaced, or taken out where it is Ellipsis."""
    if not path:
        return value
    copy = dict(good)
    copy[path[0]] = spoiled(good.get(path[0]), path[1:], value)
    return {name: each for name, each in copy.items() if each is not ...}


@pytest.mark.parametrize("value", [None, 3, "x", HTML, [1, "a"], [[1]], {"a": 1}, -1, 1e300, True, ...], ids=repr)
@pytest.mark.parametrize("field", ["rows", "sample", "seed", "labels", "source", "domains", "text_column"])
def test_row_sets_of_the_wrong_kind(settings: Settings, field: str, value: Any) -> None:
    save_row_set("good", RowSet(rows=(1, 2)), settings)
    path = settings.cache / "row-sets" / "good.json"
    good = json.loads(path.read_text())
    path.write_text(json.dumps(spoiled(good, ("rows", field), value)))
    for found in row_sets(settings):  # either it is read as what it says, or not at all
        assert found["rows"] == read_row_set("good", settings) and found["name"] == "good"
        kind = type(getattr(found["rows"], field))
        assert kind is type(value) or (kind is tuple and value == []) or value is None
    if not row_sets(settings):
        with pytest.raises(InputError, match=r"row set .*(cannot be read|rows are numbered|sample|seed|named|convert)"):
            read_row_set("good", settings)


@pytest.mark.parametrize("content", [b"", b"[]", b"3", nested(100_000), b"\xff", b'{"format": 2}', b'{"format": [1]}'])
def test_row_sets_that_are_none(settings: Settings, content: bytes) -> None:
    save_row_set("good", RowSet(), settings)
    (settings.cache / "row-sets" / "good.json").write_bytes(content)
    assert row_sets(settings) == []
    with pytest.raises(InputError, match=r"^row set 'good' cannot be read \(.*\): save it again$"):
        read_row_set("good", settings)


LIES: dict[str, tuple[tuple[str, ...], Any]] = {
    "no request": (("request",), ...),
    "request of a list": (("request",), []),
    "models of numbers": (("request", "models"), [1]),
    "size in words": (("request", "context_at"), HTML),
    "rows of a list": (("request", "rows"), []),
    "no tables": (("tables",), ...),
    "table outside": (("tables", "sequences", "file"), "../../rows.parquet"),
    "absolute table": (("tables", "rows", "file"), "/etc/passwd"),
    "unknown table": (("tables", "evil"), {"file": "evil.parquet"}),
    "columns of a list": (("tables", "sequences", "columns"), []),
    "number in words": (("tables", "sequences", "n_rows"), HTML),
    "no provenance": (("provenance",), ...),
    "time of no text": (("provenance", "created"), 3),
    "no models": (("models",), ...),
    "models without names": (("models",), [{}]),
    "curves of nothing": (("skipped",), [3]),
    "older format": (("format",), 1),
    "newer format": (("format",), 3),
    "format of a list": (("format",), [2]),
}


@pytest.mark.parametrize("lie", [*LIES, "nested deep", "no object"])
def test_sweeps_that_lie_are_left_out(settings: Settings, lie: str) -> None:
    folder = settings.cache / "sweeps" / ("0" * 64)
    folder.mkdir(parents=True)
    good = json.loads((SHIPPED / "manifest.json").read_text())
    contents = {"nested deep": nested(100_000), "no object": b"[]"}
    if lie in LIES:
        contents[lie] = json.dumps(spoiled(good, *LIES[lie])).encode()
    (folder / "manifest.json").write_bytes(contents[lie])
    assert [sweep.folder for sweep in kept_sweeps(settings)] == [SHIPPED]
    with pytest.raises(InputError, match=r"manifest\.json cannot be read \(.*\): run the sweep again$") as raised:
        read_sweep(folder)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500
    (folder / "manifest.json").write_text(json.dumps(good))  # what is spoiled above is all that was wrong
    assert len(kept_sweeps(settings)) == 2


def test_strange_folders_are_no_unfinished_sweeps(settings: Settings) -> None:
    for name in ("x", HTML.replace("/", ""), "0" * 63, "g" * 64, "a" * 64):
        (settings.cache / "sweeps" / name).mkdir(parents=True)
    (settings.cache / "sweeps" / "file").write_text("")
    assert unfinished(settings) == ["a" * 64]


def test_a_small_parquet_file_that_unpacks_to_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "packed.parquet"
    pq.write_table(pa.table({"text": ["a" * 100_000] * 40}), path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr("memviz.rows.tables.MOST_CHUNK", 1_000_000)
    with pytest.raises(InputError, match=r"unpacks to 4,0\d\d,\d+ bytes in one piece, more than 1,000,000: write it"):
        list(read_records(File(path, Layout(), 2**31, lambda line, problem: None, lambda said: None)))
