"""Many pairs as one list: texts cut to what a row shows and each sent once, numbers as arrays; and the pairs that were opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mechviz.results.scorecard import bucket
from mechviz.wire.buffers import Packed

#: Pairs of a list at most; of more, some at equal distances are sent.
LISTED = 5000
#: Buckets that pairs are told apart by.
BUCKETS = ("grade", "rank")

#: Characters of a text, and of what was changed in it, that a row shows.
_TEXT, _CHANGED = 110, 48
_SCORES = ("original_score", "perturbed_score", "base_score", "source_score")


def pack_pairs(pairs: pd.DataFrame) -> Packed:
    """Pack the list of pairs of a study or a scorecard.

    Parameters
    ----------
    pairs : DataFrame
        With `mechviz.results.study.PAIR_COLUMNS` or `mechviz.results.scorecard.SCORED_COLUMNS`.

    Returns
    -------
    Packed
        ``pairs``: an entry with each text once (``queries``, ``docs``, ``perturbations``, ``reasons``, ``axioms``,
        ``changes`` as [taken away, put in], and ``buckets`` by column), arrays of numbers with NaN where one is not known, and
        arrays of indices into the lists of texts.
    """
    frame = listed(pairs)
    arrays: dict[str, NDArray[Any]] = {"pairs.number": frame["number"].to_numpy().astype("<i4")}
    entry: dict[str, Any] = {}
    changed = [changed_part(*texts) for texts in zip(originals(frame), _texts(frame, "perturbed"), strict=True)]
    named: dict[str, Sequence[Any]] = {
        "queries": [short(text, _TEXT) for text in _texts(frame, "query")],
        "docs": [short(text, _TEXT) for text in _texts(frame, "doc")],
        "changes": changed,
        "perturbations": _texts(frame, "perturbation"),
        "reasons": _texts(frame, "reason"),
        "axioms": _texts(frame, "axiom"),
    }
    for name, values in named.items():
        known = list(dict.fromkeys(values))
        at = {value: number for number, value in enumerate(known)}
        entry[name] = [list(value) if isinstance(value, tuple) else value for value in known]
        arrays[f"pairs.{name}"] = np.array([at[value] for value in values], dtype="<i4")
    for name in ("grade", "rank", "preferred", *_SCORES):
        arrays[f"pairs.{name}"] = _numbers(frame, name)
    entry["buckets"] = {}
    for column in BUCKETS:
        buckets = [bucket(column, value) for value in frame[column]]
        known = list(dict.fromkeys(buckets))
        entry["buckets"][column] = known
        arrays[f"pairs.buckets.{column}"] = np.array([known.index(value) for value in buckets], dtype="<i4")
    return Packed("pairs", entry, arrays)


def listed(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs that a list holds: all, or of very many `LISTED` at equal distances."""
    if len(pairs) <= LISTED:
        return pairs
    return pairs.iloc[np.arange(LISTED) * len(pairs) // LISTED]


def originals(frame: pd.DataFrame) -> list[str]:
    """Return the text of each pair that its perturbed text is a copy of."""
    texts = zip(_texts(frame, "doc"), _texts(frame, "query"), _texts(frame, "side"), strict=True)
    return [query if side == "query" else doc for doc, query, side in texts]


def changed_part(original: str, perturbed: str) -> tuple[str, str]:
    """Return what was taken away and what was put in, in whole words, between the common beginning and end of two texts.

    >>> changed_part("hot water is warm", "hot lava is warm")
    ('water', 'lava')
    """
    if not perturbed:
        return "", ""
    start = _at_word(original, perturbed, _common(original, perturbed))
    first, second = original[start:], perturbed[start:]
    end = _at_word(first[::-1], second[::-1], _common(first[::-1], second[::-1]))
    gone, new = (short(text[: len(text) - end], _CHANGED) for text in (first, second))
    return gone, new


def _common(first: str, second: str) -> int:
    """Return how many characters two texts begin with together; halving, since texts are compared much faster than read."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _at_word(first: str, second: str, at: int) -> int:
    """Move a place back to where no word of either text is cut."""
    if all(at == len(text) or text[at].isspace() for text in (first, second)):
        return at
    while at and not first[at - 1].isspace():
        at -= 1
    return at


def short(text: str, most: int) -> str:
    """Return the beginning of a text in one line, with what no file can hold replaced."""
    # A word may be as long as a book, so the cut comes first.
    flat = " ".join(text[: 4 * most].split()).encode("utf-8", "replace").decode()
    return flat if len(flat) <= most and len(text) <= 4 * most else flat[: most - 1] + "…"


def _texts(frame: pd.DataFrame, name: str) -> list[str]:
    if name not in frame.columns:
        return [""] * len(frame)
    return ["" if value is None or value is pd.NA or value != value else str(value) for value in frame[name]]


def _numbers(frame: pd.DataFrame, name: str) -> NDArray[np.float32]:
    if name not in frame.columns:
        return np.full(len(frame), np.nan, dtype="<f4")
    numbers = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    single: NDArray[np.float32] = numbers.astype("<f4")
    return single


def pack_opened(number: int, state: Mapping[str, Any]) -> Packed:
    """Pack the whole state of a pair's own view, to be drawn inside of another.

    Parameters
    ----------
    number : int
        The pair's.
    state : mapping
        ``spec``, ``progress``, ``selection`` and ``theme``; ``buffers`` and ``cells`` as bytes by name.
    """
    key = f"pair.{number}"
    named = [(part, name, data) for part in ("buffers", "cells") for name, data in state[part].items()]
    arrays: dict[str, NDArray[Any]] = {f"{key}.{part}.{name}": np.frombuffer(data, dtype="<u1") for part, name, data in named}
    rest = {name: state[name] for name in ("spec", "progress", "selection", "theme")}
    return Packed(key, {**rest, "parts": [[part, name] for part, name, _ in named]}, arrays)
