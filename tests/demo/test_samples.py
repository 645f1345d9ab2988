"""Choosing training rows: filters, search and the scores beside them, against the suite's own files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from support.suite import SIZES

from memviz.demo.samples import SHAPES, Samples, Wish
from memviz.demo.suite import SUITE_FOLDER

ROWS = pq.read_table(SUITE_FOLDER / "corpus" / "rows.parquet").to_pandas()
DOCUMENTS = pd.read_parquet(SUITE_FOLDER / "corpus" / "documents.parquet")
SCORES = pd.read_parquet(SUITE_FOLDER / "scores.parquet")


@pytest.fixture(scope="module")
def samples() -> Samples:
    return Samples()


def test_exposures_are_named_plainly(samples: Samples) -> None:
    assert samples.exposure_labels[0] == "held out"
    assert samples.exposure_labels.count("1 (background)") == 1
    held_out = ROWS.index[ROWS["bucket"] == 0].tolist()
    assert samples.find(Wish(exposures=("held out",))).tolist() == held_out
    planned = ROWS.index[(ROWS["bucket"] == 1) & ~ROWS["background"]].tolist()
    assert samples.find(Wish(exposures=("1",))).tolist() == planned
    assert len(samples.find(Wish())) == len(ROWS)


def test_domains_are_those_of_the_documents(samples: Samples) -> None:
    for domain in samples.domains:
        mine = DOCUMENTS["domain"].to_numpy()[ROWS["document"]] == domain
        assert samples.find(Wish(domains=(domain,))).tolist() == ROWS.index[mine].tolist()
    assert len(samples.find(Wish(domains=tuple(samples.domains)))) == len(ROWS)


def test_levels_are_of_the_chosen_model_and_size(samples: Samples) -> None:
    model = samples.models[-1]
    mine = SCORES[(SCORES["model"] == model) & (SCORES["condition"] == "sliding")]
    for m in (16, 96):
        share = mine.set_index("row")[f"n_matches_{m}"] / m
        wish = Wish(levels=("very low",), model=model, m=m)
        found = samples.find(wish)
        assert found.tolist() == sorted(share.index[share < 0.2].tolist())
        listed = samples.listed(found, wish)
        assert listed["score"].tolist() == pytest.approx(share.loc[listed["row"]].tolist())
    unscored = sorted(set(range(len(ROWS))) - set(mine["row"]))
    every = samples.find(Wish(levels=("very low", "low", "medium", "high", "very high"), model=model))
    assert sorted({*every.tolist(), *unscored}) == list(range(len(ROWS))), "a level leaves out what was not scored"


def test_classes_are_those_of_the_rule(samples: Samples) -> None:
    planted = ROWS.index[ROWS["bucket"] > 5].tolist()
    assert samples.find(Wish(classes=("recite",), exposures=("16", "64"))).tolist() == [
        row for row in planted if ROWS["bucket"][row] in (16, 64)
    ]
    counting = samples.find(Wish(classes=("reconstruct",), exposures=("1",))).tolist()
    rest = samples.find(Wish(classes=("recollect",), exposures=("1",))).tolist()
    assert counting and sorted(counting + rest) == samples.find(Wish(exposures=("1",))).tolist()
    for row in counting:
        assert sum(map(str.isdigit, samples.texts[row])) >= 0.05 * len(samples.texts[row])
    listed = samples.listed(samples.find(Wish(exposures=("64",))), Wish())
    assert set(listed["class"]) == {"recite"}


def test_search_is_for_text_wherever_it_stands_in_a_row(samples: Samples) -> None:
    row = len(ROWS) // 2
    text = samples.tokenizer.to_bytes(ROWS["ids"][row]).decode("utf-8", "replace")
    assert samples.texts[row] == text
    sought = text[40:60]
    found = samples.find(Wish(text=sought.swapcase()))
    assert row in found
    assert all(sought.casefold() in samples.texts[other].casefold() for other in found.tolist())
    assert not len(samples.find(Wish(text="no row of it all has this text\x00")))


def test_lists_are_short_and_the_same_each_time(samples: Samples) -> None:
    rows = samples.find(Wish())
    first, again = (samples.listed(rows, Wish(model=samples.models[0]), limit=20) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert len(first) == 20 and first["row"].is_monotonic_increasing
    assert first["document"].tolist() == [DOCUMENTS["title"][ROWS["document"][row]] for row in first["row"]]


def test_a_row_is_found_by_its_start(samples: Samples) -> None:
    for row in (0, len(ROWS) - 1):
        ids = ROWS["ids"][row].tolist()
        assert samples.row_of(ids[:64]) == row  # no two rows share 16 tokens
        assert samples.row_of(ids) == row
        assert samples.row_of([*ids[:40], ids[0], ids[0], ids[0], ids[1]]) is None
        assert samples.row_of([*ids, 1]) is None
        assert samples.row_of_text(samples.texts[row][:150]) == row
    assert samples.row_of([]) is None
    assert samples.row_of_text("") is None


def test_the_known_row_is_one_the_model_recites_best(samples: Samples) -> None:
    for model in samples.models:
        row = samples.known_row(model)
        assert ROWS["bucket"][row] == ROWS["bucket"].max()
        mine = SCORES[(SCORES["model"] == model) & (SCORES["condition"] == "sliding")]
        rivals = mine[mine["row"].isin(ROWS.index[ROWS["bucket"] == ROWS["bucket"].max()])]
        assert mine.set_index("row")["n_matches_32"][row] == rivals["n_matches_32"].max()
    assert samples.known_row("a model without scores") == 0


FITS = {
    "only the largest": lambda scores: scores[-1] == 1 and all(score < 0.5 for score in scores[:-1]),
    "all": lambda scores: all(score >= 0.5 for score in scores),
    "lost again": lambda scores: any(a - b >= 0.5 for i, a in enumerate(scores) for b in scores[i:]),
    "half": lambda scores: 0.4 <= scores[-1] <= 0.6,
}


@pytest.mark.parametrize("shape", FITS)
def test_rows_of_a_shape_along_sizes_by_hand(shape: str, samples: Samples) -> None:
    assert set(FITS) == set(SHAPES)
    made = np.array([[0.1, 0.9, 0.5, 0.2], [0.4, 0.3, 0.5, 1.0], [1.0, 0.5, 0.6, 0.7]])
    assert np.asarray(SHAPES[shape](made)).tolist() == [FITS[shape](of.tolist()) for of in made.T]
    table = SCORES[SCORES["condition"] == "sliding"].pivot(index="row", columns="model", values="n_matches_32") / 32
    rows = [row for row, *scores in table[list(SIZES)].dropna().itertuples() if FITS[shape](scores)]
    assert samples.find(Wish(shape=shape, sizes=SIZES)).tolist() == rows
