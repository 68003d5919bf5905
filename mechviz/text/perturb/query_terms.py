"""Perturbations that work with the terms of the query."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text.perturb.base import Perturbation
from mechviz.text.perturb.changes import Replacement, Span
from mechviz.text.perturb.rewrites import Rewrite, check_choice, check_int, check_seed, check_terms, chunks, draws, needed
from mechviz.text.statistics import TermStatistics
from mechviz.text.words import STOPWORDS, terms, words


def append_query_term(
    which: str | int = "random", statistics: TermStatistics | None = None, seed: int = 0, ignore: Iterable[str] = STOPWORDS
) -> Perturbation:
    """Add one word of the query at the end, after a space, as the query writes it.

    Parameters
    ----------
    which : ``"random"``, ``"rarest"`` or int
        A word that is drawn; the word in the fewest documents of ``statistics``, the first of those that tie; or the word
        with this number in the query, counted from 0, negative from the end.
    statistics : TermStatistics
        For ``"rarest"`` alone.
    seed : int
        For ``"random"``: the word depends on the seed and the two texts alone.
    ignore : words
        Words that are neither drawn nor the rarest; by default the English stop words. A number may name one.

    Raises
    ------
    InputError
        When applied without a query, or with one that has no such word.
    """
    if isinstance(which, str):
        which = check_choice("append_query_term(which)", which, ("random", "rarest"))
    else:
        which = check_int("append_query_term(which)", which)
    if (which == "rarest") != (statistics is not None):
        raise InputError("append_query_term: statistics= goes with which='rarest', and which='rarest' needs it")
    if statistics is not None and not isinstance(statistics, TermStatistics):
        raise InputTypeError(f"append_query_term(statistics) must be TermStatistics, not {shown(statistics)}")
    if statistics is not None and statistics.terms is not terms:
        raise InputError("append_query_term(statistics): counted with other terms; count with TermStatistics.of(texts)")
    seed, ignored = check_seed("append_query_term", seed), check_terms("append_query_term(ignore)", ignore)
    told = f"{which!r}" + (f", seed={seed}" if which == "random" else "") + _ignoring(ignored)
    return Perturbation(_AppendQueryTerm(which, statistics, seed, ignored), f"append_query_term({told})")


def terms_together(ignore: Iterable[str] = STOPWORDS) -> Perturbation:
    """Move all words of the document that are terms of the query to where the middle one of them stands.

    The words stay the same, each as often as before; only their places change. Words are split at white space, as in
    `insert`, and what is written onto a word moves with it. `term_distance` falls.

    Parameters
    ----------
    ignore : words
        Terms of the query that are left where they are; by default the English stop words.

    Raises
    ------
    InputError
        When applied without a query, to a document with fewer than two different terms of it, or where moving them would
        not lower `term_distance`.
    """
    ignored = check_terms("terms_together(ignore)", ignore)
    return Perturbation(_MoveTerms("terms_together", ignored), f"terms_together({_ignoring(ignored).removeprefix(', ')})")


def terms_apart(ignore: Iterable[str] = STOPWORDS) -> Perturbation:
    """Move the words of the document that are terms of the query as far from each other as the document is long.

    All occurrences of one term are gathered; the first term stands at the start, the last one at the end, the others evenly
    between them. The words stay the same, each as often as before. Words are split at white space, as in `insert`, and what
    is written onto a word moves with it. `term_distance` rises.

    Parameters
    ----------
    ignore : words
        Terms of the query that are left where they are; by default the English stop words.

    Raises
    ------
    InputError
        When applied without a query, to a document with fewer than two different terms of it, or where moving them would
        not raise `term_distance`.
    """
    ignored = check_terms("terms_apart(ignore)", ignore)
    return Perturbation(_MoveTerms("terms_apart", ignored), f"terms_apart({_ignoring(ignored).removeprefix(', ')})")


def term_distance(doc: str, query: str, ignore: Iterable[str] = STOPWORDS) -> float:
    """Return the mean distance of the query's terms in a document, in words.

    For each two different terms that the document has: the distance of their closest occurrences, 1 for neighbours. This is
    the average distance of Tao and Zhai (SIGIR 2007), with words split at white space; 0 for two terms in one such word.

    Raises
    ------
    InputError
        The document has fewer than two different terms of the query.
    """
    return _mean_distance(_held("term_distance", doc, query, check_terms("term_distance(ignore)", ignore)))


@dataclass(frozen=True)
class _AppendQueryTerm(Rewrite):
    which: str | int
    statistics: TermStatistics | None
    seed: int
    ignored: frozenset[str]

    def replacements(self, text: str, other: str | None) -> list[Replacement]:
        query = needed("append_query_term", other)
        found = [query[start:end] for start, end in words(query)]
        if isinstance(self.which, int):
            if not -len(found) <= self.which < len(found):
                raise InputError(f"append_query_term({self.which}): there are {len(found)} words in {shown(query)}")
            word = found[self.which]
        else:
            candidates = {term: word for term, word in zip(terms(query), found, strict=True) if term not in self.ignored}
            if not candidates:
                raise InputError(f"append_query_term: {shown(query)} has no words but stop words; give others to ignore=")
            word = candidates[self._choice([*candidates], text, query)]
        return [Replacement(len(text), len(text), f" {word}")]

    def _choice(self, candidates: list[str], text: str, query: str) -> str:
        if self.statistics is None:
            return candidates[draws(self.seed, text, query).integers(len(candidates))]
        return min(candidates, key=self.statistics.document_frequency)


@dataclass(frozen=True)
class _MoveTerms(Rewrite):
    kind: str
    ignored: frozenset[str]

    def replacements(self, text: str, other: str | None) -> Iterator[Replacement]:
        held = _held(self.kind, text, needed(self.kind, other), self.ignored)
        together = self.kind == "terms_together"
        order = _gathered(held) if together else _spread(held)
        before, after = _mean_distance(held), _mean_distance([held[at] for at in order])
        if (after >= before) if together else (after <= before):
            raise InputError(
                f"{self.kind}: the terms of {shown(other)} stand {before:.4g} words from each other in {shown(text)}, "
                f"and would stand {after:.4g} from each other: there is nothing to gain"
            )
        return _moved(text, chunks(text), order)


def _held(kind: str, text: str, query: str, ignored: frozenset[str]) -> list[list[str]]:
    """Return the query's terms that each chunk of the text holds."""
    wanted = set(terms(query)) - ignored
    held = [[term for term in terms(text[start:end]) if term in wanted] for start, end in chunks(text)]
    found = {term for own in held for term in own}
    if len(found) < 2:
        raise InputError(
            f"{kind}: {shown(text)} has {', '.join(sorted(found)) or 'none'} of the terms of {shown(query)} (stop words aside); "
            "two different ones are needed"
        )
    return held


def _mean_distance(held: Sequence[Sequence[str]]) -> float:
    places: dict[str, list[int]] = {}
    for at, own in enumerate(held):
        for term in own:
            places.setdefault(term, []).append(at)
    closest = [np.abs(np.subtract.outer(one, other)).min() for one, other in combinations(places.values(), 2)]
    return float(np.mean(closest))


def _gathered(held: list[list[str]]) -> list[int]:
    """Return the order of chunks with all those that hold a term in one block, around the middle one."""
    holding = [at for at, own in enumerate(held) if own]
    middle = holding[len(holding) // 2]
    others = [at for at, own in enumerate(held) if not own]
    cut = bisect_left(others, middle)
    return others[:cut] + holding + others[cut:]


def _spread(held: list[list[str]]) -> list[int]:
    """Return the order of chunks with a block for each term, the blocks evenly spread from the start to the end."""
    blocks: dict[str, list[int]] = {}
    for at, own in enumerate(held):
        if own:
            blocks.setdefault(own[0], []).append(at)
    others = [at for at, own in enumerate(held) if not own]
    order: list[int] = []
    done = 0
    for number, block in enumerate(blocks.values()):
        cut = number * len(others) // max(len(blocks) - 1, 1)
        order += others[done:cut] + block
        done = cut
    return order + others[done:]


def _moved(text: str, spans: list[Span], order: list[int]) -> Iterator[Replacement]:
    """Put chunks in another order by moving as few of them as that takes; the others keep the white space after them."""
    kept = _longest_ascending(order)
    places = {at: place for place, at in enumerate(order)}
    for last, following in pairwise([-1, *kept]):
        pieces = [text[slice(*spans[at])] for at in order[places.get(last, -1) + 1 : places[following]]]
        yield Replacement(spans[last + 1][0], spans[following][0], "".join(f"{piece} " for piece in pieces))
    pieces = [text[slice(*spans[at])] for at in order[places[kept[-1]] + 1 :]]
    yield Replacement(spans[kept[-1]][1], spans[-1][1], "".join(f" {piece}" for piece in pieces))


def _longest_ascending(order: list[int]) -> list[int]:
    """Return the longest ascending part of a permutation (patience sorting)."""
    tops: list[int] = []
    below: dict[int, int | None] = {}
    for value in order:
        pile = bisect_left(tops, value)
        below[value] = tops[pile - 1] if pile else None
        tops[pile : pile + 1] = [value]
    found: list[int] = []
    value_below: int | None = tops[-1]
    while value_below is not None:
        found.append(value_below)
        value_below = below[value_below]
    return found[::-1]


def _ignoring(ignored: frozenset[str]) -> str:
    return "" if ignored == STOPWORDS else f", ignore={sorted(ignored)}"
