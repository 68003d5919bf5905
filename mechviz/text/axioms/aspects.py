"""Axioms of query aspects: AND, M_AND, REG, DIV."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, isclose

import numpy as np

from mechviz.text.axioms.base import Axiom, Draft, Verdict
from mechviz.text.axioms.counted import PLACES, Counted, pick
from mechviz.text.axioms.preconditions import check_margin, same_length
from mechviz.text.axioms.similarity import SimilarityAxiom
from mechviz.text.perturb.rewrites import check_choice


def exchange_presence(
    query: Counted, doc: Counted, where: str, generator: np.random.Generator, every: bool = False
) -> Draft | str:
    """Add a query term that the document lacks (all of them if ``every``); if it lacks none, replace all of one of them."""
    room = doc.others(query)
    lacking = [term for term in query.distinct if term not in doc.counts]
    if lacking:
        new = lacking if every else [pick(lacking, generator)]
        added = doc.adding([query.written(term) for term in new], where, query, generator)
        return "the document has too few words that the query does not have" if added is None else Draft(doc, added)
    if not room:
        return "the document has no word that the query does not have"
    fewest = min(doc.counts[term] for term in query.distinct)
    gone = pick([term for term in query.distinct if doc.counts[term] == fewest], generator)
    new_words = {place: doc.surface(pick(room, generator)) for place in doc.places([gone])}
    return Draft(doc, doc.replacing(new_words), preferred=-1)


@dataclass(frozen=True, kw_only=True, repr=False)
class M_AND(Axiom):  # noqa: N801 - the name that papers use
    """Prefer the document with more of the different query terms.

    The modified AND of ir_axioms (Bondarenko et al., Axiomatic Retrieval Experimentation with ir_axioms, SIGIR 2022): the
    number of distinct query terms in ``D1`` is larger than in ``D2``. The margin is the difference of these numbers.

    A pair adds a query term that the document lacks; if it lacks none, all occurrences of one are replaced by other words of
    the document, and the original is preferred.

    Parameters
    ----------
    margin : float, optional
        By what share of the longer one the lengths may differ; one word is always allowed, unless it is 0. Without it,
        lengths do not matter.
    where : str, optional
        Where a term is added: ``"end"``, ``"start"`` or ``"replace"``, in place of a word that the query does not have.

    Examples
    --------
    >>> M_AND().preference("hot red lava", "hot lava", "lava, lava, lava")
    1
    >>> M_AND().make("hot lava", "Lava flows.").perturbed
    'Lava flows. hot'
    """

    margin: float | None = None
    where: str = "end"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_margin(f"{self.__name__}(margin)", self.margin, optional=True)
        check_choice(f"{self.__name__}(where)", self.where, PLACES)

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        if reason := same_length(a, b, self.margin):
            return Verdict(reason=reason)
        return Verdict(float(self._covered(query, a) - self._covered(query, b)))

    def _covered(self, query: Counted, doc: Counted) -> int:
        return sum(term in doc.counts for term in query.distinct)

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        return exchange_presence(query, doc, self.where, generator)


@dataclass(frozen=True, kw_only=True, repr=False)
class AND(M_AND):
    """Prefer the document with all query terms to one that lacks some.

    After Zheng and Fang, Query Aspect Based Term Weighting Regularization in Information Retrieval, ECIR 2010, in the form
    that Völske et al., Towards Axiomatic Explanations for Neural Ranking Models, ICTIR 2021, describe: every query term
    occurs in ``D1``, not every one in ``D2``. The margin is 1 or -1.

    A pair adds all query terms that the document lacks; if it lacks none, all occurrences of one are replaced by other words
    of the document, and the original is preferred.

    Parameters
    ----------
    margin : float, optional
        By what share of the longer one the lengths may differ; one word is always allowed, unless it is 0. Without it,
        lengths do not matter.
    where : str, optional
        Where terms are added: ``"end"``, ``"start"`` or ``"replace"``, in place of words that the query does not have.

    Examples
    --------
    >>> AND().preference("hot red lava", "red lava is hot", "hot hot lava")
    1
    >>> AND().preference("hot red lava", "hot lava", "lava")
    0
    >>> AND().make("hot red lava", "Lava flows.").perturbed
    'Lava flows. hot red'
    """

    def _covered(self, query: Counted, doc: Counted) -> int:
        return int(all(term in doc.counts for term in query.distinct))

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        return exchange_presence(query, doc, self.where, generator, every=True)


@dataclass(frozen=True, kw_only=True, repr=False)
class REG(SimilarityAxiom):
    """Prefer the document that says more of the query's odd aspect.

    After Zheng and Fang, ECIR 2010, and Wu and Fang, Relation Based Term Weighting Regularization, ECIR 2012, in the form
    that Völske et al., ICTIR 2021, describe: the query term that is on average least similar to the other query terms stands
    for an aspect of its own, and of two documents of equal length the one that has it more often is preferred. Of several
    equally dissimilar terms, none may occur less often. The margin is the difference of their occurrences.

    A pair puts this term in place of an occurrence of another query term, if possible of one that occurs more than once.

    Parameters
    ----------
    similarity : callable or mapping
        ``(term, term) -> number``, or a table of synonyms (see `mechviz.text.axioms.similarity`).
    margin : float, optional
        By what share of the longer one the lengths may differ; one word is always allowed, unless it is 0.

    Examples
    --------
    >>> axiom = REG(similarity={"lava": ["magma"]})
    >>> axiom.preference("lava magma hawaii", "lava in hawaii", "lava and magma")
    1
    >>> axiom.make("lava magma hawaii", "Lava or lava?").perturbed.lower().count("hawaii")
    1
    """

    margin: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_margin("REG(margin)", self.margin)

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        odd = self._odd(query)
        if not odd:
            return Verdict(reason="no query term is less similar to the others than they are")
        if reason := same_length(a, b, self.margin):
            return Verdict(reason=reason)
        steps = [a.counts.get(term, 0) - b.counts.get(term, 0) for term in odd]
        mixed = any(step > 0 for step in steps) and any(step < 0 for step in steps)
        return Verdict() if mixed else Verdict(float(sum(steps)))

    def _odd(self, query: Counted) -> list[str]:
        """Return the terms that are least similar to the others; none if all are equally so."""
        alike, terms = self.alike, query.distinct
        total = {one: fsum(alike(one, two) + alike(two, one) for two in terms if two != one) for one in terms}
        least = min(total.values())
        odd = [term for term in terms if isclose(total[term], least, rel_tol=1e-9, abs_tol=1e-12)]
        return odd if len(odd) < len(terms) else []

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        odd = self._odd(query)
        rest = [term for term in query.distinct if term not in odd and term in doc.counts]
        if not rest:
            return "the document has no other query term"
        repeated = [term for term in rest if doc.counts[term] > 1]
        place = pick(doc.places([pick(repeated or rest, generator)]), generator)
        return Draft(doc, doc.replacing({place: query.written(pick(odd, generator))}))


@dataclass(frozen=True, kw_only=True, repr=False)
class DIV(Axiom):
    """Prefer the document whose vocabulary is less like the query.

    After Gollapudi and Sharma, An Axiomatic Approach for Result Diversification, WWW 2009, in the form that Völske et al.,
    ICTIR 2021, describe: with the Jaccard similarity of the two sets of terms, ``|Q & D| / |Q | D|``. The margin is the
    second document's similarity less the first's.

    A pair replaces one word of the document, wherever it stands, by another of its words; neither is a query term. The
    vocabulary shrinks, so the original is preferred.

    Parameters
    ----------
    margin : float, optional
        By what share of the longer one the lengths may differ; one word is always allowed, unless it is 0. Without it,
        lengths do not matter.

    Examples
    --------
    >>> DIV().preference("hot lava", "lava flows down slopes", "lava flows")
    1
    >>> DIV().make("hot lava", "lava flows down").preferred
    -1
    """

    margin: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_margin("DIV(margin)", self.margin, optional=True)

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        if reason := same_length(a, b, self.margin):
            return Verdict(reason=reason)
        return Verdict(_jaccard(query, b) - _jaccard(query, a))

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        if not any(term in doc.counts for term in query.distinct):
            return "the document has no query term"
        terms = [term for term in doc.distinct if term not in query.counts]
        if len(terms) < 2:
            return "the document has fewer than two words that the query does not have"
        fewest = min(doc.counts[term] for term in terms)
        gone = pick([term for term in terms if doc.counts[term] == fewest], generator)
        kept = pick([term for term in terms if term != gone], generator)
        return Draft(doc, doc.replacing(dict.fromkeys(doc.places([gone]), doc.written(kept))), preferred=-1)


def _jaccard(query: Counted, doc: Counted) -> float:
    shared = len(query.counts.keys() & doc.counts.keys())
    return shared / (len(query.counts) + len(doc.counts) - shared)
