"""A fitted predictor on disk: weights as safetensors, everything else as JSON, written last; and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from memviz import disk
from memviz.errors import InputError
from memviz.predictor.features import NGRAMS, STATISTICS, Inputs, Scaling, tokens_of
from memviz.predictor.files import ABOUT, WEIGHTS, read_about
from memviz.predictor.network.module import Network, Outputs, network_of
from memviz.predictor.presets import Preset, Setting

_MAX_BYTES = 2**30
"""Of weights that are read."""


@dataclass(frozen=True)
class Predictor:
    """A fitted encoder and what it was fitted on."""

    encoder: Network
    about: dict[str, Any]
    """As `predictor.json` has it: id, setting, k, m, preset, features, temperature, model, data, metrics, versions."""

    @property
    def setting(self) -> Setting:
        return self.about["setting"]

    @property
    def k(self) -> int:
        return self.about["k"]

    @property
    def m(self) -> int:
        return self.about["m"]

    def outputs(
        self, inputs: Inputs, n_positions: int | None = None, tick: Callable[[], None] = lambda: None
    ) -> Outputs:
        """Logits of a match, not yet divided by the temperature, and of staying intact; at most m positions.

        The published setting sees exactly the positions asked for. Raises InputError where the inputs do not fit.
        """
        n_positions = n_positions or self.m
        self._check(inputs, n_positions)
        features = inputs if self.about["features"]["hidden"] else Inputs(inputs.k, None, inputs.statistics)
        return self.encoder.outputs(tokens_of(features, self.setting, n_positions), n_positions, tick)

    def logits(
        self, inputs: Inputs, n_positions: int | None = None, tick: Callable[[], None] = lambda: None
    ) -> np.ndarray:
        """(n, n_positions) float32 of a match, as `outputs`."""
        return self.outputs(inputs, n_positions, tick)[0]

    def probability(
        self, inputs: Inputs, n_positions: int | None = None, tick: Callable[[], None] = lambda: None
    ) -> np.ndarray:
        """(n, n_positions) float32: calibrated probability that the generated token is the true one."""
        scaled = self.logits(inputs, n_positions, tick).astype(np.float64) / self.about["temperature"]
        return (1 / (1 + np.exp(-scaled))).astype(np.float32)

    def _check(self, inputs: Inputs, n_positions: int) -> None:
        wanted, features = self.about["features"], "features of this predictor"
        if inputs.k != self.k:
            raise InputError(f"this predictor was fitted at k = {self.k}, the context has {inputs.k} tokens")
        if not 1 <= n_positions <= self.m:
            raise InputError(f"this predictor was fitted at m = {self.m}: ask for 1 to {self.m} positions")
        if inputs.statistics.shape[2] != len(wanted["statistics"]):
            raise InputError(f"{features} are {', '.join(wanted['statistics'])}: give as many")
        if wanted["hidden"] and (inputs.hidden is None or inputs.hidden.shape[2] != wanted["hidden"]):
            got = "none" if inputs.hidden is None else f"{inputs.hidden.shape[2]} numbers"
            raise InputError(f"{features} include a hidden state of {wanted['hidden']} numbers, given was {got}")


def feature_names(ngrams: bool) -> tuple[str, ...]:
    return (*STATISTICS, *NGRAMS) if ngrams else STATISTICS


def save(predictor: Predictor, folder: Path) -> None:
    """Write the weights, then the JSON; nothing half-written is ever read. Raises Failure."""
    weights = {name: value.detach().cpu().contiguous() for name, value in predictor.encoder.state_dict().items()}
    if predictor.about["preset"]["half"]:
        learned = dict(predictor.encoder.named_parameters())  # means and deviations stay as they are
        weights = {name: value.half() if name in learned else value for name, value in weights.items()}
    with disk.new_file(folder / WEIGHTS) as new:
        save_file(weights, new, {"format": "pt"})
    disk.write_text(folder / ABOUT, json.dumps(predictor.about, indent=1, allow_nan=False) + "\n")


def _check_size(preset: Preset, n_positions: int, n_weights: int) -> None:
    """Raise ValueError where sizes are said that the weights cannot have, before a module of that size is made."""
    of_one = preset.n_layers * max(1, preset.width) * max(1, preset.width, preset.feed_forward)
    least = max(1, preset.members) * of_one
    if least > n_weights or n_positions > 2**16:
        raise ValueError(f"sizes for {least:,} numbers are said, the weights have {n_weights:,}")


def load(folder: Path) -> Predictor:
    """A predictor from its folder, in float32. Raises InputError."""
    about = read_about(folder)
    try:
        if (folder / WEIGHTS).stat().st_size > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
        weights = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
        names = ("hidden_mean", "hidden_std", "statistics_mean", "statistics_std")
        first = "members.0." if "members.0.hidden_mean" in weights else ""
        scaling = Scaling(*(weights[first + name].numpy() for name in names))
        _check_size(Preset(**about["preset"]), about["k"] + about["m"], sum(v.numel() for v in weights.values()))
        with torch.random.fork_rng():
            encoder = network_of(Preset(**about["preset"]), about["setting"], about["k"], about["m"], scaling)
        encoder.load_state_dict(weights)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder / WEIGHTS} cannot be read ({error}): fit the predictor again") from None
    except Exception as error:  # what safetensors raises for a damaged file has no type of its own to be named here
        raise InputError(f"{folder / WEIGHTS} is damaged ({error}): fit the predictor again") from None
    return Predictor(encoder.eval(), about)
