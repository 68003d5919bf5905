"""Rank correlations of pairs, with p-values that know that pairs of one query are not independent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from scipy.stats import t as student

from mechviz.studies.statistics.sums import Floats

# Standardised values and errors below this are rounding.
_ROUNDING = 1e-9


def spearman(x: Floats, y: Floats, queries: NDArray[np.int64]) -> tuple[float, float]:
    """Return Spearman's correlation and its p-value.

    Parameters
    ----------
    x, y : float64 arrays, dims (pair)
    queries : int64 array, dims (pair)
        The query of each pair, as a number from 0.

    Returns
    -------
    correlation, p : float
        NaN where one of the two does not vary; p also where there are fewer than three queries.

    Notes
    -----
    The standard error is that of a correlation of ranks summed by query (a sandwich, as of clustered regression), and t has
    as many degrees of freedom as there are queries less one. Where each pair has its own query, this is near to the usual
    p-value; where a query has many pairs, the usual one is far too small.
    """
    return _correlation(rankdata(x), rankdata(y), queries)


def partial(x: Floats, y: Floats, given: Floats, queries: NDArray[np.int64]) -> tuple[float, float]:
    """Return the correlation of the ranks of ``x`` and ``y`` that is left when that with the ranks of ``given`` is taken out.

    See `spearman`. NaN where ``x`` or ``y`` has the ranks of ``given``.
    """
    third = _standard(rankdata(given))
    first, second = (_without(_standard(rankdata(one)), third) for one in (x, y))
    return _correlation(first, second, queries)


def _correlation(x: Floats, y: Floats, queries: NDArray[np.int64]) -> tuple[float, float]:
    x, y = _standard(x), _standard(y)
    if not (x.any() and y.any()):
        return np.nan, np.nan
    r = float(np.mean(x * y))
    count = len(np.unique(queries))
    if count < 3:
        return r, np.nan
    influence = x * y - r * (x**2 + y**2) / 2
    error = np.sqrt((np.bincount(queries, influence) ** 2).sum()) / len(x)
    if error < _ROUNDING:
        return r, 0.0 if abs(r) > _ROUNDING else 1.0
    return r, float(2 * student.sf(abs(r) / error, count - 1))


def _standard(values: Floats) -> Floats:
    """Return values of mean 0 and variance 1; zeros where they do not vary."""
    centred: Floats = values - values.mean()
    spread = np.sqrt(np.mean(centred**2))
    return centred / spread if spread > _ROUNDING else np.zeros_like(centred)


def _without(values: Floats, third: Floats) -> Floats:
    return values - np.mean(values * third) * third
