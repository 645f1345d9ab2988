"""The figures of the population pages as tables of text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from memviz.errors import InputError
from memviz.findings.evidence.material import SEED, K, M, Material
from memviz.findings.markdown import number, span, table
from memviz.measures.score import LEVELS
from memviz.population.boundary import boundary_differences
from memviz.population.curves import context_points, continuation_points, size_points, summary
from memviz.population.filters import is_true
from memviz.population.fits import SizeFit, size_fits
from memviz.population.reported import DIRECTIONS, reported_frequencies
from memviz.population.transitions import transitions
from memviz.population.weighting import POPULATIONS, Population, row_weights
from memviz.sweeps.scored import scored_background
from memviz.sweeps.task import ANCHORED, SLIDING

JUMPS = {
    "entropy_free_running": ("Entropy, nats", 1.0),
    "frequency_1": ("1-gram frequency, per mille of the stream's tokens", 1000.0),
    "frequency_2": ("2-gram frequency, per mille of the stream's tokens", 1000.0),
    "frequency_3": ("3-gram frequency, per mille of the stream's tokens", 1000.0),
}


def numbers(
    material: Material, strata: pd.DataFrame | None, pictures: Mapping[str, str] | None = None
) -> Iterator[str]:
    """One section a figure; a figure that the sweeps have nothing for says so. pictures: name -> path of its file."""
    sections: dict[str, tuple[Callable[[Material], str], tuple[str, ...]]] = {
        f"Model size, k = {K}, m = {M}": (_sizes, ("size",)),
        f"Continuation size, k = {K}": (
            lambda found: _curve(found, continuation_points(found.trained), "m"),
            ("continuation",),
        ),
        f"Context size, m = {M}, sliding": (
            lambda found: _curve(found, context_points(found.trained, SLIDING, M), "k"),
            ("context-sliding",),
        ),
        f"Context size, m = {M}, anchored": (
            lambda found: _curve(found, context_points(found.trained, ANCHORED, M), "k"),
            ("context-anchored",),
        ),
        "Exposures (0: held out)": (lambda found: _curve(found, found.points_with_held_out, "bucket"), ("exposures",)),
        "Domain": (lambda found: _curve(found, found.points, "domain"), ()),
        "Weighted to a stated population": (lambda found: _weighted(found, strata), ()),
        "Training seeds": (_seeds, ()),
        "From one size to the next": (_transitions, ()),
        "Boundary: index k minus index k - 1": (_boundary, ("boundary-entropy", "boundary-frequency")),
    }
    for title, (make, drawn) in sections.items():
        try:
            content = make(material)
        except InputError as error:
            content = f"Not drawn: {error}.\n"
        shown = [f"![{title}: {name}]({path})\n\n" for name in drawn if (path := (pictures or {}).get(name))]
        yield f"### {title}\n\n{''.join(shown)}{content}"


def _curve(found: Material, points: pd.DataFrame, key: str) -> str:
    """Mean score and share with M = 1 by one column, a block of columns a model."""
    lines = summary(points, ["model", key], n_resamples=found.n_resamples, seed=SEED)
    by_model = {model: lines[lines["model"] == model].set_index(key) for model in found.models}
    values = sorted(lines[key].unique())
    n = {value: lines.loc[lines[key] == value, "n"].max() for value in values}
    text = [
        [value, f"{n[value]:,}"]
        + [span(*_of(by_model[model].loc[value], name)) for name in ("mean", "full") for model in found.models]
        for value in values
    ]
    heads = [f"{name}, {model}" for name in ("mean M", "M = 1") for model in found.models]
    return table((key, "n", *heads), text)


def _of(line: Any, name: str) -> tuple[float, float, float]:
    return float(line[name]), float(line[f"{name}_low"]), float(line[f"{name}_high"])


def _sizes(found: Material) -> str:
    lines = summary(found.points, ["model"], n_resamples=found.n_resamples, seed=SEED).set_index("model")
    shares = [f"share_{name.replace(' ', '_')}" for name in LEVELS]
    text = [
        [model, f"{n:,}", f"{line['n']:,.0f}", span(*_of(line, "mean")), span(*_of(line, "full"))]
        + [number(line[name]) for name in shares]
        for model, n in found.n_parameters.items()
        for line in [lines.loc[model].to_dict()]
    ]
    head = ("Model", "Parameters", "n", "mean M", "M = 1", *LEVELS)
    fits = size_fits(found.points, found.n_parameters, n_resamples=found.n_resamples, seed=SEED)
    return table(head, text) + "\n" + "".join(f"- {_fit(fit)}\n" for fit in fits)


def _seeds(found: Material) -> str:
    if len(found.seeds) == len(found.models):
        raise InputError("the sweeps have one training seed of each size")
    points = size_points(found.every[found.every["model"].isin(found.seeds)], M, K)
    planted = points[is_true(points["bucket"].ge(1) & points["background"].eq(False))]
    lines = summary(planted, ["model"], n_resamples=found.n_resamples, seed=SEED).set_index("model")
    text = [
        [model, f"{int(line['n']):,}", *(span(*_of(line, name)) for name in ("mean", "full"))]
        for model in found.seeds
        for line in [lines.loc[model].to_dict()]
    ]
    return table(("Model", "n", "mean M", "M = 1"), text)


def _fit(fit: SizeFit) -> str:
    of = {"mean": "mean M", "full": "share with M = 1", "n_full": "number with M = 1"}[fit.quantity]
    slope = span(fit.slope, fit.low, fit.high)
    law = f"power law, exponent {slope}" if fit.kind == "power" else f"straight line, {slope} for each factor e"
    left = "" if math.isnan(fit.residual) else f", residual {number(fit.residual)}"
    return f"{of}: {law}{left}; {fit.n_models} sizes, {fit.n_rows:,} rows"


def _weighted(found: Material, strata: pd.DataFrame | None) -> str:
    if strata is None:
        raise InputError("the strata of the corpus are not known")
    rows = pd.concat([sweep.rows for sweep in found.sweeps]).drop_duplicates("row")
    more = scored_background(found.models)
    more = more[~more["row"].isin(rows["row"])]
    rows = pd.concat([rows, more.drop_duplicates("row")], ignore_index=True)
    points = size_points(pd.concat([found.sequences, more], ignore_index=True), M, K)
    held_out = points[is_true(points["bucket"].eq(0))]
    text: list[list[str]] = []
    cases: list[tuple[str, pd.DataFrame, pd.Series | None]] = [("held-out rows, the floor", held_out, None)]
    of_training: tuple[Population, ...] = ("rows", "exposures")
    refused = []
    for population in of_training:
        try:
            cases.append((POPULATIONS[population], points, row_weights(rows, strata, population)))
        except InputError as error:
            refused.append(f"\nRefused: {error}.\n")
    for name, chosen, weights in cases:
        if chosen.empty:
            continue
        lines = summary(chosen, ["model"], weights, found.n_resamples, SEED).set_index("model")
        spans = [span(*_of(lines.loc[model], of)) for of in ("mean", "full") for model in found.models]
        text.append([name, f"{lines['n'].max():,}", *spans])
    heads = [f"{name}, {model}" for name in ("mean M", "M = 1") for model in found.models]
    return table(("Population", "n", *heads), text) + "".join(refused)


def _transitions(found: Material) -> str:
    parts = []
    for each in transitions(found.points, found.models, found.n_resamples, SEED):
        kept, kappa = (span(one.value, one.low, one.high) for one in (each.kept, each.kappa))
        cells = [[f"{LEVELS[i]}", *(f"{n:,}" for n in line)] for i, line in enumerate(each.counts.tolist())]
        said = f"Keep their level: {kept}, kappa {kappa}, n = {each.n:,}.\n\n"
        parts.append(said + table((f"{each.smaller} ↓ {each.larger} →", *LEVELS), cells))
    if not parts:
        raise InputError("one size alone has no next one")
    return "\n".join(parts)


_EDGE = ("Moved edge", "n there")


def _boundary(found: Material) -> str:
    parts = [
        "The study reports, for its own models, that n-gram frequency rises for memorized sequences and falls for\n"
        "unmemorized ones, and that entropy does the opposite. Above all: the jump minus that of all rows. Null: what\n"
        "selection alone gives for it, with the band of groups of this size. Moved edge: the jump 8 positions later,\n"
        "of the rows chosen there, minus that of all rows there. Medium: 0.4 ≤ M < 0.6, for exactly half is rare.\n"
        "Last, all contexts of the largest model together, clustered by row.\n"
    ]
    for quantity, (name, factor) in JUMPS.items():
        lines: list[Sequence[object]] = []
        problems: dict[str, None] = {}
        pooled = [(found.models[-1], found.sliding_contexts)]
        for model, contexts in [(model, [K]) for model in found.models] + pooled:
            try:
                aligned = [found.source(model, quantity, k) for k in contexts]
                jumps = boundary_differences(aligned, quantity, found.n_resamples, SEED)
            except InputError as error:
                problems[str(error)] = None
                continue
            lines += [_jump(dict(line), quantity, factor) for _, line in jumps.iterrows()]
        head = ("Model", "k", "Group", "n", "The study", "Jump", "All rows", "Above all", "Null", *_EDGE)
        parts.append(f"{name}:\n\n{table(head, lines)}" if lines else f"{name}: not drawn, {'; '.join(problems)}.\n")
    lines = [(*line[:2], *(f"{each:.3f}" for each in line[2:])) for line in reported_frequencies().to_numpy().tolist()]
    parts.append(
        "The study's own 1-gram frequencies, Pythia on the Pile, in billions of occurrences (as a published summary\n"
        "of its table gives them; not compared with the paper's pages):\n\n"
        + table(("Model", "Group", "Context, mean", "Continuation, mean", "Jump"), lines)
    )
    return "\n".join(parts)


def _jump(line: dict[str, Any], quantity: str, factor: float) -> tuple[object, ...]:
    names = ("jump", "above", "null", "edge_above")
    spans = {name: span(*(factor * each for each in _of(line, name))) for name in names}
    reported = DIRECTIONS.get((quantity.partition("_")[0], line["group"]), "–")
    every = number(factor * line["all_rows"])
    return (
        line["model"],
        line["k"],
        line["group"],
        f"{line['n']:,}",
        reported,
        spans["jump"],
        every,
        *list(spans.values())[1:],
        f"{line['n_edge']:,}" if line["n_edge"] else "–",
    )
