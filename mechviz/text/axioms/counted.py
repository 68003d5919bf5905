"""A text with its words counted, and the small changes that minimal pairs are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mechviz.text.checks import check_text
from mechviz.text.perturb.changes import Replacement, Span
from mechviz.text.words import terms, words

#: Where a word is added: after the text, before it, or in place of a word that the query does not have.
PLACES = ("end", "start", "replace")

T = TypeVar("T")


@dataclass(frozen=True)
class Counted:
    """A text, the spans of its words, their terms in order, and how often each term occurs."""

    text: str
    spans: Sequence[Span]
    terms: Sequence[str]
    counts: Mapping[str, int]

    @classmethod
    def of(cls, name: str, text: object, ignore: Iterable[str] = ()) -> Counted:
        """Count a text, as if it did not have the words to ignore; ``name`` is what an error calls it."""
        checked = check_text(name, text)
        ignored = frozenset(ignore)
        kept = [one for one in zip(words(checked), terms(checked), strict=True) if one[1] not in ignored]
        found = [term for _, term in kept]
        return cls(checked, [span for span, _ in kept], found, Counter(found))

    def __len__(self) -> int:
        return len(self.terms)

    @property
    def distinct(self) -> tuple[str, ...]:
        """The terms, each once, in the order of their first occurrence."""
        return tuple(self.counts)

    def written(self, term: str) -> str:
        """Return the term as the text first writes it."""
        return self.surface(self.terms.index(term))

    def surface(self, number: int) -> str:
        """Return the word with a number, as it is written."""
        start, end = self.spans[number]
        return self.text[start:end]

    def places(self, of: Collection[str]) -> list[int]:
        """Return the numbers of the words whose term is in ``of``."""
        return [number for number, term in enumerate(self.terms) if term in of]

    def others(self, query: Counted) -> list[int]:
        """Return the numbers of the words that are no terms of the query."""
        return [number for number, term in enumerate(self.terms) if term not in query.counts]

    def replacing(self, new: Mapping[int, str]) -> list[Replacement]:
        """Return the replacements that put other words in place of those with these numbers.

        In scripts without spaces words touch; a space goes between two that would become one.
        """
        found = []
        for number in sorted(new):
            start, end = self.spans[number]
            before = after = ""
            if number and self.spans[number - 1][1] == start:
                before = _gap(new.get(number - 1, self.surface(number - 1)), new[number])
            if number + 1 < len(self) and self.spans[number + 1][0] == end and number + 1 not in new:
                after = _gap(new[number], self.surface(number + 1))
            found.append(Replacement(start, end, f"{before}{new[number]}{after}"))
        return found

    def adding(self, new: Sequence[str], where: str, query: Counted, generator: np.random.Generator) -> list[Replacement] | None:
        """Return the replacements that add words at one of `PLACES`; None where too few words can make room."""
        if where == "replace":
            room = self.others(query)
            if len(room) < len(new):
                return None
            chosen = sorted(generator.permutation(room)[: len(new)].tolist())
            return self.replacing(dict(zip(chosen, new, strict=True)))
        text = " ".join(new)
        if where == "start":
            return [Replacement(0, 0, f"{text} ")]
        return [Replacement(len(self.text), len(self.text), f" {text}")]


def pick(items: Sequence[T], generator: np.random.Generator) -> T:
    """Draw one item."""
    return items[int(generator.integers(len(items)))]


def _gap(left: str, right: str) -> str:
    """Return the space that two neighbours need to stay two."""
    return "" if len(words(left + right)) == len(words(left)) + len(words(right)) else " "


def differing(terms: Iterable[str], a: Counted, b: Counted) -> list[str]:
    """Return the terms that one text has more often than the other."""
    return [term for term in terms if a.counts.get(term, 0) != b.counts.get(term, 0)]
