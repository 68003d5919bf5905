"""From scores to the number that a cell shows.

A metric is a name, one of `METRICS`, or a function of (patched, base, source): patched scores, float64, dims (cell), and the
scores of the two runs. A function with a fourth parameter gets the scores of the competing documents (``docs=``), dims (doc),
beside the base run's query; NaN where such a document is the patched one itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.results import Pair

#: A metric takes patched scores, dims (cell), the base and source scores and, if it has a fourth parameter, competitors' scores.
Metric = Callable[..., Any]


def effect(patched: NDArray[np.float64], base: float, source: float) -> NDArray[np.float64]:
    """Return ``(patched - base) / (source - base)``: 0 nothing moved, 1 the whole change."""
    return (patched - base) / (source - base)


def raw(patched: NDArray[np.float64], base: float, source: float) -> NDArray[np.float64]:
    """Return ``patched - base``, in units of the score."""
    return patched - base


def robust(patched: NDArray[np.float64], base: float, source: float) -> NDArray[np.float64]:
    """Return ``(patched - base) / sqrt(1 + (source - base)^2)``, which small changes do not blow up (Polyakov et al. 2025)."""
    scale = float(np.sqrt(1 + (source - base) ** 2))
    return (patched - base) / scale


def rank(patched: NDArray[np.float64], base: float, source: float, competitors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the document's rank among its competitors, 1 the best; an equal score ranks above.

    Raises
    ------
    InputError
        No competitors were given.
    """
    if not np.isfinite(competitors).any():
        raise InputError("metric='rank' counts among competing documents: give docs=[...]")
    above = (competitors[:, None] > patched.reshape(1, -1)).sum(axis=0)
    ranks: NDArray[np.float64] = 1.0 + above.reshape(patched.shape)
    return ranks


def margin(competitor: int = 0) -> Metric:
    """Return the metric ``patched - score of one competitor``: above 0 the document is ranked before it.

    Parameters
    ----------
    competitor : int
        Its number in ``docs=``.

    Raises
    ------
    InputError
        When used: there is no such competitor, or it is the document itself.
    """

    def margin(patched: NDArray[np.float64], base: float, source: float, competitors: NDArray[np.float64]) -> Any:
        if not 0 <= competitor < len(competitors):
            raise InputError(f"margin({competitor}): docs= has {len(competitors)} documents, counted from 0")
        if not np.isfinite(competitors[competitor]):
            raise InputError(f"margin({competitor}): that document is the patched one itself; choose another")
        return patched - competitors[competitor]

    if isinstance(competitor, bool) or not isinstance(competitor, int):
        raise InputTypeError(f"margin takes the number of a competitor in docs=, not {shown(competitor)}")
    margin.__name__ = f"margin({competitor})"
    return margin


METRICS: dict[str, Metric] = {"effect": effect, "raw": raw, "robust": robust, "rank": rank}


def metric_name(metric: str | Metric) -> str:
    """Return the name of a metric.

    Raises
    ------
    InputError, InputTypeError
        It is none.
    """
    if isinstance(metric, str):
        if metric not in METRICS:
            raise InputError(f"metric={metric!r}; mechviz has {', '.join(map(repr, METRICS))}, or pass a function")
        return metric
    if not callable(metric):
        raise InputTypeError(f"metric must be a name or a function of (patched, base, source), not {shown(metric)}")
    return getattr(metric, "__name__", "custom")


def measure(
    pair: Pair, metric: str | Metric, patched: NDArray[np.float32], competitors: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the metric of each cell, float32; NaN everywhere for `effect` where the pair's gate is closed.

    Cells that were not computed are NaN, whatever the metric makes of them.
    """
    name = metric_name(metric)
    if name == "effect" and not pair.gate:
        return np.full(patched.shape, np.nan, dtype=np.float32)
    function = METRICS[metric] if isinstance(metric, str) else metric
    arguments = [patched.astype(np.float64), pair.base_score, pair.source_score, competitors]
    try:
        values = np.asarray(function(*arguments[: 4 if _takes_competitors(function) else 3]), dtype=np.float64)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the metric {name} raised {type(error).__name__}: {error}; it gets (patched scores, base score, source score"
            "[, scores of competitors])"
        ) from error
    if values.shape != patched.shape:
        raise InputError(f"the metric {name} returned shape {values.shape} for scores of shape {patched.shape}")
    return np.where(np.isnan(patched), np.nan, values).astype(np.float32)


def _takes_competitors(function: Metric) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a function of C's, such as numpy's, which says nothing of its parameters
        return False
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [parameter for parameter in parameters if parameter.kind in places and parameter.default is parameter.empty]
    return len(required) > 3
