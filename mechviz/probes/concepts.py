"""Concepts: what holds of a token or of a text, such as "the query has this word", so that neurons can be asked about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.probes.occurrences import positions_of
from mechviz.probes.reading import Text, doc_of
from mechviz.text.checks import check_text
from mechviz.text.perturb import as_perturbation
from mechviz.text.statistics import TermStatistics
from mechviz.text.tokens import Tokens
from mechviz.text.words import STOPWORDS, terms, words

#: Characters (start, end) of a document.
Spans = tuple[tuple[int, int], ...]
#: Of a token: where it holds; of a text: whether it holds, None where nobody knows.
Answer = Spans | bool | None

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_YEAR = re.compile(r"(?<![\d.,])(?:1[0-9]|20)\d\d(?![.,]?\d)")


@dataclass(frozen=True, eq=False)
class Concept:
    """Something that holds of tokens, or of whole texts.

    Parameters
    ----------
    name : str
        What it is called.
    function : callable
        Takes ``(doc, query)``; the query is ``""`` for a text alone. Returns where in the document it holds, as (start, end)
        spans of characters, possibly none: a concept of tokens. Or True, False, or None for "leave this text out": a concept of
        texts.
    rewrite : callable, optional
        Takes ``(doc, query)`` and returns the document that is run instead, or None to leave the text out.
    paired : bool
        Whether it needs a query.
    """

    name: str
    function: Callable[[str, str], Any]
    rewrite: Callable[[str, str], str | None] | None = None
    paired: bool = False

    def ask(self, text: Text) -> tuple[Text, Answer]:
        """Return the text that is run, and where (or whether) the concept holds there.

        Raises
        ------
        InputError, InputTypeError
            A text without a query where one is needed; a function that returns something else.
        """
        query, doc = text if isinstance(text, tuple) else ("", text)
        if self.paired and not query:
            raise InputError(f"the concept {self.name!r} is of a query and its document, not of {shown(doc)}; give pairs")
        if self.rewrite is not None:
            changed = self.rewrite(doc, query)
            if changed is None:
                return text, None
            doc = check_text(f"the document that {self.name!r} made", changed)
            text = (query, doc) if isinstance(text, tuple) else doc
        return text, _answer(self.name, self.function(doc, query), len(doc))

    def labels(self, text: Text, tokens: Tokens) -> NDArray[np.bool_]:
        """Return the positions of a text's tokens where the concept holds, dims (pos); all of the document's, if of texts."""
        _, answer = self.ask(text)
        found = np.zeros(len(tokens), dtype=bool)
        if isinstance(answer, tuple):
            found[positions_of(tokens, answer)] = True
        else:
            found[tokens.positions("doc")] = bool(answer)
        return found

    def __repr__(self) -> str:
        return f"Concept({self.name!r})"


def _answer(name: str, given: Any, length: int) -> Answer:
    if given is None or isinstance(given, (bool, np.bool_)):
        return None if given is None else bool(given)
    try:
        spans = tuple((int(start), int(end)) for start, end in given)
    except (TypeError, ValueError) as error:
        raise InputTypeError(
            f"the concept {name!r} returned {shown(given)}; return (start, end) spans of characters, or True, False or None"
        ) from error
    if wrong := [span for span in spans if not 0 <= span[0] < span[1] <= length]:
        raise InputError(f"the concept {name!r} returned the span {wrong[0]} in a document of {length} characters")
    return spans


def as_concept(given: object) -> Concept:
    """Return a concept for itself, or for a function of ``(doc, query)``.

    Raises
    ------
    InputTypeError
    """
    if isinstance(given, Concept):
        return given
    if not callable(given):
        raise InputTypeError(f"concept must be one of mechviz.probes.concepts, or a function of (doc, query), not {shown(given)}")
    return Concept(str(getattr(given, "__name__", type(given).__name__)), given)


def query_term(stopwords: bool = False) -> Concept:
    """Return "this word is in the query", word for word without regard to case; stopwords do not count unless asked for."""

    def spans(doc: str, query: str) -> Spans:
        wanted = set(terms(query)) - (set() if stopwords else STOPWORDS)
        return tuple(span for term, span in zip(terms(doc), words(doc), strict=True) if term in wanted)

    return Concept("query term", spans, paired=True)


def rare_term(statistics: TermStatistics, least: float | None = None) -> Concept:
    """Return "this word is rare".

    Parameters
    ----------
    statistics : TermStatistics
        Of a collection.
    least : float, optional
        The IDF from which a word is rare; by default that of a word in one of 100 documents.

    Raises
    ------
    InputError, InputTypeError
    """
    if not isinstance(statistics, TermStatistics):
        raise InputTypeError(f"statistics must be mv.TermStatistics.of(texts), not {shown(statistics)}")
    if statistics.terms is not terms:
        raise InputError("statistics were counted with terms of your own, which have no places in a text; count with the default")
    if least is not None and (isinstance(least, bool) or not isinstance(least, (int, float)) or not np.isfinite(least)):
        raise InputError(f"least={shown(least)}; give an IDF, such as 4.0")
    n = statistics.documents
    bound = float(np.log1p((n - n / 100 + 0.5) / (n / 100 + 0.5))) if least is None else float(least)

    def spans(doc: str, query: str) -> Spans:
        of_words = zip(terms(doc), words(doc), strict=True)
        return tuple(span for term, span in of_words if statistics.idf(term) >= bound)

    return Concept(f"rare term (idf >= {bound:.2f})", spans)


def number() -> Concept:
    """Return "this is a number", in digits."""
    return Concept("number", lambda doc, query: tuple(match.span() for match in _NUMBER.finditer(doc)))


def year() -> Concept:
    """Return "this is a year", from 1000 to 2099."""
    return Concept("year", lambda doc, query: tuple(match.span() for match in _YEAR.finditer(doc)))


def injected(perturb: object) -> Concept:
    """Return "a perturbation put this here": the changed documents are run, and what is new in them is marked.

    Parameters
    ----------
    perturb : as in `mechviz.make_pair`
        It changes the document. Texts that it cannot change are left out.

    Raises
    ------
    InputError
        A perturbation of the query.
    """
    change = as_perturbation(perturb)
    if change.side != "doc":
        raise InputError(f"{change.name} changes the query; neurons are read in the document, so give a change of the document")
    added: dict[str, Spans] = {}

    def rewrite(doc: str, query: str) -> str | None:
        try:
            found = change.change(query, doc)
        except InputError:
            return None
        added[found.text] = tuple(found.added)
        return found.text

    return Concept(f"injected by {change.name}", lambda doc, query: added[doc], rewrite)


def relevance(grades: Mapping[tuple[str, str], float], least: float = 1) -> Concept:
    """Return "this document is relevant to its query".

    Parameters
    ----------
    grades : mapping of (query, document) to a grade
        As texts; pairs that are not in it are left out.
    least : float
        The grade from which a document is relevant.

    Raises
    ------
    InputTypeError
    """
    if not isinstance(grades, Mapping):
        raise InputTypeError(f"grades must map (query, document) to a grade, not {shown(grades)}")

    def holds(doc: str, query: str) -> bool | None:
        grade = grades.get((query, doc))
        return None if grade is None or np.isnan(grade) else bool(grade >= least)

    return Concept(f"relevance of {least:g} or more", holds, paired=True)


def with_spans(name: str, given: object) -> list[tuple[Text, Spans | None]]:
    """Return texts that were given by hand, each with its spans: strings, pairs, or (text, spans) with either.

    Raises
    ------
    InputError, InputTypeError
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InputTypeError(f"{name} must be a list of texts, of (query, document), or of (text, spans), not {shown(given)}")
    if not given:
        raise InputError(f"{name} is empty; give at least one text")
    found: list[tuple[Text, Spans | None]] = []
    for one in given:
        if isinstance(one, tuple) and len(one) == 2 and not isinstance(one[1], str):
            text, spans = one
            length = len(doc_of(text)) if isinstance(text, (str, tuple)) and len(text) else 0
            answer = _answer(f"a text of {name}", spans, length)
            if not isinstance(answer, tuple):
                raise InputTypeError(f"{name} holds spans {shown(spans)}; give (start, end) of characters")
            found.append((text, answer))
        else:
            found.append((one, None))
    return found
