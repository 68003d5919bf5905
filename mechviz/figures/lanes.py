"""Rows that attention lines run between: one a token, or one for a stretch that matters little (``js/src/marks/lanes.ts``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechviz import wire

#: Texts longer than this are folded.
LONG = 60

_KEPT = 40
_LEAST_KEPT = 12
_FOLD_FROM = 2
#: A picture of more lines than this is hard to read.
READABLE = 400
_MASSES = tuple(tenths / 10 for tenths in range(7, 0, -1))

#: What attends and what is attended to, the strongest first.
Edges = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Lanes:
    """Rows of a column of tokens.

    Attributes
    ----------
    positions : tuple of tuple of int
        Of each row; those of several are folded.
    """

    positions: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def of(self) -> NDArray[np.int64]:
        """The row of each position."""
        return np.repeat(np.arange(len(self.positions)), [len(lane) for lane in self.positions])


@dataclass(frozen=True)
class Strand:
    """A line between two rows."""

    start: int
    end: int
    weight: float


def plain_lanes(length: int) -> Lanes:
    """Return one row a position."""
    return Lanes(tuple((pos,) for pos in range(length)))


def folded_lanes(kinds: Sequence[str], segments: Sequence[str], weights: NDArray[np.float64], kept: int | None) -> Lanes:
    """Fold what is not changed, no special token nor of the query, and not of the largest weight.

    Parameters
    ----------
    kinds, segments : sequence of str
        Of each position.
    weights : float64 array, dims (pos)
        How much of the chosen lines leaves or reaches it.
    kept : int or None
        A position that is never folded.
    """
    length = len(kinds)
    free = [pos for pos in range(length) if kinds[pos] == "equal" and segments[pos] in ("doc", "prompt") and pos != kept]
    room = max(_LEAST_KEPT, _KEPT - (length - len(free)))
    hidden = set(sorted(free, key=lambda pos: -weights[pos])[room:])
    lanes: list[tuple[int, ...]] = []
    pos = 0
    while pos < length:
        end = pos
        while end in hidden:
            end += 1
        if end - pos >= _FOLD_FROM:
            lanes.append(tuple(range(pos, end)))
        else:
            end = max(end, pos + 1)
            lanes += [(at,) for at in range(pos, end)]
        pos = end
    return Lanes(tuple(lanes))


def usual_edges(patterns: Sequence[NDArray[np.float32]]) -> tuple[float, list[Edges]]:
    """Return the share of each row that is drawn, and the edges that hold it, of each run.

    It is 0.7, or less where that would be too many lines to read; a single row is kept whole.
    """
    edges: list[Edges] = []
    for mass in _MASSES:
        edges = [wire.strongest_edges(pattern, mass) for pattern in patterns]
        if all(len(rows) <= READABLE for rows, _ in edges):
            return mass, edges
    return _MASSES[-1], edges


def weights_of(patterns: Sequence[NDArray[np.float32]], edges: Sequence[Edges], keys_only: bool) -> NDArray[np.float64]:
    """Return how much of the chosen lines reaches each key, and a little of what leaves it."""
    weights = np.zeros(patterns[0].shape[1])
    for pattern, (query_pos, key_pos) in zip(patterns, edges, strict=True):
        np.add.at(weights, key_pos, pattern[query_pos, key_pos])
        if not keys_only:
            np.add.at(weights, query_pos, 0.01 * pattern[query_pos, key_pos])
    return weights


def strands_of(pattern: NDArray[np.float32], edges: Edges, left: Lanes, right: Lanes) -> list[Strand]:
    """Return edges between positions as lines between rows, the strongest first.

    What is attended to is summed over the positions of its row, and averaged over those of the row that attends.
    """
    sizes = np.array([len(lane) for lane in left.positions])
    starts, ends = left.of[edges[0]], right.of[edges[1]]
    found: dict[tuple[int, int], float] = {}
    for start, end, weight in zip(starts.tolist(), ends.tolist(), (pattern[edges] / sizes[starts]).tolist(), strict=True):
        found[start, end] = found.get((start, end), 0.0) + weight
    return [Strand(start, end, weight) for (start, end), weight in sorted(found.items(), key=lambda one: -one[1])]
