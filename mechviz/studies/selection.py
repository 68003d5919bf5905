"""Which pairs of a study are used, which are chosen, and which belong together: plain work on a table of pairs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.results.scorecard import bucket
from mechviz.studies.schema import PLAIN_COLUMNS

#: Columns by which pairs are chosen and grouped; ``change`` is the size of the score change, abs(source - base).
COLUMNS = (*PLAIN_COLUMNS, "change")
#: Why a pair is not used whose part gives no reason.
NO_CHANGE, NO_SCORES, NOT_FINITE = "no change of the score", "scores are missing", "scores are not finite"

# Columns whose values have names in groups (`bucket`).
_BUCKETS = ("grade", "rank")
_MOST_GROUPS = 50
_UNKNOWN = "unknown"
# As `mechviz.results.Pair.gate`.
_GATE = 1e-5
# What an error shows of the text that it was given (a quoted string), or a number that depends on it.
_GIVEN = re.compile(r"""((?<!\w)'(?:[^'\\]|\\.|'(?=\w))*'(?!\w)|(?<!\w)"(?:[^"\\]|\\.|"(?=\w))*"(?!\w)|\d+(?:\.\d+)?)""")


def change_of(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return source - base of each pair; NaN where it was not run."""
    return (table["source_score"] - table["base_score"]).to_numpy(dtype=np.float64)


def reasons_of(table: pd.DataFrame, min_change: float) -> NDArray[np.object_]:
    """Return why each pair is not used, dims (pair); empty where it is.

    Parameters
    ----------
    table : DataFrame
        From `Parts`.
    min_change : float
        The score must change by more than this.
    """
    base, change = table["base_score"].to_numpy(dtype=np.float64), change_of(table)
    run = (table["base_score"].notna() & table["source_score"].notna()).to_numpy()
    found = np.full(len(table), "", dtype=object)
    found[np.abs(change) <= min_change] = f"the score changes by {min_change:g} or less"
    found[np.abs(change) <= _GATE * np.maximum(1, np.abs(base))] = NO_CHANGE
    found[run & ~np.isfinite(change)] = NOT_FINITE
    found[~run | ~table["patched"].to_numpy(dtype=bool)] = NO_SCORES
    given = table["reason"].to_numpy(dtype=object)
    return np.where(given == "", found, given)


def counted(reasons: Iterable[str]) -> dict[str, int]:
    """Return how many pairs have each reason, the most frequent first; what differs only in what was given is one.

    >>> counted(["'hot rock' has 5 tokens, at most 4", "'lava' has 7 tokens, at most 4"])
    {'... has ... tokens, at most 4': 2}
    """
    groups: dict[str, dict[str, int]] = {}
    for reason in reasons:
        alike = groups.setdefault(_GIVEN.sub("...", reason), {})
        alike[reason] = alike.get(reason, 0) + 1
    found = {_common(list(alike)): sum(alike.values()) for alike in groups.values()}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _common(reasons: Sequence[str]) -> str:
    """Return reasons as one, with dots where they differ."""
    pieces = zip(*map(_GIVEN.split, reasons), strict=True)
    return "".join(same[0] if len(set(same)) == 1 else "..." for same in pieces)


def chosen(table: pd.DataFrame, column: str, wanted: object) -> NDArray[np.bool_]:
    """Return which pairs have a value that is wanted.

    Parameters
    ----------
    table : DataFrame
    column : str
        One of `COLUMNS`.
    wanted : value, or collection of values
        None stands for a value that is not known; grades and ranks may be given as the names of their groups (``"1-10"``).

    Raises
    ------
    InputError
        No such column, or no pair has such a value.
    """
    values = _values(table, column)
    several = isinstance(wanted, Iterable) and not isinstance(wanted, (str, bytes))
    items: list[Any] = list(wanted) if several else [wanted]  # type: ignore[call-overload]
    names = [item for item in items if isinstance(item, str)] if column in _BUCKETS else []
    found = values.isin([item for item in items if item is not None and item not in names]).to_numpy(dtype=bool)
    if None in items:
        found |= values.isna().to_numpy()
    if names:
        codes, labels = labelled(table, column)
        found |= np.isin(codes, [number for number, label in enumerate(labels) if label in names])
    if not found.any():
        there = [_plain(value) for value in values.unique()[:8]]
        raise InputError(f"{column}={shown(wanted)}: no pair has that; there are {', '.join(map(repr, there))}")
    return found


def labelled(table: pd.DataFrame, column: str, bins: int | Sequence[float] | None = None) -> tuple[NDArray[np.int64], list[str]]:
    """Return the group of each pair, as a number, and what groups are called, in their order.

    Parameters
    ----------
    table : DataFrame
    column : str
        One of `COLUMNS`.
    bins : int or sequence of float, optional
        Into how many groups of like size a column of numbers is cut, or where.

    Raises
    ------
    InputError
        No such column, more than 50 groups, or bins of what are no numbers.
    """
    values = _values(table, column)
    if bins is not None:
        values = _cut(values, column, bins)
    codes, unique = pd.factorize(values, sort=True, use_na_sentinel=True)
    if len(unique) > _MOST_GROUPS and column not in _BUCKETS:
        raise InputError(
            f"by({column!r}): it has {len(unique)} values, at most {_MOST_GROUPS} make groups; cut numbers by bins=4, or choose "
            "pairs by where(...)"
        )
    names = [bucket(column, value) if column in _BUCKETS and bins is None else str(_plain(value)) for value in unique]
    labels = list(dict.fromkeys(names))
    place = np.array([*map(labels.index, names), len(labels)], dtype=np.int64)
    return place[codes], [*labels, _UNKNOWN] if (codes < 0).any() else labels


def _values(table: pd.DataFrame, column: str) -> pd.Series[Any]:
    if column not in COLUMNS:
        raise InputError(f"{shown(column)} is no column of a study; there are {', '.join(COLUMNS)}")
    return pd.Series(np.abs(change_of(table))) if column == "change" else table[column]


def _cut(values: pd.Series[Any], column: str, bins: int | Sequence[float]) -> pd.Series[Any]:
    if not pd.api.types.is_numeric_dtype(values):
        raise InputError(f"bins={shown(bins)}: {column} holds no numbers; leave bins out")
    numbers = values.astype("float64")
    try:
        return pd.qcut(numbers, bins, duplicates="drop") if isinstance(bins, int) else pd.cut(numbers, list(bins))
    except (ValueError, TypeError) as error:
        raise InputError(f"bins={shown(bins)}: {error}; give how many groups, or their ascending bounds") from error


def _plain(value: Any) -> Any:
    """Return a value as Python's own, None where it is not known."""
    if value is None or value is pd.NA or value != value:
        return None
    return value.item() if hasattr(value, "item") else value


def described(filters: Mapping[str, object]) -> str:
    """Return filters in words."""
    return ", ".join(f"{name}={shown(value)}" for name, value in filters.items())
