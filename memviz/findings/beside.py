"""Predictors beside tuned boosting, cell by cell: where they are ahead, and where they lose."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from memviz.errors import InputError
from memviz.findings.evidence.material import Material
from memviz.findings.evidence.prediction import Judged
from memviz.findings.markdown import span, table
from memviz.predictor.evaluation import compared
from memviz.predictor.known import Known
from memviz.predictor.presets import SETTINGS

RIVAL, JUDGED = "boosting", ("token_accuracy", "full_accuracy", "auroc", "brier")
N_SIZES = 3
"""Of the largest."""


def tally(differences: pd.DataFrame) -> list[str]:
    """The predictors less boosting, cell by cell, and how many are ahead, behind and even."""
    asked = differences[(differences["method"] == RIVAL) & differences["metric"].isin(JUDGED)]
    if not len(asked):
        return []
    of = ["model", "setting", "predictor"]
    asked = asked[asked["m"] == asked.groupby(of)["m"].transform("max")]
    asked = asked.assign(verdict=compared(asked))
    text = []
    for (model, setting, predictor), lines in asked.groupby(of, sort=False):
        found = lines.set_index("metric")
        ends = {name: found[["value", "low", "high"]].loc[name].to_numpy(float) for name in JUDGED}
        cells = [f"{span(*ends[name])} {found['verdict'].loc[name]}" for name in JUDGED]
        text.append([str(model), str(setting), str(predictor)[:8], *cells])
    if len(text) < 2:
        return []
    n = asked["verdict"].value_counts()
    words = ("ahead", "even", "behind", *({"unknown"} & set(n.index)))
    counts = ", ".join(f"{word} in {n.get(word, 0)}" for word in words)
    return [
        f"the predictors less {RIVAL} at their own m, with paired intervals: {counts} of {len(asked)}\n",
        table(("model", "setting", "predictor", *JUDGED), text),
    ]


def section(known: Sequence[Known], material: Material) -> str:
    """Of docs/findings.md; empty where no predictor of these models was judged with differences."""
    found = []
    for setting in SETTINGS:
        try:
            chosen = Judged(known).chosen(material, setting, material.models[-N_SIZES:])
            found += [each.tables().differences for each in chosen]
        except InputError:  # none is fitted
            continue
    parts = tally(pd.concat(found, ignore_index=True)) if found else []
    if not parts:
        return ""
    head = (
        "## The predictors beside gradient boosting\n\nOf the three largest sizes and every setting, on the same test "
        "rows. Boosting reads the same statistics and principal components of the states, was fitted on the same "
        "rows and tuned on the same validation rows ([predictor.md](predictor.md)). Below: "
    )
    return head + "\n".join(parts)
