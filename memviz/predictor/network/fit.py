"""Fitting an encoder: a generator of epochs that can be stopped and gone on with, decided by seed and data alone."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from memviz.disk import new_file
from memviz.errors import InputError
from memviz.predictor.features import Tokens, scaling_of
from memviz.predictor.network.module import Network, network_of, tensors
from memviz.predictor.presets import Preset, Setting

Tick = Callable[[int, int], None]
"""Called as tick(batches done, batches at most) after every batch, as tick(0, 0) between; raises to stop."""
LENGTHS = (16, 32, 48, 64)
"""Continuation sizes of the published setting's training batches, besides m: it is asked at each of them later."""
_TIMED_BATCHES = 3


@dataclass(frozen=True)
class Epoch:
    """One pass over the training part."""

    epoch: int
    """From 1."""
    train_loss: float
    """nats a token, mean over the epoch's batches, with dropout."""
    validation_loss: float
    """nats a token, without."""
    validation_accuracy: float
    """Share of tokens."""
    learning_rate: float
    """At its end."""
    seconds: float
    best: bool
    """Whether its validation loss is the smallest so far."""


class Trainer:
    """An encoder under training. `state()` after an epoch, given to `restore` of an equal trainer, goes on exactly."""

    def __init__(
        self,
        preset: Preset,
        setting: Setting,
        k: int,
        train: tuple[Tokens, np.ndarray],
        validation: tuple[Tokens, np.ndarray],
        seed: int,
        device: torch.device | None = None,
    ) -> None:
        """train, validation: tokens and (n, m) bool labels. Without a device it is the processor."""
        self.preset, self.seed, self.device = preset, seed, device or torch.device("cpu")
        self.train, self.validation = train, validation
        self.m = train[1].shape[1]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.scaling = scaling_of(train[0])
            if not all(np.isfinite(each).all() for each in vars(self.scaling).values()):
                raise InputError("a state or statistic of the training rows is no finite number: sweep them anew")
            self.encoder = network_of(preset, setting, k, self.m, self.scaling).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.encoder.parameters(), lr=preset.learning_rate, weight_decay=preset.weight_decay
        )
        self.history: list[Epoch] = []
        self.best = copy.deepcopy(self.encoder.state_dict())

    @property
    def n_batches(self) -> int:
        """Of an epoch."""
        return math.ceil(len(self.train[0]) / self.preset.batch)

    @property
    def ended(self) -> bool:
        """Whether no further epoch is due."""
        losses = [each.validation_loss for each in self.history]
        since = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
        return len(losses) >= self.preset.n_epochs or since >= self.preset.patience

    def seconds_at_most(self) -> float:
        """Seconds all epochs would take, from a few batches on a copy; nothing of this trainer changes."""
        trial = copy.deepcopy(self.encoder)
        chosen = np.arange(min(self.preset.batch, len(self.train[0])))
        times = []
        with torch.random.fork_rng():
            for _ in range(_TIMED_BATCHES + 1):
                start = time.perf_counter()
                loss = self._loss(trial, chosen, self.m)
                loss.backward()
                loss.item()  # a GPU has then done all that was asked
                times.append(time.perf_counter() - start)
        left = self.preset.n_epochs - len(self.history)
        per_row = min(times) / len(chosen)
        return left * per_row * (len(self.train[0]) + len(self.validation[0]) / 3)

    def epochs(self, tick: Tick = lambda done, total: None) -> Iterator[Epoch]:
        """Train until it ends, an epoch at a time. Raises whatever `tick` raises; then the epoch under way is lost."""
        while not self.ended:
            self.history.append(self._epoch(tick))
            if self.history[-1].best:
                self.best = copy.deepcopy(self.encoder.state_dict())
            yield self.history[-1]

    def state(self) -> dict[str, Any]:
        """Everything that decides the epochs to come."""
        return {
            "encoder": self.encoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "history": [asdict(each) for each in self.history],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of a trainer of the same data and settings. Raises RuntimeError, KeyError, TypeError."""
        self.encoder.load_state_dict(state["encoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best = state["best"]
        self.history = [Epoch(**each) for each in state["history"]]

    def fitted(self) -> Network:
        """The encoder of the best epoch on the processor, its weights rounded to float16 where the preset says so."""
        weights = {name: value.clone() for name, value in self.best.items()}
        if self.preset.half:
            learned = dict(self.encoder.named_parameters())
            weights = {name: value.half().float() if name in learned else value for name, value in weights.items()}
        found = copy.deepcopy(self.encoder)
        found.load_state_dict(weights)
        return found.cpu().eval()

    def _epoch(self, tick: Tick) -> Epoch:
        start, done = time.perf_counter(), len(self.history)
        generator = np.random.default_rng([self.seed, done])
        order = generator.permutation(len(self.train[0]))
        lengths = self._lengths(generator)
        losses = []
        self.encoder.train()
        with torch.random.fork_rng():
            torch.manual_seed(int(generator.integers(2**62)))  # of dropout
            for batch in range(self.n_batches):
                rate = self._rate(done * self.n_batches + batch)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                chosen = np.sort(order[batch * self.preset.batch : (batch + 1) * self.preset.batch])
                loss = self._loss(self.encoder, chosen, int(lengths[batch]))
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
                self.optimizer.step()
                self.optimizer.zero_grad()
                losses.append(loss.item())
                tick(done * self.n_batches + batch + 1, self.preset.n_epochs * self.n_batches)
        loss_now, accuracy = self._validate(lambda: tick(0, 0))
        best = loss_now < min((each.validation_loss for each in self.history), default=math.inf)
        seconds = time.perf_counter() - start
        return Epoch(done + 1, float(np.mean(losses)), loss_now, accuracy, rate, seconds, best)

    def _lengths(self, generator: np.random.Generator) -> np.ndarray:
        """(n_batches,) continuation size of each batch: m, but for the published setting, which sees what follows."""
        if self.encoder.setting != "published":
            return np.full(self.n_batches, self.m)
        return generator.choice([*(length for length in LENGTHS if length < self.m), self.m, self.m], self.n_batches)

    def _rate(self, step: int) -> float:
        total = self.preset.n_epochs * self.n_batches
        warm = min(1.0, (step + 1) / self.n_batches)
        return (
            self.preset.learning_rate
            * warm
            * (0.5 * (1 + math.cos(math.pi * step / total)) if self.preset.decays else 1.0)
        )

    def _loss(self, encoder: Network, chosen: np.ndarray, m: int) -> torch.Tensor:
        tokens, labels = self.train
        if encoder.setting == "published" and m < self.m:
            tokens = Tokens(
                tokens.setting,
                None if tokens.hidden is None else tokens.hidden[:, :m],
                tokens.statistics[:, :m],
            )
        target = torch.from_numpy(labels[chosen, :m].astype(np.float32)).to(self.device)
        return encoder.loss(*tensors(tokens, chosen, self.device), m, target)

    def _validate(self, tick: Callable[[], None]) -> tuple[float, float]:
        tokens, labels = self.validation
        logits = self.encoder.logits(tokens, self.m, tick)
        return log_loss(logits, labels), float(((logits > 0) == labels).mean())


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean -log of the probability given to the labels, nats."""
    return float(np.logaddexp(0, np.where(labels, -logits, logits).astype(np.float64)).mean())


def temperature_of(logits: np.ndarray, labels: np.ndarray) -> float:
    """What logits are divided by so that the log loss is smallest, 0.05 to 20. Guo et al. 2017, temperature scaling."""
    found = minimize_scalar(
        lambda x: log_loss(logits / math.exp(x), labels), bounds=(math.log(0.05), math.log(20)), method="bounded"
    )
    return float(math.exp(found.x))


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all. Raises Failure."""
    with new_file(path) as new:
        torch.save(state, new)


def load_state(path: Path) -> dict[str, Any] | None:
    """A checkpoint, or None where there is none that can be read; only tensors and plain values are read."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except Exception:  # whatever torch makes of a damaged file: it is trained anew
        return None
