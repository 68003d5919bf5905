"""One number for many pairs, with a bootstrap interval over queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.interventions.checks import as_array
from mechviz.results import Evaluation, PlanResult
from mechviz.results.pair import passes_gate

Floats = NDArray[np.float64]
#: Each takes (patched, base, wanted), dims (pair), and returns numerators and denominators whose sums' ratio is the metric.
METRICS: dict[str, Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]] = {
    "effect": lambda patched, base, wanted: (np.sign(wanted - base) * (patched - base), np.abs(wanted - base)),
    "raw": lambda patched, base, wanted: (patched - base, np.ones_like(base)),
}
#: Resamples of the bootstrap.
DRAWS = 2000


def evaluation(
    result: PlanResult, metric: str | Callable[..., Any], targets: Any = None, confidence: float = 0.95, name: str = "plan"
) -> Evaluation:
    """Return a metric over the pairs of a result; see `Plan.evaluate`.

    Raises
    ------
    InputError, InputTypeError
        No such metric, or targets that are not one number a pair.
    """
    if isinstance(confidence, bool) or not isinstance(confidence, float) or not 0 < confidence < 1:
        raise InputError(f"confidence={shown(confidence)}; give a share, such as 0.95")
    base, patched = (array.values.astype(np.float64) for array in (result.base_score, result.patched))
    queries = result.pairs["query_id"].to_numpy()
    return sum_up(
        metric, patched, base, last_source(result), wanted_scores(result, targets), queries, len(result.reasons), confidence, name
    )


def sum_up(
    metric: str | Callable[..., Any],
    patched: Floats,
    base: Floats,
    source: Floats,
    wanted: Floats,
    queries: NDArray[Any],
    dropped: int = 0,
    confidence: float = 0.95,
    name: str = "plan",
) -> Evaluation:
    """Return a metric over pairs from their scores, dims (pair); ``source`` is NaN where there is no source run."""
    change = np.where(np.isfinite(source), source - base, wanted - base)
    if metric == "raw":
        used = np.isfinite(patched)
    else:
        used = np.isfinite(patched) & np.isfinite(wanted)
        used &= passes_gate(base, change) if isinstance(metric, str) else True
    said, top, bottom = _parts(metric, patched[used], base[used], wanted[used], change[used])
    low, high = _interval(top, bottom, queries[used], confidence)
    value = float(top.sum() / bottom.sum()) if bottom.sum() else np.nan
    return Evaluation(said, value, low, high, int(used.sum()), len(base) - int(used.sum()) + dropped, confidence, name)


def last_source(result: PlanResult) -> Floats:
    """Return the scores of the last source run, dims (pair); NaN where there is none."""
    scores = result.source_score.values.astype(np.float64)
    return scores[:, -1] if scores.shape[1] else np.full(len(scores), np.nan)


def wanted_scores(result: PlanResult, targets: Any) -> Floats:
    """Return the score that each pair should have, dims (pair): targets are one a pair given, those that failed included."""
    if targets is None:
        return last_source(result)
    wanted = as_array("targets", targets).ravel()
    given = len(result.pairs) + len(result.reasons)
    if len(wanted) != given:
        raise InputError(f"targets has {len(wanted)} scores for {given} pairs; give one a pair")
    chosen: Floats = wanted[result.pairs["number"].to_numpy(dtype=int)]
    return chosen


def _parts(
    metric: str | Callable[..., Any], patched: Floats, base: Floats, wanted: Floats, change: Floats
) -> tuple[str, Floats, Floats]:
    if metric == "accuracy":
        right = (np.abs(patched - wanted) < np.abs(change) / 2).astype(np.float64)
        return metric, right, np.ones_like(right)
    if isinstance(metric, str):
        if metric not in METRICS:
            names = ", ".join(map(repr, (*METRICS, "accuracy")))
            raise InputError(f"metric={metric!r}; there are {names}, or give a function of (patched, base, wanted)")
        return metric, *METRICS[metric](patched, base, wanted)
    if not callable(metric):
        raise InputTypeError(f"metric must be a name or a function of (patched, base, wanted), not {shown(metric)}")
    values = np.asarray(metric(patched, base, wanted), dtype=np.float64)
    if values.shape != patched.shape:
        raise InputError(f"the metric returned shape {values.shape} for {len(patched)} pairs; return one number a pair")
    return str(getattr(metric, "__name__", "metric")), values, np.ones_like(values)


def _interval(top: Floats, bottom: Floats, queries: NDArray[Any], confidence: float) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a ratio of sums, whole queries drawn together; NaN below two queries."""
    _, codes = np.unique(queries, return_inverse=True)
    n = int(codes.max(initial=-1)) + 1
    if n < 2:
        return np.nan, np.nan
    sums = [np.bincount(codes, weights=values, minlength=n) for values in (top, bottom)]
    found = stats.bootstrap(
        sums,
        lambda a, b, axis=-1: a.sum(axis) / b.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=DRAWS,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
