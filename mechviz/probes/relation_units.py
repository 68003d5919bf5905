"""What stands in a relation: the tokens of a text, or its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechviz.text.tokens import Tokens
from mechviz.text.words import terms

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Units:
    """The tokens or words of one sequence, without what is no text of the user's (special tokens, prompts, padding).

    Attributes
    ----------
    tokens : Tokens
    pieces : tuple of int64 array, one a unit
        The positions that it is made of.
    first : int64 array, dims (unit)
        The first of them.
    segments : str array, dims (unit)
        ``"query"`` or ``"doc"``.
    spans : int64 array, dims (unit, 2)
        Characters in the segment's text, without white space at the ends.
    keys : tuple of str
        What two units must share to be the same string, as the tokenizer writes it.
    words : int64 array, dims (unit)
        Number of the word that it is in, over both segments.
    terms : tuple of str
        That word, casefolded; empty where it has neither letter nor digit.
    split : bool array, dims (unit)
        Whether that word has several pieces.
    """

    tokens: Tokens
    pieces: tuple[Ints, ...]
    first: Ints
    segments: NDArray[np.str_]
    spans: Ints
    keys: tuple[str, ...]
    words: Ints
    terms: tuple[str, ...]
    split: Bools

    def __len__(self) -> int:
        return len(self.pieces)

    def same(self, names: Sequence[str]) -> Bools:
        """Return which pairs of units have the same name, none of them empty, dims (unit, unit)."""
        _, codes = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
        given = np.array([bool(name) for name in names])
        found: Bools = (codes[:, None] == codes[None, :]) & given[:, None] & given[None, :]
        return found

    def inside(self) -> Bools:
        """Return which pairs stand in one text, dims (unit, unit); a unit and itself do not."""
        found: Bools = (self.segments[:, None] == self.segments[None, :]) & ~np.eye(len(self), dtype=bool)
        return found

    def across(self) -> Bools:
        """Return which pairs are one of the query and one of the document, in this order, dims (unit, unit)."""
        found: Bools = (self.segments == "query")[:, None] & (self.segments == "doc")[None, :]
        return found

    def any_of(self, matrix: Bools) -> Bools:
        """Return of a matrix over positions, dims (pos, pos), whether it holds for any pieces of two units."""
        picked, starts = self.laid()
        found = np.logical_or.reduceat(np.logical_or.reduceat(matrix[np.ix_(picked, picked)], starts, axis=1), starts, axis=0)
        return np.asarray(found, dtype=bool)

    def laid(self) -> tuple[Ints, Ints]:
        """Return the positions of all units one after another, and where each unit starts among them."""
        sizes = [len(pieces) for pieces in self.pieces]
        return np.concatenate(self.pieces), np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)


def units_of(tokens: Tokens, texts: Mapping[str, str], merge_words: bool = False, unknown: str | None = None) -> Units:
    """Return the units of a sequence.

    Parameters
    ----------
    tokens : Tokens
    texts : mapping of segment to str
        The user's text of each.
    merge_words : bool
        Whether a unit is a word instead of a token.
    unknown : str, optional
        The token that stands for what the tokenizer does not know: two of it are the same string only if the texts are.
    """
    spans = np.array([_trimmed(tokens, texts, at) for at in range(len(tokens))], dtype=np.int64).reshape(-1, 2)
    own = np.flatnonzero((spans[:, 1] > spans[:, 0]) & tokens.mask & ~tokens.fillers)
    word = np.cumsum(tokens.word_starts())[own]
    numbers, words = np.unique(word, return_inverse=True)
    of_word = [own[words == number] for number in range(len(numbers))]
    named = [_term(tokens, texts, spans, pieces) for pieces in of_word]
    pieces = of_word if merge_words else [own[at : at + 1] for at in range(len(own))]
    number_of = np.arange(len(numbers)) if merge_words else words
    segments = np.array(tokens.segments)
    written = list(tokens.strings)
    for at in own:
        if written[at] == unknown:
            written[at] = f"{unknown} {texts[tokens.segments[at]][spans[at, 0] : spans[at, 1]]}"
    return Units(
        tokens=tokens,
        pieces=tuple(pieces),
        first=np.array([one[0] for one in pieces], dtype=np.int64),
        segments=np.array([segments[one[0]] for one in pieces], dtype=np.str_),
        spans=np.array([(spans[one, 0].min(), spans[one, 1].max()) for one in pieces], dtype=np.int64).reshape(-1, 2),
        keys=tuple(" ".join(written[at] for at in one).lstrip("▁Ġ") for one in pieces),
        words=number_of.astype(np.int64),
        terms=tuple(named[at] for at in number_of),
        split=np.array([len(of_word[at]) > 1 for at in number_of], dtype=bool),
    )


def _trimmed(tokens: Tokens, texts: Mapping[str, str], at: int) -> tuple[int, int]:
    text = texts.get(tokens.segments[at], "")
    start, end = (int(bound) for bound in tokens.offsets[at])
    if start < 0 or end <= start or end > len(text):
        return -1, -1
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _term(tokens: Tokens, texts: Mapping[str, str], spans: Ints, pieces: Ints) -> str:
    text = texts[tokens.segments[pieces[0]]]
    return " ".join(terms(text[spans[pieces, 0].min() : spans[pieces, 1].max()]))
