"""Axioms of document length: LNC1, LNC2, TF_LNC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mechviz.errors import InputError
from mechviz.text.axioms.base import Axiom, Draft, Verdict
from mechviz.text.axioms.counted import Counted, differing
from mechviz.text.axioms.preconditions import check_statistics, check_term_choice, choose_term, same_counts
from mechviz.text.perturb.changes import Replacement
from mechviz.text.perturb.rewrites import check_choice, check_count, check_texts
from mechviz.text.statistics import TermStatistics
from mechviz.text.words import words

_NOISE = "also however perhaps meanwhile often another various simply further several rather usually"
#: Words about nothing in particular, which `LNC1` adds unless it is given others.
NOISE = tuple(_NOISE.split())


@dataclass(frozen=True, kw_only=True, repr=False)
class LNC1(Axiom):
    """Prefer the shorter of two documents in which every query term occurs equally often.

    ``c(w', D2) = c(w', D1) + 1`` for a word ``w'`` that is no query term, and ``c(w, D2) = c(w, D1)`` for the query terms,
    imply ``D1 >= D2``: Fang, Tao and Zhai, A Formal Study of Information Retrieval Heuristics, SIGIR 2004. Here the documents
    may differ by any number of such words. The margin is the difference of the lengths in words.

    A pair has further words at the end that the query does not have.

    Parameters
    ----------
    count : int, optional
        How many words a pair adds.
    noise : sequence of str, optional
        The words that it draws from; by default `NOISE`. Those that are query terms are left out.

    Examples
    --------
    >>> LNC1().preference("hot lava", "Lava is hot.", "Lava is very hot rock.")
    1
    >>> LNC1(count=2, noise=("moon",)).make("hot lava", "Lava is hot.").perturbed
    'Lava is hot. moon moon'
    """

    count: int = 5
    noise: tuple[str, ...] = NOISE

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "count", check_count("LNC1(count)", self.count, least=1))
        object.__setattr__(self, "noise", check_texts("LNC1(noise)", self.noise))
        odd = [text for text in self.noise if words(text) != [(0, len(text))]]
        if odd or not self.noise:
            raise InputError(f"LNC1(noise) must hold single words, not {odd[0] if odd else 'nothing'!r}")

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        reason = same_counts(query, a, b)
        return Verdict(reason=reason) if reason else Verdict(float(len(b) - len(a)))

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        noise = [word for word in self.noise if Counted.of("noise", word).terms[0] not in query.counts]
        if not noise:
            return "every noise word is a query term"
        # each word once before any comes again
        drawn = [noise[at] for _ in range(0, self.count, len(noise)) for at in generator.permutation(len(noise)).tolist()]
        added = doc.adding(drawn[: self.count], "end", query, generator)
        assert added is not None
        return Draft(doc, added, preferred=-1)


@dataclass(frozen=True, kw_only=True, repr=False)
class LNC2(Axiom):
    """Do not prefer a document to its own repetition.

    ``|D1| = k |D2|`` and ``c(w, D1) = k c(w, D2)`` for all terms ``w``, with a whole ``k > 1``, imply ``D1 >= D2``: Fang, Tao
    and Zhai, SIGIR 2004. The axiom forbids to punish a document for length alone; the preference for the repetition is to be
    read as "not worse". The margin is ``k - 1``.

    A pair repeats the document.

    Parameters
    ----------
    copies : int, optional
        How many times the perturbed text has the document.

    Examples
    --------
    >>> LNC2().preference("lava", "Hot lava. Hot lava.", "Hot lava.")
    1
    >>> LNC2(copies=3).make("lava", "Hot lava.").perturbed
    'Hot lava. Hot lava. Hot lava.'
    """

    copies: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "copies", check_count("LNC2(copies)", self.copies, least=2))

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
        copies = len(longer) // len(shorter) if len(shorter) else 1
        repeated = {term: copies * count for term, count in shorter.counts.items()}
        if dict(longer.counts) != repeated:
            return Verdict(reason="neither document is a repetition of the other's words")
        return Verdict(float(copies - 1) * (1 if longer is a else -1))

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        if not doc.terms:
            return "the document has no words"
        end = len(doc.text)
        return Draft(doc, [Replacement(end, end, f" {doc.text}" * (self.copies - 1))])


@dataclass(frozen=True, kw_only=True, repr=False)
class TF_LNC(Axiom):  # noqa: N801 - the name that papers use
    """Prefer the document that is longer only by occurrences of a query term.

    ``c(w, D1) > c(w, D2)`` and ``|D1| = |D2| + c(w, D1) - c(w, D2)`` imply ``D1 > D2`` for a query of one term: Fang, Tao and
    Zhai, SIGIR 2004. For longer queries the other query terms must occur equally often in both. The margin is the number of
    further occurrences.

    A pair adds a query term; the lengths differ by just these words.

    Parameters
    ----------
    count : int, optional
        How many occurrences a pair adds.
    term : str, optional
        Which query term: ``"random"``, ``"rarest"`` (needs ``statistics``) or ``"present"`` (in the document already).
    where : str, optional
        ``"end"`` or ``"start"``.
    statistics : TermStatistics, optional
        For ``term="rarest"``.

    Examples
    --------
    >>> TF_LNC().preference("lava", "hot lava lava", "cold lava")
    1
    >>> TF_LNC(count=2).make("lava", "Hot rock").perturbed
    'Hot rock lava lava'
    """

    count: int = 1
    term: str = "random"
    where: str = "end"
    statistics: TermStatistics | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "count", check_count("TF_LNC(count)", self.count, least=1))
        check_term_choice("TF_LNC", self.term, check_statistics("TF_LNC", self.statistics))
        check_choice("TF_LNC(where)", self.where, ("end", "start"))

    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        found = differing(query.distinct, a, b)
        if len(found) > 1:
            return Verdict(reason="the documents differ in more than one query term")
        more = a.counts.get(found[0], 0) - b.counts.get(found[0], 0) if found else 0
        if len(a) - len(b) != more:
            return Verdict(reason="the documents do not have equally many other words")
        return Verdict(float(more))

    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        term = choose_term(self.term, query, doc, self.statistics, generator)
        if term is None:
            return "the document has no query term"
        added = doc.adding([query.written(term)] * self.count, self.where, query, generator)
        assert added is not None
        return Draft(doc, added)
