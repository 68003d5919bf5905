"""A list of documents in a ranker's order, before and after some or all of them were perturbed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mechviz.errors import InputError


@dataclass(frozen=True, eq=False)
class RankingResult:
    """Scores of a candidate list for one query, and what a perturbation does to them.

    Attributes
    ----------
    query : str
    docs : tuple of str
    original : float32 array, dims (doc)
        Score of each document.
    perturbed : float32 array, dims (doc), or None
        The same after the perturbation; None where nothing was perturbed.
    changed : bool array, dims (doc)
        Which documents the perturbation changed; all where it changed the query.
    perturbation : str
        Its name; empty if none.
    grades : tuple of int or None
        Relevance of each document, where it is known.
    provenance : mapping of str to str
    """

    query: str
    docs: tuple[str, ...]
    original: NDArray[np.float32]
    perturbed: NDArray[np.float32] | None = None
    changed: NDArray[np.bool_] | None = None
    perturbation: str = ""
    grades: tuple[int, ...] | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.docs)
        changed = np.zeros(n, dtype=bool) if self.changed is None else np.asarray(self.changed, dtype=bool)
        object.__setattr__(self, "changed", changed)
        for name in ("original", "perturbed", "changed", "grades"):
            value = getattr(self, name)
            if value is not None and len(value) != n:
                raise InputError(f"{name} has {len(value)} entries for {n} documents; give one each")

    def __repr__(self) -> str:
        frame = self.to_dataframe()
        what = f", {self.perturbation} on {int(frame['changed'].sum())}" if "changed" in frame else ""
        return f"RankingResult({len(self.docs)} documents{what}; {self.query!r})"

    def ranks(self, scores: NDArray[np.float32] | None = None) -> NDArray[np.int64]:
        """Return the rank of each document, 1 the best; equal scores keep the order given; dims (doc)."""
        of = self.original if scores is None else scores
        ranks = np.empty(len(of), dtype=np.int64)
        ranks[np.argsort(-of, kind="stable")] = np.arange(1, len(of) + 1)
        return ranks

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a document: ``doc``, ``score``, ``rank``, and ``grade`` where it is known.

        Where a perturbation was made also ``perturbed_score``, ``perturbed_rank``, ``score_change``, ``rank_change`` (upwards
        positive) and ``changed``.
        """
        frame = pd.DataFrame({"doc": list(self.docs), "score": self.original, "rank": self.ranks()})
        if self.grades is not None:
            frame["grade"] = list(self.grades)
        if self.perturbed is not None:
            frame["perturbed_score"] = self.perturbed
            frame["perturbed_rank"] = self.ranks(self.perturbed)
            frame["score_change"] = self.perturbed - self.original
            frame["rank_change"] = frame["rank"] - frame["perturbed_rank"]
            frame["changed"] = self.changed
        return frame

    def overlap(self, p: float = 0.9) -> float:
        """Return the rank-biased overlap of the two orders, 1 for equal ones; 1 where nothing was perturbed.

        Parameters
        ----------
        p : float
            How much weight deeper ranks have.

        Notes
        -----
        The extrapolated RBO of two conjoint lists of equal length, Webber, Moffat and Zobel, "A similarity measure for
        indefinite rankings", TOIS 2010, equation 32.
        """
        if self.perturbed is None:
            return 1.0
        first, second = (np.argsort(-scores, kind="stable") for scores in (self.original, self.perturbed))
        seen_first: set[int] = set()
        seen_second: set[int] = set()
        total, agreement = 0.0, 1.0
        for depth, (one, other) in enumerate(zip(first.tolist(), second.tolist(), strict=True), start=1):
            seen_first.add(one)
            seen_second.add(other)
            agreement = len(seen_first & seen_second) / depth
            total += agreement * p**depth
        return float(agreement * p ** len(first) + (1 - p) / p * total)

    def ndcg(self, perturbed: bool = False, k: int = 10) -> float | None:
        """Return nDCG at ``k`` with gain 2^grade - 1; None where no grades are known or all are 0.

        Notes
        -----
        Burges et al., "Learning to rank using gradient descent", ICML 2005.
        """
        if self.grades is None:
            return None
        scores = self.perturbed if perturbed and self.perturbed is not None else self.original
        gains = 2.0 ** np.asarray(self.grades, dtype=np.float64) - 1
        discounts = 1 / np.log2(np.arange(2, min(k, len(gains)) + 2))
        best = float((np.sort(gains)[::-1][:k] * discounts).sum())
        order = np.argsort(-scores, kind="stable")[:k]
        return float((gains[order] * discounts).sum()) / best if best else None
