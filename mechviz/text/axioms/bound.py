"""The lower bound on term frequency: LB1."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose

import numpy as np

from mechviz.text.axioms.aspects import exchange_presence
from mechviz.text.axioms.base import Axiom, Draft, Verdict
from mechviz.text.axioms.counted import PLACES, Counted
from mechviz.text.axioms.preconditions import check_margin, check_statistics, same_counts, same_length
from mechviz.text.bm25 import bm25
from mechviz.text.perturb.rewrites import check_choice
from mechviz.text.statistics import TermStatistics


@dataclass(frozen=True, kw_only=True, repr=False)
class LB1(Axiom):
    """Of two documents that are equal apart from one query term, prefer the one that has it, however long it is.

    ``S(Q, D1) = S(Q, D2)``, ``c(q, D1) > 0`` and ``c(q, D2) = 0`` for a further term ``q`` imply
    ``S(Q + q, D1) > S(Q + q, D2)``: Lv and Zhai, Lower-Bounding Term Frequency Normalization, CIKM 2011. With
    ``statistics``, ``S`` is BM25 with its default parameters, and the scores may differ by ``margin``. Without, documents
    count as equal where the other query terms occur equally often and the lengths differ by at most ``margin``, since then
    every score of words and length is about equal. The margin of the verdict is the number of query terms of which this
    holds, those of the second document subtracted.

    A pair adds a query term that the document lacks; if it lacks none, all occurrences of one are replaced by other words of
    the document, and the original is preferred.

    Parameters
    ----------
    margin : float, optional
        By what share of the larger one the scores, or the lengths, may differ. Of lengths, one word is always allowed, unless
        it is 0.
    where : str, optional
        Where the term is added: ``"end"``, ``"start"`` or ``"replace"``, in place of a word that the query does not have.
    statistics : TermStatistics, optional
        For BM25.

    Examples
    --------
    >>> LB1().preference("hot lava", "lava is a hot rock", "lava is a cold rock")
    1
    >>> LB1().make("hot lava", "Lava is rock").perturbed
    'Lava is hot'
    """

    margin: float = 0.1
    where: str = "replace"
    statistics: TermStatistics | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_margin("LB1(margin)", self.margin)
        check_choice("LB1(where)", self.where, PLACES)
        check_statistics("LB1", self.statistics)

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        found = [term for term in query.distinct if (term in a.counts) != (term in b.counts)]
        usable = [term for term in found if self._equal_without(term, query, a, b)]
        if found and not usable:
            return Verdict(reason="without the query term that one document lacks, the two are not equal")
        return Verdict(float(sum((term in a.counts) - (term in b.counts) for term in usable)))

    def _equal_without(self, term: str, query: Counted, a: Counted, b: Counted) -> bool:
        if self.statistics is None:
            return not (same_length(a, b, self.margin) or same_counts(query, a, b, but=(term,)))
        rest = " ".join(other for other in query.terms if other != term)
        scores = [bm25(rest, one.text, self.statistics) for one in (a, b)]
        return isclose(*scores, rel_tol=max(self.margin, 1e-12))

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        return exchange_presence(query, doc, self.where, generator)
