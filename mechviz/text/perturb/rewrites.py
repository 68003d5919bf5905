"""The parent of the ready perturbations, and the checks and draws that they share."""

from __future__ import annotations

import hashlib
import json
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text.checks import check_text
from mechviz.text.perturb.changes import Change, Replacement, change_of
from mechviz.text.words import terms


class Rewrite(ABC):
    """A change of a text that is written as replacements, so that the text and its spans cannot disagree.

    The children are frozen dataclasses of plain values: they can be pickled and compared.
    """

    @abstractmethod
    def replacements(self, text: str, other: str | None) -> Iterable[Replacement]:
        """Return what is replaced, ascending; ``other`` is the other text of the pair, None where it was not given."""

    def change(self, text: str, other: str | None) -> Change:
        """Return the changed text with its spans."""
        return change_of(text, self.replacements(text, other))

    def __call__(self, text: str, other: str | None) -> str:
        """Return the changed text."""
        return self.change(text, other).text


def draws(seed: int, *texts: str) -> np.random.Generator:
    """Return a generator that depends on the seed and the texts alone, whatever the process and the order of calls."""
    digest = hashlib.sha256(json.dumps([seed, *texts]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest))


def drawn_order(pieces: Sequence[str], generator: np.random.Generator) -> list[int]:
    """Draw one of the orders that change the row of ``pieces``, which are not all equal."""
    while True:  # at most every other order leaves such a row as it was
        order: list[int] = generator.permutation(len(pieces)).tolist()
        if [pieces[at] for at in order] != list(pieces):
            return order


def chunks(text: str) -> list[tuple[int, int]]:
    """Return the spans of what stands between white space: words with the punctuation that is written onto them."""
    return [chunk.span() for chunk in re.finditer(r"\S+", text)]


def check_seed(kind: str, seed: object) -> int:
    """Return the seed as an int."""
    return check_int(f"{kind}(seed)", seed)


def check_int(name: str, value: object) -> int:
    """Return ``value`` as an int if it is a whole number, of Python or numpy."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise InputTypeError(f"{name} must be a whole number, not {shown(value)}")
    return operator.index(value)


def check_count(name: str, value: object, least: int) -> int:
    """Return ``value`` if it is a whole number of at least ``least``."""
    count = check_int(name, value)
    if count < least:
        raise InputError(f"{name} is {count}; give {least} or more")
    return count


def check_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} is {shown(value)}; it is one of {', '.join(map(repr, choices))}")
    return value


def check_texts(name: str, values: object) -> tuple[str, ...]:
    """Return a list of usable texts as a tuple; a set is refused, since draws from it would depend on the process."""
    if isinstance(values, (str, bytes, Set, Mapping)) or not isinstance(values, Iterable):
        raise InputTypeError(f"{name} must be a list of texts, not {shown(values)}")
    return tuple(check_text(f"{name}[{number}]", value) for number, value in enumerate(values))


def check_terms(name: str, values: object) -> frozenset[str]:
    """Return the terms of some words, whose order does not matter."""
    listed = sorted(values) if isinstance(values, Set) and all(isinstance(one, str) for one in values) else values
    return frozenset(term for word in check_texts(name, listed) for term in terms(word))


def needed(kind: str, other: str | None) -> str:
    """Return the other text of the pair where a perturbation cannot work without it."""
    if other is None:
        raise InputError(f"{kind} needs the query: call it with (doc, query)")
    return other
