"""The suite's model card and data card, written from what was measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from memviz.demo.evaluation import LENGTHS
from memviz.demo.recipe import ROW, SEQUENCE, WINDOW, Recipe
from memviz.demo.stream import TrainingData
from memviz.measures.score import LEVELS


def _table(frame: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * len(frame.columns)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in frame.to_numpy(object)]) + "\n"


def data_card(data: TrainingData, recipe: Recipe) -> str:
    """What the corpus holds, where it is from, how often each row is in the stream."""
    kinds = np.where(data.background, "background", data.bucket.astype(str))
    order = [str(n) for n in sorted(recipe.buckets)] + ["background"]
    rows = pd.crosstab(data.domain, kinds)[order].reset_index(names="domain")
    sources = data.documents.groupby("domain")[["licence", "source"]].first().reset_index()
    return f"""# Data card of the bundled suite

{len(data.ids):,} rows of {ROW} tokens ({data.ids.size:,} unique tokens) from {data.documents["title"].nunique():,}
documents of {len(sources)} domains. Every row may be redistributed:

{_table(sources)}
`texts.parquet` was gathered from the packages named by `scripts/gather_texts.py`; the recipe starts from it.

No two rows share {WINDOW} tokens in a row: of two that did, the first was kept. Rows were then assigned to buckets at
random (seed {recipe.assignment_seed}), in each domain its share of every bucket. Held-out rows (bucket 0) were read
neither by the models nor by the tokenizer's training; they come from passages ({recipe.kept_from_tokenizer:.0%}, chosen
at random) that the tokenizer was not shown. A bucket minus the held-out rows is therefore an effect of exposure.

Rows per domain and bucket (times in the stream; the background is seen once):

{_table(rows)}
The stream has {len(data.order):,} exposures in one random order, a separator (id 0) before each, cut into
{len(data.sequences):,} sequences of {SEQUENCE} tokens, {data.batch} sequences a step, {data.n_steps:,} steps,
{data.sequences.size:,} tokens. A row that a sequence's end cuts goes on at the start of the next one. Every size and
seed reads the same stream in the same order. `exposures.parquet` lists each exposure: row, sequence, offset, left row,
step; `rows.parquet` the ids, bucket and document; `documents.parquet` titles and licences.
"""


def _wide(group: pd.DataFrame, cells: pd.Series, index: Sequence[str] = ("bucket",)) -> str:
    """A table with a column a model, in the order of the models, and buckets by their number."""
    wide = group.assign(cell=cells).pivot(index=list(index), columns="model", values="cell")
    wide = wide[list(dict.fromkeys(group["model"]))].reset_index()
    number = pd.to_numeric(wide["bucket"], errors="coerce")
    return _table(wide.assign(number=number).sort_values([*index[:-1], "number"]).drop(columns="number"))


def _interval(mean: str, low: str, high: str, group: pd.DataFrame, pattern: str) -> pd.Series:
    return group.apply(lambda g: f"{pattern} ({pattern} to {pattern})".format(g[mean], g[low], g[high]), axis=1)


def model_card(models: pd.DataFrame, summary: pd.DataFrame, ladder: Sequence[pd.DataFrame], recipe: Recipe) -> str:
    """What each model is and recites. models: one line each; summary, ladder: as `evaluation` gives them."""
    inner = f"; the matrices between embedding and output by Muon at {recipe.muon:g}" if recipe.muon else ""
    parts = [
        "# Model card of the bundled suite\n",
        "GPT-NeoX models as Pythia's (rotary positions, parallel residual, untied embeddings), trained once over the "
        "stream of the data card, in float32, shipped in float16 and run in float32. "
        "For the study of memorization only: they know nothing but these texts.\n",
        _table(models),
        f"Learning rate {recipe.learning_rate:g} x (128 / width)^{recipe.rate_power:g}, AdamW (0.9, 0.95), weight "
        f"decay {recipe.weight_decay:g}{inner}, {recipe.warmup} steps of warm-up, constant, then a linear cooldown "
        f"over the last {recipe.cooldown:.0%} of the steps; gradients clipped at 1. Checkpoints of earlier steps are "
        "named `@step`; those before the cooldown have not been cooled down.\n",
        "Scores: greedy decoding in float32, mean memorization score M with a 95 % bootstrap interval over rows, and "
        "the share with M = 1 with its Wilson interval. The intervals leave out the randomness of training, of which "
        "the sizes with several seeds give an impression. Conditions: *sliding*, the row's first 32 tokens are the "
        "context; *anchored*, tokens 64 to 95, so that the target stays where a context of 96 has it; *foreign*, 16 "
        "tokens of a held-out row come before the first 32.\n",
    ]
    parts += ["## From size to size, sliding, m = 32\n", *map(_table, ladder)]
    whole = summary[summary["domain"] == "all"]
    ends = whole[~whole["model"].str.contains("@step")]
    for (condition, m), group in ends.groupby(["condition", "m"], sort=False):
        parts.append(f"## Mean M, {condition}, m = {m}\n")
        parts.append(_wide(group, _interval("mean", "mean_low", "mean_high", group, "{:.3f}")))
        parts.append(f"## Share with M = 1, {condition}, m = {m}\n")
        parts.append(_wide(group, _interval("full", "full_low", "full_high", group, "{:.1%}")))
    names = [f"share_{level.replace(' ', '_')}" for level in LEVELS]
    for m in LENGTHS:
        group = ends[(ends["condition"] == "sliding") & (ends["m"] == m)]
        parts.append(f"## Per cent of rows at each level ({', '.join(LEVELS)}), sliding, m = {m}\n")
        parts.append(_wide(group, group[names].map(lambda value: f"{100 * value:.0f}").agg("/".join, axis=1)))
    chosen = summary[(summary["condition"] == "sliding") & (summary["m"] == 32)]
    early = chosen["model"].str.contains("@step")
    group = chosen[(chosen["domain"] == "all") & early]
    if len(group):
        parts += ["## Mean M of earlier steps, sliding, m = 32\n", _wide(group, group["mean"].map("{:.3f}".format))]
    group = chosen[(chosen["domain"] != "all") & ~early]
    parts += ["## Mean M by domain, sliding, m = 32\n"]
    parts.append(_wide(group, group["mean"].map("{:.3f}".format), ("domain", "bucket")))
    parts.append("Every combination of model, condition, bucket, domain and m is in `summary.parquet`.\n")
    return "\n".join(parts)
