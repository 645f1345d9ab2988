"""`memviz predictor` from a sweep to a prediction."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from support.cli import CommandLine, parse
from support.model_folders import write_model
from support.sweeps import lab_in, lab_settings

from memviz.engine.backend import Backend
from memviz.predictor.files import ABOUT

K, M = 8, 8
pytestmark = pytest.mark.usefixtures("few_resamples")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny")
    write_model(home / "models" / "twin", family="gpt_neox")
    lab = lab_in(home, Backend(lab_settings(home)))
    lab.jsonl(lab.rows(60, (K + M,)))
    return home


@pytest.fixture
def memviz(home, tmp_path, capsys, monkeypatch) -> CommandLine:
    return CommandLine(home, tmp_path, capsys, monkeypatch)


@pytest.fixture
def sweep(memviz: CommandLine, home) -> str:
    out = home / "swept"
    words = ("--data", home / "rows.jsonl", "--out", out, "--contexts", "none", "--continuations", M, "--context-at", K)
    assert memviz.run("sweep", "--models", "tiny,twin", *words).code == 0
    return str(out)


SMALL = ("--preset", "small", "--k", K, "--m", M)


def test_fit_evaluate_apply_and_ship(memviz: CommandLine, sweep: str) -> None:
    words = ("predictor", "fit", "--sweep", sweep, "--models", "tiny", *SMALL, "--ship", "shipped")
    ended = memviz.run(*words)
    assert ended.code == 0 and ended.err == "", ended
    assert "tiny, published: token accuracy" in ended.out and "3 predictors in" in ended.out
    assert "fitted before" in memviz.run(*words).out
    shipped = memviz.folder / "shipped"
    assert {path.parent.name for path in shipped.glob(f"*/{ABOUT}")} == {
        f"tiny-{setting}" for setting in ("published", "causal", "context")
    }
    metrics = pd.read_parquet(shipped / "metrics.parquet")
    assert set(metrics["setting"]) == {"published", "causal", "context"}
    ended = memviz.run("predictor", "evaluate", "--models", "tiny", "--setting", "causal", "--out", "tables")
    assert ended.code == 0 and ended.err == "", ended
    assert "tiny, causal" in ended.out and "| boosting |" in ended.out and "0.774 to 0.803" in ended.out
    every = memviz.run("predictor", "evaluate", "--models", "tiny").out
    differences = pd.read_parquet(shipped / "differences.parquet").query(
        f"method == 'boosting' and m == {M} and metric in ('token_accuracy', 'full_accuracy', 'auroc', 'brier')"
    )
    better = differences["low"].where(differences["metric"] != "brier", -differences["high"]) > 0
    worse = differences["high"].where(differences["metric"] != "brier", -differences["low"]) < 0
    counts = f"ahead in {better.sum()}, even in {(~better & ~worse).sum()}, behind in {worse.sum()} of 12"
    assert len(differences) == 12 and f"with paired intervals: {counts}" in every
    refused = memviz.run(*words, "--setting", "causal")
    assert refused.code and "shipped holds tiny-context too: ship all predictors of a folder at once" in refused.err
    again = memviz.run("predictor", "evaluate", "--models", "tiny", "--setting", "causal", "--sweep", sweep)
    assert again.out == ended.out, again  # what is kept is what is found again
    assert pd.read_parquet(memviz.folder / "tables" / "outcomes.parquet")["model"].unique().tolist() == ["tiny"]
    (memviz.folder / "ids.json").write_text(f'{{"context_ids": {list(range(10, 18))}, "continuation_ids": null}}')
    ended = memviz.run("predictor", "apply", "--model", "tiny", "--ids-file", "ids.json", "--continuation", M)
    assert ended.code == 0 and len(ended.out.splitlines()) == 3 + 1 + M, ended
    assert re.findall("^([a-z]+): said by [0-9a-f]{12}$", ended.out, re.MULTILINE) == ["published", "causal", "context"]
    assert ended.out.splitlines()[3].split()[3:] == ["published", "causal", "context"]
    words = ("--model", "tiny", "--ids-file", "ids.json", "--continuation", M + 2, "--setting", "context")
    assert memviz.run("predictor", "apply", *words, "--out", "said.json").code == 0
    said = parse(memviz.folder / "said.json")["probability"]["context"]
    assert said[M:] == [None, None] and all(0 < each < 1 for each in said[:M])


def test_transfer_only_where_it_is_asked_for(memviz: CommandLine, sweep: str) -> None:
    words = ("predictor", "fit", "--sweep", sweep, "--models", "tiny", "--setting", "causal", *SMALL, "--transfer")
    assert memviz.run(*words).code == 0
    ended = memviz.run("predictor", "evaluate", "--sweep", sweep, "--models", "twin", "--transfer")
    assert ended.code == 0 and "twin, causal, fitted on tiny" in ended.out, ended
    (memviz.folder / "ids.json").write_text(f'{{"context_ids": {list(range(10, 18))}, "continuation_ids": null}}')
    apply = ("predictor", "apply", "--model", "twin", "--ids-file", "ids.json", "--continuation", M)
    assert "there is no predictor for twin" in memviz.refused(*apply)
    ended = memviz.run(*apply, "--transfer")
    assert ended.code == 0 and np.isfinite(float(ended.out.split()[-1]))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("fit", "--sweep", "nowhere"), "nowhere holds no finished sweep: run `memviz sweep` with --out nowhere"),
        (("evaluate", "--predictor", "ffff"), "there is no such predictor: fit one with `memviz predictor fit`"),
        (("apply", "--model", "tiny"), "give either --text-file or --ids-file"),
    ],
)
def test_what_cannot_be_done_is_one_line(memviz: CommandLine, words: tuple, sentence: str) -> None:
    assert memviz.refused("predictor", *words) == sentence


def test_sizes_that_were_not_swept_are_named(memviz: CommandLine, sweep: str) -> None:
    said = memviz.refused("predictor", "fit", "--sweep", sweep, "--models", "tiny", "--k", 4)
    assert "the sweep has no rows of tiny at k = 4, sliding, with m = 64 or more" in said
    said = memviz.refused("predictor", "fit", "--sweep", sweep, "--models", "tiny", *SMALL, "--setting", "odd")
    assert "setting 'odd' is unknown" in said
