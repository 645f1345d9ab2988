from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from memviz.cli.findings import findings as command
from memviz.errors import InputError
from memviz.findings.claims import Quality, read_claims
from memviz.findings.evidence import judge
from memviz.findings.evidence.boundary import STATISTICS as BOUNDARY
from memviz.findings.evidence.boundary import by_size
from memviz.findings.evidence.material import Material, material_of
from memviz.findings.evidence.population import STATISTICS as POPULATION
from memviz.findings.history import METHOD, METHODS, Edition, continued, edition_of, read_history, steps
from memviz.findings.report import document
from memviz.population import Frequencies
from memviz.settings import ROOT
from memviz.sweeps import Sweep

STATISTICS = POPULATION | BOUNDARY
N, SIZES = 60, {"large": 9000, "small": 1000, "medium": 3000}
SHARE = {"small": 0.2, "medium": 0.5, "large": 0.8}
CONTEXTS = (8, 32, 64, 96)


@pytest.fixture
def sweep(made_sweep, asked, request) -> Sweep:
    """Models that hit more the larger they are, and the more the longer their context; entropies that fall at k.

    Its parameter: the bucket of rows that are not memorized; 0, held out, where none is given.
    """
    generator = np.random.default_rng(0)
    luck = generator.random((N, 96))
    luck[:20] **= 40  # rows that are memorized
    luck[20:40] = 1 - (1 - luck[20:40]) ** 40 * 1e-6  # rows that are not
    everything = []
    for model, share in SHARE.items():
        entropy = generator.random((N, 128)) + 1
        entropy[:20, 32] -= 0.9
        everything.append(asked(model, luck < share, entropy=entropy, on_context=True, on_continuation=True))
        for mode in ("sliding", "anchored"):
            for k in CONTEXTS:
                if (mode, k) != ("sliding", 32):
                    hit = luck[:, :32] < share * k / 96
                    start = 96 - k if mode == "anchored" else 0
                    everything.append(asked(model, hit, k=k, start=start, mode=mode, on_context=True))
    ids = generator.integers(0, 50, (N, 128))
    about = {"bucket": np.repeat([64, getattr(request, "param", 0), 16], 20), "domain": ["law", "verse"] * (N // 2)}
    return made_sweep(ids=ids, asked=everything, n_parameters=SIZES, about=about)


@pytest.fixture
def material(sweep: Sweep) -> Material:
    counts = np.random.default_rng(1).integers(1, 100, (N, 3, 128))
    return material_of([sweep], Frequencies(np.arange(N), (1, 2, 3), counts, 10_000, "other", "made"), 200)


def scores(sweep: Sweep, model: str, k: int = 32, mode: str = "sliding", m: int = 32) -> np.ndarray:
    found = sweep.sequences.query("model == @model and k == @k and mode == @mode and bucket > 0")
    return found.sort_values("row")[f"n_matches_{m}"].to_numpy() / m


def entropies(sweep: Sweep, model: str) -> np.ndarray:
    """(n, 128) free-running, of the rows trained on."""
    found = sweep.read("positions").query("model == @model").pivot(index="row", columns="index")
    return found["free_running_entropy"].to_numpy()[sweep.rows["bucket"] > 0]


def value(material: Material, name: str) -> float:
    return STATISTICS[name](material)[0].value


def test_statistics_are_those_worked_out_from_the_table(sweep: Sweep, material: Material) -> None:
    assert material.models == ["small", "medium", "large"]
    means = {model: scores(sweep, model).mean() for model in SIZES}
    assert value(material, "size") == pytest.approx(means["large"] - means["small"])
    held_out = sweep.sequences.query("model == 'large' and k == 32 and mode == 'sliding' and bucket == 0")
    many = sweep.sequences.query("model == 'large' and k == 32 and mode == 'sliding' and bucket == 64")
    expected = (many["n_matches_32"].mean() - held_out["n_matches_32"].mean()) / 32
    assert value(material, "exposures") == pytest.approx(expected)
    full = [np.log((scores(sweep, model) == 1).sum() + 0.5) for model in material.models]
    slope = np.polyfit(np.log([1000, 3000, 9000]), full, 1)[0]
    assert value(material, "size-sublinear") == pytest.approx(slope - 1)
    long, short = (scores(sweep, "large", m=m) for m in (96, 16))
    assert value(material, "continuation") == pytest.approx((long == 1).mean() - (short == 1).mean())
    assert value(material, "continuation-score") == pytest.approx(long.mean() - short.mean())
    at = {k: scores(sweep, "large", k, "anchored").mean() for k in CONTEXTS}
    assert value(material, "context-anchored") == pytest.approx(at[96] - at[8])
    assert value(material, "context-steep") == pytest.approx((at[32] - at[8]) / 24 - (at[96] - at[64]) / 32)
    levels = [np.minimum(4, 5 * (32 * scores(sweep, model)).astype(int) // 32) for model in material.models]
    kept = [np.mean(a == b) for a, b in pairwise(levels)]
    stays = [
        [(b[a == level] == level).mean() for level in range(5) if (a == level).sum() > 9] for a, b in pairwise(levels)
    ]
    assert value(material, "levels-stay-diagonal") == pytest.approx(min(map(np.mean, stays)) - 0.5)
    assert value(material, "very-high-stay") == pytest.approx((levels[2][levels[1] == 4] == 4).mean() - 0.9)
    numbers = [
        [(of == level).sum() - full * (level == 4) for level in range(5)] + [full]
        for of, full in (
            (level, (scores(sweep, model) == 1).sum()) for level, model in zip(levels, material.models, strict=True)
        )
    ]
    *slopes, fastest = np.polyfit(np.log([1000, 3000, 9000]), np.log(np.array(numbers) + 0.5), 1)[0]
    assert value(material, "full-grows-fastest") == pytest.approx(fastest - max(slopes))
    falls = [scores(sweep, model, m=96).mean() - scores(sweep, model, m=16).mean() for model in ("large", "small")]
    assert value(material, "continuation-by-size") == pytest.approx(falls[0] - falls[1])
    ends = [[scores(sweep, model, k, "anchored").mean() for k in (96, 8)] for model in ("large", "small")]
    assert value(material, "context-by-size") == pytest.approx(ends[0][0] - ends[0][1] - ends[1][0] + ends[1][1])
    full = {m: (scores(sweep, "large", m=m) == 1).mean() for m in (16, 32, 64, 96)}
    expected = (full[16] - full[32]) / 16 - (full[64] - full[96]) / 32
    assert value(material, "continuation-sublinear") == pytest.approx(expected)
    assert value(material, "levels-stay") == pytest.approx(min(kept) - 0.5)
    assert value(material, "levels-stay-more") == pytest.approx(kept[-1] - kept[0])


def test_boundaries_are_those_worked_out_from_the_table(sweep: Sweep, material: Material) -> None:
    positions = sweep.read("positions").query("model == 'large'").pivot(index="row", columns="index")
    entropy = positions["free_running_entropy"].to_numpy()
    bucket = sweep.rows["bucket"].to_numpy()
    full = sweep.sequences.query("model == 'large' and k == 32 and mode == 'sliding'")["n_matches_32"].to_numpy() == 32
    jump = entropy[:, 32] - entropy[:, 31]
    expected = jump[full & (bucket > 0)].mean() - jump[bucket > 0].mean()
    found, null = STATISTICS["entropy-memorized"](material)
    assert found.value == pytest.approx(expected) and found.n == (full & (bucket > 0)).sum()
    assert found.high < 0 and null is not None and null.low < null.expected < null.high
    counts = material.frequencies.counts[:, 1] / 10_000
    jump = counts[:, 32] - counts[:, 31]
    expected = jump[full & (bucket > 0)].mean() - jump[bucket > 0].mean()
    assert value(material, "bigram-memorized") == pytest.approx(expected)
    assert value(material, "boundary-stays") < 0


@pytest.mark.parametrize("sweep", [4], indirect=True)  # rows that are not memorized were trained on too
def test_groups_are_compared_as_worked_out_from_the_table(sweep: Sweep, material: Material) -> None:
    large, small = (entropies(sweep, model) for model in ("large", "small"))
    n_hits = 32 * scores(sweep, "large")
    one, none = n_hits == 32, n_hits == 0
    assert one.sum() > 9 and none.sum() > 9
    for name, at in (("gram-context", slice(0, 32)), ("gram-continuation", slice(32, 64))):
        mean = material.frequencies.counts[:, 0, at].mean(axis=1) / 10_000
        assert value(material, name) == pytest.approx(mean[one].mean() - mean[none].mean())
    for name, at in (("entropy-unmemorized-higher", slice(32, 64)), ("entropy-unmemorized-context", slice(1, 32))):
        mean = large[:, at].mean(axis=1)
        assert value(material, name) == pytest.approx(mean[none].mean() - mean[one].mean())
    assert value(material, "entropy-size") == pytest.approx((large - small)[:, 32:64].mean())
    medium = (n_hits >= 12.8) & (n_hits < 19.2)
    if medium.any():
        jump = large[:, 32] - large[:, 31]
        assert value(material, "entropy-medium") == pytest.approx(jump[medium].mean() - jump[one].mean())


def test_boundaries_of_two_sizes_are_compared(sweep: Sweep, material: Material) -> None:
    with pytest.raises(InputError, match="fewer than two sizes have 100 rows"):
        STATISTICS["boundary-size-memorized"](material)
    found, null = by_size("memorized", 3)(material)
    counts = material.frequencies.counts[sweep.rows["bucket"] > 0, 0] / 10_000
    jump, sizes = counts[:, 32] - counts[:, 31], [scores(sweep, model) == 1 for model in ("large", "small")]
    assert found.value == pytest.approx(jump[sizes[0]].mean() - jump[sizes[1]].mean())
    assert found.low < found.value < found.high and found.n == sizes[1].sum()
    assert null is not None and null.low < null.expected < null.high


def test_verdicts_come_in_the_order_of_the_file(material: Material) -> None:
    claims = read_claims(ROOT / "docs" / "claims.toml")
    verdicts = judge(claims, material, STATISTICS)
    assert [each.claim for each in verdicts] == claims
    assert {each.outcome for each in verdicts} == {"undecided"}  # 40 rows are fewer than any claim asks for
    assert all("fewer than" in each.reason for each in verdicts if each.found is not None)


def test_what_is_missing_is_said(sweep: Sweep) -> None:
    claims = {each.id: each for each in read_claims(ROOT / "docs" / "claims.toml")}
    alone = material_of([sweep], n_resamples=50)
    (verdict,) = judge([claims["frequency-memorized"]], alone, STATISTICS)
    assert verdict.found is None and "index of the training stream" in verdict.reason
    del sweep.manifest["tables"]["positions"]
    (verdict,) = judge([claims["entropy-memorized"]], alone, STATISTICS)
    assert "--positions" in verdict.reason


def test_only_final_weights_of_the_first_seed_are_judged(sweep: Sweep) -> None:
    small, large = sweep.manifest["models"][1], sweep.manifest["models"][0]
    sweep.manifest["models"] += [small | {"name": "again", "seed": 1}, large | {"name": "early", "step": 3}]
    found = material_of([sweep])
    assert found.models == ["small", "medium", "large"] and found.seeds == ("small", "again", "medium", "large")


@pytest.mark.parametrize(
    ("change", "named"), [({"dtype": "bfloat16"}, "bfloat16"), ({"rows": {"source": "other.npy"}}, "other.npy")]
)
def test_sweeps_that_do_not_go_together_are_refused(sweep: Sweep, change: dict, named: str) -> None:
    other = Sweep(sweep.folder, sweep.manifest | {"request": sweep.manifest["request"] | change})
    with pytest.raises(InputError, match=named):
        material_of([sweep, other])
    with pytest.raises(InputError, match="no sweep"):
        material_of([])


def test_two_sweeps_are_one(sweep: Sweep, material: Material) -> None:
    doubled = material_of([sweep, sweep], n_resamples=20)
    assert len(doubled.every) == len(material.every)


def test_every_training_seed_of_a_size_enters(sweep: Sweep, made_sweep, asked) -> None:
    """The smallest size once more, trained with another seed, of which every row is memorized."""
    again = asked("again", np.ones((N, 96), bool), on_context=True, on_continuation=True)
    about = {name: sweep.rows[name].tolist() for name in ("bucket", "domain")}
    ids = np.stack(sweep.rows["ids"])
    other = made_sweep(ids=ids, asked=[again], n_parameters={"again": 1000}, about=about)
    for each in sweep.manifest["models"]:
        each["size"] = each["name"]
    other.manifest["models"][0] |= {"size": "small", "seed": 1}
    material = material_of([sweep, other], n_resamples=100)
    assert {seed: of.models for seed, of in material.by_seed.items()} == {
        0: ["small", "medium", "large"], 1: ["again", "medium", "large"],
    }  # fmt: skip
    wanted = ("size", "exposures", "entropy-size")
    claims = [each for each in read_claims(ROOT / "docs" / "claims.toml") if each.id in wanted]
    size, exposures, entropy = judge(claims, material, STATISTICS)
    means = {model: scores(sweep, model).mean() for model in ("small", "large")}
    assert size.by_seed == {0: pytest.approx(means["large"] - means["small"]), 1: pytest.approx(means["large"] - 1)}
    assert size.found.value == pytest.approx(np.mean(list(size.by_seed.values())))
    assert size.found.low < size.by_seed[1] < 0 < size.by_seed[0] < size.found.high and not exposures.by_seed
    # of the other seed no entropies are known, so that its claim is the first seed's
    assert list(entropy.left_out) == [1] and not entropy.by_seed
    assert entropy.found == STATISTICS["entropy-size"](material)[0]
    assert "- Without training seeds 1, of which scores alone are known (" in document([entropy], material)


def test_what_changed_is_put_down_to_method_or_suite(material: Material) -> None:
    verdicts = judge(read_claims(ROOT / "docs" / "claims.toml"), material, STATISTICS)
    now = edition_of(verdicts, material)
    first = Edition(METHOD - 1, now.suite, {"size": "agrees", "gone": "agrees"})
    other = Edition(METHOD, "other", {"size": "undecided", "exposures": "agrees"})
    said = dict(steps([first, other, now]))
    assert said == {
        f"the method and the suite (method {METHOD}: {METHODS[METHOD]}; suite `other`)": {
            "size": ("agrees", "undecided")
        },
        f"the suite (method {METHOD}: {METHODS[METHOD]}; suite `{now.suite}`)": {"exposures": ("agrees", "undecided")},
    }
    assert continued([first, now, other], now) == [first, other, now]
    text = document(verdicts, material, history=[first, now])
    assert "With the method (" in text and f"; suite `{now.suite}`):\n\n- size: agrees before, undecided after" in text


def test_the_document_is_whole_and_always_the_same(material: Material, sweep: Sweep) -> None:
    claims = read_claims(ROOT / "docs" / "claims.toml")
    text = document(judge(claims, material, STATISTICS), material)
    again = material_of([sweep], material.frequencies, 200)
    assert document(judge(claims, again, STATISTICS), again) == text
    more = document(judge(claims, material, STATISTICS), material, predictors="## Beside boosting\n")
    assert more.replace("## Beside boosting\n\n", "") == text
    for claim in claims:
        assert f"### {claim.id}\n" in text and claim.statistic in text
    kinds = [claim.kind for claim in claims]
    n_claims = kinds.count(Quality.CLAIM)
    assert text.count("holds by definition.") == kinds.count(Quality.MECHANICAL)
    said = f"Of {n_claims} claims that could fail: agrees 0, disagrees 0, undecided {n_claims}. The other"
    assert f"{said} {len(claims) - n_claims}" in text
    assert "the strata of the corpus are not known" in text and "one training seed of each size" in text
    assert str(sweep.folder) not in text
    widths = {line.count("|") for line in text.split("### Domain")[1].split("###")[0].splitlines() if "|" in line}
    assert len(widths) == 1


def test_command_writes_it(sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz.demo.suite.read_data", lambda: None)
    monkeypatch.setattr("memviz.population.weighting.strata_of", lambda data: None)
    app, out = typer.Typer(), tmp_path / "findings.md"
    app.command()(command)
    run: Callable = CliRunner().invoke
    done = run(app, ["--sweep", str(sweep.folder), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "n-grams are not counted" in done.output and out.read_text().startswith("# Findings")
    drawn = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", out.read_text())
    assert {f"findings/{name}.svg" for name in ("claim-size", "size", "context-anchored")} <= set(drawn)
    (edition,) = read_history(tmp_path / "findings" / "outcomes.json")
    assert edition.method == METHOD and edition.outcomes["size"] == "undecided"
    assert "## What changed" not in out.read_text()
    for path in drawn:
        assert ET.parse(tmp_path / path).getroot().tag.endswith("svg")
    failed = run(app, ["--sweep", str(tmp_path)])
    assert isinstance(failed.exception, InputError) and "no finished sweep" in str(failed.exception)
