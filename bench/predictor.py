"""Seconds of fitting a predictor and of applying it, as a share of a trace; and the tuning of the presets.

Fitting: the rows of a finished sweep of one model (docs/predictor.md names the one it is measured on), data reading and
evaluation told apart. Applying: prompts of the same rows one by one, trace and prediction in turn, medians.
Tuning (--tune): loss and accuracy of the validation part alone for each of CONFIGURATIONS; the test part is not read.

    python bench/predictor.py --sweep FOLDER --model suite-1.8m [--settings causal] [--tune]
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from memviz.catalog import find_model
from memviz.engine.backend import Backend
from memviz.engine.preparing import prepare
from memviz.engine.tracing import trace
from memviz.predictor import SETTINGS, PredictorData
from memviz.predictor.applying import inputs_of
from memviz.predictor.baselines import boosted
from memviz.predictor.data import read_data
from memviz.predictor.features import tokens_of
from memviz.predictor.forward import probability
from memviz.predictor.network.fit import Trainer, log_loss
from memviz.predictor.presets import PRESETS, Preset
from memviz.records import Decoding, Prompts
from memviz.settings import load_settings
from memviz.store import Store
from memviz.sweeps import read_sweep
from memviz.sweeps.states import texts_of
from memviz.tasks.base import Context

K, M = 32, 64
BOOSTING = "boosting"
N_PROMPTS = 40
_DEFAULT, _SMALL = PRESETS["default"], PRESETS["small"]
CONFIGURATIONS: dict[str, Preset] = {
    "default": _DEFAULT,
    "12 epochs": replace(_DEFAULT, n_epochs=12),
    "learning rate 5e-4": replace(_DEFAULT, learning_rate=5e-4),
    "learning rate 2e-3": replace(_DEFAULT, learning_rate=2e-3),
    "dropout 0.2": replace(_DEFAULT, dropout=0.2),
    "weight decay 0.1": replace(_DEFAULT, weight_decay=0.1),
    "1 layer": replace(_DEFAULT, n_layers=1),
    "width 64": replace(_DEFAULT, width=64, feed_forward=128),
    "small": _SMALL,
    "small 16 epochs": replace(_SMALL, n_epochs=16, patience=4),
    "small 1 layer": replace(_SMALL, n_layers=1),
    "small learning rate 4e-3": replace(_SMALL, learning_rate=4e-3),
    "small dropout 0.2": replace(_SMALL, dropout=0.2),
    "small 6 epochs": (_SIX := replace(_SMALL, n_epochs=6)),
    "courses": (_COURSES := replace(_SIX, course=True)),
    "chained": (_CHAINED := replace(_COURSES, hazard=True)),
    "half dropped": replace(_CHAINED, hidden_dropout=0.5),
    "reduced": (_REDUCED := replace(_CHAINED, hidden_dropout=0.5, compressed=4)),
    "chained, 3 encoders": replace(_CHAINED, members=3),
    "reduced, 3 encoders": replace(_REDUCED, members=3),
    "reduced, not chained": (_FREE := replace(_REDUCED, hazard=False)),
    "reduced, not chained, 4 encoders": replace(_FREE, members=4),
    "ensemble": PRESETS["ensemble"],
}


def fitted(
    data: PredictorData, setting: str, preset: Preset, device: torch.device, seed: int = 0
) -> tuple[Trainer, float, float]:
    """A trainer that has ended, its seconds, and the processor's own, which a busy machine does not lengthen."""
    parts = [data.where(data.places(name)) for name in ("train", "validation")]
    train, validation = ((tokens_of(part.inputs, setting, M), part.match) for part in parts)
    start, busy = time.perf_counter(), time.process_time()
    trainer = Trainer(preset, setting, K, train, validation, seed, device)
    for _ in trainer.epochs():
        pass
    return trainer, time.perf_counter() - start, time.process_time() - busy


def report(name: str, setting: str, trainer: Trainer, seconds: float, busy: float) -> None:
    tokens, match = trainer.validation
    tell(name, setting, trainer.fitted().logits(tokens, M), match, seconds, busy, f"epochs {len(trainer.history)}  ")


def tell(
    name: str, setting: str, logits: np.ndarray, match: np.ndarray, seconds: float, busy: float, more: str = ""
) -> None:
    right = (logits > 0) == match
    print(
        f"{setting:9} {name:32} loss {log_loss(logits, match):.4f}  token {right.mean():.4f}  "
        f"full {right.all(axis=1).mean():.3f}  AUROC {roc_auc_score(match.ravel(), logits.ravel()):.4f}  {more}"
        f"{seconds:.0f} s, {busy:.0f} s of a core",
        flush=True,
    )


def boosting(data: PredictorData, setting: str) -> None:
    """The rival on the same validation rows, which chose its way and its number of trees."""
    train, validation = (data.where(data.places(name)) for name in ("train", "validation"))
    start, busy = time.perf_counter(), time.process_time()
    p = boosted(train, setting, 0, validation)(validation, M).clip(1e-7, 1 - 1e-7)
    took = time.perf_counter() - start, time.process_time() - busy
    tell(BOOSTING, setting, np.log(p) - np.log1p(-p), validation.match, *took)


def apply_share(sweep_folder: Path, model: str, backend: Backend, trainer: Trainer) -> None:
    """Medians of seconds of a trace with its hidden states, and of the predictor on it as pages ask it."""
    card = prepare(find_model(model, backend.settings), backend.settings)
    loaded, texts = backend.load(card, "float32"), texts_of(read_sweep(sweep_folder), model, K, M)
    noise, encoder, of_trace, of_predictor = backend.logit_noise(loaded), trainer.fitted(), [], []
    weights = {name: value.numpy() for name, value in encoder.state_dict().items()}
    about = {"preset": asdict(trainer.preset), "setting": encoder.setting, "temperature": 1.0}
    about["features"] = {"hidden": trainer.train[0].hidden is not None}
    for row in range(N_PROMPTS + 2):
        ids = texts.true_ids[row : row + 1]
        start = time.perf_counter()
        found = trace(loaded, Prompts(ids[:, :K], ids[:, K:]), M, Decoding(), noise)
        middle = time.perf_counter()
        probability(weights, about, inputs_of(found), M)
        of_trace.append(middle - start)
        of_predictor.append(time.perf_counter() - middle)
    a, b = statistics.median(of_trace[2:]), statistics.median(of_predictor[2:])
    print(f"trace {1000 * a:.1f} ms, predictor {1000 * b:.1f} ms: {b / a:.1%} (medians of {N_PROMPTS} prompts)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sweep", type=Path, required=True)
    parser.add_argument("--model", default="suite-1.8m")
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--presets", default="default")
    parser.add_argument("--no-hidden", action="store_true", help="Statistics alone.")
    parser.add_argument(
        "--tune", nargs="?", const=";".join(CONFIGURATIONS), help=f"Of CONFIGURATIONS or {BOOSTING}, with semicolons."
    )
    parser.add_argument("--windows", type=int, default=1, help="Of each training row.")
    parser.add_argument("--seeds", type=int, default=1, help="So many fits of each configuration.")
    asked = parser.parse_args()
    settings = load_settings()
    context = Context(settings, Store(settings.cache / "results", settings.cache_limit))
    backend = context.backend
    parts = ("train", "validation")
    start = time.perf_counter()
    how = {"hidden": not asked.no_hidden, "parts": parts, "windows": asked.windows}
    data = read_data(read_sweep(asked.sweep), asked.model, K, M, context, **how)
    sizes = [len(data.places(name)) for name in parts]
    print(
        f"{asked.model}: {sizes[0]:,} training and {sizes[1]:,} validation rows x {M} tokens, share of hits "
        f"{data.match.mean():.3f}; read in {time.perf_counter() - start:.0f} s; {backend.device.type}, "
        f"{torch.get_num_threads()} threads",
        flush=True,
    )
    for setting in asked.settings.split(","):
        if asked.tune:
            for name in map(str.strip, asked.tune.split(";")):
                if name == BOOSTING:
                    boosting(data, setting)
                for seed in range(asked.seeds if name != BOOSTING else 0):
                    report(name, setting, *fitted(data, setting, CONFIGURATIONS[name], backend.device, seed))
            continue
        for name in asked.presets.split(","):
            trainer, *took = fitted(data, setting, PRESETS[name], backend.device)
            report(name, setting, trainer, *took)
            apply_share(asked.sweep, asked.model, backend, trainer)
    always_miss = 1 - data.match[data.places("validation")].mean()
    print(f"validation: always 'not memorized' is right at {np.round(always_miss, 4)} of tokens")


if __name__ == "__main__":
    main()
