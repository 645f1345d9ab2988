"""What a sweep writes against transformers' own `generate` row by row; reuse, cancel, folders, and what is refused."""

from __future__ import annotations

import difflib
import json
import zlib
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import torch
from support.model_folders import BOS
from support.published import bleu, levenshtein, membership
from support.sweeps import Lab, small_task

from memviz.catalog import known_models
from memviz.demo.suite import read_data
from memviz.errors import InputError
from memviz.store import Store
from memviz.sweeps import RowSet, SweepTask, read_sweep
from memviz.sweeps.tables import lengths_of


def check_against_generate(lab: Lab, found: pd.DataFrame, rows: dict[int, list[int]], leading: list[int]) -> None:
    """Every number of every sequence, recomputed from one row alone by one plain forward pass and `generate`."""
    for line in found.itertuples():
        ids = rows[line.row]
        context, truth = ids[line.start : line.start + line.k], ids[line.start + line.k :][: line.m]
        loaded = lab.loaded(line.model)
        generated = lab.generate(line.model, leading + context, line.m)
        assert line.generated_ids.tolist() == generated
        assert line.matches.tolist() == [a == b for a, b in zip(generated, truth, strict=True)]
        match = np.array(generated) == truth
        assert line.prefix == (line.m if match.all() else match.argmin())
        with torch.inference_mode():
            forced, free = (
                loaded.model(torch.tensor([leading + context + rest])).logits[0, :-1].double().log_softmax(-1)
                for rest in (truth, generated)
            )
        forced, free = forced[max(len(leading) - 1, 0) :], free[max(len(leading) - 1, 0) :]
        targets = torch.tensor(ids[line.start : line.start + line.k + line.m])[-len(forced) :]
        logprob = forced.gather(-1, targets[:, None])[:, 0].numpy()
        entropies = [-(each.exp() * each).sum(-1).numpy() for each in (forced, free)]
        for m in (4, 8, 16, 24):
            n_matches, log_p = getattr(line, f"n_matches_{m}"), getattr(line, f"log_p_{m}")
            if m > line.m:
                assert pd.isna(n_matches) and pd.isna(log_p)
            else:
                assert n_matches == match[:m].sum()
                np.testing.assert_allclose(log_p, logprob[-line.m :][:m].sum(), rtol=1e-4, atol=1e-4)
                check_beside(line, m, generated[:m], truth[:m], forced[-line.m :][:m].numpy(), lab.text(truth[:m]))
        np.testing.assert_allclose(line.context_perplexity, np.exp(-logprob[: -line.m].mean()), rtol=1e-3)
        np.testing.assert_allclose(line.continuation_perplexity, np.exp(-logprob[-line.m :].mean()), rtol=1e-3)
        np.testing.assert_allclose(line.context_entropy, entropies[0][: -line.m].mean(), atol=1e-4)
        np.testing.assert_allclose(line.teacher_forced_entropy, entropies[0][-line.m :].mean(), atol=1e-4)
        np.testing.assert_allclose(line.free_running_entropy, entropies[1][-line.m :].mean(), atol=1e-4)
        np.testing.assert_allclose(line.entropy_before, entropies[0][-line.m - 1], atol=1e-4)
        np.testing.assert_allclose(line.entropy_at, entropies[0][-line.m], atol=1e-4)
        top = free[-line.m :].topk(2).values
        margin = (top[:, 0] - top[:, 1]).numpy()
        np.testing.assert_allclose(line.min_margin, margin.min(), atol=1e-4)


def check_beside(line: Any, m: int, generated: list[int], truth: list[int], log_probs: np.ndarray, text: bytes) -> None:
    """What does not ask for each token at its own position, and membership as published."""
    same = difflib.SequenceMatcher(None, generated, truth, autojunk=False).find_longest_match()
    assert getattr(line, f"common_run_{m}") == same.size
    assert getattr(line, f"edit_distance_{m}") == levenshtein(generated, truth)
    assert getattr(line, f"bleu_{m}") == pytest.approx(bleu(generated, truth))
    assert getattr(line, f"zlib_bytes_{m}") == len(zlib.compress(text))
    if m < 8:  # a fifth of the positions is less than one: the published code has nothing to average
        return
    expected = membership(log_probs, truth, text)
    log_p = getattr(line, f"log_p_{m}") / m
    found = log_p, log_p / getattr(line, f"zlib_bytes_{m}"), getattr(line, f"min_k_{m}")
    assert (*found, getattr(line, f"min_k_plus_plus_{m}")) == pytest.approx(list(expected.values()), rel=1e-3)


@pytest.mark.parametrize(("model", "leading"), [("tiny", []), ("tiny-bos", [BOS])])
def test_every_number_equals_plain_decoding_of_each_row_alone(lab: Lab, model: str, leading: list[int]) -> None:
    rows = lab.rows(9, lengths=(32, 40), model=model, leading=leading)
    task = small_task(lab.jsonl(rows), (model,), context_modes=("sliding", "anchored"))
    found = lab.sweep(task, batch=4).sequences
    assert found.groupby(["mode", "k"]).size().to_dict() == {
        (mode, k): 9 for mode in task.context_modes for k in (4, 8, 16)
    }
    assert found[found["mode"] == "anchored"].groupby("k")["start"].unique().map(list).to_dict() == {
        4: [12],
        8: [8],
        16: [0],
    }
    assert set(found[(found["k"] == 8) & (found["mode"] == "sliding")]["m"]) == {24}
    score = found["n_matches_8"] / 8
    assert score.min() < 0.3 and score.max() == 1, "rows of every score should come up"
    check_against_generate(lab, found, dict(enumerate(rows)), leading)


def test_rows_of_other_lengths_are_asked_what_fits_and_marked(lab: Lab) -> None:
    rows = lab.rows(6, lengths=(32, 20, 11))
    sweep = lab.sweep(small_task(lab.jsonl(rows)))
    found = sweep.sequences
    check_against_generate(lab, found, dict(enumerate(rows)), [])
    at_8 = found[found["k"] == 8].set_index("row")
    assert at_8["m"].to_dict() == {0: 24, 1: 8, 3: 24, 4: 8}
    assert at_8["on_continuation_curve"].to_dict() == {0: True, 1: False, 3: True, 4: False}
    assert found[found["k"] == 4].set_index("row")["on_context_curve"].to_dict() == {
        0: True,
        1: False,
        3: True,
        4: False,
    }
    skipped = {(each["mode"], each["k"], each["m"]): each["n_rows"] for each in sweep.manifest["skipped"]}
    assert skipped == {
        ("sliding", 4, 8): 2,
        ("sliding", 8, 8): 2,
        ("sliding", 16, 8): 4,
        ("sliding", 8, 4): 2,
        ("sliding", 8, 16): 4,
        ("sliding", 8, 24): 4,
    }
    assert {curve["name"]: curve["n_rows"] for curve in sweep.manifest["curves"]} == {
        "context_sliding": 2,
        "continuation": 2,
    }


def test_rows_of_the_corpus_under_a_model_of_the_suite(lab: Lab) -> None:
    of_suite = [model for model in known_models(lab.settings) if model.family == "suite" and model.n_parameters]
    model = min(of_suite, key=lambda each: each.n_parameters or 0).name
    task = SweepTask((model,), RowSet(sample=4), contexts=(32,), continuations=(16, 96))
    found = lab.sweep(task).sequences
    data = read_data()
    assert (found["bucket"] == data.bucket[found["row"]]).all() and lengths_of(task) == [16, 32, 96]
    for line in found.itertuples():
        ids = data.ids[line.row].astype(int)
        generated = np.array(lab.generate(model, ids[:32].tolist(), 96))
        differs = line.generated_ids != generated
        assert not differs.any() or line.first_fragile <= differs.argmax()
        if not differs.any():
            assert [line.n_matches_16, line.n_matches_32, line.n_matches_96] == [
                int((generated[:m] == ids[32 : 32 + m]).sum()) for m in (16, 32, 96)
            ]


def test_positions_agree_with_sequences(lab: Lab) -> None:
    rows = lab.rows(5, lengths=(32, 24))
    sweep = lab.sweep(small_task(lab.jsonl(rows), positions=True, context_modes=("anchored",)))
    sequences, positions = sweep.sequences, sweep.read("positions")
    assert len(positions) == (sequences["k"] + sequences["m"]).sum()
    for line in sequences.itertuples():
        mine = positions[(positions["row"] == line.row) & (positions["mode"] == line.mode) & (positions["k"] == line.k)]
        assert mine["index"].tolist() == list(range(line.k + line.m))
        assert mine["true_id"].tolist() == rows[line.row][line.start : line.start + line.k + line.m]
        context, rest = mine[: line.k], mine[line.k :]
        assert rest["generated_id"].tolist() == line.generated_ids.tolist()
        assert context[["generated_id", "match", "rank", "margin"]].isna().all().all()
        assert rest["match"].sum() == (rest["generated_id"] == rest["true_id"]).sum()
        assert pd.isna(context["logprob"].iloc[0]) and pd.isna(context["free_running_entropy"].iloc[0])
        np.testing.assert_allclose(rest["logprob"].sum(), getattr(line, f"log_p_{line.m}"), rtol=1e-5)
        np.testing.assert_allclose(rest["free_running_entropy"].mean(), line.free_running_entropy, rtol=1e-5)
        np.testing.assert_allclose(context["teacher_forced_entropy"].iloc[1:].mean(), line.context_entropy, rtol=1e-5)
        assert (rest["rank"][rest["logprob"] > np.log(0.5)] == 1).all()


def test_published_labels_and_row_ids_come_through_and_duckdb_reads_all(lab: Lab) -> None:
    rows = lab.rows(4, lengths=(32,))
    path = lab.jsonl(rows, name_of=["a", "b", "c", "d"], score=[0.5, None, 1, 0], kind=["x", "y", None, "z"])
    task = small_task(path, rows={"id_column": "name_of", "labels": ("score", "kind")}, positions=True)
    sweep = lab.sweep(task)
    carried = sweep.sequences.drop_duplicates("row_id").set_index("row_id")["label_kind"].fillna("none").to_dict()
    assert carried == {"a": "x", "b": "y", "c": "none", "d": "z"}
    for name, about in sweep.manifest["tables"].items():
        found = duckdb.sql(f"select * from '{sweep.folder / about['file']}'")
        assert found.columns == list(about["columns"]) and len(found.df()) == about["n_rows"]
        assert found.columns == sweep.read(name).columns.tolist()
        assert all(column["is"] for column in about["columns"].values())
    joined = duckdb.sql(
        f"select avg(s.n_matches_8) from '{sweep.folder}/sequences.parquet' s join '{sweep.folder}/rows.parquet' r "
        "using (row) where r.label_score > 0"
    ).fetchall()[0]
    chosen = sweep.sequences[sweep.sequences["label_score"] > 0]
    np.testing.assert_allclose(joined, chosen["n_matches_8"].mean())


def test_batches_are_shared_within_and_across_sweeps(lab: Lab) -> None:
    source = lab.jsonl(lab.rows(10, lengths=(32,)))
    made = lab.sweep(small_task(source, context_modes=("sliding", "anchored")), "one", batch=4).manifest["provenance"]
    # anchored at k = 16 asks what sliding at k = 16 asks
    assert (made["batches_computed"], made["batches_reused"]) == (5 * 3, 3)
    made = lab.sweep(small_task(source, continuations=(4, 24), positions=True), "two", batch=4).manifest["provenance"]
    assert (made["batches_computed"], made["batches_reused"]) == (0, 9)
    twins = small_task(source, ("tiny", "twin"))
    made = lab.sweep(twins, "three", batch=4).manifest["provenance"]
    assert (made["batches_computed"], made["batches_reused"]) == (9, 9)
    assert set(read_sweep(lab.folder / "three").sequences["model"]) == {"tiny", "twin"}


def test_the_same_sweep_again_gives_the_same_files(lab: Lab) -> None:
    task = small_task(lab.jsonl(lab.rows(5)), positions=True)
    lab.sweep(task, "one")
    lab.sweep(task, "two", store=Store(lab.folder / "other", 10**9))
    for name in ("rows", "sequences", "positions"):
        assert (lab.folder / "one" / f"{name}.parquet").read_bytes() == (
            lab.folder / "two" / f"{name}.parquet"
        ).read_bytes()
    before = (lab.folder / "one" / "sequences.parquet").read_bytes()
    lab.sweep(task, "one")
    assert (lab.folder / "one" / "sequences.parquet").read_bytes() == before


class Enough(Exception):
    pass


def test_cancelled_within_a_pass_it_leaves_no_table_and_goes_on_later(lab: Lab) -> None:
    task = small_task(lab.jsonl(lab.rows(12)))
    n_calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal n_calls
        n_calls += total > 0  # not while rows are read
        if n_calls == 11:
            raise Enough

    with pytest.raises(Enough):
        lab.sweep(task, report=stop, batch=4)
    assert {path.name for path in (lab.folder / "out").iterdir()} <= {".lock", "rows.parquet"}
    with pytest.raises(InputError, match="holds no finished sweep"):
        read_sweep(lab.folder / "out")
    made = lab.sweep(task, batch=4).manifest["provenance"]
    assert made["batches_reused"] > 0 and made["batches_computed"] + made["batches_reused"] == 9


def test_progress_rises_to_its_total_and_says_what_is_left(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz.sweeps.answering.SECONDS_BETWEEN", 0.0)
    seen: list[tuple[int, int]] = []
    said: list[str] = []
    lab.sweep(
        small_task(lab.jsonl(lab.rows(6))), report=lambda *progress: seen.append(progress), say=said.append, batch=4
    )
    done = [each[0] for each in seen if each[1]]
    assert done == sorted(done) and seen[-1][0] == seen[-1][1] > 0
    assert "reading the rows" in said and any(
        "rows 0 to 3 of tiny, sliding, k = 4; " in each and " left" in each for each in said
    )


def test_malformed_rows_are_counted_and_listed(lab: Lab) -> None:
    source = Path(lab.jsonl(lab.rows(3)))
    source.write_text(source.read_text() + "nonsense\n" + json.dumps({"ids": [1, 99999]}) + "\n")
    sweep = lab.sweep(small_task(str(source)))
    assert {name: sweep.manifest["rows"][name] for name in ("n", "n_read", "n_malformed")} == {
        "n": 3,
        "n_read": 5,
        "n_malformed": 2,
    }
    lines = (sweep.folder / "malformed.txt").read_text().splitlines()
    assert len(lines) == 2 and lines[0].startswith("line 4: is not JSON")
    assert lines[1] == "line 5: has id 99999, ids are 0 to 359: where 99999 fills rows up, --pad-id 99999 cuts there"


def test_folders_of_other_things_are_left_alone(lab: Lab) -> None:
    source = lab.jsonl(lab.rows(3))
    (lab.folder / "mine").mkdir()
    (lab.folder / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="holds something other than a sweep"):
        lab.sweep(small_task(source), "mine")
    lab.sweep(small_task(source), "one")
    with pytest.raises(InputError, match="holds another sweep"):
        lab.sweep(small_task(source, continuations=(4,)), "one")


def test_models_and_rows_that_do_not_go_together(lab: Lab) -> None:
    source = lab.jsonl(lab.rows(3, lengths=(12,)))
    for task, message in (
        (small_task(source, ("tiny", "tiny-bos")), "tiny-bos and tiny split texts differently"),
        (small_task("suite"), "the bundled corpus is token ids of the bundled suite, not of tiny"),
        (SweepTask(("tiny",), RowSet(source), continuations=(150,)), "are 182 tokens together; tiny reads at most 160"),
        (SweepTask(("tiny",), RowSet(source), continuations=(64,)), "the longest has 12 tokens; ask for smaller sizes"),
        (small_task(str(lab.folder / "absent.csv")), "absent.csv is no file"),
    ):
        with pytest.raises(InputError, match=message):
            lab.sweep(task)


def test_a_damaged_batch_is_computed_again(lab: Lab) -> None:
    task = small_task(lab.jsonl(lab.rows(4)))
    before = lab.sweep(task, "one").sequences
    blob = next((lab.folder / "results" / "blobs").glob("*/*.safetensors"))
    blob.write_bytes(blob.read_bytes()[:-8] + b"nonsense")
    sweep = lab.sweep(task, "two")
    assert sweep.manifest["provenance"]["batches_computed"] == 1
    pd.testing.assert_frame_equal(sweep.sequences, before)
