"""What a sweep says of a population: curves, transitions between models, boundaries.

Pure functions of a sweep's tables, but for `ngrams.py`, which counts in an index and keeps the counts in the store, and
`first_view.py`, which reads tables that ship. No torch, no Streamlit. A *unit* is a group of near-duplicate rows
(column `group`): intervals are 95 %, over units. Shares: Wilson. Means, differences, slopes: percentile bootstrap, the
same seed giving the same resamples, so that what is computed on the same rows is paired.

    sweep = read_sweep(folder)                                  # memviz.sweeps
    rows = Filters(domains=("verse",)).apply(sweep.sequences)
    points = continuation_points(rows)                          # one line a sequence and size
    table = summary(points, ["model", "m"])                     # one line a point of the figure, with intervals
    fits = size_fits(size_points(rows), parameters_of(sweep))
    found = transition(size_points(rows), "suite-1.8m", "suite-7.6m")
    aligned = align(sweep, "suite-7.6m")                        # needs a sweep with --positions
    curve = boundary_curves(aligned, "entropy_free_running")
"""

from memviz.population.aligned import GROUPS, Aligned, align, members
from memviz.population.boundary import boundary_curves, boundary_differences
from memviz.population.curves import (
    context_points,
    continuation_points,
    difference,
    labels_of,
    parameters_of,
    size_points,
    summary,
)
from memviz.population.filters import Choices, Filters, choices
from memviz.population.fits import SizeFit, size_fits
from memviz.population.intervals import Estimate, wilson
from memviz.population.ngrams import CountTask, Frequencies, FrequencyTask
from memviz.population.precision import PrecisionTask, precision_table
from memviz.population.transitions import Transition, memorized_only_by, rows_of_cell, transition, transitions
from memviz.population.weighting import POPULATIONS, Population, row_weights, strata_of

__all__ = [
    "GROUPS",
    "POPULATIONS",
    "Aligned",
    "Choices",
    "CountTask",
    "Estimate",
    "Filters",
    "Frequencies",
    "FrequencyTask",
    "Population",
    "PrecisionTask",
    "SizeFit",
    "Transition",
    "align",
    "boundary_curves",
    "boundary_differences",
    "choices",
    "context_points",
    "continuation_points",
    "difference",
    "labels_of",
    "members",
    "memorized_only_by",
    "parameters_of",
    "precision_table",
    "row_weights",
    "rows_of_cell",
    "size_fits",
    "size_points",
    "strata_of",
    "summary",
    "transition",
    "transitions",
    "wilson",
]
