"""Words of a text, and the text without some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.text.checks import check_text
from mechviz.text.sentences import sentences
from mechviz.text.tokens import Tokens
from mechviz.text.words import terms, words

UNITS = ("word", "term", "sentence")
#: Maskers that are no word that is written in.
DELETE, MASK, PAD = "delete", "[MASK]", "[PAD]"

Masks = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """What is kept or taken away as a whole.

    Attributes
    ----------
    text : str
        As it is first written.
    spans : tuple of (start, end)
        Characters of the text, ascending; several for a term that occurs several times.
    """

    text: str
    spans: tuple[tuple[int, int], ...]


def units_of(name: str, text: str, unit: str = "word") -> list[Unit]:
    """Cut a text into units.

    Parameters
    ----------
    name : str
        What the text is called in an error.
    text : str
    unit : ``"word"``, ``"term"`` (all occurrences of a word, without regard to case) or ``"sentence"``

    Raises
    ------
    InputError
        No such unit, or a text without any.
    """
    if unit not in UNITS:
        raise InputError(f"unit={shown(unit)}; there are {', '.join(map(repr, UNITS))}")
    spans = sentences(text) if unit == "sentence" else words(text)
    if not spans:
        raise InputError(f"{name} {shown(text)} has no {unit}; give a text with letters or digits")
    if unit != "term":
        return [Unit(text[start:end], ((start, end),)) for start, end in spans]
    places: dict[str, list[tuple[int, int]]] = {}
    for term, span in zip(terms(text), spans, strict=True):
        places.setdefault(term, []).append(span)
    return [Unit(text[slice(*found[0])], tuple(found)) for found in places.values()]


def written(text: str, units: Sequence[Unit], keep: Sequence[bool] | Masks, masker: str) -> str:
    """Write a text without some units: a word is put in the place of each, or the gap is closed (``"delete"``)."""
    gone = sorted(span for unit, kept in zip(units, keep, strict=True) if not kept for span in unit.spans)
    pieces: list[str] = []
    done = 0
    for start, end in gone:
        before = text[done:start]
        if masker == DELETE:
            before = before.rstrip()
            following = text[end : end + 1]
            # the words around a gap must not grow together
            glue = " " if following.isalnum() and (before or "".join(pieces))[-1:].isalnum() else ""
            pieces += [before, glue]
        else:
            left = " " if (before or "".join(pieces))[-1:].isalnum() else ""
            right = " " if text[end : end + 1].isalnum() else ""
            pieces += [before, left, masker, right]
        done = end
    whole = "".join([*pieces, text[done:]])
    return whole.strip() if masker == DELETE else whole


def positions_of(tokens: Tokens, side: str, units: Sequence[Unit]) -> NDArray[np.int64]:
    """Return which unit each position belongs to, -1 where to none, dims (pos): the one that it shares most characters with."""
    spans = [(start, end, number) for number, unit in enumerate(units) for start, end in unit.spans]
    found = np.full(len(tokens), -1, dtype=np.int64)
    starts, ends, numbers = (np.array(column) for column in zip(*spans, strict=True))
    for position in tokens.positions(side):
        start, end = tokens.offsets[position]
        shared = np.minimum(ends, end) - np.maximum(starts, start)
        if start >= 0 and shared.max() > 0:
            found[position] = numbers[shared.argmax()]
    return found


def drawn(n: int, count: int, rng: np.random.Generator) -> Masks:
    """Draw which units are kept, dims (sample, unit), as LIME does: how many go is uniform from 1 to n - 1, then which."""
    gone = rng.integers(1, n, count)
    return rng.random((count, n)).argsort(axis=1).argsort(axis=1) >= gone[:, None]


def closeness(keep: Masks, width: float | None) -> Floats:
    """Return how much a sample counts, dims (sample), by its cosine c with the whole text.

    Parameters
    ----------
    keep : bool array, dims (sample, unit)
    width : float or None
        Of LIME's kernel, sqrt(exp(-((1 - c) / width)^2)); None for c itself, as ELI5 weighs.
    """
    cosine: Floats = np.sqrt(keep.mean(axis=1))
    if width is None:
        return cosine
    kernel: Floats = np.sqrt(np.exp(-(((1 - cosine) / width) ** 2)))
    return kernel


def check_masker(masker: object) -> str:
    """Return a masker, or refuse what is none.

    Raises
    ------
    InputTypeError, InputError
    """
    found = check_text("masker", masker)
    if found.strip() != found:
        raise InputError(f"masker={shown(masker)} has white space around it; give 'delete', '[MASK]', '[PAD]' or a word")
    return found
