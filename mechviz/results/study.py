"""What many pairs say together: what a study found, as plain data that views draw and files hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
import xarray as xr

from mechviz.errors import InputError

#: Columns that `StudySummary.pairs` always has; ``reason`` is empty for a pair that was used.
PAIR_COLUMNS = (
    "number",
    "query_id",
    "doc_id",
    "query",
    "doc",
    "perturbed",
    "side",
    "perturbation",
    "grade",
    "rank",
    "original_score",
    "perturbed_score",
    "base_score",
    "source_score",
    "reason",
)

#: Variables of `StudySummary.cells`; each has the dims of the grid.
CELL_VARIABLES = ("effect", "low", "high", "ratio", "raw", "positive", "p", "q")


@dataclass(frozen=True, eq=False)
class StudySummary:
    """Effects over many pairs, with their uncertainty, and the pairs themselves.

    Attributes
    ----------
    name : str
        What the study is called in titles, such as ``TFC1 on all-MiniLM-L6-v2``.
    grid, stack, metric, direction : str
        As in `PatchResult`.
    cells : Dataset, dims of the grid
        ``effect``: the headline, sum(sign(D) x (patched - base)) / sum|D| with D = source - base (or the mean of another
        metric); ``low`` and ``high``: its interval by bootstrap over queries; ``ratio``: the plain ratio of sums; ``raw``:
        the mean of patched - base; ``positive``: share of pairs in which the cell moves the score the way the
        perturbation does; ``p``: sign flips by query; ``q``: the same after Benjamini-Hochberg. NaN where not defined.
        Attribute ``confidence``, such as 0.95.
    pairs : DataFrame
        One row a pair, at least `PAIR_COLUMNS`, in the order of the collection. Where there are very many, a sample.
    n_used, n_queries : int
        Pairs and queries that the effects are made of.
    dropped : mapping of str to int
        Reason -> number of pairs that were not used.
    groups : mapping of str to Dataset
        Name of a column (``grade``, ``rank``) -> ``effect``, ``low``, ``high`` with that as first dim, and ``n`` by group.
    covariates : DataFrame or None
        How the size of the effects goes with what the pairs are: ``covariate``, ``n``, ``spearman``, ``partial`` (given
        the score change), ``p``.
    provenance : mapping of str to str
    """

    name: str
    grid: str
    stack: str
    metric: str
    direction: str
    cells: xr.Dataset
    pairs: pd.DataFrame
    n_used: int
    n_queries: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, xr.Dataset] = field(default_factory=dict)
    covariates: pd.DataFrame | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, wanted, found in (
            ("cells", CELL_VARIABLES, self.cells.data_vars),
            ("pairs", PAIR_COLUMNS, self.pairs.columns),
        ):
            missing = [name for name in wanted if name not in found]
            if missing:
                raise InputError(f"{kind} lacks {', '.join(missing)}; a study's summary has {', '.join(wanted)}")

    @property
    def n_dropped(self) -> int:
        """How many pairs were not used."""
        return sum(self.dropped.values())

    def __repr__(self) -> str:
        sizes = " x ".join(f"{size} {name}" for name, size in self.cells.sizes.items())
        return f"StudySummary({self.name}: {sizes}, {self.n_used} pairs of {self.n_queries} queries, {self.n_dropped} dropped)"
