"""Fitting: a planted rule is learned, noise is not, and a stopped fit goes on as if it had not been stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score
from support.predictor import QUICK, M, planted, random_inputs, trainer_of

from memviz.predictor.features import tokens_of
from memviz.predictor.network.fit import Trainer, load_state, log_loss, save_state, temperature_of
from memviz.predictor.presets import SETTINGS


def fitted(trainer: Trainer) -> Trainer:
    for _ in trainer.epochs():
        pass
    return trainer


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_planted_rule_is_learned(setting: str) -> None:
    inputs = random_inputs(900)
    trainer = fitted(trainer_of(inputs, planted(inputs, setting), setting, 800))
    unseen = random_inputs(200, seed=5)
    logits = trainer.fitted().logits(tokens_of(unseen, setting, M), M)
    accuracy = ((logits > 0) == planted(unseen, setting)).mean()
    assert accuracy > 0.9, trainer.history[-1]


@pytest.mark.parametrize("setting", SETTINGS)
def test_shuffled_labels_give_chance(setting: str) -> None:
    inputs = random_inputs(900)
    match = planted(inputs, setting)
    shuffled = np.random.default_rng(3).permutation(match.ravel()).reshape(match.shape)
    trainer = fitted(trainer_of(inputs, shuffled, setting, 600, replace(QUICK, n_epochs=4)))
    logits = trainer.fitted().logits(tokens_of(inputs, setting, M).rows(np.arange(600, 900)), M)
    assert abs(roc_auc_score(shuffled[600:].ravel(), logits.ravel()) - 0.5) < 0.05


@pytest.mark.parametrize("setting", ["published", "causal"])
def test_killed_and_resumed_gives_the_same_weights(setting: str, tmp_path: Path) -> None:
    inputs = random_inputs(130)
    match = planted(inputs, setting)
    preset = replace(QUICK, dropout=0.2, n_epochs=4)
    whole = fitted(trainer_of(inputs, match, setting, 100, preset))

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done == 2 * first.n_batches + 1:  # in the middle of the third epoch
            raise Killed

    first = trainer_of(inputs, match, setting, 100, preset)
    with pytest.raises(Killed):
        for _ in first.epochs(kill):
            save_state(first.state(), tmp_path / "state.pt")
    torch.rand(3)  # whatever else the process draws meanwhile
    second = trainer_of(inputs, match, setting, 100, preset)
    state = load_state(tmp_path / "state.pt")
    assert state is not None
    second.restore(state)
    assert len(second.history) == 2
    fitted(second)
    for name, value in whole.fitted().state_dict().items():
        assert torch.equal(value, second.fitted().state_dict()[name]), name
    same = ("epoch", "train_loss", "validation_loss", "validation_accuracy", "learning_rate", "best")
    for a, b in zip(whole.history, second.history, strict=True):
        assert [getattr(a, name) for name in same] == [getattr(b, name) for name in same]


def test_another_seed_gives_other_weights_and_leaves_torch_alone() -> None:
    inputs = random_inputs(60)
    match = planted(inputs, "causal")
    preset = replace(QUICK, n_epochs=1)
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    a, b = (fitted(trainer_of(inputs, match, "causal", 40, preset, seed)) for seed in (0, 1))
    assert torch.equal(torch.rand(4), expected)
    assert not torch.equal(a.fitted().head.weight, b.fitted().head.weight)


def test_it_ends_early_and_keeps_the_best_epoch() -> None:
    inputs = random_inputs(80)
    noise = np.random.default_rng(0).random((80, M)) < 0.5
    trainer = fitted(trainer_of(inputs, noise, "causal", 40, replace(QUICK, n_epochs=40, patience=2)))
    losses = [each.validation_loss for each in trainer.history]
    assert len(losses) == int(np.argmin(losses)) + 3 < 40
    tokens = tokens_of(inputs, "causal", M).rows(np.arange(40, 80))
    kept = trainer.fitted().logits(tokens, M)
    assert log_loss(kept, noise[40:]) == pytest.approx(min(losses), abs=2e-3)  # weights were rounded to float16


def test_loss_is_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    logits, match = generator.normal(size=(30, 4)), generator.random((30, 4)) < 0.4
    expected = sklearn_log_loss(match.ravel(), 1 / (1 + np.exp(-logits.ravel())))
    assert log_loss(logits, match) == pytest.approx(expected)


def test_temperature_undoes_overconfidence() -> None:
    generator = np.random.default_rng(0)
    true = generator.normal(size=(4000, 5)) * 2
    match = generator.random(true.shape) < 1 / (1 + np.exp(-true))
    assert temperature_of(3 * true, match) == pytest.approx(3, rel=0.05)
    found = minimize(lambda x: log_loss(3 * true / x[0], match), [1.0], method="Nelder-Mead").x[0]
    assert temperature_of(3 * true, match) == pytest.approx(found, rel=1e-3)


def test_its_time_is_told_before_it_starts_and_nothing_changes_by_that() -> None:
    inputs = random_inputs(60)
    match = planted(inputs, "published")
    plain, timed = (trainer_of(inputs, match, "published", 40, replace(QUICK, n_epochs=2)) for _ in range(2))
    assert timed.seconds_at_most() > 0
    assert torch.equal(fitted(plain).fitted().head.weight, fitted(timed).fitted().head.weight)


def test_a_damaged_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state.pt") is None
    (tmp_path / "state.pt").write_bytes(b"no checkpoint")
    assert load_state(tmp_path / "state.pt") is None
