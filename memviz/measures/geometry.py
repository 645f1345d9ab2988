"""Groups and spaces of hidden states compared in full space, each number beside what shuffled labels give.

Letters: n rows, d width, q neighbours, b weightings of the rows, g strata.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

N_PERMUTATIONS = 200
MOST_ROWS = 1_000
"""Rows compared; above that a random sample of them, seed 0."""
N_NEIGHBOURS = 15
_EQUALLY_FAR = 1e-6
"""Share of the largest distance: what rounding can make of two equal ones."""


@dataclass(frozen=True)
class Permuted:
    """A number and what it is where labels are shuffled; NaN where it is not defined."""

    value: float
    null_mean: float
    null_low: float
    """2.5th percentile."""
    null_high: float
    """97.5th percentile."""
    n: int
    """Rows that entered it."""
    ceiling: float = 1.0
    """The most that it could be here."""


def _permuted(value: float, null: np.ndarray, n: int, ceiling: float = 1.0) -> Permuted:
    low, high = np.quantile(null, (0.025, 0.975))
    return Permuted(float(value), float(null.mean()), float(low), float(high), n, ceiling)


def drawn_rows(n: int, most: int = MOST_ROWS) -> np.ndarray:
    """The rows looked at, ascending: all, or a random sample of `most` of them, seed 0."""
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def distances(points: np.ndarray) -> np.ndarray:
    """(n, n) float64 Euclidean distances between the rows of (n, d) points, 0 on the diagonal."""
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    squares = np.square(centred).sum(axis=1)
    found = np.sqrt(np.maximum(squares[:, None] + squares - 2 * centred @ centred.T, 0))
    np.fill_diagonal(found, 0)
    return found


def unit_vectors(points: np.ndarray) -> np.ndarray:
    """(n, d) points at length 1; a point of length 0 stays."""
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return points / np.where(length > 0, length, 1)


# Groups


def silhouette(
    points: np.ndarray, labels: np.ndarray, n_permutations: int = N_PERMUTATIONS, most: int = MOST_ROWS
) -> Permuted:
    """Mean silhouette (Rousseeuw 1987) of (n, d) points by Euclidean distance, -1 to 1, and of shuffled labels.

    Groups of one row are left out. Every value is NaN with fewer than two groups.
    """
    kinds, count = np.unique(labels, return_counts=True)
    keep = np.flatnonzero(np.isin(labels, kinds[count > 1]))
    keep = keep[drawn_rows(len(keep), most)]
    kinds, codes = np.unique(labels[keep], return_inverse=True)
    if len(kinds) < 2:
        return Permuted(*(float("nan"),) * 4, len(keep))
    orders = permutations(len(keep), n_permutations)
    labelled = [codes[order] for order in orders]
    members = np.concatenate([np.eye(len(kinds))[each] for each in labelled], axis=1)
    sums = np.split(distances(points[keep]) @ members, len(labelled), axis=1)  # one product of all orders is quicker
    found = [_silhouette(*each, np.ones(len(keep))) for each in zip(sums, labelled, strict=True)]
    return _permuted(found[0], np.array(found[1:]), len(keep))


def resampled_silhouettes(points: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(b,) mean silhouettes of (n, d) points in two groups or more, the rows weighted (b, n), each row one place.

    A row drawn twice is no neighbour of itself.
    """
    codes = np.unique(labels, return_inverse=True)[1]
    between, member = distances(points), np.eye(codes.max() + 1)[codes]
    return np.array([_silhouette(between @ (member * weight[:, None]), codes, weight) for weight in weights])


def _silhouette(sums: np.ndarray, codes: np.ndarray, weight: np.ndarray) -> float:
    """Mean silhouette from (n, g) weighted sums of distances to groups, (n,) codes of groups and weights of rows."""
    size, own = np.bincount(codes, weight, sums.shape[1]), (np.arange(len(codes)), codes)
    others = size[codes] - weight
    within = sums[own] / np.where(others > 0, others, 1)
    means = np.where(size > 0, sums / np.where(size > 0, size, 1), np.inf)
    means[own] = np.inf
    next_best = means.min(axis=1)
    known = (others > 0) & np.isfinite(next_best) & (np.maximum(within, next_best) > 0)
    apart = np.where(known, next_best, 0) - np.where(known, within, 0)
    value = apart / np.where(known, np.maximum(within, np.where(known, next_best, 0)), 1)
    return float((weight * value).sum() / weight.sum())


# Pairs of rows within and between strata, the rows weighted


def pair_weights(strata: np.ndarray, n_strata: int, weights: np.ndarray) -> np.ndarray:
    """(b, g, g) sums of w_i w_j over pairs of different rows, the first of one stratum, the second of another."""
    member = np.eye(n_strata)[strata]
    total = weights @ member
    return _off_diagonal(total[:, :, None] * total[:, None, :], weights, np.ones(len(strata)), member)


def dot_sums(vectors: np.ndarray, strata: np.ndarray, n_strata: int, weights: np.ndarray) -> np.ndarray:
    """(b, g, g) sums of w_i w_j v_i . v_j over the same pairs of (n, d) vectors, from sums over rows alone."""
    member = np.eye(n_strata)[strata]
    total = np.stack([weights[:, strata == g] @ vectors[strata == g] for g in range(n_strata)], axis=1)
    products = total @ total.transpose(0, 2, 1)
    return _off_diagonal(products, weights, np.square(vectors).sum(axis=1), member)


def matrix_sums(matrix: np.ndarray, strata: np.ndarray, n_strata: int, weights: np.ndarray) -> np.ndarray:
    """(b, g, g) sums of w_i w_j of an (n, n) symmetric matrix with a diagonal of 0 over the same pairs."""
    member = np.eye(n_strata, dtype=weights.dtype)[strata]
    found = []
    for g in range(n_strata):
        rows = strata == g
        found.append(((weights[:, rows] @ matrix[rows]) * weights) @ member)
    return np.stack(found, axis=1).astype(np.float64)


def _off_diagonal(products: np.ndarray, weights: np.ndarray, own: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Without what each row makes with itself: (b, g, g) less the sums of w_i^2 own_i within each stratum."""
    found = products.astype(np.float64)
    place = np.arange(member.shape[1])
    found[:, place, place] -= (np.square(weights, dtype=np.float64) * own) @ member
    return found


# Two spaces of the same rows


def linear_cka(a: np.ndarray, b: np.ndarray, n_permutations: int = N_PERMUTATIONS) -> Permuted:
    """Debiased linear CKA of (n, d) and (n, e) states of the same rows, and with the rows of one shuffled.

    Kornblith et al. 2019 with the unbiased HSIC of Song et al. 2012: about 0 by chance, 1 where one is the other
    turned, moved and scaled. Raises ValueError for fewer than 4 rows. Constant states give NaN.
    """
    a, b = _same_rows(a, b, 4, "CKA")
    x, y = centred_gram(a), centred_gram(b)
    size = np.sqrt(np.square(x).sum() * np.square(y).sum())
    if not size > 0:
        return Permuted(*(float("nan"),) * 4, len(a))
    found = _products(x, y, permutations(len(a), n_permutations)) / size
    return _permuted(found[0], found[1:], len(a))


def centred_gram(points: np.ndarray) -> np.ndarray:
    """(n, n) inner products of (n, d) points, centred so that rows and columns without the diagonal add up to 0.

    U-centring (Szekely and Rizzo 2014): the sum of the products of two such matrices is n (n - 3) times the unbiased
    HSIC. The diagonal is 0.
    """
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    found, n = centred @ centred.T, len(points)
    np.fill_diagonal(found, 0)
    sums = found.sum(axis=0)
    found -= (sums[:, None] + sums) / (n - 2)
    found += sums.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(found, 0)
    return found


def resampled_cka(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(b,) CKA of two (n, n) centred Gram matrices over pairs of different rows, the rows weighted (b, n).

    The centring stays that of the whole sample.
    """
    sums = [((weights @ each) * weights).sum(axis=1) for each in (x * y, np.square(x), np.square(y))]
    return sums[0] / np.sqrt(sums[1] * sums[2])


def knn_overlap(
    a: np.ndarray, b: np.ndarray, n_neighbours: int = N_NEIGHBOURS, n_permutations: int = N_PERMUTATIONS
) -> Permuted:
    """Mean share of each row's q nearest rows (Euclidean) that both spaces have, 0 to 1, and with rows shuffled.

    Of rows that are equally far only chance could say which are nearest: the share is then that expected where each
    space draws among them by itself, and its ceiling, where each row has the same neighbours in both, is below 1.
    Raises ValueError for q rows or fewer. Rows that are all equally far give NaN.
    """
    a, b = _same_rows(a, b, n_neighbours + 1, f"the overlap of {n_neighbours} neighbours")
    n = len(a)
    near = [_chances(distances(points), n_neighbours) for points in (a, b)]
    if any(np.ptp(each[~np.eye(n, dtype=bool)]) == 0 for each in near) and n > n_neighbours + 1:
        return Permuted(*(float("nan"),) * 4, n)
    found = _products(near[0], near[1], permutations(n, n_permutations)) / (n * n_neighbours)
    most = np.min([np.square(each).sum(axis=1, dtype=np.float64) for each in near], axis=0)  # ties allow no more
    return _permuted(found[0], found[1:], n, float(most.mean() / n_neighbours))


def _chances(between: np.ndarray, q: int) -> np.ndarray:
    """(n, n) chance, 0 to 1, that a column is among a row's q nearest; 1 or 0 but for those equally far as the last."""
    close = _EQUALLY_FAR * float(between.max(initial=0))
    np.fill_diagonal(between, np.inf)
    last = np.partition(between, q - 1, axis=1)[:, q - 1, None]
    nearer = between < last - close
    tied = ~nearer & (between <= last + close)
    left = q - nearer.sum(axis=1, keepdims=True)
    return (nearer + tied * left / tied.sum(axis=1, keepdims=True)).astype(np.float32)


def representational_similarity(a: np.ndarray, b: np.ndarray, n_permutations: int = N_PERMUTATIONS) -> Permuted:
    """Spearman correlation of the pairwise cosine distances of the same rows, -1 to 1, and with rows shuffled.

    Kriegeskorte et al. 2008. Distances that rounding alone tells apart are tied. Raises ValueError for fewer than 3
    rows. Constant distances give NaN.
    """
    a, b = _same_rows(a, b, 3, "representational similarity")
    upper = np.triu_indices(len(a), 1)
    ranks = []
    for points in (a, b):
        unit = unit_vectors(points.astype(np.float64))
        values = _ranks(1 - (unit @ unit.T)[upper])
        values -= values.mean()
        length = np.sqrt(np.square(values).sum())
        if not length > 0:
            return Permuted(*(float("nan"),) * 4, len(a))
        square = np.zeros((len(a), len(a)))
        square[upper] = values / length
        ranks.append(square + square.T)
    found = _products(ranks[0], ranks[1], permutations(len(a), n_permutations)) / 2
    return _permuted(found[0], found[1:], len(a))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of distances, the mean of their ranks for those that follow each other more closely than rounding tells."""
    order = np.argsort(values, kind="stable")
    apart = np.diff(values[order]) > _EQUALLY_FAR * float(values.max(initial=0))
    level = np.empty(len(values))
    level[order] = np.concatenate([[0], np.cumsum(apart)])
    return rankdata(level)


def _same_rows(a: np.ndarray, b: np.ndarray, least: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """At most `MOST_ROWS` of the rows of both."""
    if len(a) != len(b):
        raise ValueError(f"{name} of {len(a)} and {len(b)} rows: take the same rows of both")
    if len(a) < least:
        raise ValueError(f"{name} of {len(a)} rows: take at least {least}")
    chosen = drawn_rows(len(a))
    return a[chosen], b[chosen]


def permutations(n: int, n_permutations: int) -> np.ndarray:
    """(1 + n_permutations, n): the order as it is, then shuffled ones, seed 0."""
    generator = np.random.default_rng(0)
    return np.stack([np.arange(n), *(generator.permutation(n) for _ in range(n_permutations))])


def _products(a: np.ndarray, b: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """(b,) sums of the products of (n, n) matrices, rows and columns of the second in other orders."""
    return np.array([np.vdot(a, b[np.ix_(order, order)]) for order in orders], np.float64)
