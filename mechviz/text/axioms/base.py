"""What an axiom is: it compares two documents, it makes minimal pairs, and it is a perturbation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, NoReturn

import numpy as np

from mechviz.errors import InputError, shown
from mechviz.text.axioms.counted import Counted
from mechviz.text.perturb.changes import Change, Replacement, Span, change_of
from mechviz.text.perturb.rewrites import Rewrite, check_seed, check_terms, draws, needed
from mechviz.text.words import STOPWORDS


@dataclass(frozen=True)
class Verdict:
    """What an axiom says of two documents.

    Attributes
    ----------
    margin : float
        How clearly, in the unit that the axiom names: positive if it prefers the first, negative if the second.
    reason : str
        Why the axiom does not speak of the two; empty where it does. The words are the same for all documents, so that
        reasons can be counted.
    """

    margin: float = 0.0
    reason: str = ""

    @property
    def preference(self) -> int:
        """1 if the first document is preferred, -1 if the second, 0 if neither."""
        return (self.margin > 0) - (self.margin < 0)

    @property
    def valid(self) -> bool:
        """Whether the axiom's precondition holds."""
        return not self.reason

    def __neg__(self) -> Verdict:
        """Return the verdict on the two documents in the other order."""
        return Verdict(0.0 - self.margin, self.reason)


@dataclass(frozen=True)
class MinimalPair:
    """A document and its perturbed copy, which differ in what one axiom speaks of.

    Attributes
    ----------
    query, doc, perturbed : str
        ``doc`` is the document that was given, unless the axiom says ``keeps_document = False``.
    preferred : int
        1 if the axiom prefers the perturbed text, -1 if the original.
    removed : tuple of (start, end)
        Characters of ``doc`` that are gone or have moved.
    added : tuple of (start, end)
        Characters of ``perturbed`` that are new or have moved there.
    """

    query: str
    doc: str
    perturbed: str
    preferred: int
    removed: tuple[Span, ...] = ()
    added: tuple[Span, ...] = ()


class NoPairError(InputError):
    """An axiom can make no pair of this query and document.

    Attributes
    ----------
    reason : str
        Why, in words that are the same for all documents, so that reasons can be counted.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Draft:
    """A pair before it is checked: the original, what is replaced in it, and which of the two is preferred."""

    doc: Counted
    replacements: Sequence[Replacement]
    preferred: int = 1


@dataclass(frozen=True, kw_only=True, repr=False)
class Axiom(Rewrite):
    """The parent of all axioms.

    An axiom compares two documents (`check`, `preference`), makes minimal pairs (`make`), and is itself a perturbation
    ``(doc, query) -> doc``, so that it can stand wherever a perturbation can. It is frozen and can be pickled, if what it was
    given (a similarity) can. Two documents are compared by their words alone, without regard to case
    (`mechviz.text.words.terms`).

    Parameters
    ----------
    ignore : words, optional
        Words of a query that are no query terms; by default the English stop words. Give ``()`` to count all.

    Attributes
    ----------
    keeps_document : bool
        Whether `make` leaves the document as it is. If not, the original of the pair has to be written too, and the axiom
        is no perturbation.
    """

    keeps_document: ClassVar[bool] = True

    ignore: Iterable[str] = STOPWORDS

    def __post_init__(self) -> None:
        object.__setattr__(self, "ignore", check_terms(f"{self.__name__}(ignore)", self.ignore))

    @property
    def __name__(self) -> str:
        """The axiom's name, such as ``TFC1``; what views and results call the perturbation."""
        return type(self).__qualname__

    def __repr__(self) -> str:
        given = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}
        told = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in given.items()}
        return f"{self.__name__}({', '.join(f'{name}={value!r}' for name, value in told.items())})"

    def check(self, query: str, doc_a: str, doc_b: str) -> Verdict:
        """Compare two documents.

        ``check(query, a, b) == -check(query, b, a)``, and equal documents are never preferred.

        Raises
        ------
        InputError, InputTypeError
            A text is empty or no text; or the axiom lacks what it needs, such as ``statistics``.
        """
        return self._verdict(self._terms_of(query), Counted.of("doc_a", doc_a), Counted.of("doc_b", doc_b))

    def preference(self, query: str, doc_a: str, doc_b: str) -> int:
        """Return 1 if ``doc_a`` is preferred, -1 if ``doc_b``, 0 if neither, or if the precondition does not hold."""
        return self.check(query, doc_a, doc_b).preference

    def make(self, query: str, doc: str, seed: int = 0) -> MinimalPair:
        """Make a minimal pair of a document, of which `check` says what the pair says.

        Equal arguments give equal pairs, in any process; another ``seed`` another choice, where there is one.

        Raises
        ------
        NoPairError
            The query and the document do not have what the axiom needs.
        InputError, InputTypeError
            A text is empty or no text; or the axiom lacks what it needs, such as ``statistics``.
        """
        draft, change = self._checked(self._terms_of(query), Counted.of("doc", doc), seed)
        return MinimalPair(query, draft.doc.text, change.text, draft.preferred, change.removed, change.added)

    def replacements(self, text: str, other: str | None) -> Iterable[Replacement]:
        """Return what `make` replaces in a document, with seed 0; ``other`` is the query."""
        query = needed(self.__name__, other)
        if not self.keeps_document:
            raise InputError(
                f"{self.__name__} needs another original than the document given, so it is no perturbation; "
                "make(query, doc) returns both texts: patch its perturbed against its doc"
            )
        return self._checked(self._terms_of(query), Counted.of("doc", text), seed=0)[0].replacements

    def __call__(self, doc: str, query: str | None) -> str:
        """Return the perturbed text of the pair that `make` makes with seed 0."""
        return super().__call__(doc, query)

    def _terms_of(self, query: str) -> Counted:
        return Counted.of("query", query, self.ignore)

    def _verdict(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        if not query.terms:
            return Verdict(reason="the query has no words but those to ignore")
        return self._compare(query, a, b)

    def _checked(self, query: Counted, doc: Counted, seed: int) -> tuple[Draft, Change]:
        alone = self._verdict(query, doc, doc)
        if not alone.valid:
            self._cannot(alone.reason, query, doc)
        draft = self._change(query, doc, draws(check_seed(self.__name__, seed), query.text, doc.text))
        if isinstance(draft, str):
            self._cannot(draft, query, doc)
        change = change_of(draft.doc.text, draft.replacements)
        verdict = self._verdict(query, draft.doc, Counted.of("the perturbed text", change.text))
        if verdict.preference != -draft.preferred:
            self._cannot(verdict.reason or "the change that it makes does not decide", query, doc)
        return draft, change

    def _cannot(self, reason: str, query: Counted, doc: Counted) -> NoReturn:
        where = f"query {shown(query.text)}, doc {shown(doc.text)}"
        raise NoPairError(f"{self.__name__} can make no pair: {reason} ({where}); give texts that have it", reason)

    @abstractmethod
    def _compare(self, query: Counted, a: Counted, b: Counted) -> Verdict:
        """Compare two documents for a query that has terms."""

    @abstractmethod
    def _change(self, query: Counted, doc: Counted, generator: np.random.Generator) -> Draft | str:
        """Return the pair, or in words why there is none."""
