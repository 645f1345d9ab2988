"""Training: the schedule by hand, a stopped run that goes on as if it had not, the recipe from end to end."""

from __future__ import annotations

import json
import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.linalg import polar
from transformers import AutoModelForCausalLM

from memviz.catalog import Folder, local_models
from memviz.demo import evaluation, making, recipe
from memviz.demo.recipe import SHIPPED, SMOKE
from memviz.demo.stream import make
from memviz.demo.suite import SUITE_FOLDER, read_data
from memviz.demo.training import Muon, build, checkpoint_steps, loss_of, optimizers_of, orthogonal, share_at, train
from memviz.engine.preparing import prepare
from memviz.settings import Settings
from memviz.tasks.trace import tokenizer_of
from memviz.tokenizer import Tokenizer
from memviz.weights import count_parameters

CPU = torch.device("cpu")


class Stop(Exception):
    pass


def test_rate_rises_stays_and_falls_to_nothing() -> None:
    made = replace(SMOKE, learning_rate=1.0, rate_power=0.5, warmup=4, cooldown=0.2)
    assert made.rate(replace(made.sizes[0], width=512)) == pytest.approx(0.5)
    shares = [share_at(step, 20, made) for step in range(20)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, *[1] * 14, 0.75, 0.5, 0.25])


def test_muon_moves_each_matrix_by_its_polar_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against numpy's singular vectors, which stay, and scipy's polar factor where it stands for the iteration."""
    rng = np.random.default_rng(0)
    for shape in ((12, 5), (5, 12), (7, 7)):
        matrix = rng.normal(size=shape)
        left, _, right = np.linalg.svd(matrix, full_matrices=False)
        turned = left.T @ orthogonal(torch.tensor(matrix)).numpy() @ right.T
        values = turned.diagonal()
        assert values.min() > 0.6 and values.max() < 1.25
        np.testing.assert_allclose(turned, np.diag(values), atol=1e-9)
    monkeypatch.setattr("memviz.demo.training.orthogonal", lambda m: torch.tensor(polar(m.double().numpy())[0]).float())
    weights = torch.nn.Parameter(torch.zeros(12, 5))
    optimizer = Muon([{"params": [weights], "lr": 0.1}])
    means = np.zeros((12, 5))
    expected = np.zeros((12, 5))
    for _ in range(3):
        gradient = rng.normal(size=(12, 5))
        weights.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        means = 0.95 * means + 0.05 * gradient
        expected -= 0.1 * np.sqrt(12 / 5) * polar(0.05 * gradient + 0.95 * means)[0]
    np.testing.assert_allclose(weights.detach(), expected, atol=1e-5)


def test_only_matrices_between_embedding_and_output_are_muons() -> None:
    model = build(SMOKE.sizes[0], SMOKE.n_vocabulary, 0)
    adam, muon = optimizers_of(model, replace(SMOKE, muon=0.1), SMOKE.sizes[0])
    shapes = sorted(tuple(each.shape) for each in muon.param_groups[0]["params"])
    assert shapes == [(16, 16), (16, 64), (48, 16), (64, 16)]
    n = sum(each.numel() for optimizer in (adam, muon) for each in optimizer.param_groups[0]["params"])
    assert n == sum(each.numel() for each in model.parameters())
    assert len(optimizers_of(model, SMOKE, SMOKE.sizes[0])) == 1


def test_checkpoints_are_shares_of_the_steps_and_the_end_of_the_first_seed() -> None:
    size = replace(SMOKE.sizes[0], checkpoints=(1 / 32, 0.5))
    assert checkpoint_steps(size, 100) == (3, 50, 100)
    assert checkpoint_steps(size, 100, seed=1) == (100,)


def test_loss_is_the_mean_over_all_but_the_first_token() -> None:
    model = build(SMOKE.sizes[0], SMOKE.n_vocabulary, 0).eval()
    ids = torch.randint(0, SMOKE.n_vocabulary, (3, 9), generator=torch.Generator().manual_seed(0))
    log_p = model(ids).logits.double().log_softmax(-1)
    by_hand = -sum(log_p[n, j - 1, ids[n, j]] for n in range(3) for j in range(1, 9)) / 24
    assert loss_of(model, ids).item() == pytest.approx(by_hand.item(), abs=1e-5)


@pytest.mark.parametrize("muon", [0.0, 0.02])
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(
    muon: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memviz.demo.training.STATE_EVERY", 3)
    sequences = np.random.default_rng(0).integers(0, SMOKE.n_vocabulary, (20, 32)).astype(np.uint16)
    made = replace(SMOKE, batch=2, warmup=2, muon=muon)
    size = replace(made.sizes[0], checkpoints=(0.4,))
    train(made, size, 0, sequences, tmp_path / "whole", CPU)

    def stop_at_8(step: int, n_steps: int, loss: float) -> None:
        if step == 8:
            raise Stop

    with pytest.raises(Stop):
        train(made, size, 0, sequences, tmp_path / "stopped", CPU, stop_at_8)
    seen: list[int] = []
    train(made, size, 0, sequences, tmp_path / "stopped", CPU, lambda step, *_: seen.append(step))
    assert seen == [7, 8, 9, 10]
    for name in ("step4.pt", "step10.pt"):
        whole, stopped = (torch.load(tmp_path / run / name, weights_only=True) for run in ("whole", "stopped"))
        assert whole.keys() == stopped.keys()
        assert all(torch.equal(whole[key], stopped[key]) for key in whole)
    losses = [json.loads((tmp_path / run / "losses.json").read_text("utf-8")) for run in ("whole", "stopped")]
    assert losses[0] == losses[1] and len(losses[0]) == 10


@pytest.mark.wide
@pytest.mark.slow
def test_the_smoke_recipe_makes_a_whole_suite(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m memviz.demo` in this process, on few rows of few texts; trained in one more."""
    few = replace(SMOKE, buckets={0: 8, 1: 8, 4: 8, 16: 4}, max_rows=100)
    monkeypatch.setattr(recipe, "SMOKE", few)
    monkeypatch.setattr(making, "make", lambda made: make(made, texts))
    words = ["--edition", "smoke", "--jobs", "1", "--out", str(tmp_path / "suite"), "--work", str(tmp_path / "work")]

    def run(*more: str) -> object:
        monkeypatch.setattr("sys.argv", ["memviz.demo", *words, *more])
        with pytest.raises(SystemExit) as left:
            runpy.run_module("memviz.demo", run_name="__main__")
        return left.value.code

    assert run() == 0
    names = {path.name for path in (tmp_path / "suite" / "models").iterdir()}
    assert {"suite-tiny", "suite-tiny@seed1", "suite-small"} <= names and len(names) == 4
    scores = pd.read_parquet(tmp_path / "suite" / "scores.parquet")
    assert set(scores["model"]) == names
    assert set(scores["condition"]) == {"sliding", "anchored", "foreign"}
    exposures = pd.read_parquet(tmp_path / "suite" / "corpus" / "exposures.parquet")
    assert f"{len(exposures):,} exposures" in (tmp_path / "suite" / "DATA_CARD.md").read_text("utf-8")
    model_card = (tmp_path / "suite" / "MODEL_CARD.md").read_text("utf-8")
    assert all(name in model_card for name in names)

    def refused() -> str:
        return " ".join(capsys.readouterr().err.replace("│", " ").split())

    refused()
    assert run("--seed", "5") == 2
    assert "holds another recipe's training" in refused()
    assert run("--only", "suite-huge") == 2
    assert "suite-huge is no run of this recipe: it has suite-small, suite-tiny," in refused()
    (tmp_path / "work" / "models" / "suite-small").rename(tmp_path / "work" / "models" / "lost")
    assert run("--only", "suite-small") == 0, "from its kept state"
    small, lost = (tmp_path / "work" / "models" / name / "model.safetensors" for name in ("suite-small", "lost"))
    assert small.read_bytes() == lost.read_bytes()


def test_shipped_models_are_those_of_the_recipe(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path)
    shipped = {m.name: m for m in local_models(settings) if m.family == "suite"}
    n_steps, counts = read_data().n_steps, []
    for size in SHIPPED.sizes:
        for seed in range(size.n_seeds):
            for step in checkpoint_steps(size, n_steps, seed):
                name = size.name + (f"@seed{seed}" if seed else "") + ("" if step == n_steps else f"@step{step}")
                model = shipped.pop(name)
                assert isinstance(model.source, Folder)
                by_hand = 2 * SHIPPED.n_vocabulary * size.width + size.n_layers * (12 * size.width**2 + 13 * size.width)
                assert model.n_parameters == count_parameters(model.source.path) == by_hand + 2 * size.width
                assert (model.size, model.seed, model.step, model.n_steps) == (size.name, seed, step, n_steps)
                assert size.name.split("-")[1] == f"{model.n_parameters / 1e6:.1f}m"
                counts.append(model.n_parameters)
    assert not shipped
    assert counts == sorted(counts) and len(set(counts)) >= 4 and counts[-1] > 20 * counts[0]


def test_a_prepared_model_has_the_tokenizer_of_the_corpus(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path)
    expected = Tokenizer(SUITE_FOLDER / "corpus", [])
    shipped = [m for m in local_models(settings) if m.family == "suite"]
    assert len(shipped) >= 4
    for model in shipped:
        card = prepare(model, settings)
        assert tokenizer_of(card, settings).hash == expected.hash
        assert (card.leading_ids, card.n_positions, card.vocab_size) == ([], 256, SHIPPED.n_vocabulary)


def test_shipped_scores_are_what_plain_generation_gives(tmp_path: Path) -> None:
    data, scores = read_data(), pd.read_parquet(SUITE_FOLDER / "scores.parquet")
    for name in (SHIPPED.sizes[0].name, SHIPPED.sizes[-1].name):
        model = AutoModelForCausalLM.from_pretrained(
            SUITE_FOLDER / "models" / name, dtype=torch.float32, attn_implementation="eager"
        )
        of_model = scores[(scores["model"] == name) & (scores["condition"] == "sliding")]
        some = of_model.sample(12, random_state=0)
        ids = torch.from_numpy(data.ids[some["row"].to_numpy()].astype(np.int64))
        made = model.generate(
            ids[:, :32], do_sample=False, max_new_tokens=96, min_new_tokens=96, pad_token_id=0, eos_token_id=None
        )
        same = (made == ids)[:, 32:].numpy()
        for hits, line in zip(same, some.itertuples(), strict=True):
            assert [hits[:m].sum() for m in (16, 32, 48, 64, 96)] == [
                getattr(line, f"n_matches_{m}") for m in (16, 32, 48, 64, 96)
            ]


def test_the_ladder_is_counted_by_hand() -> None:
    data, scores = read_data(), pd.read_parquet(SUITE_FOLDER / "scores.parquet")
    small, large = SHIPPED.sizes[-2].name, SHIPPED.sizes[-1].name
    found = evaluation.graded(scores, data, [small, large]).set_index("model")
    hits = {
        name: {
            line.row: int(line.n_matches_32)
            for line in scores[(scores["model"] == name) & (scores["condition"] == "sliding")].itertuples()
            if data.bucket[line.row] > 0 and not data.background[line.row]
        }
        for name in (small, large)
    }
    for name, of in hits.items():
        every = list(of.values())
        middle = sum(7 <= n <= 25 for n in every)  # of 32: from a fifth, 6.4, to below four fifths, 25.6
        assert found.loc[name].tolist() == [
            len(every), f"{middle / len(every):.1%}", f"{sum(13 <= n <= 19 for n in every) / len(every):.1%}",
            every.count(16), every.count(32),
        ]  # fmt: skip
    line = evaluation.neighbours(scores, data, [small, large]).iloc[0]
    gaps = {
        seen: np.mean([hits[large][row] - n for row, n in hits[small].items() if data.bucket[row] == seen]) / 32
        for seen in SHIPPED.buckets if seen
    }  # fmt: skip
    best = max(gaps, key=gaps.__getitem__)
    assert (line["from"], line["to"], line["exposures"], line["rows"]) == (small, large, best, SHIPPED.buckets[best])
    value, low, high = map(float, re.findall(r"\d\.\d+", line["difference of mean M"]))
    assert value == pytest.approx(gaps[best], abs=5e-4) and low < value < high


def test_summary_counts_by_hand() -> None:
    data = read_data()
    rows = np.flatnonzero(data.bucket == 64)[:4]
    scores = pd.DataFrame(
        {"model": "m", "row": rows, "condition": "sliding", "n_matches_16": [16, 8, 0, 4]}
        | {f"n_matches_{m}": [np.nan] * 4 for m in (32, 48, 64, 96)}
    )
    line = evaluation.summary(scores, data).query("domain == 'all'").iloc[0]
    assert (line["n"], line["bucket"], line["m"]) == (4, "64", 16)
    assert line["mean"] == 28 / 64 and line["full"] == 0.25
    levels = [line[f"share_{name}"] for name in ("very_low", "low", "medium", "high", "very_high")]
    assert levels == [0.25, 0.25, 0.25, 0, 0.25]
    assert line["full_low"] == pytest.approx(0.0456, abs=1e-4)  # Wilson, 1 of 4
    assert line["mean_low"] < line["mean"] < line["mean_high"]


def test_a_folder_says_what_it_is_and_odd_facts_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "memviz.json").write_text(json.dumps({"label": "My model", "step": "3", "seed": 2, "index": ["x"]}))
    found = next(m for m in local_models(Settings(cache=tmp_path, model_roots=(tmp_path / "models",))))
    assert (found.label, found.step, found.seed, found.index) == ("My model", None, 2, None)
    (folder / "memviz.json").write_text("[" * 100_000)
    found = next(m for m in local_models(Settings(cache=tmp_path, model_roots=(tmp_path / "models",))))
    assert found.label == "mine"
