"""Two texts as rows that stay level, their long equal stretches folded, and each row as lines (``js/src/marks/rows.ts``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mechviz.figures.words import cut, visible, width_of
from mechviz.results import Pair
from mechviz.text import Tokens

FONT = 14.0
FILLER_FONT = 12.0

_ROW_LIMIT = 40
_CONTEXT = 12  # equal tokens kept on each side of a change
_FOLD_FROM = 24  # a fold that hides fewer saves nothing
_SHORT_TEXT = 80  # never folded


@dataclass(frozen=True)
class Row:
    """Positions that stand level in both texts, or that are folded away."""

    positions: tuple[int, ...]
    folded: bool


@dataclass(frozen=True)
class Piece:
    """Tokens that are drawn as one.

    Attributes
    ----------
    words : str
    kind : ``"equal"``, ``"insert"``, ``"delete"``, ``"replace"`` or ``"filler"``
    first : bool
        Whether the mark of its kind (+, −) goes before it: false for the second half of a word.
    joined : bool
        Whether nothing stands between it and the piece before it.
    inside : bool
        Whether it begins inside a word.
    """

    words: str
    kind: str
    first: bool
    joined: bool
    inside: bool

    @property
    def bold(self) -> bool:
        """Whether its letters are bold."""
        return self.kind in ("insert", "replace")

    @property
    def font(self) -> float:
        """Size of its letters."""
        return FILLER_FONT if self.kind == "filler" else FONT

    @property
    def before(self) -> float:
        """Room for what stands left of its letters."""
        return {"insert": 16.0 if self.first else 4.0, "delete": 11.0 if self.first else 0.0, "filler": 5.0}.get(self.kind, 0.0)

    @property
    def width(self) -> float:
        """Room for all of it."""
        after = 5.0 if self.kind in ("insert", "filler") else 0.0
        return self.before + width_of(self.words, self.font, self.bold) + after


def in_word(tokens: Tokens, pos: int) -> bool:
    """Tell whether a position and the one before it belong to one word."""
    same = pos > 0 and tokens.words[pos] >= 0 and tokens.words[pos] == tokens.words[pos - 1]
    return bool(same and tokens.segments[pos] == tokens.segments[pos - 1])


def text_positions(pair: Pair) -> list[int]:
    """Return the positions of the side that changed; specials and prompts are not text."""
    runs = (pair.base, pair.source)
    wanted = [pos for pos in range(len(pair.base)) if any(run.segments[pos] == pair.side or run.fillers[pos] for run in runs)]
    return wanted or list(range(len(pair.base)))


def aligned_rows(positions: Sequence[int], kinds: Sequence[str], texts: tuple[Tokens, Tokens]) -> list[Row]:
    """Cut positions into rows, at the ends of sentences or where a row is full."""
    rows: list[Row] = []
    row: list[int] = []

    def close() -> None:
        if row:
            rows.append(Row(tuple(row), folded=False))
            row.clear()

    folds = _folds(positions, kinds, texts)
    i = 0
    while i < len(positions):
        length = folds.get(i, 0)
        if length:
            close()
            rows.append(Row(tuple(positions[i : i + length]), folded=True))
            i += length
            continue
        pos = positions[i]
        row.append(pos)
        i += 1
        if i < len(positions) and any(in_word(text, positions[i]) for text in texts):
            continue
        if len(row) >= _ROW_LIMIT or any(text.labels[pos].endswith((".", "?", "!", ";")) for text in texts):
            close()
    close()
    return rows


def _folds(positions: Sequence[int], kinds: Sequence[str], texts: tuple[Tokens, Tokens]) -> dict[int, int]:
    """Return the index of each fold's first position, and how many it hides."""
    if len(positions) <= _SHORT_TEXT:
        return {}

    def inside(i: int) -> bool:
        return i < len(positions) and any(in_word(text, positions[i]) for text in texts)

    bounds = [-1, *(i for i, pos in enumerate(positions) if kinds[pos] != "equal"), len(positions)]
    folds = {}
    for left, right in pairwise(bounds):
        start, end = left + 1 + _CONTEXT, right - _CONTEXT
        while inside(start):
            start += 1
        while end > start and inside(end):
            end -= 1
        if end - start >= _FOLD_FROM:
            folds[start] = end - start
    return folds


def pieces(positions: Sequence[int], tokens: Tokens, kinds: Sequence[str], own: str, room: float) -> list[Piece]:
    """Return one text's part of a row.

    Parameters
    ----------
    positions : sequence of int
    tokens : Tokens
    kinds : sequence of str
        Of the alignment's rows.
    own : ``"insert"`` or ``"delete"``
        Which of them this text has tokens for: ``delete`` for the original.
    room : float
        No piece is wider.
    """
    spaces = tokens.spaces()
    made: list[Piece] = []
    apart = False
    for i, pos in enumerate(positions):
        kind = "filler" if tokens.fillers[pos] else kinds[pos] if kinds[pos] in (own, "replace") else "equal"
        label = tokens.labels[pos] or tokens.strings[pos]
        # Space in a label is space on the line; a change that is nothing but space has to be seen all the same.
        words = " ".join(label.split()) or ("" if kind == "equal" else visible(label))
        joined = i > 0 and not (apart or spaces[pos] or label[:1].isspace())
        apart = label[-1:].isspace()
        if not words:
            continue
        continues = joined and bool(made) and made[-1].kind == kind
        if continues and kind in ("insert", "delete", "replace"):
            merged = replace(made[-1], words=made[-1].words + words)
            if merged.width <= room:
                made[-1] = merged
                continue
        made.append(_fitted(Piece(words, kind, not continues, joined, in_word(tokens, pos)), room))
    return made


def _fitted(piece: Piece, room: float) -> Piece:
    left = room - (piece.width - width_of(piece.words, piece.font, piece.bold))
    return replace(piece, words=cut(piece.words, left, piece.font, piece.bold))


Line = list[tuple[float, Piece]]


def lines(made: Sequence[Piece], room: float) -> list[Line]:
    """Place pieces on lines no wider than ``room``: each with its distance from where the line begins."""
    space = width_of(" ", FONT)
    placed: list[Line] = [[]]
    at = 0.0
    for unit in _units(made, room):
        width = sum(piece.width for piece in unit)
        gap = 0.0 if not placed[-1] or unit[0].joined else space
        if placed[-1] and at + gap + width > room:
            placed.append([])
            at = gap = 0.0
        at += gap
        for piece in unit:
            placed[-1].append((at, piece))
            at += piece.width
    return [line for line in placed if line]


def _units(made: Sequence[Piece], room: float) -> Iterator[list[Piece]]:
    """Yield what stays on one line: pieces with no space between them; where that is too long, words; then pieces."""
    for unit in _split(made, lambda piece: not piece.joined):
        if sum(piece.width for piece in unit) <= room:
            yield unit
            continue
        for word in _split(unit, lambda piece: not piece.inside):
            if sum(piece.width for piece in word) <= room:
                yield word
            else:
                yield from ([piece] for piece in word)


def _split(made: Sequence[Piece], begins: Callable[[Piece], bool]) -> Iterator[list[Piece]]:
    unit: list[Piece] = []
    for piece in made:
        if unit and begins(piece):
            yield unit
            unit = []
        unit.append(piece)
    if unit:
        yield unit
