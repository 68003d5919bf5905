"""Axioms of semantic matching: STMC1, STMC2."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, isclose

import numpy as np

from mechviz.text.axioms.base import Draft, Verdict
from mechviz.text.axioms.counted import PLACES, Counted, differing, pick
from mechviz.text.axioms.preconditions import check_margin, same_counts, same_length
from mechviz.text.axioms.similarity import SimilarityAxiom
from mechviz.text.perturb.rewrites import check_choice, check_count


@dataclass(frozen=True, kw_only=True, repr=False)
class STMC1(SimilarityAxiom):
    """Of two documents that have the query terms equally often, prefer the one whose other words are more like them.

    ``s(q, t1) > s(q, t2)``, for documents of one word each, ``t1`` and ``t2``, that are not the query's one term ``q``, implies
    ``D1 > D2``: Fang and Zhai, Semantic Term Matching in Axiomatic Approaches to Information Retrieval, SIGIR 2006. For longer
    documents ``s`` is the mean, over their words that are no query terms, of the similarity to the query term that is most
    like the word; every query term occurs equally often in both, and the lengths are equal. The margin is the difference of
    these means.

    A pair replaces a word that is no query term by one that is more like a query term: with a table, one of a query term's
    words in it; with a function of two terms, which proposes no words, another word of the document.

    Parameters
    ----------
    similarity : callable or mapping
        ``(term, term) -> number``; or a table, word -> its synonym or synonyms, or word -> {word: similarity}; or a function
        word -> its synonyms, such as `mechviz.perturb.wordnet`.
    margin : float, optional
        By what share of the longer one the lengths may differ; one word is always allowed, unless it is 0.
    where : str, optional
        Whether a pair has the new word at the ``"end"``, at the ``"start"`` or, by default, in the place of another
        (``"replace"``).

    Examples
    --------
    >>> axiom = STMC1(similarity={"lava": ["magma"]})
    >>> axiom.preference("hot lava", "magma flows", "water flows")
    1
    >>> axiom.make("lava", "Water!").perturbed
    'magma!'
    """

    margin: float = 0.1
    where: str = "replace"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_margin("STMC1(margin)", self.margin)
        check_choice("STMC1(where)", self.where, PLACES)

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        if reason := same_length(a, b, self.margin) or same_counts(query, a, b):
            return Verdict(reason=reason)
        like_a, like_b = self._mean(query, a), self._mean(query, b)
        return Verdict() if isclose(like_a, like_b, rel_tol=1e-12, abs_tol=1e-15) else Verdict(like_a - like_b)

    def _mean(self, query: Counted, doc: Counted) -> float:
        counts = {term: count for term, count in doc.counts.items() if term not in query.counts}
        total = fsum(count * self._like(query, term) for term, count in counts.items())
        return total / max(1, sum(counts.values()))

    def _like(self, query: Counted, term: str) -> float:
        return max(self.alike(one, term) for one in query.distinct)

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        known = dict.fromkeys(word for term in query.distinct for word in self.alike.related(term) if word not in query.counts)
        room = doc.others(query)
        if not room:
            return "the document has no word that the query does not have"
        proposed = list(known or {doc.terms[place]: None for place in room})
        like = {word: self._like(query, word) for word in [*proposed, *(doc.terms[place] for place in room)]}
        if self.where != "replace":
            best = [word for word in proposed if isclose(like[word], max(map(like.__getitem__, proposed)), rel_tol=1e-12)]
            added = doc.adding([pick(best, generator)], self.where, query, generator)
            assert added is not None
            return Draft(doc, added)
        steps = [(place, word) for place in room for word in proposed if like[word] > like[doc.terms[place]]]
        if not steps:
            return "no word of the document is less like the query than another"
        place, word = pick(steps, generator)
        return Draft(doc, doc.replacing({place: word}))


@dataclass(frozen=True, kw_only=True, repr=False)
class STMC2(SimilarityAxiom):
    """Prefer a query term itself to words that are only like it, however many.

    ``|D1| = 1``, ``c(q, D1) = 1``, ``|D2| = k`` and ``c(t, D2) = k`` for any ``k >= 1`` and a word ``t`` that is no query term,
    with ``s(q, t) > 0``, imply ``D1 >= D2``: Fang and Zhai, SIGIR 2006. For longer documents: ``D1`` has a query term more
    often than ``D2``, which is not shorter and has words like this term more often than ``D1``; the other query terms occur
    equally often in both. The margin is the number of further occurrences of the query term.

    A pair replaces an occurrence of a query term by ``count`` times a word like it, and the original is preferred; if the
    document has no such query term but a word like one, this word by the query term.

    Parameters
    ----------
    similarity : callable or mapping
        As for `STMC1`. With a function of two terms a pair needs words like a query term in the document.
    threshold : float, optional
        Words are alike if their similarity is larger than this. The default is the paper's; a similarity of word vectors,
        which is seldom 0, needs more.
    count : int, optional
        How many words a pair puts in the place of one.

    Examples
    --------
    >>> axiom = STMC2(similarity={"lava": ["magma"]}, count=2)
    >>> axiom.preference("lava", "hot lava", "hot magma magma")
    1
    >>> axiom.make("lava", "Hot lava!").perturbed
    'Hot magma magma!'
    """

    threshold: float = 0.0
    count: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_margin("STMC2(threshold)", self.threshold)
        object.__setattr__(self, "count", check_count("STMC2(count)", self.count, least=1))

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        found = differing(query.distinct, a, b)
        if len(found) > 1:
            return Verdict(reason="the documents differ in more than one query term")
        if not found:
            return Verdict()
        more, fewer = (a, b) if a.counts.get(found[0], 0) > b.counts.get(found[0], 0) else (b, a)
        if len(more) > len(fewer):
            return Verdict(reason="the document with fewer query terms is shorter")
        if self._related(found[0], query, more) >= self._related(found[0], query, fewer):
            return Verdict(reason="the document with fewer query terms has no more words like them")
        return Verdict(float(a.counts.get(found[0], 0) - b.counts.get(found[0], 0)))

    def _related(self, term: str, query: Counted, doc: Counted) -> int:
        return sum(count for other, count in doc.counts.items() if other not in query.counts and self._is_like(term, other))

    def _is_like(self, term: str, other: str) -> bool:
        return self.alike(term, other) > self.threshold

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        like = {
            term: [
                word
                for word in dict.fromkeys([*self.alike.related(term), *doc.distinct])
                if word not in query.counts and self._is_like(term, word)
            ]
            for term in query.distinct
        }
        exact = [term for term in query.distinct if term in doc.counts and like[term]]
        if exact:
            term = pick(exact, generator)
            word = " ".join([pick(like[term], generator)] * self.count)
            return Draft(doc, doc.replacing({pick(doc.places([term]), generator): word}), preferred=-1)
        similar = [(term, word) for term in query.distinct for word in like[term] if word in doc.counts]
        if not similar:
            return "the document has neither a query term that a word is known to be like nor a word like a query term"
        term, word = pick(similar, generator)
        return Draft(doc, doc.replacing({pick(doc.places([word]), generator): query.written(term)}))
