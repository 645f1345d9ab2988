"""What is written is read back bit for bit; what does not fit is refused by name."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.predictor import QUICK, D, K, M, planted, random_inputs, trainer_of

from memviz.errors import InputError
from memviz.predictor.features import STATISTICS, Inputs
from memviz.predictor.files import ABOUT, WEIGHTS, read_about
from memviz.predictor.network.artifact import Predictor, load, save


def predictor_of(setting: str, half: bool) -> Predictor:
    inputs = random_inputs(60)
    trainer = trainer_of(inputs, planted(inputs, setting), setting, 40, replace(QUICK, n_epochs=1, half=half))
    next(iter(trainer.epochs()))
    about = {
        "format": 1,
        "setting": setting,
        "k": K,
        "m": M,
        "preset": asdict(trainer.preset),
        "features": {"hidden": D, "statistics": list(STATISTICS)},
        "temperature": 1.7,
    }
    return Predictor(trainer.fitted(), about)


@pytest.mark.parametrize("setting", ["published", "causal", "context"])
@pytest.mark.parametrize("half", [True, False])
def test_round_trip(setting: str, half: bool, tmp_path: Path) -> None:
    predictor = predictor_of(setting, half)
    save(predictor, tmp_path)
    again = load(tmp_path)
    assert again.about == predictor.about
    for name, value in predictor.encoder.state_dict().items():
        assert torch.equal(value, again.encoder.state_dict()[name]), name
    inputs = random_inputs(9, seed=4)
    np.testing.assert_array_equal(predictor.probability(inputs), again.probability(inputs))
    save(again, tmp_path / "again")
    assert (tmp_path / WEIGHTS).read_bytes() == (tmp_path / "again" / WEIGHTS).read_bytes()
    assert {path.name for path in (tmp_path / "again").iterdir()} == {ABOUT, WEIGHTS}


def test_half_the_size(tmp_path: Path) -> None:
    for half in (True, False):
        save(predictor_of("causal", half), tmp_path / str(half))
    assert (tmp_path / "True" / WEIGHTS).stat().st_size < 0.6 * (tmp_path / "False" / WEIGHTS).stat().st_size


def test_probability_is_the_logit_over_the_temperature() -> None:
    predictor, inputs = predictor_of("causal", False), random_inputs(3)
    expected = 1 / (1 + np.exp(-predictor.logits(inputs) / 1.7))
    np.testing.assert_allclose(predictor.probability(inputs), expected, rtol=1e-5)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    predictor, inputs = predictor_of("causal", False), random_inputs(3)
    assert inputs.hidden is not None
    with pytest.raises(InputError, match="fitted at k = 4, the context has 5 tokens"):
        predictor.logits(Inputs(K + 1, inputs.hidden, inputs.statistics))
    with pytest.raises(InputError, match="ask for 1 to 8 positions"):
        predictor.logits(inputs, M + 1)
    with pytest.raises(InputError, match="a hidden state of 6 numbers, given was 5 numbers"):
        predictor.logits(replace(inputs, hidden=inputs.hidden[..., :5]))
    with pytest.raises(InputError, match="given was none"):
        predictor.logits(replace(inputs, hidden=None))
    with pytest.raises(InputError, match="entropy, margin, logprob: give as many"):
        predictor.logits(replace(inputs, statistics=inputs.statistics[..., :2]))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no fitted predictor"):
        load(tmp_path)
    save(predictor_of("causal", True), tmp_path)
    (tmp_path / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes()[:100])
    with pytest.raises(InputError, match=f"{WEIGHTS} .* fit the predictor again"):
        load(tmp_path)
    about = read_about(tmp_path)
    (tmp_path / ABOUT).write_text(json.dumps(about | {"format": 2}))
    with pytest.raises(InputError, match="format 2, this memviz reads 1"):
        load(tmp_path)
