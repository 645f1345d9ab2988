"""A fitted encoder asked about a few rows without torch: pages need no import of seconds and no turn in the queue.

The same numbers as `module.Encoder` in float32, up to rounding; a test compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from memviz.errors import InputError
from memviz.predictor.features import Inputs, Tokens, tokens_of, with_course
from memviz.predictor.files import WEIGHTS
from memviz.predictor.presets import Setting

Weights = Mapping[str, np.ndarray]
_NORM_EPSILON = 1e-5


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """The weights of a predictor's folder in float32. Raises InputError."""
    try:
        return {name: values.astype(np.float32) for name, values in load_file(folder / WEIGHTS).items()}
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{folder / WEIGHTS} cannot be read ({error}): fit the predictor again") from None


def probability(weights: Weights, about: Mapping[str, Any], inputs: Inputs, n_positions: int) -> np.ndarray:
    """(n, n_positions) float32: calibrated probability that the generated token is the true one, as `Predictor` has it.

    inputs must fit the predictor (`memviz.predictor.objection`); at most its m positions.
    """
    features = inputs if about["features"]["hidden"] else Inputs(inputs.k, None, inputs.statistics)
    tokens = tokens_of(features, about["setting"], n_positions)
    members = _members(weights, about["preset"].get("members", 1))
    logits = _logits(members, about, tokens, inputs.k, n_positions).mean(axis=0)
    return (1 / (1 + np.exp(-logits / about["temperature"]))).astype(np.float32)


def _members(weights: Weights, n: int) -> Weights:
    """The weights of n encoders, side by side along a first axis."""
    if n == 1:
        return {name: values[None] for name, values in weights.items()}
    names = [name.removeprefix("members.0.") for name in weights if name.startswith("members.0.")]
    return {name: np.stack([weights[f"members.{number}.{name}"] for number in range(n)]) for name in names}


def _logits(weights: Weights, about: Mapping[str, Any], tokens: Tokens, k: int, n_positions: int) -> np.ndarray:
    """(members, n, n_positions)"""
    from scipy.special import erf  # a third of a second of imports, only where a predictor is asked

    preset, setting = about["preset"], about["setting"]
    statistics = _standard(weights, "statistics", tokens.statistics)
    course = with_course(statistics, setting, k) if preset.get("course") else statistics
    states = _linear(weights, "of_statistics", course)
    if tokens.hidden is not None:
        read = _standard(weights, "hidden", tokens.hidden.astype(np.float32))
        read = _linear(weights, "compress", read) if preset.get("compressed") else read
        states = states + _linear(weights, "of_hidden", read)
    first = k if setting == "published" else 1
    states = states + weights["positions"][:, None, first : first + states.shape[2]]
    if setting == "context":
        queries = weights["positions"][:, None, k : k + n_positions] + weights["query"][:, None, None]
        queries = np.broadcast_to(queries, (*states.shape[:2], *queries.shape[2:]))
        states = np.concatenate([states, queries], axis=2)
    for layer in range(preset["n_layers"]):
        name = f"layers.layers.{layer}"
        states = states + _attended(weights, name, states, preset["n_heads"], _blocked(setting, states.shape[2], k))
        inner = _linear(weights, f"{name}.linear1", _normed(weights, f"{name}.norm2", states))
        states = states + _linear(weights, f"{name}.linear2", inner * 0.5 * (1 + erf(inner / math.sqrt(2))))
    states = _normed(weights, "layers.norm", states)
    said = _linear(weights, "head", states[:, :, -n_positions:]).astype(np.float64)
    return _chained(said) if preset.get("hazard") else said[..., 0]


def _chained(said: np.ndarray) -> np.ndarray:
    """As `module.chained`."""
    stays, hits = said[..., 0], said[..., 1]
    before = np.pad(_log_sigmoid(stays).cumsum(axis=2)[..., :-1], ((0, 0), (0, 0), (1, 0)))
    gone = np.log(np.maximum(-np.expm1(before), 1e-12))
    yes = np.logaddexp(before + _log_sigmoid(stays), gone + _log_sigmoid(hits))
    return yes - np.logaddexp(before + _log_sigmoid(-stays), gone + _log_sigmoid(-hits))


def _log_sigmoid(values: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, -values)


def _attended(weights: Weights, name: str, states: np.ndarray, n_heads: int, blocked: np.ndarray | None) -> np.ndarray:
    *outer, p, width = states.shape
    own = f"{name}.self_attn"
    mixed = _times(_normed(weights, f"{name}.norm1", states), weights[f"{own}.in_proj_weight"])
    mixed = (mixed + weights[f"{own}.in_proj_bias"][:, None, None]).reshape(*outer, p, 3, n_heads, width // n_heads)
    query, key, value = mixed.transpose(3, 0, 1, 4, 2, 5)
    scores = query @ key.swapaxes(-1, -2) / np.float32(math.sqrt(width // n_heads))
    if blocked is not None:
        scores = np.where(blocked, -np.inf, scores)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return _linear(weights, f"{own}.out_proj", (shares @ value).swapaxes(2, 3).reshape(*outer, p, width))


def _blocked(setting: Setting, n: int, k: int) -> np.ndarray | None:
    """(n, n) bool, as `module.blocked`: True where a token (line) must not attend to another (column)."""
    if setting == "published":
        return None
    if setting == "causal":
        return np.triu(np.ones((n, n), bool), 1)
    return np.broadcast_to(np.arange(n) >= k, (n, n)) & ~np.eye(n, dtype=bool)


def _standard(weights: Weights, name: str, values: np.ndarray) -> np.ndarray:
    """Of every member alike: they were scaled together."""
    return (values - weights[f"{name}_mean"][0]) / weights[f"{name}_std"][0]


def _times(states: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(n, p, i) or (members, n, p, i) and (members, o, i) -> (members, n, p, o)"""
    return states @ matrix.swapaxes(1, 2)[:, None]


def _linear(weights: Weights, name: str, values: np.ndarray) -> np.ndarray:
    return _times(values, weights[f"{name}.weight"]) + weights[f"{name}.bias"][:, None, None]


def _normed(weights: Weights, name: str, values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(_NORM_EPSILON))
    return scaled * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]
