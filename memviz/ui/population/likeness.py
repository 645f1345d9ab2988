"""The Population page's section on what M, position by position, misses."""

from __future__ import annotations

import streamlit as st

from memviz.errors import InputError
from memviz.figures.population import lines_figure
from memviz.population.likeness import LIKENESS, SHARES
from memviz.ui.common import frames
from memviz.ui.common.texts import told
from memviz.ui.population.tables import likeness_of
from memviz.ui.population.view import SweepView

_PARTS = {
    "likeness": ("Beside M: what a shift does not break", LIKENESS),
    "share": ("Memorized, approximately", SHARES),
}


def show_likeness(view: SweepView) -> None:
    """Means of M and of what forgives a token put in or left out, and the shares of both, against model size."""
    try:
        table = likeness_of(view)
    except InputError as error:
        st.caption(f"M alone is known here: {told(error)}")
        return
    sizes = table.assign(size=table["model"].map(view.names))
    for place, (quantity, (title, names)) in zip(st.columns(2), _PARTS.items(), strict=True):
        mine = sizes[sizes["measure"].isin(list(names))]
        renamed = {f"mean{end}": f"{quantity}{end}" for end in ("", "_low", "_high")}
        drawn = mine.assign(model=mine["measure"]).rename(columns=renamed)
        with place:
            frames.show_figure(
                lines_figure(drawn, "size", "model", quantity, list(names), names, category=True, ordered=False),
                mine.drop(columns="size"),
                title,
                quantity,
                view.task,
                f"{frames.n_words(mine, 'model')}; M itself is unchanged, token by token at its own position",
            )
