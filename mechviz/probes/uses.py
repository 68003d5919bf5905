"""Uses of words as points of one layer: how far their neighbours differ, and the senses they fall into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mechviz.errors import InputError
from mechviz.probes.divergence import counts_of, divergence, entropies, interval, null_divergence
from mechviz.probes.neighbours import isotropic, nearest, points_of
from mechviz.probes.occurrences import Use
from mechviz.probes.senses import clusters

#: Uses that are dealt for the null, and resamples of the interval.
_DEALT, _DRAWS = 200, 500
#: Neighbour words that are kept of a sense.
_TYPES = 8


@dataclass(frozen=True)
class Sense:
    """One sense of a word in one layer.

    Attributes
    ----------
    uses : tuple of int
        Uses that are in it, the most typical ones first.
    share : float
    neighbours : tuple of str
        Words that are most often near it.
    """

    uses: tuple[int, ...]
    share: float
    neighbours: tuple[str, ...]


def polysemy_of(
    vectors: ArrayLike,
    types: Sequence[str],
    texts: ArrayLike,
    k: int = 50,
    words: Sequence[str] | None = None,
    min_occurrences: int = 20,
    components: int = 2,
    search: str = "auto",
    seed: int = 0,
) -> pd.DataFrame:
    """Measure polysemy of vectors from anywhere.

    Parameters
    ----------
    vectors : array, dims (occurrence, feature)
    types : sequence of str, one an occurrence
        The word of each.
    texts : array of int, dims (occurrence)
        The number of the text of each.
    k, words, min_occurrences, components, search, seed
        As in `polysemy`.

    Returns
    -------
    DataFrame
        As `Polysemy.table`, without ``layer`` and ``pieces``.

    Raises
    ------
    InputError
        Shapes that differ, NaN or inf, no word with enough occurrences.
    """
    held, where = np.asarray(vectors, dtype=np.float32), np.asarray(texts)
    if held.ndim != 2 or held.shape[0] != len(types) or where.shape != (len(types),) or where.dtype.kind not in "iu":
        raise InputError(
            f"vectors have shape {held.shape}, texts {where.shape}, for {len(types)} types; give dims (occurrence, feature), and "
            "a whole number and a word for each occurrence"
        )
    if not np.isfinite(held).all():
        raise InputError("vectors hold NaN or inf; leave such occurrences out")
    uses = [Use(word, int(text), 0, 0) for word, text in zip(types, where, strict=True)]
    chosen = check_enough(uses, None if words is None else list(words), min_occurrences)
    return measured(held, list(types), where.astype(np.int64), chosen, k, components, search, seed)[0]


def measured(
    vectors: NDArray[np.float32],
    names: Sequence[str],
    texts: NDArray[np.int64],
    words: Sequence[str],
    k: int,
    components: int,
    search: str,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, tuple[Sense, ...]]]:
    """Return the table of one layer, and the senses of each word."""
    vocabulary, types = np.unique(np.array(names), return_inverse=True)
    points = points_of(vectors, types, texts)
    points = replace(points, vectors=isotropic(points.vectors, components))
    own = {word: np.flatnonzero(types == np.searchsorted(vocabulary, word)) for word in words}
    every = np.concatenate(list(own.values()))
    near = nearest(points, every, texts[every], k, search)
    total, n = points.vectors.sum(axis=0, dtype=np.float64), len(points.types)
    baseline = (total @ total - (points.vectors.astype(np.float64) ** 2).sum()) / (n * (n - 1))
    rows, found, start = [], {}, 0
    for word, uses in own.items():
        part = slice(start, start + len(uses))
        start += len(uses)
        at, kinds = near.points[part], points.types[near.points[part]]
        counts = counts_of(kinds)
        mine = points.vectors[points.of[uses]]
        value, null = divergence(counts), null_divergence(at, kinds, _DEALT, seed)
        low, high = interval(counts, _DRAWS, seed)
        split = clusters(mine, seed=seed)
        summed = mine.sum(axis=0, dtype=np.float64)
        alike = (summed @ summed - (mine.astype(np.float64) ** 2).sum()) / (len(uses) * (len(uses) - 1))
        rows.append(
            {
                "word": word,
                "occurrences": len(uses),
                "polysemy": value,
                "low": low,
                "high": high,
                "null": null,
                "excess": value - null,
                "neighbour_entropy": float(entropies(counts.sum(axis=0)) / max(np.log2(counts.shape[1]), 1)),
                "self_similarity": float(alike - baseline),
                "own_type_rate": float(near.own_type[part].mean()),
                "senses": len(split.shares),
                "effective_senses": split.effective,
                "silhouette": split.silhouette,
                "sense_p": split.p,
            }
        )
        found[word] = tuple(_sense(mine, uses, split.labels == number, vocabulary, kinds) for number in range(len(split.shares)))
    return pd.DataFrame(rows), found


def _sense(
    vectors: NDArray[np.float32],
    uses: NDArray[np.int64],
    inside: NDArray[np.bool_],
    vocabulary: NDArray[Any],
    kinds: NDArray[np.int64],
) -> Sense:
    own = vectors[inside]
    order = np.argsort(-(own @ own.mean(axis=0)), kind="stable")
    names, times = np.unique(kinds[inside], return_counts=True)
    nearest_first = names[np.lexsort((names, -times))][:_TYPES]
    return Sense(tuple(uses[inside][order].tolist()), float(inside.mean()), tuple(vocabulary[nearest_first].tolist()))


def check_enough(uses: Sequence[Use], wanted: Sequence[str] | None, least: int) -> list[str]:
    """Return the words that are measured.

    Raises
    ------
    InputError
    """
    counts = pd.Series([use.word for use in uses], dtype=object).value_counts()
    if wanted is None:
        enough: list[str] = sorted(counts[counts >= least].index)
        if not enough:
            raise InputError(
                f"no word has {least} occurrences, in two texts or more; give more texts or a smaller min_occurrences"
            )
        return enough
    few = {word: int(counts.get(word, 0)) for word in wanted if counts.get(word, 0) < least}
    if few:
        said = ", ".join(f"{word!r} {number}" for word, number in list(few.items())[:10])
        raise InputError(f"too few occurrences that can be read: {said}; leave them out, or lower min_occurrences={least}")
    return list(wanted)
