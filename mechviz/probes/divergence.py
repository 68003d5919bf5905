"""How far the neighbours of a word's uses differ from use to use: Jensen-Shannon divergence, its null, its interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def counts_of(types: NDArray[np.int64]) -> Counts:
    """Return how often each use has each type among its neighbours, dims (use, type), from dims (use, neighbour)."""
    used, at = np.unique(types, return_inverse=True)
    found = np.zeros((len(types), len(used)), dtype=np.int64)
    np.add.at(found, (np.arange(len(types))[:, None], at.reshape(types.shape)), 1)
    return found


def entropies(counts: NDArray[np.integer] | Floats) -> Floats:
    """Return entropies in bits, over the last dim."""
    shares = counts / counts.sum(axis=-1, keepdims=True)
    found: Floats = -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=-1)
    return found


def divergence(counts: Counts) -> float:
    """Return the Jensen-Shannon divergence of all uses, in bits: H(mean of p) - mean of H(p) (Lin 1991).

    It is 0 where all uses have the same neighbours, exactly, and log2 of the number of uses where no two share any.

    Parameters
    ----------
    counts : int64 array, dims (use, type)
        All rows have the same sum.
    """
    # Mean KL(p || mean p): the ratio of equal distributions is a ratio of whole numbers, 1, whose logarithm is 0.
    ratio = counts * len(counts) / np.maximum(counts.sum(axis=0), 1)
    terms = counts * np.log2(np.where(counts > 0, ratio, 1))
    return float(terms.sum() / counts.sum())


def null_divergence(points: NDArray[np.int64], types: NDArray[np.int64], draws: int, seed: int) -> float:
    """Return the divergence that is left when neighbours are dealt to the uses at random.

    A use that holds k neighbours of many cannot hold all that its meaning allows, so uses of one meaning differ, too. Here each
    use is dealt k different points, every point as likely as it is among the neighbours of all uses (systematic sampling in
    random order, Madow 1949): what points go together in one use is forgotten, all else stays.

    Parameters
    ----------
    points, types : int64 arrays, dims (use, neighbour)
        Neighbours, and their types.
    draws : int
        Uses that are dealt.
    seed : int
    """
    n = len(points)
    used, first, times = np.unique(points, return_index=True, return_counts=True)
    _, kind = np.unique(types.ravel()[first], return_inverse=True)
    random = np.random.default_rng(seed)
    order = random.permuted(np.tile(np.arange(len(used)), (draws, 1)), axis=1)
    # In whole numbers: a point is `times` of n long, and one is taken at every n from a random start.
    ends = np.cumsum(times[order], axis=1)
    start = random.integers(0, n, size=(draws, 1))
    taken = (ends + start) // n > (ends - times[order] + start) // n
    dealt = np.zeros((draws, int(kind.max()) + 1), dtype=np.int64)
    rows, columns = np.nonzero(taken)
    np.add.at(dealt, (rows, kind[order[rows, columns]]), 1)
    pooled = np.bincount(kind, weights=times)
    return float(entropies(pooled) - entropies(dealt).mean())


def interval(counts: Counts, draws: int, seed: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return a bootstrap interval of the divergence over uses.

    Resampling takes uses twice, which makes them look more alike than they are; so the draws are moved until their mean is
    the divergence that was found.
    """
    n = len(counts)
    if n < 2 or draws < 2:
        return float("nan"), float("nan")
    if (counts == counts[0]).all():
        return 0.0, 0.0
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)
    drawn = entropies(weights @ counts) - weights @ entropies(counts) / n
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]) - drawn.mean() + divergence(counts)
    return max(float(low), 0.0), float(high)
