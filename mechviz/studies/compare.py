"""Two studies beside each other: whether two axioms, rankers or checkpoints move the score through the same cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.studies import statistics
from mechviz.studies.schema import Header

if TYPE_CHECKING:
    from mechviz.studies.folder import Study


@dataclass(frozen=True, eq=False)
class Comparison:
    """The difference of two studies' effects.

    Attributes
    ----------
    names : tuple of str
        What the two are called, the first and the second.
    metric : str
    cells : Dataset, dims of the grid
        ``first`` and ``second``: their effects; ``difference``: first - second; ``low`` and ``high``: its interval by
        bootstrap over queries. Attribute ``confidence``.
    n_used, n_queries : tuple of int
        Pairs and queries of the first and of the second.
    n_shared : int
        Queries, by id and text, that both have.
    """

    names: tuple[str, str]
    metric: str
    cells: xr.Dataset
    n_used: tuple[int, int]
    n_queries: tuple[int, int]
    n_shared: int

    @property
    def paired(self) -> bool:
        """Whether queries are shared and were resampled jointly."""
        return self.n_shared > 0

    @property
    def pairing(self) -> str:
        """How the two were resampled, in words."""
        if not self.paired:
            return "unpaired: they share no query, and each is resampled by itself"
        alone = sum(self.n_queries) - 2 * self.n_shared
        rest = f"; {alone} queries that only one has are resampled by themselves" if alone else ""
        return f"paired by {self.n_shared} shared queries, which are resampled jointly{rest}"

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a cell: its coordinates, ``first``, ``second``, ``difference``, ``low`` and ``high``."""
        return self.cells.to_dataframe().reset_index()

    def __repr__(self) -> str:
        values = self.cells["difference"].values
        apart = int(((self.cells["low"] > 0) | (self.cells["high"] < 0)).sum())
        largest = f"largest difference {np.nanmax(np.abs(values)):.3g}, " if np.isfinite(values).any() else ""
        return (
            f"Comparison({self.names[0]} - {self.names[1]}, {self.metric}: {largest}{apart} of {values.size} cells "
            f"with an interval beside 0; {self.pairing})"
        )


def compare(first: Study, second: Study) -> Comparison:
    """Compare the effects of two studies of the same grid: of two axioms, two rankers or two checkpoints.

    Where the two share queries, these are resampled jointly: what a query does to both is then no uncertainty of the
    difference. Queries that only one has are resampled by themselves. Settings (confidence, draws, seed) are the first's.

    Parameters
    ----------
    first, second : Study

    Returns
    -------
    Comparison

    Raises
    ------
    InputError, InputTypeError
        Something that is no study; grids, or metrics, that are not the same.
    MechvizError
        One of them has no pair that can be used.
    """
    for study in (first, second):
        if not hasattr(study, "analysis") or not hasattr(study, "sums"):
            raise InputTypeError(f"compare takes two studies, not {shown(study)}; Study.load(folder) opens one")
        if not study.n_used:
            raise MechvizError(f"{study.name}: no pair can be used, so there is nothing to compare ({study.dropped})")
    _check_same(first, second)
    names = [_query_names(study) for study in (first, second)]
    every = sorted(set(names[0]) | set(names[1]))
    shared = set(names[0]) & set(names[1])
    unit_of, strata = _units(every, [set(names[0]), set(names[1])], first)
    count = len(strata)
    sums = []
    for study, mine in zip((first, second), names, strict=True):
        units = np.array([unit_of[name] for name in mine], dtype=np.int64)[study.query_codes]
        there, local = np.unique(units, return_inverse=True)
        sums.append(study.sums(local).sums.padded(there, count))
    analysis = first.analysis
    drawn = statistics.counts(strata, analysis.draws, analysis.rng())
    found = statistics.interval(sums, [1, -1], drawn, analysis.confidence)
    columns = {"first": sums[0].estimate, "second": sums[1].estimate, "difference": found.estimate}
    columns |= {"low": found.low, "high": found.high}
    named = first.header.named
    return Comparison(
        names=(first.name, second.name),
        metric=analysis.metric,
        cells=xr.Dataset({name: named(values) for name, values in columns.items()}, attrs={"confidence": analysis.confidence}),
        n_used=(first.n_used, second.n_used),
        n_queries=(first.n_queries, second.n_queries),
        n_shared=len(shared),
    )


def _check_same(first: Study, second: Study) -> None:
    one, other = first.header, second.header
    if (one.grid, one.dims, one.coords) != (other.grid, other.dims, other.coords):
        raise InputError(
            f"{first.name} has {_grid(one)}, {second.name} has {_grid(other)}: only effects of the same cells can be compared"
        )
    if first.analysis.metric != second.analysis.metric:
        raise InputError(
            f"{first.name} tells {first.analysis.metric}, {second.name} {second.analysis.metric}; use study.using(metric=...) to "
            "have one metric for both"
        )


def _grid(header: Header) -> str:
    sizes = " x ".join(f"{size} {name}" for name, size in header.dims)
    coords = f" ({'; '.join(f'{name} ' + ', '.join(map(str, values)) for name, values in header.coords.items())})"
    return f"grid {header.grid!r} of {sizes}{coords if header.coords else ''}"


def _query_names(study: Study) -> list[str]:
    """Return what each query of a study is called, id and text: equal ids of two collections are not the same query."""
    hashes = study.parts.table["query_hash"].to_numpy()[study.used]
    codes = study.query_codes
    first = np.full(study.n_queries, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(first, codes, hashes)
    return [f"{name}\0{number:016x}" for name, number in zip(study.query_names, first, strict=True)]


def _units(every: list[str], mine: list[set[str]], study: Study) -> tuple[dict[str, int], NDArray[np.int64]]:
    """Return the unit of each query, and each unit's stratum: queries of both studies, of the first, of the second alone."""
    limit = statistics.most_units(2 * study.header.n_cells)
    unit_of: dict[str, int] = {}
    strata: list[int] = []
    for stratum, (in_first, in_second) in enumerate(((True, True), (True, False), (False, True))):
        members = [name for name in every if (name in mine[0]) == in_first and (name in mine[1]) == in_second]
        units = statistics.units_of(len(members), limit, study.analysis.seed)
        unit_of |= {name: len(strata) + int(unit) for name, unit in zip(members, units, strict=True)}
        strata += [stratum] * (int(units.max()) + 1 if len(units) else 0)
    return unit_of, np.array(strata, dtype=np.int64)
