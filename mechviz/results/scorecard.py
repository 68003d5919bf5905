"""How far a ranker agrees with axioms: one row an axiom, and the pairs behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mechviz.errors import InputError

#: Columns of `Scorecard.rows`.
ROW_COLUMNS = ("axiom", "group", "value", "n", "satisfied", "satisfied_low", "satisfied_high", "change", "low", "high")

#: Columns that `Scorecard.pairs` always has.
SCORED_COLUMNS = (
    "number",
    "axiom",
    "query_id",
    "doc_id",
    "query",
    "doc",
    "perturbed",
    "side",
    "grade",
    "rank",
    "preferred",
    "original_score",
    "perturbed_score",
)


@dataclass(frozen=True, eq=False)
class Scorecard:
    """How often a ranker prefers what an axiom prefers, and by how much.

    Attributes
    ----------
    ranker : str
        Its name.
    rows : DataFrame
        One row for each axiom and group: ``axiom``; ``group`` (``all``, ``grade`` or ``rank``) and its ``value`` (empty
        for ``all``); ``n`` valid pairs; ``satisfied``, the share in which the ranker scores the preferred text higher, with
        ``satisfied_low`` and ``satisfied_high``; ``change``, the mean score change towards the preferred text, with
        ``low`` and ``high``. Intervals are by bootstrap over queries, 95 %.
    pairs : DataFrame
        One row for each valid pair, at least `SCORED_COLUMNS`; ``preferred`` is 1 where the axiom prefers the perturbed
        text, -1 where it prefers the original.
    dropped : mapping of str to mapping of str to int
        Axiom -> reason -> number of pairs that it does not speak of.
    provenance : mapping of str to str
    shower : callable or None
        What `show` calls: (scorecard, theme) -> view. `mechviz.scorecard` gives one that can patch a pair; it does not travel to
        another process.
    """

    ranker: str
    rows: pd.DataFrame
    pairs: pd.DataFrame
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    shower: Callable[[Scorecard, str], Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for kind, wanted, found in (("rows", ROW_COLUMNS, self.rows), ("pairs", SCORED_COLUMNS, self.pairs)):
            missing = [name for name in wanted if name not in found.columns]
            if missing:
                raise InputError(f"{kind} lacks {', '.join(missing)}; a scorecard has {', '.join(wanted)}")

    @property
    def axioms(self) -> tuple[str, ...]:
        """Names, in the order of the rows."""
        return tuple(dict.fromkeys(self.rows["axiom"]))

    def of(self, axiom: str, group: str = "all", value: str = "") -> pd.DataFrame:
        """Return the pairs behind a row.

        Raises
        ------
        InputError
            No such row.
        """
        frame = self.rows
        if not ((frame["axiom"] == axiom) & (frame["group"] == group) & (frame["value"].astype(str) == str(value))).any():
            raise InputError(f"no row {axiom!r}, {group!r}, {value!r}; there are axioms {', '.join(self.axioms)}")
        chosen = self.pairs[self.pairs["axiom"] == axiom]
        if group == "all":
            return chosen
        return chosen[[bucket(group, at) == str(value) for at in chosen[group]]]

    def show(self, theme: str = "auto") -> Any:
        """Return the table as a widget; its cells open their pairs.

        Raises
        ------
        InputError
            The scorecard holds no ranker; ``mv.views.ScorecardView(scorecard)`` draws it all the same.
        """
        if self.shower is None:
            raise InputError("this scorecard holds no ranker to open pairs with; draw it by mv.views.ScorecardView(scorecard)")
        return self.shower(self, theme)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "shower": None}

    def _repr_html_(self) -> str:
        """Return the rows of all pairs as a plain table, for notebooks."""
        rows = self.rows[self.rows["group"] == "all"].drop(columns=["group", "value"])
        return str(rows.to_html(index=False, float_format="{:.3f}".format))

    def __repr__(self) -> str:
        return f"Scorecard({self.ranker}: {len(self.axioms)} axioms, {len(self.pairs)} pairs)"


#: Upper ends of the rank buckets.
_RANKS = (10, 50, 100, 1000)


def bucket(group: str, value: object) -> str:
    """Return what a grade or rank is called in groups; ``unknown`` where it is not given.

    >>> bucket("rank", 7), bucket("rank", 11), bucket("grade", 2), bucket("rank", None)
    ('1-10', '11-50', '2', 'unknown')
    """
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return "unknown"
    number = int(value)  # type: ignore[call-overload]
    if group != "rank":
        return str(number)
    low = 1
    for high in _RANKS:
        if number <= high:
            return f"{low}-{high}"
        low = high + 1
    return f"over {_RANKS[-1]}"
