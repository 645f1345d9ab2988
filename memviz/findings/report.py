"""docs/findings.md: what finished sweeps say of the claims, and the numbers of the figures; always the same text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from memviz.findings.claims import Null, Outcome, Quality, Verdict, adjusted, outcome_among
from memviz.findings.evidence.material import Material
from memviz.findings.history import Edition, steps
from memviz.findings.markdown import number, span, table
from memviz.findings.numbers import numbers
from memviz.sweeps.task import sweep_command

WORTH = {
    Quality.CLAIM: "yes",
    Quality.DESIGN: "no: the suite was built so that it holds",
    Quality.MECHANICAL: "no: it holds by definition",
    Quality.AFTERWARDS: "no: it was written down after its numbers were known",
}


def document(
    verdicts: Sequence[Verdict],
    material: Material,
    strata: pd.DataFrame | None = None,
    pictures: Mapping[str, str] | None = None,
    history: Sequence[Edition] = (),
    predictors: str = "",
) -> str:
    """The whole document as Markdown.

    `strata` of the corpus (`strata_of`) add weighted shares; pictures: name -> path of its file, as `pictures` makes;
    history: the editions up to the present one, for what changed; predictors: `beside.section`.
    """
    shown = pictures or {}
    parts = [_head(material, verdicts), _outcomes(verdicts), _changes(history)]
    parts += ["## Claim by claim\n", _LEGEND if shown else ""]
    parts += [_detail(verdict, shown) for verdict in verdicts]
    parts += [predictors] if predictors else []
    parts += ["## The numbers of the figures\n", *numbers(material, strata, shown)]
    return "\n".join(parts).rstrip() + "\n"


def _head(material: Material, verdicts: Sequence[Verdict]) -> str:
    about = {each["name"]: each for sweep in material.sweeps for each in sweep.manifest["models"]}
    models = [
        (name, f"{n:,}", about[name]["step"], f"`{about[name]['weights'].rpartition(':')[2][:12]}`")
        for name, n in material.n_parameters.items()
    ]
    folders = [sweep.folder for sweep in material.sweeps]
    beside = [sweep.folder.parent in folders for sweep in material.sweeps]  # of the same rows
    rows = [sweep.manifest["rows"] for sweep, same in zip(material.sweeps, beside, strict=True) if not same]
    asked = "; ".join(dict.fromkeys(f"{each['n']:,} rows (sha256 `{each['sha256'][:12]}`)" for each in rows))
    commands = "\n".join(
        sweep_command(sweep.task, f"sweep/{sweep.folder.name}" if same else "sweep")
        for sweep, same in zip(material.sweeps, beside, strict=True)
    )
    index = f" n-grams are counted in the index `{material.frequencies.index}`." if material.frequencies else ""
    *others, last = sorted({verdict.claim.finding for verdict in verdicts}) or [0]
    named = f"Findings {', '.join(map(str, others))} and {last}" if others else f"Finding {last}"
    return f"""# {named} of the study, on models whose training data are known

Written by `memviz findings`: make it anew with that command, do not edit it. The claims, their statistics and the rule
that decides them were written down in [claims.toml](claims.toml) before the final run, those of its second and third
lists when outcomes of the lists before were known, and before any number of their own;
[population.md](population.md) and, for hidden states, [maps.md](maps.md) say how each number is computed. The study is
Chen, Han and Miyao 2024 (arXiv 2405.11577).

What this is not: a repetition of the study. It asked models of the Pythia family about the Pile; these are far smaller
models, and a corpus in which many rows were planted many times. Agreement shows that an effect appears under known
conditions, disagreement that it need not. Intervals are 95 % over rows: they say how far another choice of rows would
move a number; where sizes are compared and a size has several training seeds, they reach over all of these.

{table(("Model", "Parameters", "Steps", "Weights"), models)}
Asked about {asked}, in float32, greedy. {material.trained["row"].nunique():,} rows are in buckets that were trained on;
the claims are about these.{index}

```sh hours
{commands}
```
"""


def _outcomes(verdicts: Sequence[Verdict]) -> str:
    could_fail = [each for each in verdicts if each.claim.kind == Quality.CLAIM]
    of_all = adjusted(verdicts)
    among = {each.claim.id: outcome_among(each, of_all.get(each.claim.id)) for each in could_fail}
    lines = [
        (
            *(f"[{each.claim.id}](#{each.claim.id})", each.claim.finding, each.claim.claim),
            *(f"**{each.outcome.value}**", _amount(each), _beyond(each)),
            *(_among(among.get(each.claim.id), of_all.get(each.claim.id)), WORTH[each.claim.kind]),
        )
        for each in verdicts
    ]
    alone = _counted([each.outcome for each in could_fail])
    return f"""## Outcomes

Of {len(could_fail)} claims that could fail: {alone}. The other {len(verdicts) - len(could_fail)} check the suite, hold
by definition, or were written down after their numbers were known; they are no evidence for the study. Each is decided
by itself, so that about one in forty would be decided in favour by chance where nothing is there. Held so that of all
that are decided at most 5 % may be by chance (Benjamini and Hochberg 1995, p-values from the intervals and bands as of
normal distributions): {_counted(list(among.values()))}.

Found: the number with its interval. Beyond the null: that number less what the null alone gives. Among all: the outcome
under Benjamini and Hochberg, with the adjusted p-value.

{table(("Claim", "Finding", "In words", "Outcome", "Found", "Beyond the null", "Among all", "Evidence"), lines)}"""


def _counted(outcomes: Sequence[Outcome]) -> str:
    return ", ".join(f"{outcome.value} {outcomes.count(outcome)}" for outcome in Outcome)


def _amount(verdict: Verdict) -> str:
    found = verdict.found
    return "–" if found is None else f"{span(found.value, found.low, found.high)} {verdict.claim.unit}".rstrip()


def _beyond(verdict: Verdict) -> str:
    found, null = verdict.found, verdict.null
    return "–" if verdict.claim.null is None or found is None or null is None else number(found.value - null.expected)


def _among(outcome: Outcome | None, adjusted_p: float | None) -> str:
    if outcome is None or adjusted_p is None:
        return "–"
    return f"{outcome.value}, {'< 0.001' if adjusted_p < 0.001 else number(adjusted_p)}"


def _changes(history: Sequence[Edition]) -> str:
    """What became of the claims from edition to edition."""
    if len(history) < 2:
        return ""
    parts = ["## What changed\n"]
    for said, changed in steps(history):
        lines = "".join(f"- {name}: {before} before, {after} after\n" for name, (before, after) in changed.items())
        parts.append(f"With {said}:\n\n{lines}" if lines else f"With {said}: no outcome.\n")
    return "\n".join(parts)


_LEGEND = (
    "In each picture: the number found with its interval, against 0 (the rule) and what the null alone gives in\n"
    "groups of this size (the grey band).\n"
)


def _detail(verdict: Verdict, pictures: Mapping[str, str]) -> str:
    claim = verdict.claim
    path = pictures.get(f"claim-{claim.id}")
    lines = [f"### {claim.id}\n", f"{claim.claim}\n", *([f"![{claim.id}]({path})\n"] if path else [])]
    lines += [f"- Statistic: {claim.statistic}."]
    lines.append(f"- Claimed: {'positive' if claim.sign > 0 else 'negative'}, from {claim.min_n:,} rows on.")
    if verdict.found is not None:
        lines.append(f"- Found: {_estimate(verdict)}.")
    if verdict.by_seed:
        each = ", ".join(f"{number(value)} ({seed})" for seed, value in verdict.by_seed.items())
        lines.append(f"- By training seed, a size without that seed with its seed 0: {each}.")
    if verdict.left_out:
        seeds, reason = ", ".join(map(str, verdict.left_out)), next(iter(verdict.left_out.values())).split(": ")[0]
        lines.append(f"- Without training seeds {seeds}, of which scores alone are known ({reason}).")
    if claim.null is not None and verdict.null is not None:
        lines += [f"- Null, {claim.null}: {_null(verdict.null)}.", *_narrow(verdict)]
    reason = f": {verdict.reason}" if verdict.reason else ""
    worth = {Quality.CLAIM: ""}.get(claim.kind, f" Evidence for the study: {WORTH[claim.kind]}.")
    note = [f"- To read it: {claim.note}"] if claim.note else []
    return "\n".join([*lines, *note, f"- Outcome: **{verdict.outcome.value}**{reason}.{worth}\n"])


def _estimate(verdict: Verdict) -> str:
    found = verdict.found
    assert found is not None
    units = "" if found.n_units == found.n else f", {found.n_units:,} groups of near-duplicates"
    return f"{_amount(verdict)}, n = {found.n:,}{units}"


def _null(null: Null) -> str:
    alone = (
        ""
        if math.isnan(null.mean_low)
        else f"; its expectation alone {number(null.mean_low)} to {number(null.mean_high)}"
    )
    return f"{number(null.expected)}, groups of this size {number(null.low)} to {number(null.high)}{alone}"


def _narrow(verdict: Verdict) -> list[str]:
    """A sentence where the choice of band matters."""
    found, null, sign = verdict.found, verdict.null, verdict.claim.sign
    if found is None or null is None or math.isnan(null.mean_low):
        return []
    wide, narrow = (sign * (found.value - (b if sign > 0 else a)) > 0 for a, b in _bands(null))
    if wide == narrow:
        return []
    return ["- The value lies outside the band of the expectation alone, but within what groups of this size vary by."]


def _bands(null: Null) -> tuple[tuple[float, float], tuple[float, float]]:
    return (null.low, null.high), (null.mean_low, null.mean_high)
