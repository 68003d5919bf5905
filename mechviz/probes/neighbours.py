"""Nearest neighbours of vectors, exact and in chunks, without those of the same text and of the same type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, MechvizError, shown
from mechviz.text.checks import whole_number

#: Points beyond which faiss searches.
MOST_EXACT = 200_000
METHODS = ("auto", "exact", "faiss")
#: Similarities held at once: 64 MB of float32.
_CHUNK = 16_000_000


@dataclass(frozen=True, eq=False)
class Points:
    """Different vectors of some occurrences: equal vectors of one type are one point.

    Attributes
    ----------
    vectors : float32 array, dims (point, feature)
    types : int64 array, dims (point)
    texts : int64 array, dims (point)
        The one text in which a point lies; -1 where it lies in several.
    of : int64 array, dims (occurrence)
        The point of each occurrence.
    """

    vectors: NDArray[np.float32]
    types: NDArray[np.int64]
    texts: NDArray[np.int64]
    of: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest points of other types in other texts.

    Attributes
    ----------
    points : int64 array, dims (query, neighbour)
        Nearest first.
    similarity : float32 array, dims (query, neighbour)
        Dot products; cosines of vectors of length 1.
    own_type : float64 array, dims (query)
        Share of the query's own type among the nearest ``k`` points of any type, its own text left out.
    """

    points: NDArray[np.int64]
    similarity: NDArray[np.float32]
    own_type: NDArray[np.float64]


def points_of(vectors: NDArray[np.float32], types: NDArray[np.int64], texts: NDArray[np.int64]) -> Points:
    """Return the points of occurrences: vectors with dims (occurrence, feature), and the type and text of each."""
    held = np.ascontiguousarray(vectors, dtype=np.float32)
    numbers: dict[tuple[int, bytes], int] = {}
    of = np.array(
        [numbers.setdefault((kind, row.tobytes()), len(numbers)) for kind, row in zip(types.tolist(), held, strict=True)],
        dtype=np.int64,
    )
    _, first = np.unique(of, return_index=True)
    low, high = (np.full(len(first), bound, np.int64) for bound in (np.iinfo(np.int64).max, -1))
    np.minimum.at(low, of, texts)
    np.maximum.at(high, of, texts)
    return Points(held[first], types[first], np.where(low == high, low, -1), of)


def isotropic(vectors: NDArray[np.float32], components: int = 2) -> NDArray[np.float32]:
    """Take off the mean and the first principal components, and bring what is left to length 1.

    Contextual vectors lie in a narrow cone, in which all cosines are high (Ethayarajh 2019); this spreads them (Mu and
    Viswanath 2018).

    Parameters
    ----------
    vectors : float32 array, dims (point, feature)
    components : int
        How many are taken off; with 0 only the mean is.

    Returns
    -------
    float32 array, dims (point, feature)
        A vector of which nothing is left stays 0.

    Raises
    ------
    InputError
        More components than features.
    """
    most = vectors.shape[1]
    if isinstance(components, bool) or not isinstance(components, int) or not 0 <= components < most:
        raise InputError(f"components={shown(components)}; give a whole number from 0 to {most - 1} (the vectors have {most})")
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    if components:
        _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
        top = axes[:, -components:].astype(np.float32)
        centred = centred - (centred @ top) @ top.T
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    found: NDArray[np.float32] = centred / np.where(lengths > 0, lengths, 1)
    return found


def nearest(points: Points, occurrences: NDArray[np.int64], texts: NDArray[np.int64], k: int, method: str = "auto") -> Neighbours:
    """Find the nearest points of other types and other texts.

    Parameters
    ----------
    points : Points
    occurrences : int64 array, dims (query)
        Whose neighbours are wanted, by their numbers among the occurrences that the points were made of.
    texts : int64 array, dims (query)
        The text of each.
    k : int
    method : ``"auto"``, ``"exact"`` or ``"faiss"``
        ``exact`` multiplies chunk by chunk; ``faiss`` (flat index, exact too) needs ``mechviz-ir[faiss]``; ``auto`` takes it
        beyond 200,000 points.

    Returns
    -------
    Neighbours

    Raises
    ------
    InputError
        Fewer than ``k`` points that are left for a query.
    MechvizError
        faiss is needed and missing.
    """
    if method not in METHODS:
        raise InputError(f"method={shown(method)}; it is one of {', '.join(map(repr, METHODS))}")
    whole_number("k", k)
    own = points.of[occurrences]
    n = len(points.types)
    others = n - np.bincount(points.types)[points.types[own]].min(initial=n)
    if len(own) and others < k:
        raise InputError(f"k={k}, and there are {others} points of other words; give more texts, or a smaller k")
    if method == "faiss" or (method == "auto" and n > MOST_EXACT):
        return _by_faiss(points, own, texts, k)
    found = Neighbours(np.empty((len(own), k), np.int64), np.empty((len(own), k), np.float32), np.empty(len(own)))
    order = np.argsort(own, kind="stable")
    step = max(1, _CHUNK // n)
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        # The product is taken once a point: equal vectors have equal neighbours to the last bit, whatever the rounding.
        used, inverse = np.unique(own[rows], return_inverse=True)
        near = (points.vectors[used] @ points.vectors.T)[inverse]
        near[points.texts == texts[rows, None]] = -np.inf
        same = points.types == points.types[own[rows], None]
        any_type = min(k, n - 1)
        at = np.argpartition(-near, any_type - 1, axis=1)[:, :any_type]
        found.own_type[rows] = np.take_along_axis(same, at, axis=1).mean(axis=1)
        near[same] = -np.inf
        at = np.argpartition(-near, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(near, at, axis=1)
        _check_enough(values, k)
        ranked = np.argsort(-values, axis=1, kind="stable")
        found.points[rows] = np.take_along_axis(at, ranked, axis=1)
        found.similarity[rows] = np.take_along_axis(values, ranked, axis=1)
    return found


def _check_enough(values: NDArray[np.float32], k: int) -> None:
    if not np.isfinite(values).all():
        left = int(np.isfinite(values).sum(axis=1).min())
        raise InputError(
            f"k={k}, and an occurrence has {left} points of other words in other texts; give more texts, or a smaller k"
        )


def _by_faiss(points: Points, own: NDArray[np.int64], texts: NDArray[np.int64], k: int) -> Neighbours:
    faiss: Any = _faiss()
    index = faiss.IndexFlatIP(points.vectors.shape[1])
    index.add(points.vectors)
    found = Neighbours(np.empty((len(own), k), np.int64), np.empty((len(own), k), np.float32), np.empty(len(own)))
    left, wanted, n = np.arange(len(own)), 4 * k, len(points.types)
    while len(left):
        wanted = min(wanted, n)
        values, at = index.search(points.vectors[own[left]], wanted)
        elsewhere = points.texts[at] != texts[left, None]
        same = points.types[at] == points.types[own[left], None]
        kept = elsewhere & ~same
        done = kept.sum(axis=1) >= k
        if wanted == n and not done.all():
            _check_enough(np.where(kept, values, -np.inf)[:, :k], k)
        for row in np.flatnonzero(done):
            first = np.flatnonzero(kept[row])[:k]
            found.points[left[row]], found.similarity[left[row]] = at[row, first], values[row, first]
            found.own_type[left[row]] = same[row, np.flatnonzero(elsewhere[row])[: min(k, n - 1)]].mean()
        left, wanted = left[~done], 4 * wanted
    return found


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MechvizError(
            f'beyond {MOST_EXACT:,} points the search needs the package faiss: pip install "mechviz-ir[faiss]"; or give fewer '
            'texts, a smaller most=, or search="exact", which is slow'
        ) from error
    return faiss
