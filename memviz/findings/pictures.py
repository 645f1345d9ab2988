"""The figures of docs/findings.md: what its tables say, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from memviz.errors import InputError
from memviz.figures.palette import Palette, palette
from memviz.figures.svg import Line, interval_svg, lines_svg
from memviz.findings.claims import Outcome, Verdict
from memviz.findings.evidence.material import SEED, M, Material
from memviz.population.aligned import GROUPS
from memviz.population.boundary import boundary_curves
from memviz.population.curves import context_points, continuation_points, summary
from memviz.sweeps.task import ANCHORED, SLIDING

AROUND = 24
"""Indices drawn before and after the boundary."""


def pictures(verdicts: Sequence[Verdict], material: Material) -> dict[str, str]:
    """Name of a file without its ending -> SVG; what the sweeps have nothing for is left out."""
    colours = palette("light")
    found = {f"claim-{each.claim.id}": _claim(each, colours) for each in verdicts if each.found is not None}
    for name, make in SECTIONS.items():
        try:
            found[name] = make(material, colours)
        except InputError:
            continue
    return found


def _claim(verdict: Verdict, colours: Palette) -> str:
    assert verdict.found is not None
    colour = {
        Outcome.AGREES: colours.categorical[0],
        Outcome.DISAGREES: colours.categorical[1],
        Outcome.UNDECIDED: colours.muted,
    }[verdict.outcome]
    null = verdict.null
    band = None if null is None or null.low != null.low else (null.low, null.high)
    return interval_svg(verdict.found.value, verdict.found.low, verdict.found.high, band, colour, colours=colours)


def _by_model(found: Material, table: pd.DataFrame, key: str, colours: Palette) -> list[Line]:
    """One line a size, mean score M against a column."""
    ladder = colours.ladder(len(found.models))
    lines = []
    for model, colour in zip(found.models, ladder, strict=True):
        of = table[table["model"] == model].sort_values(key)
        x, y, low, high = (of[name].tolist() for name in (key, "mean", "mean_low", "mean_high"))
        lines.append(Line(model, x, y, low, high, colour))
    return lines


def _curve(points: Callable[[Material], pd.DataFrame], key: str, x_title: str) -> Callable[[Material, Palette], str]:
    def make(found: Material, colours: Palette) -> str:
        table = summary(points(found), ["model", key], n_resamples=found.n_resamples, seed=SEED)
        ticks = [(value, f"{value:g}") for value in sorted(table[key].unique())]
        return lines_svg(_by_model(found, table, key, colours), x_title, "mean score M", ticks, colours=colours)

    return make


def _sizes(found: Material, colours: Palette) -> str:
    table = summary(found.points, ["model"], n_resamples=found.n_resamples, seed=SEED)
    of = table.set_index("model").loc[found.models]
    x = list(found.n_parameters.values())
    lines = []
    for i, (name, column) in enumerate({"mean score M": "mean", "share with M = 1": "full"}.items()):
        y, low, high = (of[f"{column}{end}"].tolist() for end in ("", "_low", "_high"))
        lines.append(Line(name, x, y, low, high, colours.categorical[i]))
    ticks = [(n, f"{n / 1e6:.1f}M") for n in x]
    return lines_svg(lines, "parameters", "M, or share", ticks, log_x=True, colours=colours)


def _boundary(quantity: str, y_title: str, scale: float) -> Callable[[Material, Palette], str]:
    def make(found: Material, colours: Palette) -> str:
        table = boundary_curves(found.source(found.models[-1], quantity), quantity, found.n_resamples, SEED)
        near = table[table["t"].between(-AROUND, min(AROUND, M) - 1)]
        lines = []
        for (group, words), colour in zip(GROUPS.items(), colours.categorical, strict=False):
            of = near[near["group"] == group]
            x, n = of["t"].tolist(), int(of["n"].max())
            y, low, high = ((scale * of[name]).tolist() for name in ("mean", "low", "high"))
            name = f"{group}, {words} (n = {n:,})"
            lines.append(Line(name, x, y, low, high, colour, is_band=True, markers=False))
            y, low, high = ((scale * of[name]).tolist() for name in ("null", "null_low", "null_high"))
            name = f"{group}, selection alone"
            lines.append(Line(name, x, y, low, high, colours.muted, dashed=True, is_band=True, markers=False))
        title = "token index from the start of the continuation"
        return lines_svg(lines, title, y_title, rule=-0.5, from_zero=False, height=380, colours=colours)

    return make


SECTIONS: dict[str, Callable[[Material, Palette], str]] = {
    "size": _sizes,
    "continuation": _curve(lambda found: continuation_points(found.trained), "m", "continuation tokens m"),
    "context-sliding": _curve(
        lambda found: context_points(found.trained, SLIDING, M), "k", "context tokens k (the target moves along)"
    ),
    "context-anchored": _curve(
        lambda found: context_points(found.trained, ANCHORED, M), "k", "context tokens k (the target stays)"
    ),
    "exposures": _curve(
        lambda found: found.points_with_held_out, "bucket", "planned exposures in training, 0: held out"
    ),
    "boundary-entropy": _boundary("entropy_free_running", "entropy, free-running (nats)", 1.0),
    "boundary-frequency": _boundary("frequency_1", "1-gram frequency (per mille)", 1000.0),
}
"""Figure of a section of the numbers, by the name of its file."""
