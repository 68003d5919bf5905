"""How alike two terms are: a function or a table that the user gives; nothing is looked up elsewhere.

>>> table = as_similarity("STMC1", {"lava": ["magma"], "hot": {"warm": 0.8}})
>>> table("magma", "lava"), table("hot", "warm"), table("hot", "hot"), table("hot", "lava")
(1.0, 0.8, 1.0, 0.0)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Protocol

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text.axioms.base import Axiom
from mechviz.text.words import terms

#: A function of two terms, called often (put `functools.cache` around a slow one); or one that gives the synonyms of a term,
#: such as `mechviz.perturb.wordnet`; or a table, word -> its synonym or synonyms, or word -> {word: similarity}.
SimilarityLike = (
    Callable[[str, str], float] | Callable[[str], Iterable[str]] | Mapping[str, str | Iterable[str] | Mapping[str, float]]
)


class Similarity(Protocol):
    """How alike two terms are, and which terms are known to be like one."""

    def __call__(self, first: str, second: str) -> float:
        """Return how alike two terms are, a finite number."""

    def related(self, term: str) -> tuple[str, ...]:
        """Return the terms that are known to be like one; none where only pairs can be asked for."""


@dataclass(frozen=True)
class Table:
    """A table, the same in both directions: 1 for a word and itself, 0 for pairs that it does not have."""

    entries: Mapping[str, Mapping[str, float]] = field(hash=False)

    def __call__(self, first: str, second: str) -> float:
        """Return how alike two terms are."""
        return 1.0 if first == second else self.entries.get(first, {}).get(second, 0.0)

    def related(self, term: str) -> tuple[str, ...]:
        """Return the terms that the table pairs with one."""
        return tuple(other for other, value in self.entries.get(term, {}).items() if other != term and value > 0)

    def __repr__(self) -> str:
        return f"<table of {len(self.entries)} words>"


@dataclass(frozen=True)
class Synonyms:
    """A function term -> synonyms: 1 for a word and itself, and for two of which one is a synonym of the other; else 0."""

    source: Callable[[str], Iterable[str]]

    def __call__(self, first: str, second: str) -> float:
        """Return how alike two terms are."""
        return float(first == second or second in self.related(first) or first in self.related(second))

    def related(self, term: str) -> tuple[str, ...]:
        """Return the synonyms that are one word."""
        found = (terms(word) for word in self.source(term))
        return tuple(dict.fromkeys(one[0] for one in found if len(one) == 1 and one[0] != term))

    def __repr__(self) -> str:
        return repr(self.source)


@dataclass(frozen=True)
class Measure:
    """A function of two terms."""

    function: Callable[[str, str], float]

    def __call__(self, first: str, second: str) -> float:
        """Return how alike two terms are."""
        return _number("similarity", self.function(first, second))

    def related(self, term: str) -> tuple[str, ...]:
        """Return nothing: a function of two terms proposes none."""
        return ()

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


@dataclass(frozen=True, kw_only=True, repr=False)
class SimilarityAxiom(Axiom):
    """The parent of the axioms that compare terms."""

    similarity: SimilarityLike | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "similarity", as_similarity(self.__name__, self.similarity))

    @property
    def alike(self) -> Similarity:
        """The similarity, whatever it was given as."""
        return as_similarity(self.__name__, self.similarity)


def as_similarity(name: str, given: object) -> Similarity:
    """Return what was given as a `Similarity`; ``name`` is the axiom that asks.

    Phrases in a table or among synonyms are passed over: axioms compare words.

    Raises
    ------
    InputError
        None was given; a table has no two words, or two similarities for one pair; a similarity is no finite number.
    InputTypeError
        It is neither a function nor a mapping.
    """
    if given is None:
        raise InputError(
            f"{name} compares terms: give {name}(similarity=), a function (term, term) -> number, "
            "a table such as {'lava': ['magma']}, or perturb.wordnet()"
        )
    if isinstance(given, (Table, Synonyms, Measure)):
        return given
    if isinstance(given, Mapping):
        return Table(_entries(name, given))
    if not callable(given):
        raise InputTypeError(f"{name}: similarity must be a function of two terms or a table, not {shown(given)}")
    return Synonyms(given) if _takes_one(given) else Measure(given)


def _entries(name: str, table: Mapping[str, object]) -> dict[str, dict[str, float]]:
    entries: dict[str, dict[str, float]] = {}
    for word, listed in table.items():
        if not isinstance(listed, Iterable):
            raise InputTypeError(f"{name}: a table gives words or a mapping of words for {shown(word)}, not {shown(listed)}")
        others = [listed] if isinstance(listed, str) else listed
        values = dict(others) if isinstance(others, Mapping) else dict.fromkeys(others, 1.0)
        for other, value in values.items():
            one, two = _terms(name, word), _terms(name, other)
            if len(one) != 1 or len(two) != 1:
                continue
            number = _number(f"{name}: similarity", value)
            if entries.setdefault(one[0], {}).setdefault(two[0], number) != number:
                raise InputError(f"{name}: the table has two similarities for {one[0]!r} and {two[0]!r}; give one")
            entries.setdefault(two[0], {})[one[0]] = number
    if not entries:
        raise InputError(f"{name}: the table pairs no two single words; give at least one such pair")
    return entries


def _terms(name: str, word: object) -> list[str]:
    if not isinstance(word, str):
        raise InputTypeError(f"{name}: a table of similarities holds words, not {shown(word)}")
    return terms(word)


def _number(name: str, value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputTypeError(f"{name} must be a number, not {shown(value)}") from None
    if not isfinite(number):
        raise InputError(f"{name} must be finite, not {number}")
    return number


def _takes_one(function: Callable[..., object]) -> bool:
    """Return whether a function asks for one argument, so that it gives synonyms."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-ins have no signature
        return False
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return len([one for one in positional if one.default is one.empty]) == 1 and not any(
        one.kind is one.VAR_POSITIONAL for one in parameters
    )
