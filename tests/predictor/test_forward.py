"""The forward pass without torch gives the numbers of the one with torch."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from support.predictor import QUICK, D, K, M, planted, random_inputs, trainer_of

from memviz.errors import InputError
from memviz.predictor.features import Inputs
from memviz.predictor.files import WEIGHTS
from memviz.predictor.forward import probability, read_weights
from memviz.predictor.network.artifact import Predictor, load, save
from memviz.predictor.presets import Preset, Setting

FULL = replace(QUICK, course=True, hazard=True, compressed=3, hidden_dropout=0.2, members=2)


def fitted(setting: Setting, folder: Path, with_hidden: bool = True, preset: Preset = QUICK) -> Predictor:
    """A predictor of one epoch, saved in the folder."""
    whole = random_inputs(60)
    inputs = whole if with_hidden else Inputs(K, None, whole.statistics)
    trainer = trainer_of(inputs, planted(whole, setting), setting, 40, replace(preset, n_epochs=1))
    next(iter(trainer.epochs()))
    features = {"hidden": D if with_hidden else 0, "statistics": ["entropy", "margin", "logprob"]}
    about = {"format": 1, "setting": setting, "k": K, "m": M, "preset": asdict(trainer.preset), "features": features}
    predictor = Predictor(trainer.fitted(), {**about, "temperature": 1.7})
    save(predictor, folder)
    return predictor


@pytest.mark.parametrize("preset", [QUICK, FULL], ids=["plain", "full"])
@pytest.mark.parametrize("setting", ["published", "causal", "context"])
def test_as_with_torch(setting: Setting, preset: Preset, tmp_path: Path) -> None:
    predictor, inputs = fitted(setting, tmp_path, preset=preset), random_inputs(5, seed=7)
    np.testing.assert_array_equal(load(tmp_path).probability(inputs), predictor.probability(inputs))
    weights = read_weights(tmp_path)
    for n_positions in (1, 3, M):
        found = probability(weights, predictor.about, inputs, n_positions)
        expected = predictor.probability(inputs, n_positions)
        assert found.shape == expected.shape == (5, n_positions)
        assert np.ptp(expected) > 0.01  # they tell the rows apart
        np.testing.assert_allclose(found, expected, atol=2e-5)  # the saved weights are rounded to float16


def test_a_predictor_on_statistics_alone_ignores_states(tmp_path: Path) -> None:
    predictor, inputs = fitted("causal", tmp_path, with_hidden=False), random_inputs(5, seed=7)
    found = probability(read_weights(tmp_path), predictor.about, inputs, M)
    np.testing.assert_allclose(found, predictor.probability(inputs), atol=2e-5)


def test_damaged_weights_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fit the predictor again"):
        read_weights(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(InputError, match="fit the predictor again"):
        read_weights(tmp_path)
