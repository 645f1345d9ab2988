"""Predictors there are: those that come with the suite, and those fitted here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memviz import disk
from memviz.catalog import Card
from memviz.demo.suite import SUITE_FOLDER
from memviz.errors import Failure, InputError
from memviz.predictor.files import ABOUT, About, read_about
from memviz.predictor.presets import SETTINGS, Setting
from memviz.predictor.tables import Tables, read_tables
from memviz.settings import Settings
from memviz.sweeps.kept import newest_first

SHIPPED = SUITE_FOLDER / "predictors"
PROGRESS = "progress.jsonl"
NAME = "name.txt"
MOST_CHARACTERS = 60
"""Of a name."""


@dataclass(frozen=True)
class Known:
    """A fitted predictor on disk; its weights are read by `memviz.predictor.network.artifact.load`."""

    folder: Path
    about: dict[str, Any]
    """id, setting, k, m, preset, features, temperature, model, weights, data, epochs, metrics, versions, request."""
    shipped: bool = False

    @property
    def id(self) -> str:
        """Hash of its fit."""
        return self.about["id"]

    @property
    def model(self) -> str:
        return self.about["model"]

    @property
    def weights(self) -> str:
        """Identity of the only weights it may be asked about, unless `transfers`."""
        return self.about["weights"]

    @property
    def setting(self) -> Setting:
        return self.about["setting"]

    @property
    def name(self) -> str:
        """What a user calls it, empty where nobody named it."""
        try:
            return (self.folder / NAME).read_text("utf-8").strip()[:MOST_CHARACTERS]
        except (OSError, UnicodeDecodeError):
            return ""

    @property
    def k(self) -> int:
        return self.about["k"]

    @property
    def m(self) -> int:
        return self.about["m"]

    @property
    def transfers(self) -> bool:
        return self.about["request"]["transfer"]

    def tables(self) -> Tables:
        """Its evaluation on the test part. Raises InputError."""
        return read_tables(self.folder.parent if self.shipped else self.folder).of(self.id)


def rename(known: Known, name: str) -> None:
    """Call a predictor of the cache so; an empty name takes it away. Raises InputError, Failure."""
    if known.shipped:
        raise InputError("predictors that come with memviz keep their names: fit one of your own to name it")
    if len(name) > MOST_CHARACTERS or not name.isprintable():
        raise InputError(f"the name {name[:MOST_CHARACTERS]!r} cannot be used: give up to {MOST_CHARACTERS} characters")
    if not known.folder.is_dir():
        raise Failure(f"{known.folder} cannot be written: it is no longer there; fit the predictor again")
    disk.write_text(known.folder / NAME, name.strip())


def read_known(folder: Path, shipped: bool = False) -> Known:
    """The predictor of a folder. Raises InputError where there is none that can be read."""
    return Known(folder, read_about(folder, About), shipped)


def known_predictors(settings: Settings) -> list[Known]:
    """Every fitted predictor that can be read: the cache's, newest first, then the shipped ones."""
    kept = newest_first((settings.cache / "predictors").glob(f"*/{ABOUT}"))
    shipped = sorted(SHIPPED.glob(f"*/{ABOUT}"))
    found = []
    for path in (*kept, *shipped):
        try:
            found.append(read_known(path.parent, path in shipped))
        except InputError:
            continue
    return found


def predictors_for(
    card: Card,
    settings: Settings,
    among: Sequence[Known] | None = None,
    n_context: int | None = None,
    chosen: str = "",
) -> dict[Setting, Known]:
    """Setting -> the predictor for a model: fitted on its very weights, statistics and states, no n-grams.

    Of several the one whose id starts with `chosen` comes first, then those fitted at a context of `n_context` tokens,
    of these a shipped one, then the one fitted here last; settings without any are left out.
    """
    usable = fitted_on(card, known_predictors(settings) if among is None else among)
    usable.sort(key=lambda each: (not chosen or not each.id.startswith(chosen), each.k != n_context, not each.shipped))
    return {
        setting: next(each for each in usable if each.setting == setting)
        for setting in SETTINGS
        if any(each.setting == setting for each in usable)
    }


def fitted_on(card: Card, among: Sequence[Known]) -> list[Known]:
    """Those of some predictors that can speak of a model's traces, in their order."""
    return [
        each
        for each in among
        if each.weights == card.weights and not each.transfers and not each.about["request"]["ngrams"]
    ]


def epochs_of(folder: Path) -> list[dict[str, Any]]:
    """Epochs of a fit so far, also while it runs: epoch, train_loss, validation_loss, validation_accuracy,
    learning_rate, seconds, best. Empty where it has not begun."""
    try:
        lines = (folder / PROGRESS).read_text("utf-8").splitlines()
        found = [json.loads(line) for line in lines]
        return [each for each in found if isinstance(each, dict)]
    except (OSError, ValueError, RecursionError):
        return []
