"""How well a toy ranks, and whether its score changes with a query term as that of a large ranker does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import mechviz as mv
from benchmarks.texts import all_minilm
from benchmarks.toys import data, measures
from mechviz.rankers import Ranker

#: Pairs in one forward pass.
BATCH = 64


class Judge:
    """The collections, read once for all rankers.

    Parameters
    ----------
    year : int
        2019 is for the figures of a release, 2020 (which toys are trained on) for choosing settings.
    """

    def __init__(self, year: int = 2019) -> None:
        self.year = year

    @cached_property
    def pools(self) -> dict[str, data.Pool]:
        """What is reranked."""
        return {"trecdl": data.trecdl(self.year), "vaswani": data.vaswani(), "cranfield": data.cranfield()}

    @cached_property
    def added(self) -> data.Added:
        """Documents with a term more; all queries, whatever the year."""
        return data.added_terms()

    def baselines(self) -> dict[str, Any]:
        """Return nDCG@10 of BM25 and of a random order."""
        return {
            name: {
                "what": pool.name,
                "bm25": measures.mean_with_error(measures.ndcg(pool, pool.baseline)),
                "random": measures.random_ndcg(pool),
            }
            for name, pool in self.pools.items()
        }

    def figures(self, ranker: Ranker) -> dict[str, Any]:
        """Return what is found of one ranker."""
        start = time.perf_counter()
        found: dict[str, Any] = {"ranker": ranker.name, "ndcg": {}}
        for name, pool in self.pools.items():
            found["ndcg"][name] = measures.mean_with_error(measures.ndcg(pool, scores(ranker, pool.queries, pool.docs)))
        found["tfc1"] = self._tfc1(ranker)
        return {**found, "seconds": round(time.perf_counter() - start, 1)}

    def _tfc1(self, ranker: Ranker) -> dict[str, Any]:
        rows = self.added
        before = scores(ranker, rows.queries, rows.docs)
        found: dict[str, Any] = {}
        for name, docs in (("term", rows.with_term), ("control", rows.with_control)):
            change = scores(ranker, rows.queries, docs) - before
            found[name] = {
                "spearman": measures.over_queries(
                    rows.query_ids, lambda at, change=change: measures.spearman(change[at], rows.recorded[at])
                ),
                "positive": measures.over_queries(rows.query_ids, lambda at, change=change: float((change[at] > 0).mean())),
                "change": measures.over_queries(rows.query_ids, lambda at, change=change: float(change[at].mean())),
            }
        return {**found, "rows": len(before)}


def scores(ranker: Ranker, queries: list[str], docs: list[str]) -> measures.Floats:
    """Score pairs, each pair of texts once; what is too long is cut."""
    pairs = list(dict.fromkeys(zip(queries, docs, strict=True)))
    found = ranker.score([query for query, _ in pairs], [doc for _, doc in pairs], batch_size=BATCH, truncate=True)
    known = dict(zip(pairs, found.tolist(), strict=True))
    return np.array([known[pair] for pair in zip(queries, docs, strict=True)])


def opened(names: Iterable[str]) -> Iterable[tuple[Ranker, dict[str, Any]]]:
    """Yield rankers by name (``minilm`` for all-MiniLM), and what their trainer wrote of them."""
    for name in names:
        said = Path(name) / "training.json"
        training = json.loads(said.read_text(encoding="utf-8")) if said.is_file() else {}
        open_it = getattr(mv, training["kind"]) if training else mv.load  # a T5's files do not say that it is a MonoT5
        yield all_minilm() if name == "minilm" else open_it(name), training
