"""From scores of pairs to sums by query, which is all that effects, intervals and p-values need.

With D = source - base of a pair, and (patched - base) of a cell, every metric of a study is a ratio of two sums:

======  ===============================  ======
metric  numerator                        denominator
======  ===============================  ======
effect  sign(D) x (patched - base)       abs(D)
raw     patched - base                   1
robust  (patched - base) / sqrt(1+D^2)   1
======  ===============================  ======
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]

#: Metric -> from D, dims (pair), what multiplies a pair's (patched - base) in the numerator, and what the pair adds below.
METRICS: dict[str, Callable[[Floats], tuple[Floats, Floats]]] = {
    "effect": lambda change: (np.sign(change), np.abs(change)),
    "raw": lambda change: (np.ones_like(change), np.ones_like(change)),
    "robust": lambda change: (1 / np.sqrt(1 + change**2), np.ones_like(change)),
}

# The width of an interval from this many units is right to 0.6 %; a thousand draws, of however many units, leave 3 %.
_MOST_UNITS = 2**14
_FEWEST_UNITS = 1000
_BYTES = 2**30


@dataclass(frozen=True)
class Sums:
    """Sums over the pairs of each unit (a query, or several).

    Attributes
    ----------
    numerator : float64 array, dims (unit, cell)
    denominator : float64 array, dims (unit, cell), or (unit, 1) where no pair lacks a cell
    """

    numerator: Floats
    denominator: Floats

    @property
    def estimate(self) -> Floats:
        """The ratio of the two sums over all units, dims (cell); NaN where no pair has the cell."""
        return divided(self.numerator.sum(axis=0), self.denominator.sum(axis=0))

    def padded(self, units: NDArray[np.int64], count: int) -> Sums:
        """Return the same sums as units ``units`` of ``count``, the others being empty."""
        wide = [np.zeros((count, array.shape[1])) for array in (self.numerator, self.denominator)]
        for new, old in zip(wide, (self.numerator, self.denominator), strict=True):
            new[units] = old
        return Sums(*wide)


def divided(above: Floats, below: Floats) -> Floats:
    """Return ``above / below``, broadcast; NaN where ``below`` is 0."""
    above, below = np.broadcast_arrays(above, below)
    found: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)
    return found


def most_units(cells: int) -> int:
    """Return how many units are kept apart: fewer where there are so many cells that their sums would fill the memory."""
    return max(_FEWEST_UNITS, min(_MOST_UNITS, _BYTES // (16 * cells)))


def units_of(queries: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Return the unit of each query: itself, or one of ``limit`` groups of queries of equal size, drawn at random.

    Groups of queries are as independent of each other as queries are, so that what is true of resampling queries is true of
    resampling them.
    """
    if queries <= limit:
        return np.arange(queries, dtype=np.int64)
    return np.random.default_rng([seed, 0]).permutation(queries).astype(np.int64) % limit


class Accumulator:
    """Adds up pairs, batch by batch.

    Parameters
    ----------
    metric : str
        One of `METRICS`.
    units, cells : int
    gaps : bool
        Whether there may be pairs that lack a cell (NaN).
    """

    def __init__(self, metric: str, units: int, cells: int, gaps: bool) -> None:
        self._weigh = METRICS[metric]
        self._gaps = gaps
        self._numerator = np.zeros((units, cells))
        self._denominator = np.zeros((units, cells if gaps else 1))
        self._raw = np.zeros(cells)
        self._change = np.zeros(cells if gaps else 1)
        self._positive = np.zeros(cells)
        self._pairs = np.zeros(cells if gaps else 1)

    def add(self, patched: NDArray[np.float32], base: Floats, change: Floats, units: NDArray[np.int64]) -> None:
        """Add pairs.

        Parameters
        ----------
        patched : float32 array, dims (pair, cell)
        base, change : float64 arrays, dims (pair)
            The base run's score, and D.
        units : int64 array, dims (pair)
        """
        difference = patched.astype(np.float64)
        difference -= base[:, None]
        there = np.ones((len(base), 1))
        if self._gaps:
            missing = np.isnan(difference)
            difference[missing] = 0
            there = (~missing).astype(np.float64)
        above, below = self._weigh(change)
        found, where = np.unique(units, return_inverse=True)
        for sums, weights, values in ((self._numerator, above, difference), (self._denominator, below, there)):
            by_unit: Any = csr_array((weights, (where, np.arange(len(weights)))), shape=(len(found), len(weights)))
            sums[found] += by_unit @ values
        self._raw += difference.sum(axis=0)
        self._change += change @ there
        self._positive += (difference * np.sign(change)[:, None] > 0).sum(axis=0)
        self._pairs += there.sum(axis=0)

    @property
    def sums(self) -> Sums:
        """The sums so far."""
        return Sums(self._numerator, self._denominator)

    @property
    def pairs(self) -> NDArray[np.int64]:
        """How many pairs have each cell, dims (cell)."""
        return np.broadcast_to(self._pairs, self._raw.shape).astype(np.int64)

    @property
    def ratio(self) -> Floats:
        """The plain ratio of sums, sum(patched - base) / sum(D), dims (cell); NaN where the changes add up to 0."""
        return divided(self._raw, self._change)

    @property
    def raw(self) -> Floats:
        """The mean of patched - base, dims (cell)."""
        return divided(self._raw, self._pairs)

    @property
    def positive(self) -> Floats:
        """The share of pairs in which a cell moves the score the way D does, dims (cell)."""
        return divided(self._positive, self._pairs)
