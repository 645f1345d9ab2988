"""Hidden states in the plane: principal components at once, UMAP from exact neighbours in a process of its own.

Arrays in, arrays out. `nearest` finds exact neighbours; `fit_basis` is PCA with a fixed sign; `umap_layout` is
UMAP, seeded; `quality` says what a layout keeps; `place_among` puts new points among fixed ones; `register_points`
moves one layout onto another.
"""

from memviz.maps.layout.judging import Quality, quality
from memviz.maps.layout.neighbours import nearest
from memviz.maps.layout.pca import Basis, fit_basis
from memviz.maps.layout.placing import place_among
from memviz.maps.layout.process import umap_layout, warm_up
from memviz.maps.layout.registration import Registration, register_points

PROJECTION = 1
"""Raised whenever layouts or measures change, so that older results are computed anew."""
UMAP = 3
"""The same for UMAP alone."""

__all__ = [
    "PROJECTION",
    "UMAP",
    "Basis",
    "Quality",
    "Registration",
    "fit_basis",
    "nearest",
    "place_among",
    "quality",
    "register_points",
    "umap_layout",
    "warm_up",
]
