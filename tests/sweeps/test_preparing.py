"""Rows on disk: filters, samples, groups, cuts, labels, and what is said of rows that cannot be used."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.model_folders import TEXT
from support.sweeps import Lab

from memviz.demo.suite import SUITE_FOLDER, read_data
from memviz.errors import InputError
from memviz.sweeps import RowSet, delete_row_set, read_row_set, read_sweep, row_sets, save_row_set
from memviz.sweeps.kept import SHIPPED
from memviz.sweeps.preparing import PreparedRows, prepare_rows
from memviz.sweeps.sources import passing_rows
from memviz.tokenizer import Tokenizer


def prepare(
    rows: RowSet, folder: Path, tokenizer: Tokenizer, n_needed: int = 128, n_vocabulary: int = 10**6
) -> tuple[PreparedRows, pd.DataFrame, list[tuple[int, str]]]:
    refused: list[tuple[int, str]] = []
    prepared = prepare_rows(
        rows, folder / "rows.parquet", n_needed, tokenizer, n_vocabulary, lambda *problem: refused.append(problem)
    )
    assert {path.name for path in folder.glob(".*")} == set()
    return prepared, pd.read_parquet(folder / "rows.parquet"), refused


@pytest.fixture(scope="module")
def suite() -> Tokenizer:
    return Tokenizer(SUITE_FOLDER / "corpus", [])


@pytest.fixture
def tiny(lab: Lab) -> Tokenizer:
    return Tokenizer(lab.settings.model_roots[0] / "tiny", [])


def test_the_whole_corpus_and_its_parts(tmp_path: Path, suite: Tokenizer) -> None:
    data = read_data()
    prepared, table, _ = prepare(RowSet(rows=tuple(range(40))), tmp_path, suite)
    assert prepared.n == len(table) == 40 and prepared.lengths == {128: 40} and prepared.n_cut == 0
    assert (np.stack(table["ids"]) == data.ids[:40]).all()
    assert table["row"].tolist() == list(range(40)) == table["group"].tolist()
    assert (table["bucket"] == data.bucket[:40]).all() and (table["domain"] == data.domain[:40]).all()
    assert (table["background"] == data.background[:40]).all() and (table["document"] == data.document[:40]).all()
    wanted = {"held-out": data.bucket == 0, "background": data.background}
    wanted["planted"] = ~wanted["held-out"] & ~wanted["background"]
    for part, passes in wanted.items():
        _, table, _ = prepare(RowSet(parts=(part,), sample=5), tmp_path, suite)
        assert passes[table["row"]].all() and len(table) == 5


def test_filters_of_the_corpus(tmp_path: Path, suite: Tokenizer) -> None:
    data = read_data()
    domain, bucket = str(data.domain[0]), int(np.unique(data.bucket)[-1])
    passes = (data.domain == domain) & (data.bucket == bucket)
    if passes.any():
        _, table, _ = prepare(RowSet(domains=(domain,), buckets=(bucket,)), tmp_path, suite)
        assert table["row"].tolist() == np.flatnonzero(passes).tolist()
    document = int(data.document[3])
    _, table, _ = prepare(RowSet(documents=(document,)), tmp_path, suite)
    assert table["row"].tolist() == np.flatnonzero(data.document == document).tolist()
    with pytest.raises(InputError, match="the bundled corpus has no domain no such"):
        prepare(RowSet(domains=("no such",)), tmp_path, suite)
    with pytest.raises(InputError, match="the bundled corpus has no bucket 999: it has 0, 1"):
        prepare(RowSet(buckets=(999,)), tmp_path, suite)


def test_samples_are_seeded_and_too_many_refused(tmp_path: Path, suite: Tokenizer) -> None:
    one, table, _ = prepare(RowSet(sample=12, seed=4), tmp_path, suite)
    again, _, _ = prepare(RowSet(sample=12, seed=4), tmp_path, suite)
    other, _, _ = prepare(RowSet(sample=12, seed=5), tmp_path, suite)
    assert one.sha256 == again.sha256 != other.sha256
    assert table["row"].is_monotonic_increasing and table["row"].nunique() == 12
    with pytest.raises(InputError, match=r"a sample of 30 was asked for, 10 rows pass"):
        prepare(RowSet(rows=tuple(range(10)), sample=30), tmp_path, suite)
    with pytest.raises(InputError, match="has no usable row 10000000"):
        prepare(RowSet(rows=(1, 10**7)), tmp_path, suite)


def test_text_labels_cuts_and_malformed_rows(tmp_path: Path, tiny: Tokenizer) -> None:
    lines: list[Any] = [
        {"text": TEXT, "score": 1, "kind": "a"},
        {"text": "", "score": 2, "kind": "b"},
        {"ids": [5, 400], "score": 3, "kind": "c"},
        {"text": TEXT[:30], "score": None, "kind": 4},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\nnonsense")
    rows = RowSet(str(tmp_path / "rows.jsonl"), labels=("score", "kind"))
    prepared, table, refused = prepare(rows, tmp_path, tiny, n_needed=10, n_vocabulary=360)
    whole = [tiny.encode(TEXT), tiny.encode(TEXT[:30])]
    assert [list(ids) for ids in table["ids"]] == [ids[:10] for ids in whole]
    assert table["n_tokens"].tolist() == [len(ids) for ids in whole] and prepared.n_cut == sum(
        len(i) > 10 for i in whole
    )
    assert table["row"].tolist() == [0, 3]
    assert table["label_score"].tolist()[0] == 1.0 and np.isnan(table["label_score"].tolist()[1])
    assert table["label_kind"].tolist() == ["a", "4"] and prepared.labels == {"score": "number", "kind": "text"}
    assert (prepared.n, prepared.n_read, prepared.n_malformed) == (2, 5, 3)
    assert sorted(line for line, _ in refused) == [2, 3, 5]
    assert dict(refused)[3].startswith("has id 400, ids are 0 to 359: ") and dict(refused)[2] == "has no tokens"
    assert table["memorization_class"].isna().all()  # exposures are unknown


def test_a_file_without_a_usable_row_says_why(tmp_path: Path, tiny: Tokenizer) -> None:
    (tmp_path / "rows.jsonl").write_text("nonsense\n\n")
    with pytest.raises(InputError, match=r"rows.jsonl: none of its 1 rows can be used; line 1 is not JSON"):
        prepare(RowSet(str(tmp_path / "rows.jsonl")), tmp_path, tiny)
    (tmp_path / "rows.jsonl").write_text("")
    with pytest.raises(InputError, match="has no rows that pass"):
        prepare(RowSet(str(tmp_path / "rows.jsonl")), tmp_path, tiny)


def test_near_duplicates_share_a_group_also_through_others(
    lab: Lab, tiny: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.integers(6, 300, 40).tolist() for _ in range(7)]
    rows[3][20:36] = rows[5][0:16]  # 16 shared tokens join
    rows[5][24:40] = rows[1][10:26]  # through row 5 also 3 and 1
    rows[6][0:15] = rows[0][0:15]  # 15 do not
    rows[2] = rows[0][:14]  # too short for any
    expected = [0, 1, 2, 1, 4, 1, 6]
    source = RowSet(lab.jsonl(rows))
    assert prepare(source, lab.folder, tiny)[1]["group"].tolist() == expected
    monkeypatch.setattr("memviz.sweeps.duplicates.IN_BUCKET", 20)  # many buckets give the same
    assert prepare(source, lab.folder, tiny)[1]["group"].tolist() == expected
    source = RowSet(lab.jsonl(rows), groups="none")
    assert prepare(source, lab.folder, tiny)[1]["group"].tolist() == list(range(7))


def test_a_cut_changes_no_group_and_short_rows_are_joined_where_they_are_equal(lab: Lab, tiny: Tokenizer) -> None:
    rng = np.random.default_rng(1)
    rows = [rng.integers(6, 300, 40).tolist() for _ in range(3)]
    rows[2] = rows[0]
    rows += [rows[1][:12], rows[1][:12], rows[1][:11]]
    source = RowSet(lab.jsonl(rows))
    for n_needed in (40, 12, 4):
        prepared, table, _ = prepare(source, lab.folder, tiny, n_needed)
        assert table["group"].tolist() == [0, 1, 0, 3, 3, 5]
        assert [list(ids) for ids in table["ids"]] == [row[:n_needed] for row in rows]
        assert prepared.n_cut == sum(len(row) > n_needed for row in rows)
        assert sum(prepared.lengths.values()) == 6 and max(prepared.lengths) == n_needed


def test_the_shipped_sweep_has_the_same_rows(suite: Tokenizer, tmp_path: Path) -> None:
    """Groups, templates and classes of the tables that ship, which were made by an earlier way of finding them."""
    sweep = read_sweep(SHIPPED)
    prepared, table, _ = prepare(sweep.task.rows, tmp_path, suite, n_vocabulary=suite.n_ids)
    assert sweep.task.rows.request() == sweep.manifest["request"]["rows"]  # which later fields leave as it was
    assert prepared.sha256 == sweep.manifest["rows"]["sha256"]
    for name in ("row", "n_tokens", "group", "template", "memorization_class"):
        assert table[name].tolist() == sweep.rows[name].tolist(), name
    assert [list(ids) for ids in table["ids"]] == [list(ids) for ids in sweep.rows["ids"]]


@pytest.mark.parametrize("kind", ["text", "ids"])
def test_windows_are_rows(lab: Lab, tiny: Tokenizer, kind: str) -> None:
    ids = tiny.encode(TEXT)
    path = lab.folder / "rows.jsonl"
    path.write_text(json.dumps({"text": TEXT} if kind == "text" else {"ids": ids}) + '\n\n{"ids": [1]}\n')
    prepared, table, refused = prepare(RowSet(str(path), window=16), lab.folder, tiny)
    assert [list(row) for row in table["ids"]] == [ids[at : at + 16] for at in range(0, len(ids) - 15, 16)]
    assert table["row"].tolist() == list(range(len(ids) // 16))
    assert table["row_id"].tolist() == [f"0:{at}" for at in range(0, len(ids) - 15, 16)]
    assert [line for line, _ in refused] == [2, 3] and (prepared.n_read, prepared.n_malformed) == (len(table) + 2, 2)


def test_rows_come_out_alike_from_one_process_and_from_many(
    lab: Lab, tiny: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    lines = [{"text": "".join(rng.choice(list("abc 12"), 60))} if row % 2 else {"ids": [7] * 20} for row in range(40)]
    path = lab.folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setattr("memviz.rows.splitting.BLOCK_ROWS", 8)
    monkeypatch.setattr("memviz.sweeps.preparing._BLOCK", 8)
    alone, table, _ = prepare(RowSet(str(path)), lab.folder, tiny)
    monkeypatch.setattr("memviz.rows.workers.ALONE", 0)
    monkeypatch.setattr("memviz.rows.workers._n_cores", lambda: 2)
    many, other, _ = prepare(RowSet(str(path)), lab.folder, tiny)
    assert alone == many and table.equals(other) and {"repeating", "none"} <= set(table["template"])


def test_progress_says_what_is_left(lab: Lab, tiny: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz.sweeps.progress.SECONDS_BETWEEN", 0)
    monkeypatch.setattr("memviz.rows.splitting.BLOCK_ROWS", 2)
    said: list[str] = []
    source = RowSet(lab.jsonl([[1, 2, 3]] * 9))
    prepare_rows(source, lab.folder / "rows.parquet", 3, tiny, 300, lambda *_: None, say=said.append)
    stages = ["reading the rows", "looking for near-duplicates", "looking for templates"]
    assert [each for each in said if ":" not in each] == stages
    assert all(re.fullmatch(r"[a-z -]+: \d+ %, \d+ s left", each) for each in said if ":" in each)


def test_of_the_background_as_many_rows_as_asked_pass_always_the_same() -> None:
    data, scores = read_data(), pd.read_parquet(SUITE_FOLDER / "scores.parquet")
    scored = np.flatnonzero(data.background & np.isin(np.arange(len(data.ids)), scores["row"]))
    rows = RowSet(parts=("held-out", "planted", "background"), background=len(scored))
    passing = passing_rows(rows, data)
    assert len(scored) == 400 and np.array_equal(np.flatnonzero(passing & data.background), scored)
    assert passing[~data.background].all()
    assert not passing_rows(replace(rows, parts=("planted",)), data)[data.background].any()
    with pytest.raises(InputError, match="0 rows of the background were asked for: ask for at least 1"):
        RowSet(background=0)
    with pytest.raises(InputError, match="choose rows of the bundled corpus: leave them out"):
        RowSet("rows.npy", background=5)


def test_row_sets_are_saved_under_names(lab: Lab) -> None:
    rows = RowSet(buckets=(0, 4), parts=("planted",), sample=20, seed=2)
    save_row_set("My set 1", rows, lab.settings, "drawn for a test")
    save_row_set("explicit", RowSet(rows=(3, 1, 4)), lab.settings)
    assert read_row_set("My set 1", lab.settings) == rows
    assert [(each["name"], each["note"]) for each in row_sets(lab.settings)] == [
        ("My set 1", "drawn for a test"),
        ("explicit", ""),
    ]
    (lab.settings.cache / "row-sets" / "broken.json").write_text("{}")
    assert len(row_sets(lab.settings)) == 2
    with pytest.raises(InputError, match="row set 'broken' cannot be read"):
        read_row_set("broken", lab.settings)
    with pytest.raises(InputError, match="no saved row set 'other'; saved are: 'My set 1', 'explicit'"):
        read_row_set("other", lab.settings)
    with pytest.raises(InputError, match="is no name for a row set"):
        save_row_set("../x", rows, lab.settings)
    with pytest.raises(InputError, match="no saved row set 'other'"):
        delete_row_set("other", lab.settings)
    for name in ("My set 1", "explicit", "broken"):
        delete_row_set(name, lab.settings)
    assert row_sets(lab.settings) == []
