"""The axiom of diminishing returns: TFC2, and the series of texts that it speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.text.axioms.base import Axiom, Draft, NoPairError, Verdict
from mechviz.text.axioms.counted import Counted, pick
from mechviz.text.axioms.preconditions import (
    check_margin,
    check_statistics,
    choose_term,
    equally_rare,
    equally_rare_pairs,
    exchanged,
)
from mechviz.text.perturb.changes import change_of
from mechviz.text.perturb.rewrites import check_count, check_seed, draws
from mechviz.text.statistics import TermStatistics


@dataclass(frozen=True)
class Series:
    """Texts of equal length in which one query term occurs more and more often.

    Attributes
    ----------
    query : str
    term : str
        The query term, as the query writes it.
    texts : tuple of str
        Each text has one occurrence more than the one before.
    counts : tuple of int
        Occurrences in each text.
    """

    query: str
    term: str
    texts: tuple[str, ...]
    counts: tuple[int, ...]

    def gains(self, scores: Sequence[float]) -> NDArray[np.float64]:
        """Return what each further occurrence adds to the score, dims (occurrence); TFC2 asks that the gains fall.

        Raises
        ------
        InputError
            The scores are not one for each text.
        """
        if len(scores) != len(self.texts):
            raise InputError(f"{len(scores)} scores for {len(self.texts)} texts; give one for each")
        return np.diff(np.asarray(scores, dtype=np.float64))

    def diminishing(self, scores: Sequence[float]) -> bool:
        """Return whether every gain is smaller than the one before, which is what TFC2 asks."""
        return all(after < before for before, after in pairwise(self.gains(scores).tolist()))


@dataclass(frozen=True, kw_only=True, repr=False)
class TFC2(Axiom):
    """Each further occurrence of a query term adds less than the one before.

    ``c(q, D2) = c(q, D1) + 1``, ``c(q, D3) = c(q, D2) + 1``, ``c(q, D1) > 0`` and equal lengths imply
    ``S(D2) - S(D1) > S(D3) - S(D2)``: Fang, Tao and Zhai, SIGIR 2004. So it speaks of three texts. `make_series` writes them;
    `Series.diminishing` tests their scores.

    On two documents only what follows from it can be said, and `check` and `make` do: two query terms of equal IDF that both
    documents have, with the same total and equal lengths, add more where their counts are more even, ``(2, 2) > (3, 1)``. The
    margin is by how many occurrences the counts are more even.

    A pair adds one term twice to the original, and once each of the two to the perturbed text; where the document has too
    few of the two terms, they are added to both texts before. So the original is not the document itself.

    Parameters
    ----------
    margin : float, optional
        By what share of the longer one the lengths may differ; one word is always allowed, unless it is 0.
    idf_margin : float, optional
        By what share of the larger one the IDFs may differ.
    statistics : TermStatistics
        For the IDFs; `make_series` does without.

    Examples
    --------
    >>> series = TFC2().make_series("lava", "Lava and rock flow down.", k=3)
    >>> series.counts
    (1, 2, 3)
    >>> series.diminishing([1.0, 1.5, 1.7])
    True
    >>> flat = TermStatistics.of(["hot lava"])
    >>> TFC2(statistics=flat).preference("hot lava", "hot hot lava lava", "hot hot hot lava")
    1
    """

    keeps_document: ClassVar[bool] = False

    margin: float = 0.1
    idf_margin: float = 0.1
    statistics: TermStatistics | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_margin("TFC2(margin)", self.margin)
        check_margin("TFC2(idf_margin)", self.idf_margin)
        check_statistics("TFC2", self.statistics)

    def make_series(self, query: str, doc: str, k: int = 5, seed: int = 0) -> Series:
        """Write ``k`` texts of equal length with ever more occurrences of a query term.

        The first is the document, if it has a query term; else one is written in. In each next text one more of the words
        that the query does not have is replaced by the term.

        Parameters
        ----------
        query, doc : str
        k : int, at least 3
            Number of texts.
        seed : int, optional
            Chooses the term (one that the document has, if there is one) and the places.

        Raises
        ------
        NoPairError
            The query has no words, or the document too few to replace.
        """
        wanted, given = self._terms_of(query), Counted.of("doc", doc)
        steps = check_count("k", k, least=3) - 1
        generator = draws(check_seed("TFC2", seed), query, doc)
        term = choose_term("present", wanted, given, None, generator) or choose_term("random", wanted, given, None, generator)
        room = given.others(wanted)
        first = 0 if term in given.counts else 1
        if term is None or len(room) < steps + first:
            reason = "the document has too few words to replace" if term else "the query has no words but those to ignore"
            raise NoPairError(f"TFC2 can make no series of {k} texts: {reason} (query {shown(query)}, doc {shown(doc)})", reason)
        chosen, written = generator.permutation(room).tolist(), wanted.written(term)
        numbers = range(first, first + steps + 1)
        texts = tuple(change_of(doc, given.replacing(dict.fromkeys(chosen[:number], written))).text for number in numbers)
        return Series(query, written, texts, tuple(given.counts.get(term, 0) + number for number in numbers))

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        statistics = self._statistics
        found = exchanged(query, a, b, self.margin)
        if isinstance(found, Verdict):
            return found
        if not all(term in one.counts for term in found for one in (a, b)):
            return Verdict(reason="a document lacks one of the two query terms")
        if not equally_rare(*found, statistics, self.idf_margin):
            return Verdict(reason="the two query terms are not equally rare")
        uneven_a, uneven_b = (abs(one.counts[found[0]] - one.counts[found[1]]) for one in (a, b))
        return Verdict((uneven_b - uneven_a) / 2)

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        pairs = equally_rare_pairs(query, self._statistics, self.idf_margin)
        if not pairs:
            return "the query has no two terms of equal IDF"
        more, less = sorted(pick(pairs, generator), key=lambda term: -doc.counts.get(term, 0))
        one, other = query.written(more), query.written(less)
        lacking = [other] * (less not in doc.counts) + [one] * (more not in doc.counts)
        original = Counted.of("the original", f"{doc.text} {' '.join([*lacking, one, one])}")
        return Draft(original, original.replacing({len(original) - 1: other}))

    @property
    def _statistics(self) -> TermStatistics:
        found = check_statistics("TFC2", self.statistics, "compares the IDFs of two query terms")
        assert found is not None
        return found
