"""P-values: what a cell would do if it moved the score either way with equal chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from mechviz.studies.statistics.sums import Floats

# Signs held at once, as float64.
_BLOCK = 2**23
# Sums that differ by less are equal: a flip of all signs must count as large as none.
_ROUNDING = 1e-9


def sign_flips(numerator: Floats, flips: int, rng: np.random.Generator) -> Floats:
    """Return two-sided p-values by flipping the sign of all that a unit adds.

    All sign patterns are gone through where they are not more than ``flips``; else p = (1 + hits) / (1 + flips) (Phipson and
    Smyth, "Permutation p-values should never be zero", 2010).

    Parameters
    ----------
    numerator : float64 array, dims (unit, cell)
    flips : int
    rng : Generator

    Returns
    -------
    float64 array, dims (cell)
    """
    units, cells = numerator.shape
    exact = units < 63 and 2**units <= flips
    count = 2**units if exact else flips
    least = np.abs(numerator.sum(axis=0)) - _ROUNDING * np.abs(numerator).sum(axis=0)
    hits = np.zeros(cells, dtype=np.int64)
    rows = max(1, _BLOCK // max(units, cells))
    for start in range(0, count, rows):
        numbers = np.arange(start, min(start + rows, count))
        signs = _patterns(numbers, units) if exact else _random(len(numbers), units, rng)
        hits += (np.abs(signs @ numerator) >= least).sum(axis=0)
    p: Floats = hits / count if exact else (1 + hits) / (1 + count)
    return p


def _patterns(numbers: NDArray[np.int64], units: int) -> Floats:
    bits = numbers[:, None] >> np.arange(units) & 1
    return 1.0 - 2.0 * bits.astype(np.float64)


def _random(rows: int, units: int, rng: np.random.Generator) -> Floats:
    drawn = rng.integers(0, 256, size=(rows, -(-units // 8)), dtype=np.uint8)
    return 1.0 - 2.0 * np.unpackbits(drawn, axis=1, count=units).astype(np.float64)


def false_discoveries(p: Floats) -> Floats:
    """Return p-values after Benjamini-Hochberg across the cells that have one, dims (cell)."""
    q = np.full(p.shape, np.nan)
    known = np.isfinite(p)
    if known.any():
        q[known] = false_discovery_control(p[known])
    return q
