"""nDCG, rank correlation and shares of signs, with standard errors by bootstrap over queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.toys.data import Pool, dcg

Floats = NDArray[np.float64]
DRAWS = 1000
RANDOM_ORDERS = 20


def ndcg(pool: Pool, scores: Floats) -> Floats:
    """Return nDCG@10 of each query, dims (query); equal scores keep the pool's order."""
    return np.array(
        [dcg(pool.gains[rows][np.argsort(-scores[rows], kind="stable")]) / pool.ideal[qid] for qid, rows in pool.rows.items()]
    )


def random_ndcg(pool: Pool) -> float:
    """Return the mean over queries and over random orders."""
    orders = (np.random.default_rng(seed).random(len(pool.docs)) for seed in range(RANDOM_ORDERS))
    return float(np.mean([ndcg(pool, order).mean() for order in orders]))


def mean_with_error(by_query: Floats) -> dict[str, float]:
    """Return the mean over queries and its standard error."""
    drawn = np.random.default_rng(0).integers(len(by_query), size=(DRAWS, len(by_query)))
    return {"mean": float(by_query.mean()), "se": float(by_query[drawn].mean(1).std(ddof=1))}


def over_queries(query_ids: Sequence[str], measure: Callable[[NDArray[np.int64]], float], draws: int = 200) -> dict[str, float]:
    """Return a measure of rows and its standard error: whole queries are drawn, with all their rows."""
    ids = np.array(query_ids)
    rows = [np.flatnonzero(ids == one) for one in dict.fromkeys(query_ids)]
    random = np.random.default_rng(0)
    drawn = [measure(np.concatenate([rows[at] for at in random.integers(len(rows), size=len(rows))])) for _ in range(draws)]
    return {"mean": measure(np.arange(len(ids))), "se": float(np.std(drawn, ddof=1))}


def spearman(a: Floats, b: Floats) -> float:
    """Return the rank correlation."""
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
