"""What each model of the suite recites: every bucketed row, asked in three ways, by the engine itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest, bootstrap

from memviz.catalog import find_model
from memviz.demo.recipe import ROW, WINDOW
from memviz.demo.stream import TrainingData
from memviz.demo.suite import background_sample
from memviz.engine.backend import Backend
from memviz.engine.preparing import prepare
from memviz.engine.tracing import survey
from memviz.measures.score import LEVELS, level_of
from memviz.records import Prompts

CONTEXT = 32
LENGTHS = (16, 32, 48, 64, 96)
N_BACKGROUND = 400
ROWS_AT_ONCE = 200
CONDITIONS = ("sliding", "anchored", "foreign")
SEED = 1


def _rows(data: TrainingData) -> np.ndarray:
    """Every row of a bucket, and a seeded sample of the background."""
    sample = background_sample(data, N_BACKGROUND)
    return np.sort(np.concatenate([np.flatnonzero(~data.background), sample]))


def _conditions(data: TrainingData, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, contexts (n, k) and truths (n, m) of the three ways of asking."""
    ids = data.ids[rows].astype(np.int64)
    yield "sliding", ids[:, :CONTEXT], ids[:, CONTEXT:]
    yield "anchored", ids[:, ROW - 2 * CONTEXT : ROW - CONTEXT], ids[:, ROW - CONTEXT :]
    held_out = np.flatnonzero(data.bucket == 0)
    pick = np.random.default_rng(SEED).integers(len(held_out), size=len(rows))
    others = held_out[np.where(held_out[pick] == rows, pick + 1, pick) % len(held_out)]
    foreign = data.ids[others, :WINDOW].astype(np.int64)
    yield "foreign", np.concatenate([foreign, ids[:, :CONTEXT]], axis=1), ids[:, CONTEXT:]


def evaluate(
    name: str,
    data: TrainingData,
    backend: Backend,
    wanted: Sequence[str] = CONDITIONS,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """One line a row and condition: model, row, condition, prefix, and n_matches_{m} for each m that fits.

    Conditions: the row's first 32 tokens; its tokens 64 to 95 (the target stays where a context of 96 has it); the
    first 32 after 16 tokens of a held-out row.
    """
    card = prepare(find_model(name, backend.settings), backend.settings)
    loaded = backend.load(card, "float32")
    noise = backend.logit_noise(loaded)
    rows = _rows(data)
    parts = []
    for condition, contexts, truths in _conditions(data, rows):
        if condition not in wanted:
            continue
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            found = survey(loaded, Prompts(contexts[part], truths[part]), noise)
            is_hit = found.generated_ids == truths[part]
            prefix, reached = is_hit.cumprod(axis=1).sum(axis=1), is_hit.cumsum(axis=1)
            columns = {f"n_matches_{m}": reached[:, m - 1] for m in LENGTHS if m <= truths.shape[1]}
            parts.append(
                pd.DataFrame({"model": name, "row": rows[part], "condition": condition, "prefix": prefix, **columns})
            )
            report(start, len(rows))
    return pd.concat(parts, ignore_index=True)


def summary(scores: pd.DataFrame, data: TrainingData) -> pd.DataFrame:
    """Per model, condition, m, bucket ("background" is its own) and domain ("all" too): n, mean score, share per level.

    mean_low and mean_high bound the mean (percentile bootstrap over rows, 95 %); full is the share with M = 1,
    full_low and full_high its Wilson interval. Rows are the unit: none shares 16 tokens with another.
    """
    bucket = np.where(data.background, "background", data.bucket.astype(str))[scores["row"]]
    every = scores.assign(bucket=bucket, domain=data.domain[scores["row"]])
    every = pd.concat([every, every.assign(domain="all")])
    lines = []
    for m in LENGTHS:
        known = every[every[f"n_matches_{m}"].notna()]
        for keys, group in known.groupby(["model", "condition", "bucket", "domain"], sort=False):
            n_hits = group[f"n_matches_{m}"].to_numpy(int)
            score = n_hits / m
            mean, low, high = _with_ends(score)
            full = binomtest(int((n_hits == m).sum()), len(n_hits)).proportion_ci(method="wilson")
            levels = np.bincount(level_of(n_hits, m), minlength=len(LEVELS)) / len(n_hits)
            line = dict(zip(("model", "condition", "bucket", "domain"), keys, strict=True), m=m, n=len(n_hits))
            line |= {"mean": mean, "mean_low": low, "mean_high": high}
            line |= {"full": (n_hits == m).mean(), "full_low": full.low, "full_high": full.high}
            lines.append(
                line | {f"share_{name.replace(' ', '_')}": share for name, share in zip(LEVELS, levels, strict=True)}
            )
    return pd.DataFrame(lines)


def graded(scores: pd.DataFrame, data: TrainingData, models: Sequence[str], m: int = 32) -> pd.DataFrame:
    """One line a model on planted rows, sliding: n, share at low, medium or high, at medium, rows half and whole."""
    lines = []
    for model, score in zip(models, _planted(scores, data, models, m)[0].T, strict=True):
        level = level_of(np.rint(score * m).astype(int), m)
        middle = (level > 0) & (level < len(LEVELS) - 1)
        lines.append(
            {
                "model": model, "planted rows": len(score), "low, medium or high": f"{middle.mean():.1%}",
                "medium": f"{(level == 2).mean():.1%}", "exactly half": int((score == 0.5).sum()),
                "whole": int((score == 1).sum()),
            }
        )  # fmt: skip
    return pd.DataFrame(lines)


def neighbours(scores: pd.DataFrame, data: TrainingData, models: Sequence[str], m: int = 32) -> pd.DataFrame:
    """One line a pair of models next to each other: at which exposures their mean M differs most, and by how much.

    The interval is that of the mean over rows of the difference (percentile bootstrap, 95 %), not of the choice of
    exposures.
    """
    score, bucket = _planted(scores, data, models, m)
    lines = []
    for place in range(len(models) - 1):
        gap = score[:, place + 1] - score[:, place]
        at = max(np.unique(bucket).tolist(), key=lambda seen: gap[bucket == seen].mean())
        mean, low, high = _with_ends(gap[bucket == at])
        lines.append(
            {
                "from": models[place], "to": models[place + 1], "exposures": at, "rows": int((bucket == at).sum()),
                "difference of mean M": f"{mean:.3f} ({low:.3f} to {high:.3f})",
            }
        )  # fmt: skip
    return pd.DataFrame(lines)


def _with_ends(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, and its percentile interval over rows."""
    mean = float(values.mean())
    if len(values) < 2 or not np.ptp(values):
        return mean, mean, mean
    ends = bootstrap((values,), np.mean, n_resamples=1000, method="percentile", batch=100, rng=SEED)
    return mean, float(ends.confidence_interval.low), float(ends.confidence_interval.high)


def _planted(scores: pd.DataFrame, data: TrainingData, models: Sequence[str], m: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, models) M of the planted rows, sliding, and (rows,) their exposures."""
    mine = scores[scores["condition"] == CONDITIONS[0]]
    wide = mine.pivot(index="row", columns="model", values=f"n_matches_{m}")[list(models)] / m
    wide = wide[(data.bucket[wide.index] > 0) & ~data.background[wide.index]]
    return wide.to_numpy(float), data.bucket[wide.index]
