"""What `memviz predictor evaluate` prints."""

from __future__ import annotations

from collections.abc import Collection

from memviz.demo.samples import suite_samples
from memviz.errors import InputError
from memviz.findings.beside import tally
from memviz.findings.markdown import number, span, table
from memviz.population.reported import SOURCE, reported_accuracies
from memviz.predictor.evaluation import by_exposures, compared
from memviz.predictor.tables import Tables

TOLD = ("boosting", "logistic", "context_nll", "position")
"""Baselines whose differences are printed."""
OF_EXPOSURES = ("predictor", "boosting", "context_nll", "frequency")


def report(tables: Tables, of_suite: Collection[str]) -> str:
    """Accuracy by method and m of each model and setting, the tally against boosting, then the study's own.

    of_suite: ids of predictors of the suite's rows whose accuracy is to be told by exposures too.
    """
    metrics, parts = tables.metrics, []
    for (setting, model, fitted_on, which), lines in metrics.groupby(
        ["setting", "model", "fitted_on", "predictor"], sort=False
    ):
        lengths = sorted(lines["m"].unique())
        text = []
        for method, part in lines.groupby("method", sort=False):
            found = part.set_index(["metric", "m"])
            cells = []
            for metric in ("token_accuracy", "full_accuracy"):
                known = [found.loc[(metric, m)] if (metric, m) in found.index else None for m in lengths]
                cells += ["–" if one is None else span(one["value"], one["low"], one["high"]) for one in known]
            rest = ("auroc", "average_precision", "brier")
            cells += [number(float(found["value"].get((metric, lengths[-1]), float("nan")))) for metric in rest]
            if part["metric"].isin(["token_accuracy"]).any():
                text.append([method, *cells])
        first = lines.iloc[0]
        head = [f"{name}, m = {m}" for name in ("token", "full") for m in lengths]
        shares = ", ".join(f"{number(part['prevalence'].iloc[0])} at m = {m}" for m, part in lines.groupby("m"))
        source = "" if fitted_on == model else f", fitted on {fitted_on}"
        source += f" ({str(which)[:12]})"
        parts.append(f"{model}, {setting}{source}: {first['n']:,} test rows, share of hits {shares}\n")
        parts.append(table(("method", *head, "AUROC", "AP", "Brier"), text))
        against = tables.differences
        against = against[(against["predictor"] == which) & (against["model"] == model) & (against["m"] == lengths[-1])]
        against = against[against["method"].isin(TOLD)]
        if len(against):
            cells = [span(*line) for line in against[["value", "low", "high"]].to_numpy(float)]
            columns = zip(against["method"], against["metric"], cells, compared(against), strict=True)
            text = [list(line) for line in columns]
            parts.append(f"the predictor less a baseline at m = {lengths[-1]}, with paired intervals:\n")
            parts.append(table(("baseline", "metric", "difference", "the predictor is"), text))
    parts += tally(tables.differences) + (_exposures(tables, of_suite) if of_suite else [])
    reported = reported_accuracies().groupby("m")[["token_accuracy", "full_accuracy"]].agg(["min", "max"])
    text = [
        [
            f"{m}",
            *(
                f"{number(line[name, 'min'])} to {number(line[name, 'max'])}"
                for name in ("token_accuracy", "full_accuracy")
            ),
        ]
        for m, line in reported.iterrows()
    ]
    parts.append(f"{SOURCE}, Pythia on the Pile, six sizes:\n")
    parts.append(table(("m", "token accuracy", "full accuracy"), text))
    return "\n".join(parts)


def _exposures(tables: Tables, of_suite: Collection[str]) -> list[str]:
    """Token accuracy by exposures at each predictor's own m. Raises InputError where the suite is not here."""
    samples = suite_samples()
    if samples is None:
        raise InputError("the bundled suite is not here, so exposures are not known: leave out --exposures")
    parts = []
    for (model, setting, which), lines in tables.outcomes.groupby(["model", "setting", "predictor"], sort=False):
        if which not in of_suite:
            continue
        m = lines["m"].max()
        own = lines[(lines["m"] == m) & lines["method"].isin(OF_EXPOSURES)]
        found = by_exposures(own, samples.exposures, samples.exposure_labels)
        text: list[list[object]] = []
        for name, of in found.groupby("exposures", sort=False):
            cells = of.set_index("method")
            said = [
                span(*cells.loc[method, ["value", "low", "high"]].to_numpy(float)) if method in cells.index else None
                for method in OF_EXPOSURES
            ]
            text.append([f"{name}", f"{of['n'].iloc[0]:,}", *said])
        parts += [
            f"{model}, {setting} ({str(which)[:12]}): token accuracy at m = {m} by exposures\n",
            table(("exposures", "n", *OF_EXPOSURES), text),
        ]
    return parts
