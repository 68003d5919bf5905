"""A study that was run: what many pairs say together, read from its folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mechviz.corpora import TextPair
from mechviz.errors import InputError, MechvizError
from mechviz.results import StudySummary
from mechviz.studies import covariates, listing, selection, statistics, summary
from mechviz.studies.analysis import Analysis
from mechviz.studies.chosen import ChosenPairs
from mechviz.studies.compare import Comparison, compare
from mechviz.studies.reading import Parts
from mechviz.studies.schema import Header
from mechviz.studies.statistics import Accumulator, Interval
from mechviz.text.statistics import TermStatistics

if TYPE_CHECKING:
    from mechviz.rankers import Ranker


class Study(ChosenPairs):
    """Effects of a grid's cells over many pairs, with their uncertainty; `mechviz.study` runs one, `Study.load` opens one.

    With D = source - base of a pair, ``effect`` is sum(sign(D) x (patched - base)) / sum(abs(D)), the mean of the pairs' effects
    weighted by abs(D): pairs whose score hardly changes do not blow it up, and changes of both signs do not cancel. ``raw`` is
    the mean of patched - base, ``robust`` that of (patched - base) / sqrt(1 + D^2) (Polyakov et al., SIGIR 2025); both keep
    their sign, as the metrics of `mechviz.patch` of these names do, so that changes of both signs cancel.

    Attributes
    ----------
    parts : Parts
        What was read.
    analysis : Analysis
    ranker : Ranker or None
    """

    @classmethod
    def load(cls, path: str | os.PathLike[str], ranker: Ranker | None = None, **analysis: Any) -> Study:
        """Open a study's folder, finished or not.

        Parts that are broken are left out, with a warning that names them; see `broken`.

        Parameters
        ----------
        path : path
            The folder.
        ranker : Ranker, optional
            For `open`; it must have the weights that the study was run with.
        **analysis
            ``metric`` (default ``"effect"``), ``confidence`` (0.95), ``draws`` (1,000), ``flips`` (10,000), ``seed`` (0),
            ``min_change`` (0): see `Analysis`.

        Raises
        ------
        InputError, InputTypeError
            The folder holds no study, a choice that cannot be, or a ranker with other weights.
        MechvizError
            No part is whole, or parts are of different studies.
        """
        choices = _analysis(Analysis(), analysis)
        parts = Parts.open(path)
        if parts.broken:
            named = "; ".join(f"{name} ({why})" for name, why in list(parts.broken.items())[:5])
            warnings.warn(
                f"{len(parts.broken)} broken parts of {parts.folder} are left out: {named}. The same mv.study(..., out=...) "
                "makes them again",
                stacklevel=2,
            )
        return cls(parts, choices, None if ranker is None else _checked(ranker, parts.header))

    # -- narrower, or otherwise analysed ----------------------------------------------------------------------------

    def where(self, *, min_change: float | None = None, **columns: object) -> Study:
        """Return the study of some of the pairs.

        Parameters
        ----------
        min_change : float, optional
            The score must change by more than this from the base to the source run; other pairs count as dropped.
        **columns
            Column -> the value wanted, or several: ``grade=[2, 3]``, ``rank=range(1, 11)``, ``rank="1-10"``,
            ``perturbation="TFC1"``, ``query_id=["1", "7"]``. None stands for a value that is not known.

        Raises
        ------
        InputError
            No such column, or no pair has such a value.
        """
        rows = self._rows.copy()
        for name, wanted in columns.items():
            rows &= selection.chosen(self.parts.table, name, wanted)
        filters = ", ".join(filter(None, (self._filters, selection.described(columns))))
        if not rows.any():
            raise InputError(f"no pair has {filters}")
        analysis = self.analysis if min_change is None else _analysis(self.analysis, {"min_change": min_change})
        return Study(self.parts, analysis, self.ranker, rows, self._whole or self, filters)

    def using(self, **analysis: Any) -> Study:
        """Return the same pairs analysed otherwise; see `load` for the choices."""
        choices = _analysis(self.analysis, analysis)
        return Study(self.parts, choices, self.ranker, self._rows, self._whole or self, self._filters)

    # -- what they say ----------------------------------------------------------------------------------------------

    @property
    def effects(self) -> xr.DataArray:
        """The metric of each cell over all pairs, dims of the grid; NaN where no pair has the cell."""
        return self.header.named(self._interval.estimate).rename(self.analysis.metric)

    @property
    def interval(self) -> xr.Dataset:
        """Where the effects lie: ``low`` and ``high``, by bootstrap over queries, dims of the grid.

        Studentised, of `Analysis.draws` resamples; from 2 to 4 queries, Student's t. NaN where only one query has the cell:
        it says nothing of other queries.
        """
        found = {name: self.header.named(getattr(self._interval, name)) for name in ("low", "high")}
        return xr.Dataset(found, attrs={"confidence": self.analysis.confidence})

    @property
    def ratio(self) -> xr.DataArray:
        """The plain ratio of sums, sum(patched - base) / sum(D); it explodes where changes of both signs cancel."""
        return self.header.named(self._sums.ratio)

    @property
    def raw(self) -> xr.DataArray:
        """The mean of patched - base, in units of the score."""
        return self.header.named(self._sums.raw)

    @property
    def positive(self) -> xr.DataArray:
        """The share of pairs in which a cell moves the score the way the perturbation does."""
        return self.header.named(self._sums.positive)

    @property
    def pairs_of_cells(self) -> xr.DataArray:
        """How many pairs each cell is made of; fewer than `n_used` where pairs have no token of a class."""
        return self.header.named(self._sums.pairs)

    @property
    def p(self) -> xr.DataArray:
        """Two-sided p-values: how often flipping the sign of all that a query adds gives as large an effect."""
        return self.header.named(self._p)

    @property
    def q(self) -> xr.DataArray:
        """The same after Benjamini-Hochberg across cells."""
        return self.header.named(statistics.false_discoveries(self._p))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know, in words."""
        return summary.notes(self)

    @cached_property
    def _sums(self) -> Accumulator:
        if not self.n_used:
            why = "; ".join(f"{count} {reason}" for reason, count in self.dropped.items())
            raise MechvizError(f"{self.name}: no pair can be used, so there is no effect to tell ({why})")
        limit = statistics.most_units(self.header.n_cells)
        return self.sums(statistics.units_of(self.n_queries, limit, self.analysis.seed)[self.query_codes])

    @cached_property
    def _interval(self) -> Interval:
        return self.analysis.interval(self._sums)

    @cached_property
    def _p(self) -> NDArray[np.float64]:
        return self.analysis.p(self._sums)

    def by(self, column: str, bins: int | Sequence[float] | None = None) -> xr.Dataset:
        """Return the effects of groups of pairs.

        Parameters
        ----------
        column : str
            ``grade``, ``rank`` (in buckets 1-10, 11-50, ...), ``perturbation``, ``length``, ``change`` or any other column.
        bins : int or sequence of float, optional
            Into how many groups of like size a column of numbers is cut, or where.

        Returns
        -------
        Dataset, dims (column, those of the grid)
            ``effect``, ``low``, ``high``; ``n`` and ``n_queries``, dims (column). NaN where a group has no pair that is used.

        Raises
        ------
        InputError
            No such column, or one with too many values.
        """
        return summary.groups(self, column, bins)

    def narrowed(self, rows: NDArray[np.bool_], filters: str) -> Study:
        """Return the study of some rows of ``parts.table``."""
        return Study(self.parts, self.analysis, self.ranker, self._rows & rows, self._whole or self, filters)

    def covariates(self, terms: TermStatistics | None = None, limit: int | None = 5000, **cell: int | str) -> pd.DataFrame:
        """Return how the size of effects goes with what the pairs are.

        The size is the absolute value of the metric in a pair: the mean of all cells, or that of one cell.

        Parameters
        ----------
        terms : TermStatistics, optional
            IDF is taken from it; by default from the documents of the pairs that are looked at.
        limit : int or None, default 5,000
            Look at no more pairs than this, drawn at random.
        **cell
            Coordinates of one cell, such as ``layer=1, head=6``.

        Returns
        -------
        DataFrame
            One row a covariate: ``idf``, ``tf`` (in the document) and ``tf_idf`` of the terms that the perturbation wrote (or,
            where it wrote none, took away), averaged; ``length`` of the document in words; ``grade``; ``change``, the
            absolute score change. Columns: ``covariate``; ``n``; ``n_queries``; ``spearman`` and its ``p``; ``partial``, given
            the change, and its ``p_partial``. NaN where a covariate does not vary. See `statistics.spearman` for how p-values
            take pairs of one query into account.

        Raises
        ------
        InputError, InputTypeError
            A cell that does not exist, or no statistics.
        MechvizError
            No pair can be used.
        """
        return covariates.covariates(self, terms, limit, cell)

    def compare(self, other: Study) -> Comparison:
        """Return the difference of this study's effects from another's, with intervals; see `mechviz.studies.compare`."""
        return compare(self, other)

    def summary(self, limit: int | None = 2000) -> StudySummary:
        """Return all of it as plain data, with ``limit`` pairs drawn at random where there are more."""
        return summary.summary(self, limit)

    # -- the pairs themselves ---------------------------------------------------------------------------------------

    def to_dataframe(self, limit: int | None = None) -> pd.DataFrame:
        """Return one row a pair, in the order of the collection: its texts, scores, ``change`` (source - base) and ``reason``.

        ``reason`` is empty for pairs that are used. With ``limit``, no more pairs than that, drawn at random.
        """
        return listing.frame(self, limit)

    def pair(self, number: int) -> TextPair:
        """Return one pair, by its number in the collection.

        Raises
        ------
        InputError
            The study has no such pair.
        """
        return listing.text_pair(self, number)

    def open(self, number: int) -> Any:
        """Return the `PatchingView` of one pair, with the settings of the study.

        Raises
        ------
        InputError
            No such pair, or it has no perturbed text.
        MechvizError
            The study has no ranker: give it to `Study.load`.
        """
        if self.ranker is None:
            raise MechvizError("this study was opened without its ranker; Study.load(path, ranker=...) can open pairs")
        pair = self.pair(number)
        if pair.perturbed is None:
            raise InputError(f"pair {number} has no perturbed text ({pair.reason})")
        return summary.opened(_checked(self.ranker, self.header), pair, self.header, self.analysis.metric)

    def show(self, theme: str = "auto", limit: int | None = 2000, panels: Sequence[str] | None = None) -> Any:
        """Draw the study, linked to its pairs.

        Where the study has its ranker, a pair in the list opens as a view of its own.

        Parameters
        ----------
        theme : ``"auto"``, ``"light"`` or ``"dark"``
        limit : int or None, default 2000
            How many pairs the list holds, drawn at random where there are more.
        panels : sequence of str, optional
            See `mechviz.views.StudyView`.

        Returns
        -------
        StudyView
        """
        from mechviz import views

        opener = None if self.ranker is None else self.open
        return views.StudyView(self.summary(limit), opener=opener, panels=panels, theme=theme)

    def __repr__(self) -> str:
        return summary.said(self)


def _analysis(before: Analysis, changes: dict[str, Any]) -> Analysis:
    unknown = sorted(set(changes) - set(Analysis.__dataclass_fields__))
    if unknown:
        raise InputError(f"an analysis has no {', '.join(unknown)}; there are {', '.join(Analysis.__dataclass_fields__)}")
    return replace(before, **changes)


def _checked(ranker: Ranker, header: Header) -> Ranker:
    from mechviz.rankers.ranker import check_ranker

    found = check_ranker(ranker).weight_hash()
    if found != header.weights_sha256:
        raise InputError(
            f"this study is of {header.ranker} with weights_sha256 {header.weights_sha256}; {ranker.name} has {found}: give the "
            "ranker that it was run with"
        )
    return ranker
