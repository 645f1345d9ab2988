"""Which rows a population page looks at, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memviz.ui.common.texts import escaped

if TYPE_CHECKING:
    from memviz.ui.population.view import SweepView


def words_of(view: SweepView) -> str:
    """How many rows are looked at, of how many, and which, as Markdown."""
    return escaped(which(view))


def which(view: SweepView) -> str:
    """The same as text."""
    filters = view.passing
    passing = view.n_passing(filters)
    said = [*filters.parts, *filters.domains, *filters.classes]
    said += [f"template: {', '.join(filters.templates)}"] if filters.templates else []
    said += [f"{', '.join(map(str, filters.buckets))} exposures"] if filters.buckets else []
    return f"{passing:,} of {view.n_rows:,} rows" + (f" ({', '.join(said)})" if said else "")
