"""Token-level alignment of a text with its perturbed copy, on token ids: text is never decoded and read again.

Patching needs two runs of one length in which the same row means the same place. The edit script found here says
which tokens correspond; where one text has a token and the other has none, the other gets a filler.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError

_DIAGONAL, _INSERT, _DELETE = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Alignment:
    """Which token of the original stands beside which token of the perturbed text.

    Attributes
    ----------
    original, perturbed : int64 arrays, dims (row)
        Index of the token in each text, -1 where the text has none.
    kinds : tuple of str, length row
        ``equal``, ``replace``, ``insert`` or ``delete``, named from original to perturbed: ``insert`` is a token that
        only the perturbed text has.
    """

    original: NDArray[np.int64]
    perturbed: NDArray[np.int64]
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("original", "perturbed"):
            array = np.array(getattr(self, name), dtype=np.int64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if not len(self.original) == len(self.perturbed) == len(self.kinds):
            raise InputError("Alignment: original, perturbed and kinds must have one entry a row")

    def __len__(self) -> int:
        return len(self.kinds)

    def changed(self) -> NDArray[np.int64]:
        """Return the rows that are not ``equal``, ascending."""
        return np.flatnonzero(np.array(self.kinds) != "equal")

    def extended(self, length: int) -> Alignment:
        """Return the alignment with equal rows added at its end, up to ``length``."""
        more = np.arange(length - len(self))
        original, perturbed = (
            np.concatenate([index, index.max(initial=-1) + 1 + more]) for index in (self.original, self.perturbed)
        )
        return Alignment(original, perturbed, (*self.kinds, *["equal"] * len(more)))

    def keep(self, rows: NDArray[np.int64]) -> Alignment:
        """Return the alignment of the given rows only, its indices those of the texts that are left."""

        def renumber(index: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.where(index < 0, -1, np.cumsum(index >= 0) - 1)

        return Alignment(renumber(self.original[rows]), renumber(self.perturbed[rows]), tuple(self.kinds[row] for row in rows))


def align(
    original: NDArray[np.int64],
    perturbed: NDArray[np.int64],
    original_starts: NDArray[np.bool_] | None = None,
    perturbed_starts: NDArray[np.bool_] | None = None,
) -> Alignment:
    """Align two sequences of token ids by the shortest edit script.

    Parameters
    ----------
    original, perturbed : int64 arrays, dims (pos)
        Token ids.
    original_starts, perturbed_starts : bool arrays, dims (pos), optional
        Where a word begins. Of the equally short scripts, the one whose inserted or deleted runs are whole words
        is taken (`##ing play` between `play` and `##s` becomes `play ##ing`).

    Returns
    -------
    Alignment
        With the fewest insertions, deletions and replacements, and among those the most equal tokens
        (Levenshtein 1966; tokens that both texts share at their ends are matched first).
    """
    n, m = len(original), len(perturbed)
    shorter = min(n, m)
    same = original[:shorter] == perturbed[:shorter]
    head = shorter if same.all() else int(np.argmin(same))
    tail = 0
    while tail < shorter - head and original[n - 1 - tail] == perturbed[m - 1 - tail]:
        tail += 1
    steps = _script(original[head : n - tail], perturbed[head : m - tail])
    steps = [_DIAGONAL] * head + steps + [_DIAGONAL] * tail

    moves = np.array(steps)
    rows_o = np.where(moves != _INSERT, np.cumsum(moves != _INSERT) - 1, -1)
    rows_p = np.where(moves != _DELETE, np.cumsum(moves != _DELETE) - 1, -1)
    if original_starts is not None and perturbed_starts is not None:
        _slide(rows_p, rows_o, perturbed, perturbed_starts)
        _slide(rows_o, rows_p, original, original_starts)
    kinds = tuple(
        "insert" if o < 0 else "delete" if p < 0 else "equal" if original[o] == perturbed[p] else "replace"
        for o, p in zip(rows_o, rows_p, strict=True)
    )
    return Alignment(rows_o, rows_p, kinds)


def _script(a: NDArray[np.int64], b: NDArray[np.int64]) -> list[int]:
    """Return the moves from ``a`` to ``b``; dynamic programming, one vectorised row at a time."""
    n, m = len(a), len(b)
    unit = n + m + 1  # one edit outweighs any number of matches, which only break ties
    columns = np.arange(m + 1, dtype=np.int64) * unit
    previous = columns.copy()
    moves = np.full((n + 1, m + 1), _INSERT, dtype=np.uint8)
    moves[1:, 0] = _DELETE
    for i in range(1, n + 1):
        diagonal = previous[:-1] + np.where(b == a[i - 1], -1, unit)
        delete = previous[1:] + unit
        best = np.concatenate(([previous[0] + unit], np.minimum(diagonal, delete)))
        # An insertion chain costs `unit` a step: a running minimum of best[k] - k*unit finds where to start it.
        current = np.minimum.accumulate(best - columns) + columns
        # Read from the end, a gap goes before a replacement, so that of "a b c" -> "x" it is "a" that becomes "x".
        row = moves[i, 1:]
        row[current[1:] < current[:-1] + unit] = _DIAGONAL
        row[current[1:] == delete] = _DELETE
        row[(current[1:] == diagonal) & (b == a[i - 1])] = _DIAGONAL
        previous = current
    steps: list[int] = []
    i, j = n, m
    while i or j:
        move = int(moves[i, j])
        steps.append(move)
        i -= move != _INSERT
        j -= move != _DELETE
    return steps[::-1]


def _slide(mine: NDArray[np.int64], other: NDArray[np.int64], ids: NDArray[np.int64], starts: NDArray[np.bool_]) -> None:
    """Move each run that only ``mine`` has to the left, in place, until it begins and ends at word borders."""
    row = 0
    while row < len(mine):
        if other[row] >= 0:
            row += 1
            continue
        end = row
        while end < len(mine) and other[end] < 0:
            end += 1
        first, last = row, end
        while not _whole_words(starts, int(mine[first]), int(mine[last - 1])):
            before = first - 1
            if before < 0 or other[before] < 0 or mine[before] < 0 or ids[mine[before]] != ids[mine[last - 1]]:
                first, last = row, end  # nowhere to go: the run stays where it was
                break
            first, last = before, last - 1
        shift = row - first
        if shift:
            moved = other[first:row].copy()
            other[first : end - shift] = -1
            other[end - shift : end] = moved
        row = end


def _whole_words(starts: NDArray[np.bool_], first: int, last: int) -> bool:
    return bool(starts[first]) and (last + 1 >= len(starts) or bool(starts[last + 1]))
