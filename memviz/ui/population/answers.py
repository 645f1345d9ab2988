"""What the population pages answer, each in one sentence of Markdown, computed from the tables that are drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from memviz.figures.dynamics import MEASURES
from memviz.maps.records import Silhouettes
from memviz.population import SizeFit, Transition
from memviz.ui.common.texts import escaped

_GROWS = {"mean": "the mean score M", "full": "the share with M = 1"}


def _span(ends: Sequence[float], form: str = ".3f") -> str:
    """A value with the ends of its interval."""
    value, low, high = ends
    return f"{value:{form}} \\[{low:{form}}, {high:{form}}\\]"


def _too_few(what: str, n: int, least: int) -> str:
    return f"Not answerable: {n:,} {what}, fewer than {max(1, least)}."


def size_answer(fit: SizeFit | None, quantity: str, least: int) -> str:
    """What doubling the parameters does to the mean score or the share with M = 1."""
    if fit is None:
        return "Not answerable: these rows were not asked of models of two sizes."
    if fit.n_rows < least:
        return _too_few("rows", fit.n_rows, least)
    about = f"{fit.n_rows:,} rows, {fit.n_models} models; interval over rows alone"
    values = [math.log(2) * each for each in (fit.slope, fit.low, fit.high)]
    if fit.kind == "power":
        values = [math.exp(each) for each in values]
    value, low, high = values
    nothing = 1.0 if fit.kind == "power" else 0.0
    if low <= nothing <= high:
        effect = "times" if fit.kind == "power" else "by"
        return f"Doubling parameters does not show in {_GROWS[quantity]}: {effect} {_span(values)} ({about})."
    if fit.kind == "power":
        return f"Doubling parameters multiplies {_GROWS[quantity]} by {_span(values, '.2f')} ({about})."
    if value > 0:
        return f"Doubling parameters adds {_span(values)} to {_GROWS[quantity]} ({about})."
    return f"Doubling parameters takes {_span((-value, -high, -low))} off {_GROWS[quantity]} ({about})."


def transition_answer(found: Transition, names: Mapping[str, str], least: int) -> str:
    """How many sequences keep their level from one model to another, and which way the others go."""
    if found.n < least:
        return _too_few("sequences", found.n, least)
    rise, fall = int(np.triu(found.counts, 1).sum()), int(np.tril(found.counts, -1).sum())
    ends = f"{escaped(names[found.smaller])} to {escaped(names[found.larger])}"
    kept = _span((found.kept.value, found.kept.low, found.kept.high), ".0%")
    return f"From {ends} {kept} of {found.n:,} sequences keep their level; {rise:,} rise and {fall:,} fall."


def boundary_answer(found: Sequence[pd.DataFrame], name: str, entropy: str, least: int) -> str:
    """What an entropy does where memorized continuations begin, beyond all rows and beyond selection alone.

    `found`: of `boundary_differences`, nothing where they are unknown; the first one is said.
    """
    if not found:
        return "Not answerable: the entropy is not known on both sides of the boundary."
    line: Mapping[Any, Any] = found[0].set_index("group").loc["memorized"].to_dict()
    n = int(line["n"])
    if n < max(1, least):
        return _too_few(f"memorized rows under {escaped(name)}", n, least)
    jump, above, null = (
        [float(line[f"{of}{end}"]) for end in ("", "_low", "_high")] for of in ("jump", "above", "null")
    )
    if math.isnan(null[1]):
        verdict = "what selection alone gives is not known here"
    else:
        band = f"what selection alone gives ({null[1]:+z.2f} to {null[2]:+z.2f}, overstated for M = 1)"
        inside = null[1] <= above[0] <= null[2]
        verdict = f"no more than {band}" if inside else f"{'above' if above[0] > null[2] else 'below'} {band}"
        if above[1] <= 0 <= above[2]:
            verdict = f"not told from 0, {verdict}"
    return (
        f"Where a memorized continuation begins, {entropy} entropy of {escaped(name)} changes by "
        f"{_span(jump, '+z.2f')} nats (n = {n:,}), less all rows {_span(above, '+z.2f')}: {verdict}."
    )


def membership_answer(line: Mapping[str, Any], score: str, name: str, least: int) -> str:
    """Whether a statistic tells members from others; `line`: of `judged`."""
    fewest = min(int(line["n_members"]), int(line["n_others"]))
    if fewest < least:
        return _too_few("rows in the smaller of the two classes", fewest, least)
    auroc = [float(line[f"auroc{end}"]) for end in ("", "_low", "_high")]
    verdict = "is not seen to tell" if auroc[1] <= 0.5 <= auroc[2] else "tells"
    wrong = ", the wrong way round" if auroc[2] < 0.5 else ""
    return (
        f"{escaped(score)} {verdict} members from others under {escaped(name)}{wrong}: AUROC {_span(auroc)}, where "
        f"0.5 is chance; {float(line['tpr']):.0%} are found at 1 % false."
    )


def dynamics_answer(table: pd.DataFrame, name: str, measure: str, state: str, variant: str, least: int) -> str:
    """Whether memorized sequences of a model lie apart otherwise than unmemorized ones at the last step.

    `table`: of `memviz.maps.dynamics_table`.
    """
    asked = (table["measure"] == measure) & (table["state"] == state) & (table["variant"] == variant)
    asked &= (table["a"] == table["b"]) & (table["step"] == table["step"].max())
    lines = table[asked].set_index("a")
    kinds = [lines.loc[group] for group in ("memorized", "unmemorized")]
    for each in kinds:
        if each["n_a"] < max(2, least) or math.isnan(each["value"]):
            return _too_few(f"{each.name} rows under {escaped(name)} ({variant})", int(each["n_a"]), least)
    own, other = kinds
    spans = [_span((each["value"], each["low"], each["high"]), ".3g") for each in kinds]
    said = f"{MEASURES[measure]} {spans[0]} against {spans[1]} (n = {own['n_a']:,} and {other['n_a']:,})"
    start = f"At the last step, memorized rows of {escaped(name)}"
    if own["low"] <= other["high"] and other["low"] <= own["high"]:
        return f"{start} are not told from unmemorized ones: {said}."
    is_more = own["value"] > other["value"]
    if measure == "norm":
        how = "have longer states" if is_more else "have shorter states"
    else:
        how = "lie closer together" if is_more == measure.startswith("cosine") else "lie farther apart"
    return f"{start} {how} than unmemorized ones: {said}."


def map_answer(found: Silhouettes, name: str, least: int) -> str:
    """Whether the groups stand apart in a model's full space at the last step that is known."""
    known = np.flatnonzero(~np.isnan(found.value))
    if not len(known):
        return f"Not answerable: of {escaped(name)} fewer than two groups have two rows here."
    at = known[-1]
    if found.n[at] < least:
        return _too_few(f"rows under {escaped(name)}", int(found.n[at]), least)
    value, low, high = (float(each[at]) for each in (found.value, found.null_low, found.null_high))
    verdict = "do not stand apart" if value <= high else "stand apart"
    when = "after the context" if found.step[at] < 0 else f"at t = {found.step[at]}"
    return (
        f"In the full space of {escaped(name)} the groups {verdict} {when}: silhouette {value:.3f}, under shuffled "
        f"labels {low:.3f} to {high:.3f} (n = {found.n[at]:,} rows)."
    )


def precision_answer(line: Mapping[str, Any], half: str, name: str, least: int) -> str:
    """Which share of a model's rows has another M in a half precision."""
    n = int(line["n"])
    if n < max(1, least):
        return _too_few(f"rows under {escaped(name)}", n, least)
    moved = [float(line[f"moved{end}"]) for end in ("", "_low", "_high")]
    return f"In {half} M is another one for {_span(moved, '.1%')} of {n:,} rows under {escaped(name)}."
