"""From scores to the number that a cell shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.results import Pair

#: A metric takes patched scores, dims (cell), and the base and source scores.
Metric = Callable[[NDArray[np.float64], float, float], NDArray[np.float64]]


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


METRICS: dict[str, Metric] = {"effect": effect, "raw": raw, "robust": robust}


def find_metric(metric: str | Metric) -> tuple[str, Metric]:
    """Return the name and the function of a metric."""
    if isinstance(metric, str):
        if metric not in METRICS:
            raise InputError(f"metric={metric!r}; mechviz has {', '.join(map(repr, METRICS))}, or pass a function")
        return metric, METRICS[metric]
    if not callable(metric):
        raise InputTypeError(f"metric must be a name or a function of (patched, base, source), not {shown(metric)}")
    return getattr(metric, "__name__", "custom"), metric


def measure(pair: Pair, metric: str | Metric, patched: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the metric of each cell, float32; NaN everywhere for `effect` where the pair's gate is closed."""
    name, function = find_metric(metric)
    if name == "effect" and not pair.gate:
        return np.full(patched.shape, np.nan, dtype=np.float32)
    try:
        values = np.asarray(function(patched.astype(np.float64), pair.base_score, pair.source_score), dtype=np.float64)
    except Exception as error:
        raise InputError(
            f"the metric {name} raised {type(error).__name__}: {error}; it gets (patched scores, base score, source score)"
        ) from error
    if values.shape != patched.shape:
        raise InputError(f"the metric {name} returned shape {values.shape} for scores of shape {patched.shape}")
    return values.astype(np.float32)
