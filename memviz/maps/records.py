"""What maps of hidden states are made of: frozen records of arrays, stored like every other result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memviz.maps.layout import Basis, Quality

LAST_CONTEXT = -1
"""Among decoding steps: the last context token, whose state emits the first generated one."""


NO_GROUPS = (
    "fewer than two of the groups memorized, half-memorized and unmemorized have two rows here, so there is no "
    "silhouette: take more rows, or loosen the filters."
)


@dataclass(frozen=True)
class Silhouettes:
    """Silhouette of groups in full space, one for each of s steps, and what shuffled labels give."""

    step: np.ndarray
    """(s,) int32."""
    value: np.ndarray
    """(s,) float32, -1 to 1, Euclidean, mean over the groups' rows; NaN with fewer than two groups of two rows."""
    null_mean: np.ndarray
    """(s,) float32, mean over permutations of the labels."""
    null_low: np.ndarray
    """(s,) float32, 2.5th percentile of the same."""
    null_high: np.ndarray
    """(s,) float32, 97.5th percentile."""
    n: np.ndarray
    """(s,) int32, rows looked at."""

    @property
    def known(self) -> bool:
        """Whether there is one at any step: the groups are the same at all of them."""
        return not bool(np.isnan(self.value).all())


@dataclass(frozen=True)
class PlacedPoints:
    """p points in the plane, one for each row and step, all in one frame. Points come step by step.

    A point is a *reading* state: of step t, the state after reading continuation token t; of step -1, after the last
    context token.
    """

    row: np.ndarray
    """(p,) int64, row number of the sweep."""
    step: np.ndarray
    """(p,) int32, decoding step, `LAST_CONTEXT` to m - 1."""
    xy: np.ndarray
    """(p, 2) float32, no unit."""
    hits: np.ndarray
    """(p,) int32, matches of the row's m generated tokens, 0 to m; the score is hits / m."""
    match: np.ndarray
    """(p,) bool, whether the token read at this step is the true one."""
    entropy: np.ndarray
    """(p,) float32 nats, of the distribution that predicted the token read at this step; NaN at index 0."""
    loop: np.ndarray
    """(p,) bool, whether the row's generation ends in copies of a chunk (`loops`)."""
    m: np.ndarray
    """() int32, continuation tokens that decide hits and loops."""

    def __post_init__(self) -> None:
        for name in ("step", "hits", "match", "entropy", "loop"):
            if np.shape(getattr(self, name)) != np.shape(self.row):
                raise ValueError(f"{name}: got {np.shape(getattr(self, name))}, expected {self.row.shape}")
        if np.shape(self.xy) != (len(self.row), 2):
            raise ValueError(f"xy: got {np.shape(self.xy)}, expected {(len(self.row), 2)}")

    @property
    def steps(self) -> list[int]:
        """Its steps, ascending."""
        return sorted({int(step) for step in self.step})

    @property
    def n_rows(self) -> int:
        return len(np.unique(self.row))


@dataclass(frozen=True)
class EmbeddingMap(PlacedPoints):
    """A finished map: its frame is fixed."""

    layer: np.ndarray
    """() int32, 0 the embedding, the largest the last after the final norm, -1 the last before it."""
    n_passing: np.ndarray
    """() int32, rows of the sweep that pass the filters, of which those of the map are drawn."""
    basis: Basis
    """Principal components of the points; of a PCA map the first two are its axes."""
    reduced: np.ndarray | None
    """(p, c) float32, the points along the components of `basis`, which place new points on a UMAP map; else None."""
    quality: Quality
    silhouettes: Silhouettes
    """Of memorized, half-memorized and unmemorized rows."""

    @property
    def exact(self) -> bool:
        """Whether new points are placed exactly (PCA) or approximately (UMAP)."""
        return self.reduced is None


@dataclass(frozen=True)
class Agreement:
    """One number of agreement between two sets of states for each of s steps, and what shuffled rows give."""

    value: np.ndarray
    """(s,) float32."""
    null_mean: np.ndarray
    """(s,) float32."""
    null_low: np.ndarray
    """(s,) float32, 2.5th percentile over permutations of which row is which."""
    null_high: np.ndarray
    """(s,) float32, 97.5th percentile."""


@dataclass(frozen=True)
class Similarity:
    """How alike two models' states of the same rows are, in full space."""

    step: np.ndarray
    """(s,) int32."""
    cka: Agreement
    """Linear CKA, debiased: 1 where one is the other turned and scaled, about 0 by chance."""
    knn_overlap: Agreement
    """Mean share of each row's 15 nearest rows that both have, 0 to 1."""
    rsa: Agreement
    """Representational similarity: Spearman correlation of pairwise cosine distances, -1 to 1."""
    n: np.ndarray
    """() int32, rows."""
    n_neighbours: np.ndarray
    """() int32."""
    n_permutations: np.ndarray
    """() int32."""
    knn_ceiling: np.ndarray | None = None
    """(s,) float32, the most that the overlap can be: below 1 where states repeat. None in older results."""


STATES = ("after the final norm", "before the final norm")
"""Axis a of `Dynamics`."""
VARIANTS = ("all", "without loops", "loops")
"""Axis v: every row of a group, those whose generation does not loop, those whose generation does."""
GROUPS = ("memorized", "half", "unmemorized")
"""Axis g: M = 1, exactly m/2 hits, M = 0."""
PAIRS = (
    ("memorized", "memorized"),
    ("half", "half"),
    ("unmemorized", "unmemorized"),
    ("memorized", "half"),
    ("memorized", "unmemorized"),
    ("half", "unmemorized"),
    ("all", "all"),
)
"""Axis q: pairs of different rows within a group, between two, and of all rows, those of no group included."""
MEASURES = ("cosine", "cosine_centred", "distance", "cosine_ratio", "distance_ratio")
"""Axis u: cosine similarity raw, and of states less the mean of all rows at that step; Euclidean distance in the
model's own units; the first and the third divided by their all-pairs mean at that step."""


@dataclass(frozen=True)
class Separation:
    """How far memorized and unmemorized rows lie apart, and whether they move alike; means over steps 0 to m - 1.

    Cosine similarity after the final norm. Axes: b resamples of the rows, the first line of the sample itself; p
    shuffles of the two labels; v `VARIANTS`.
    """

    apart: np.ndarray
    """(1 + b, v) float32: within a group (mean of the two) minus between the two."""
    apart_null: np.ndarray
    """(p, v) float32."""
    course: np.ndarray
    """(1 + b, v) float32, 0 or more: root mean square over steps of within memorized minus within unmemorized, less
    its mean over steps."""
    course_null: np.ndarray
    """(p, v) float32."""


@dataclass(frozen=True)
class Dynamics:
    """Similarity and distance between sequences while they are decoded: one model, s steps; intervals 95 % over rows.

    Axes: u `MEASURES`, a `STATES`, v `VARIANTS`, q `PAIRS`, g `GROUPS` and, last, all rows.
    """

    step: np.ndarray
    """(s,) int32, from `LAST_CONTEXT`."""
    value: np.ndarray
    """(u, a, v, q, s) float32; NaN where there is no pair."""
    low: np.ndarray
    """(u, a, v, q, s) float32."""
    high: np.ndarray
    """(u, a, v, q, s) float32."""
    norm: np.ndarray
    """(a, v, g, s) float32, mean length of a state."""
    norm_low: np.ndarray
    """(a, v, g, s) float32."""
    norm_high: np.ndarray
    """(a, v, g, s) float32."""
    over_steps: np.ndarray
    """(1 + b, u, a, q) float32, mean over steps 0 to m - 1 of `value` of all rows, loops included; first of the sample
    itself, then of resampled rows. Models of one sweep have the same resamples: their differences are paired."""
    separation: Separation
    n_rows: np.ndarray
    """(v, g) int32, rows of each group; the last of all."""
    n_passing: np.ndarray
    """() int32, rows that pass the filters; where they are more, those compared are a random sample of them."""
    n_units: np.ndarray
    """() int32, groups of near-duplicates among the rows compared."""
    width: np.ndarray
    """() int32, d: distances between states of coordinates of one size grow as sqrt(d) by themselves."""


@dataclass(frozen=True)
class PairedStates:
    """The same n rows under weights that had read them and under earlier weights that had not.

    Both read the rows' own tokens. Memorized (M = 1) and unmemorized (M = 0) by the hits of the later weights. Axes: w
    the later weights, then the earlier; q within memorized, within unmemorized, between; b resamples of the rows, the
    first line of the sample itself.
    """

    step: np.ndarray
    """(s,) int32, from `LAST_CONTEXT`."""
    value: np.ndarray
    """(w, q, s) float32, mean cosine similarity of pairs of rows, after the final norm."""
    low: np.ndarray
    """(w, q, s) float32."""
    high: np.ndarray
    """(w, q, s) float32."""
    apart: np.ndarray
    """(1 + b, w) float32, mean over steps from 0: within a group (mean of the two) minus between the two."""
    silhouette: np.ndarray
    """(1 + b, w) float32, of the two groups at the last step, Euclidean, -1 to 1."""
    xy: np.ndarray
    """(w, n, 2) float32, first two principal components at the last step, of each by itself."""
    row: np.ndarray
    """(n,) int64."""
    memorized: np.ndarray
    """(n,) bool."""
    n_units: np.ndarray
    """() int32, groups of near-duplicates."""
