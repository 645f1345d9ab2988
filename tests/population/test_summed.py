"""Sums of a large sweep against the rows they were made from: the same numbers, and intervals as wide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.made_sweeps import Asked, Made

from memviz.errors import InputError
from memviz.population import Filters, align, boundary_curves, boundary_differences
from memviz.population.aligned import Aligned
from memviz.population.curves import context_points, size_points, summary
from memviz.population.fits import size_fits
from memviz.population.likeness import likeness, likeness_points
from memviz.population.pooled import (
    Pool,
    pool_of,
    pooled_likeness,
    pooled_only_by,
    pooled_points,
    pooled_rows_of_cell,
    pooled_transition,
)
from memviz.population.summed import ENTROPIES, Summed, summed
from memviz.population.survival import entropy_codes, exposure_codes, hazards, summed_hazards
from memviz.population.transitions import memorized_only_by, rows_of_cell, transition
from memviz.sweeps import Sweep, read_sweep
from memviz.sweeps.sums import ABOUT, CLASSES, EDGE, SUM_COLUMNS, Sums, classes_of, lines_of
from memviz.sweeps.tables import schema_of

N, K, M, DECODED = 2000, 32, 16, 40
N_RESAMPLES = 600
SMALLER, LARGER = "one", "two"


def about_rows() -> dict[str, np.ndarray]:
    """Near-duplicates in pairs at every tenth row, three strata, a template in some."""
    row = np.arange(N)
    group = row - (row % 10 == 9)
    return {
        "group": group,
        "bucket": np.array([1, 1, 4, 16])[group * 7919 % 4],
        "domain": np.where(group % 3, "prose", "verse"),
        "template": np.where(group % 5, "none", "repeating"),
    }


def asked_of(model: str, k: int, seed: int, ease: float) -> Asked:
    generator = np.random.default_rng(seed)
    entropy = np.minimum(generator.gamma(2, 0.6, (N, 1)) * generator.gamma(2, 0.8, (N, k + DECODED)), 10)
    match = generator.random((N, DECODED)) < np.exp(-ease * entropy[:, k:])
    match[generator.random(N) < 0.1] = True
    entropy[:, 0] = np.nan
    return Asked(model, match, k, entropy=entropy.astype(np.float32), on_context=True)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts few enough for so few rows, which count as many."""
    monkeypatch.setattr("memviz.sweeps.sums.PARTS", 120)
    monkeypatch.setattr("memviz.population.pooled.MOST_UNITS", 100)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """With sums of every condition."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memviz.sweeps.sums.PARTS", 120)
        return made(tmp_path_factory.mktemp("large") / "sweep")


def made(folder: Path) -> Sweep:
    asked = [asked_of(SMALLER, K, 1, 1.4), asked_of(LARGER, K, 2, 0.7), asked_of(LARGER, 8, 3, 1.0)]
    ids = np.zeros((N, 128), np.int64)
    found = Made(ids, asked, {SMALLER: 10, LARGER: 40}, dict(about_rows()), "x.npy").write(folder)
    lines = lines_of([pq.read_table(folder / "rows.parquet")])
    schema, tables = schema_of(SUM_COLUMNS, {}), []
    for each in asked:
        sums = Sums(len(lines.about), each.k, DECODED, [M, 32], 41)
        for start in range(0, N, 700):
            block = pq.read_table(folder / "rows.parquet").slice(start, 700)
            here, first = slice(start, start + 700), block["row"].to_numpy() == block["group"].to_numpy()
            assert each.entropy is not None
            sums.add(lines.of(block), first, each.match[here], each.entropy[here], each.entropy[here])
        tables.append(sums.table(each.model, "sliding", each.k, lines.about, schema))
    with pq.ParquetWriter(folder / "sums.parquet", schema) as writer:
        for table in tables:
            writer.write_table(table)
    table = pd.read_parquet(folder / "sequences.parquet")
    hits = table[f"n_matches_{M}"]
    table = table.assign(**{f"common_run_{M}": hits, f"edit_distance_{M}": M - hits, f"bleu_{M}": hits / M})
    table.to_parquet(folder / "sequences.parquet")
    manifest: dict[str, Any] = found.manifest
    manifest["tables"]["sequences"]["columns"] = dict.fromkeys(table, "")
    manifest["tables"]["sums"] = {"file": "sums.parquet", "n_rows": 0, "columns": {}}
    manifest["curves"] = [{"name": "context_sliding", "mode": "sliding", "k": [K], "m": [M], "n_rows": N}]
    manifest["request"]["continuation_at"] = M
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return read_sweep(folder)


def rows_and_sums(sweep: Sweep, filters: Filters, model: str, k: int = K) -> tuple[Aligned, Summed]:
    found = align(sweep, model, k, m=M)
    passing = filters.apply(sweep.rows)["row"]
    return found.where(np.isin(found.rows, passing)), summed(sweep, filters, model, k, M)


def same(rows: pd.DataFrame, sums: pd.DataFrame, exact: list[str], widths: dict[str, tuple[str, str]]) -> None:
    """Columns that are equal, and intervals that are as wide, in the mean over lines of 60 rows and more, to 20 %."""
    for name in exact:
        np.testing.assert_allclose(sums[name].astype(float), rows[name].astype(float), rtol=2e-4, atol=2e-5)
    for name, (low, high) in widths.items():
        theirs, ours = ((each[high] - each[low]).to_numpy(float) for each in (rows, sums))
        assert (np.isnan(ours) == np.isnan(theirs)).all()
        known = ~np.isnan(theirs) & (rows["n"] >= 60).to_numpy()
        assert ours[known].sum() == pytest.approx(theirs[known].sum(), rel=0.2), name


def test_classes_by_hand() -> None:
    match = np.zeros((6, 10), bool)
    for row, n in enumerate((10, 5, 4, 6, 0, 3)):
        match[row, :n] = True
    assert [CLASSES[each] for each in classes_of(match)] == [
        "memorized", "half", "medium", "other", "unmemorized", "other",
    ]  # fmt: skip


@pytest.mark.parametrize("filters", [Filters(), Filters(domains=("prose",), templates=("none",))])
def test_curves_and_differences_are_those_of_the_rows(sweep: Sweep, filters: Filters) -> None:
    rows, sums = rows_and_sums(sweep, filters, LARGER)
    whole = filters == Filters()  # of a third of the rows a null's band is known less well than is asked for here
    for quantity in ENTROPIES if whole else ENTROPIES[:1]:
        curves = [boundary_curves(each, quantity, N_RESAMPLES) for each in (rows, sums)]
        ends = {"mean": ("low", "high")} | ({"null": ("null_low", "null_high")} if whole else {})
        same(*curves, ["index", "t", "n", "mean", "null", "all_rows"], ends)
        tables = [boundary_differences([each], quantity, N_RESAMPLES) for each in (rows, sums)]
        names = ["jump", "above", "edge", "edge_above", "fall"]
        spans = {name: (f"{name}_low", f"{name}_high") for name in (*names, *(("null", "null_mean") if whole else ()))}
        same(*tables, ["n", "n_edge", "all_rows", "null", *names], spans)
        assert sums.moved(quantity) is not None


def test_several_contexts_are_pooled_as_rows_are(sweep: Sweep) -> None:
    pairs = [rows_and_sums(sweep, Filters(), LARGER, k) for k in (8, K)]
    rows, sums = (boundary_differences(list(each), ENTROPIES[0], N_RESAMPLES) for each in zip(*pairs, strict=True))
    same(rows, sums, ["n", "jump", "above", "null", "fall"], {"jump": ("jump_low", "jump_high")})
    assert sums["k"].eq("8+32").all()


def test_hazards_are_those_of_the_rows(sweep: Sweep) -> None:
    rows, sums = rows_and_sums(sweep, Filters(), SMALLER)
    bucket = sweep.rows["bucket"].to_numpy(float)
    splits = {
        "entropy": entropy_codes(rows), "exposures": exposure_codes(bucket),
        "size": (np.zeros(N, np.int64), [SMALLER]),
    }  # fmt: skip
    for split, (codes, labels) in splits.items():
        theirs = hazards(rows.match[:, :M], rows.units, codes, labels, N_RESAMPLES)
        ours = summed_hazards(sums, split)
        assert ours["of"].tolist() == theirs["of"].tolist()
        same(theirs, ours, ["t", "n", "n_events", "hazard"], {"hazard": ("hazard_low", "hazard_high")})


def test_what_was_not_summed_is_said(sweep: Sweep) -> None:
    with pytest.raises(InputError, match=r"was not summed at m = 24: it was at \[16, 32\]"):
        summed(sweep, Filters(), LARGER, K, 24)
    with pytest.raises(InputError, match="has no sums of one at k = 8"):
        summed(sweep, Filters(), SMALLER, 8, M)
    with pytest.raises(InputError, match="frequency_1 is not summed with a sweep"):
        boundary_curves(summed(sweep, Filters(), LARGER, K, M), "frequency_1")
    assert EDGE == 8


# Scores


@pytest.fixture
def pool(sweep: Sweep) -> Pool:
    found = pool_of(sweep)
    assert found is not None and len(found.rows) == N and len(found.lines) < N / 3
    return found


def test_points_put_together_have_the_summaries_of_the_rows(sweep: Sweep, pool: Pool) -> None:
    models, filters = (SMALLER, LARGER), Filters(domains=("prose",))
    points = size_points(filters.apply(sweep.sequences), M, K)
    put = pooled_points(pool, models, filters, "size", M)
    assert put["count"].sum() == len(points) and len(put) < len(points)
    exact = ["n", "n_units", "mean", "n_full", "full", "share_very_low", "share_medium"]
    for keys in (["model"], ["model", "bucket"], ["model", "domain"]):
        # Wilson's ends differ by Kish's weights of pairs alone
        ends = {name: (f"{name}_low", f"{name}_high") for name in ("mean", "full", "share_medium")}
        same(summary(points, keys), summary(put, keys), exact, ends)
    rows, sums = (
        {(fit.kind, fit.quantity): fit for fit in size_fits(each, {SMALLER: 10, LARGER: 40})} for each in (points, put)
    )
    assert rows.keys() == sums.keys()
    for key, fit in rows.items():
        assert (sums[key].slope, sums[key].n_rows, sums[key].n_units) == pytest.approx(
            (fit.slope, fit.n_rows, fit.n_units)
        )
        assert sums[key].high - sums[key].low == pytest.approx(fit.high - fit.low, rel=0.25)
    curve = pooled_points(pool, models, Filters(), "sliding", M)
    same(summary(context_points(sweep.sequences[sweep.sequences["k"] == K], m=M), ["model", "k"]),
         summary(curve, ["model", "k"]), ["n", "mean"], {})  # fmt: skip
    with pytest.raises(InputError, match="no continuation curve of these rows"):
        pooled_points(pool, models, filters, "continuation", M)


def test_transitions_and_lists_are_those_of_the_rows(sweep: Sweep, pool: Pool) -> None:
    filters, pair = Filters(buckets=(1, 4)), (SMALLER, LARGER)
    points = size_points(filters.apply(sweep.sequences), M, K)
    rows, sums = transition(points, *pair), pooled_transition(pool, filters, *pair, K, M)
    np.testing.assert_array_equal(sums.counts, rows.counts)
    assert (sums.kept.value, sums.kappa.value, sums.kappa.n_units) == pytest.approx(
        (rows.kept.value, rows.kappa.value, rows.kappa.n_units)
    )
    for name in ("kept", "kappa"):
        theirs, ours = (getattr(each, name) for each in (rows, sums))
        assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.2)
    cell = (0, 2)
    np.testing.assert_array_equal(
        pooled_rows_of_cell(pool, filters, *pair, K, M, cell), rows_of_cell(points, *pair, *cell)
    )
    for ends in (pair, pair[::-1]):
        np.testing.assert_array_equal(pooled_only_by(pool, filters, *ends, K, M), memorized_only_by(points, *ends))


def test_likeness_is_that_of_the_rows(sweep: Sweep, pool: Pool) -> None:
    rows = likeness(likeness_points(sweep.sequences, M, K))
    sums = pooled_likeness(pool, (SMALLER, LARGER), Filters(), K, M)
    order = ["model", "measure"]
    same(
        rows.sort_values(order), sums.sort_values(order), ["n", "n_units", "mean"], {"mean": ("mean_low", "mean_high")}
    )


def test_a_smaller_sweep_is_looked_at_row_by_row(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz.population.pooled.MOST_UNITS", N)
    assert pool_of(sweep) is None


def test_rows_of_which_nothing_is_known_are_one_stratum() -> None:
    table = pa.table({name: pa.nulls(50) for name in ABOUT} | {"group": np.arange(50) // 2})
    lines = lines_of([table])
    assert lines.about["stratum"].eq(0).all() and lines.about["domain"].isna().all()
    line = lines.of(table)
    assert (line[::2] == line[1::2]).all() and len(np.unique(line)) > 20
