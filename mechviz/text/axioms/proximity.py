"""Axioms of term proximity: PROX1 to PROX5.

They are those of Hagen, Völske, Göring and Stein, Axiomatic Result Re-Ranking, CIKM 2016, which go back to Tao and Zhai, An
Exploration of Proximity Measures in Information Retrieval, SIGIR 2007. Every one is written here by its own measure; those of
other packages differ in detail, such as which of several occurrences of a term count. A pair has the same words at other
places, so that only proximity changes; where it cannot get better it gets worse, and the original is preferred.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf
from typing import ClassVar

import numpy as np

from mechviz.text.axioms.base import Axiom, Draft, Verdict
from mechviz.text.axioms.counted import Counted, pick
from mechviz.text.words import terms

_TRIES = 64

Places = Mapping[str, Sequence[int]]


class ProximityAxiom(Axiom):
    """The parent of the proximity axioms: a measure of places, smaller being better."""

    #: Whether both documents must have every query term, or the same two or more of them.
    every: ClassVar[bool] = False

    @abstractmethod
    def _measure(self, query: Counted, doc: Sequence[str], places: Places) -> tuple[float, ...]:
        """Return how far apart the query terms are, the first number that differs deciding.

        ``doc`` holds the terms of the document in order, ``places`` the numbers of the words of each query term in it.
        """

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        if reason := self._unfit(query, a.counts, b.counts):
            return Verdict(reason=reason)
        return self._difference(query, a.terms, b.terms)

    def _unfit(self, query: Counted, a: Collection[str], b: Collection[str]) -> str:
        shared = [term for term in query.distinct if term in a]
        if len(query.distinct) < 2:
            return "the query has fewer than two terms"
        if any((term in a) != (term in b) for term in query.distinct):
            return "the documents do not have the same query terms"
        if self.every and len(shared) < len(query.distinct):
            return "the documents do not have every query term"
        return "" if len(shared) > 1 else "the documents have fewer than two query terms"

    def _difference(self, query: Counted, a: Sequence[str], b: Sequence[str]) -> Verdict:
        first, second = (self._measure(query, one, _places(query, one)) for one in (a, b))
        steps = (float(y - x) for x, y in zip(first, second, strict=True) if x != y)
        return Verdict(next(steps, 0.0))

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        inside, outside = doc.places(query.counts), doc.others(query)
        if not outside:
            return "the document has no word that the query does not have"
        swaps = [(pick(inside, generator), pick(outside, generator)) for _ in range(_TRIES)]
        gains = [self._difference(query, _swapped(doc.terms, *swap), doc.terms).margin for swap in swaps]
        clearest = max(gains) if max(gains) > 0 else min(gains)
        if not clearest:
            return "no exchange of two words was found that changes the places that count"
        one, other = swaps[gains.index(clearest)]
        return Draft(doc, doc.replacing({one: doc.surface(other), other: doc.surface(one)}), 1 if clearest > 0 else -1)


def _swapped(doc: Sequence[str], one: int, other: int) -> list[str]:
    new = list(doc)
    new[one], new[other] = new[other], new[one]
    return new


def _places(query: Counted, doc: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, term in enumerate(doc):
        if term in query.counts:
            found.setdefault(term, []).append(number)
    return found


def _closest(numbers: Sequence[int], to: int) -> int:
    """Return the number that is closest to another, the smaller of two; ``numbers`` ascend."""
    at = bisect_left(numbers, to)
    return min(numbers[max(0, at - 1) : at + 1], key=lambda number: (abs(number - to), number))


def _groups(places: Places) -> list[list[int]]:
    """Return, for each occurrence of a query term, its place with the closest places of the other terms."""
    return [
        [number, *(_closest(numbers, number) for other, numbers in places.items() if other != term)]
        for term, own in places.items()
        for number in own
    ]


@dataclass(frozen=True, kw_only=True, repr=False)
class PROX1(ProximityAxiom):
    """Prefer the document in which the query terms stand closer together, pair by pair.

    ``mean over pairs t, u of query terms of (distance(t, u) - 1)``, the number of words between the closest occurrences of
    the two, is smaller in ``D1`` (Hagen et al., CIKM 2016; the average distance of Tao and Zhai, SIGIR 2007). Both documents
    have the same query terms, two or more. The margin is the difference of the means, in words.

    A pair exchanges two words of the document.

    Examples
    --------
    >>> PROX1().preference("hot lava", "hot lava flows down", "hot rock meets lava")
    1
    >>> PROX1().make("hot lava", "hot rock and lava").preferred
    1
    """

    def _measure(self, query: Counted, doc: Sequence[str], places: Places) -> tuple[float, ...]:
        pairs = list(combinations(places.values(), 2))
        between = sum(min(abs(_closest(second, one) - one) for one in first) - 1 for first, second in pairs)
        return (between / len(pairs),)


@dataclass(frozen=True, kw_only=True, repr=False)
class PROX2(ProximityAxiom):
    """Prefer the document whose query terms come earlier.

    The sum over the query terms of the number of words before the first occurrence is smaller in ``D1`` (Hagen et al., CIKM
    2016). Both documents have the same query terms, two or more. The margin is the difference of the sums, in words.

    A pair exchanges two words of the document.

    Examples
    --------
    >>> PROX2().preference("hot lava", "Hot rock, lava, water", "Water, hot rock, lava")
    1
    >>> PROX2().make("hot lava", "rock, lava, hot").perturbed.index("rock") > 0
    True
    """

    def _measure(self, query: Counted, doc: Sequence[str], places: Places) -> tuple[float, ...]:
        return (sum(numbers[0] for numbers in places.values()),)


@dataclass(frozen=True, kw_only=True, repr=False)
class PROX3(ProximityAxiom):
    """Prefer the document in which the whole query stands as a phrase, and earlier.

    The number of words before the first place where the query's words follow each other, in order, is smaller in ``D1``
    (Hagen et al., CIKM 2016). All words of the query count here, also those to ignore. A document without the phrase counts as if
    it began after the end of the longer document. Both documents have the same query terms, two or more. The margin is the
    difference, in words.

    A pair brings the words of the query together at their first one; or, if the document has the phrase, exchanges two words.

    Examples
    --------
    >>> PROX3().preference("hot lava", "see hot lava flow", "see lava flow hot")
    1
    >>> PROX3().make("hot lava", "Lava is not hot").perturbed
    'hot Lava not is'
    """

    def _measure(self, query: Counted, doc: Sequence[str], places: Places) -> tuple[float, ...]:
        phrase = terms(query.text)
        starts = (at for at in range(len(doc) - len(phrase) + 1) if list(doc[at : at + len(phrase)]) == phrase)
        return (next(starts, inf),)

    def _difference(self, query: Counted, a: Sequence[str], b: Sequence[str]) -> Verdict:
        (first,), (second,) = (self._measure(query, one, {}) for one in (a, b))
        absent = float(max(len(a), len(b)))
        return Verdict(min(second, absent) - min(first, absent))

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        if self._measure(query, doc.terms, {}) != (inf,):
            return super()._change(query, doc, generator)
        phrase, free = terms(query.text), _places(Counted.of("query", query.text), doc.terms)
        if any(len(free.get(term, ())) < phrase.count(term) for term in phrase):
            return "the document does not have all words of the query"
        sources = [free[term].pop(0) for term in phrase]
        start = min(*sources, len(doc) - len(phrase))
        targets = range(start, start + len(phrase))
        # what stood where the phrase now stands fills the gaps that its words leave
        displaced = [at for at in targets if at not in sources]
        vacated = [at for at in sorted(sources) if at not in targets]
        moves = [*zip(targets, sources, strict=True), *zip(vacated, displaced, strict=True)]
        return Draft(doc, doc.replacing({target: doc.surface(source) for target, source in moves}))


@dataclass(frozen=True, kw_only=True, repr=False)
class PROX4(ProximityAxiom):
    """Prefer the document with the closest group of all query terms.

    A group is an occurrence of a query term with the closest occurrences of all others. The fewest words that are no query
    terms between the first and the last of a group are fewer in ``D1``; or they are as few, and more groups have so few
    (Hagen et al., CIKM 2016). Both documents have every query term, two or more. The margin is the difference of the numbers of
    words or, if these are equal, of groups.

    A pair exchanges two words of the document.

    Examples
    --------
    >>> PROX4().preference("hot red lava", "hot red rock lava", "hot red rock and lava")
    1
    >>> PROX4().make("hot lava", "hot rock and lava").preferred
    1
    """

    every: ClassVar[bool] = True

    def _measure(self, query: Counted, doc: Sequence[str], places: Places) -> tuple[float, ...]:
        between = [sum(term not in query.counts for term in doc[min(group) : max(group)]) for group in _groups(places)]
        return (min(between), -between.count(min(between)))


@dataclass(frozen=True, kw_only=True, repr=False)
class PROX5(ProximityAxiom):
    """Prefer the document whose occurrences of query terms lie in narrower groups of all of them.

    A group is an occurrence of a query term with the closest occurrences of all others, its span the distance of the first
    and the last. The mean span of all groups is smaller in ``D1`` (Hagen et al., CIKM 2016). Both documents have every query
    term, two or more. The margin is the difference of the means, in words.

    A pair exchanges two words of the document.

    Examples
    --------
    >>> PROX5().preference("hot lava", "hot lava, hot lava", "hot lava, and lava")
    1
    >>> PROX5().make("hot lava", "hot rock and lava").preferred
    1
    """

    every: ClassVar[bool] = True

    def _measure(self, query: Counted, doc: Sequence[str], places: Places) -> tuple[float, ...]:
        spans = [max(group) - min(group) for group in _groups(places)]
        return (sum(spans) / len(spans),)
