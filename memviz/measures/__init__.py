"""Per-prompt measures: pure functions from a trace to one number per sequence, registered with unit and source."""

# the order of the imports is the order of the measures on pages and in files
from memviz.measures import score, similarity, extraction, likelihood, boundary  # noqa: F401, I001
from memviz.measures.registry import MEASURES, compute_all

__all__ = ["MEASURES", "compute_all"]
