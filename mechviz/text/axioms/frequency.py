"""Axioms of term frequency: TFC1, TFC3, TDC."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, isclose

import numpy as np

from mechviz.text.axioms.base import Axiom, Draft, Verdict
from mechviz.text.axioms.counted import PLACES, Counted, pick
from mechviz.text.axioms.preconditions import (
    check_margin,
    check_statistics,
    check_term_choice,
    choose_term,
    equally_rare,
    equally_rare_pairs,
    exchanged,
    same_length,
)
from mechviz.text.perturb.rewrites import check_choice
from mechviz.text.statistics import TermStatistics


@dataclass(frozen=True, kw_only=True, repr=False)
class TFC1(Axiom):
    """Prefer the document in which the query terms occur more often.

    ``|D1| = |D2|`` and ``c(q, D1) > c(q, D2)`` imply ``D1 > D2`` for a query of one term: Fang, Tao and Zhai, A Formal Study
    of Information Retrieval Heuristics, SIGIR 2004. For longer queries ``c`` is summed over the distinct query terms, and the
    lengths may differ a little, as in Hagen, Völske, Göring and Stein, Axiomatic Result Re-Ranking, CIKM 2016. The verdict's
    margin is the difference of these sums.

    A pair has one more occurrence of a query term, by default at the end, as in Chen, Merullo and Eickhoff, Axiomatic Causal
    Interventions for Reverse Engineering Relevance Computation in Neural Retrieval Models, SIGIR 2024.

    Parameters
    ----------
    margin : float, optional
        By what share of the longer one the lengths may differ; one word is always allowed, unless it is 0.
    term : str, optional
        The query term that a pair adds: ``"random"``, ``"rarest"`` (of the highest IDF; needs ``statistics``) or
        ``"present"`` (one that the document has already).
    where : str, optional
        ``"end"``, ``"start"`` or ``"replace"`` (in place of a word that the query does not have: equal length).
    statistics : TermStatistics, optional
        For ``term="rarest"``.

    Examples
    --------
    >>> TFC1().preference("hot lava", "Lava is hot lava.", "Lava is hot rock.")
    1
    >>> TFC1(term="present").make("hot lava", "Lava is a rock.").perturbed
    'Lava is a rock. lava'
    """

    margin: float = 0.1
    term: str = "random"
    where: str = "end"
    statistics: TermStatistics | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_margin("TFC1(margin)", self.margin)
        check_term_choice("TFC1", self.term, check_statistics("TFC1", self.statistics))
        check_choice("TFC1(where)", self.where, PLACES)

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        if reason := same_length(a, b, self.margin):
            return Verdict(reason=reason)
        return Verdict(float(sum(a.counts.get(term, 0) - b.counts.get(term, 0) for term in query.distinct)))

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        term = choose_term(self.term, query, doc, self.statistics, generator)
        if term is None:
            return "the document has no query term"
        added = doc.adding([query.written(term)], self.where, query, generator)
        return "the document has no word that the query does not have" if added is None else Draft(doc, added)


@dataclass(frozen=True, kw_only=True, repr=False)
class TFC3(Axiom):
    """Prefer the document with two query terms to one with the first of them as often as both together.

    ``|D1| = |D2|``, ``idf(w1) = idf(w2)``, ``c(w1, D2) = c(w1, D1) + c(w2, D1)``, ``c(w2, D2) = 0``, ``c(w1, D1) > 0`` and
    ``c(w2, D1) > 0`` imply ``D1 > D2``: Fang, Tao and Zhai, Diagnostic Evaluation of Information Retrieval Models, ACM
    Transactions on Information Systems 29(2), 2011. The query's other terms must occur equally often in both. The margin is
    the number of occurrences of the term that only one document has.

    A pair replaces all occurrences of one of the two terms by the other, or, if the document has one of them alone and more
    than once, one occurrence by the other.

    Parameters
    ----------
    margin : float, optional
        By what share of the longer one the lengths may differ; one word is always allowed, unless it is 0.
    idf_margin : float, optional
        By what share of the larger one the IDFs may differ.
    statistics : TermStatistics
        For the IDFs.

    Examples
    --------
    >>> axiom = TFC3(statistics=TermStatistics.of(["hot lava"]))
    >>> axiom.preference("hot lava", "hot lava flows", "hot hot flows")
    1
    >>> axiom.make("hot lava", "Hot rock, hot lava.").perturbed
    'Hot rock, hot hot.'
    """

    margin: float = 0.1
    idf_margin: float = 0.1
    statistics: TermStatistics | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_margin("TFC3(margin)", self.margin)
        check_margin("TFC3(idf_margin)", self.idf_margin)
        check_statistics("TFC3", self.statistics, "compares the IDFs of query terms")

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        assert self.statistics is not None
        found = exchanged(query, a, b, self.margin)
        if isinstance(found, Verdict):
            return found
        if not equally_rare(*found, self.statistics, self.idf_margin):
            return Verdict(reason="the two query terms are not equally rare")
        only = [(a.counts.get(term, 0), b.counts.get(term, 0)) for term in found if not (term in a.counts and term in b.counts)]
        if len(only) != 1:
            return Verdict(reason="not exactly one document has both of the two query terms")
        return Verdict(float(only[0][0] - only[0][1]))

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        assert self.statistics is not None
        pairs = equally_rare_pairs(query, self.statistics, self.idf_margin)
        if not pairs:
            return "the query has no two terms of equal IDF"
        both = [pair for pair in pairs if all(term in doc.counts for term in pair)]
        if both:
            gone, kept = generator.permutation(pick(both, generator)).tolist()
            return Draft(doc, doc.replacing(dict.fromkeys(doc.places([gone]), query.written(kept))), preferred=-1)
        alone = [pair for one, other in pairs for pair in ((one, other), (other, one)) if doc.counts.get(pair[0], 0) > 1]
        if not alone:
            return "the document has neither both of two query terms of equal IDF nor one of them twice"
        kept, new = pick(alone, generator)
        return Draft(doc, doc.replacing({pick(doc.places([kept]), generator): query.written(new)}))


@dataclass(frozen=True, kw_only=True, repr=False)
class TDC(Axiom):
    """Prefer the document whose query term occurrences are of rarer terms.

    ``|D1| = |D2|``, ``c(w1, D1) + c(w2, D1) = c(w1, D2) + c(w2, D2)``, ``idf(w1) > idf(w2)`` and ``c(w1, D1) > c(w1, D2)``
    imply ``D1 > D2``: the term discrimination constraint of Fang, Tao and Zhai, SIGIR 2004, where the inequalities are not
    strict. For more than two terms: both documents have as many occurrences of query terms, and, both sorted by IDF, each
    occurrence in ``D1`` is at least as rare as its counterpart in ``D2``. The margin is the mean difference of their IDFs.

    A pair puts a rarer query term in place of one occurrence of a more common one, if possible of one that occurs more than
    once, so that no term goes missing.

    Parameters
    ----------
    margin : float, optional
        By what share of the longer one the lengths may differ; one word is always allowed, unless it is 0.
    statistics : TermStatistics
        For the IDFs.

    Examples
    --------
    >>> axiom = TDC(statistics=TermStatistics.of(["hot lava", "hot springs", "hot rock"]))
    >>> axiom.preference("hot lava", "lava is hot lava", "lava is hot hot")
    1
    >>> axiom.make("hot lava", "hot lava, hot rock, hot spring").perturbed.count("lava")
    2
    """

    margin: float = 0.1
    statistics: TermStatistics | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_margin("TDC(margin)", self.margin)
        check_statistics("TDC", self.statistics, "compares the IDFs of query terms")

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        assert self.statistics is not None
        if reason := same_length(a, b, self.margin):
            return Verdict(reason=reason)
        rarity_a, rarity_b = (sorted(map(self.statistics.idf, (t for t in one.terms if t in query.counts))) for one in (a, b))
        if len(rarity_a) != len(rarity_b):
            return Verdict(reason="the documents have unequal numbers of query term occurrences")
        steps = [x - y for x, y in zip(rarity_a, rarity_b, strict=True) if not isclose(x, y, rel_tol=1e-12)]
        if any(step > 0 for step in steps) and any(step < 0 for step in steps):
            return Verdict(reason="neither document has the rarer query terms throughout")
        return Verdict(fsum(steps) / len(rarity_a)) if steps else Verdict()

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        assert self.statistics is not None
        idf = {term: self.statistics.idf(term) for term in query.distinct}
        if isclose(min(idf.values()), max(idf.values()), rel_tol=1e-12):
            return "the query has no two terms of different IDF"
        rarest = max(idf, key=idf.__getitem__)
        common = [term for term in idf if term in doc.counts and not isclose(idf[term], idf[rarest], rel_tol=1e-12)]
        if not common:
            return "the document has no query term but the rarest"
        repeated = [term for term in common if doc.counts[term] > 1]
        place = pick(doc.places([pick(repeated or common, generator)]), generator)
        return Draft(doc, doc.replacing({place: query.written(rarest)}))
