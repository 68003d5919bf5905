"""The pairs that a study is of: which are used, what queries they are of, and their sums."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mechviz.studies import selection
from mechviz.studies.analysis import Analysis
from mechviz.studies.reading import Parts
from mechviz.studies.schema import Header
from mechviz.studies.statistics import Accumulator

if TYPE_CHECKING:
    from mechviz.rankers import Ranker


class ChosenPairs:
    """Pairs of a study's parts, and how they are analysed.

    Parameters
    ----------
    parts : Parts
    analysis : Analysis
    ranker : Ranker, optional
    rows : bool array, dims (pair), optional
        Which pairs of ``parts.table``; default all.
    whole : ChosenPairs, optional
        What they were chosen from. It is kept: a study in a temporary folder keeps that folder while it lives.
    filters : str
        How they were chosen, in words.
    """

    def __init__(
        self,
        parts: Parts,
        analysis: Analysis,
        ranker: Ranker | None = None,
        rows: NDArray[np.bool_] | None = None,
        whole: ChosenPairs | None = None,
        filters: str = "",
    ) -> None:
        self.parts, self.analysis, self.ranker = parts, analysis, ranker
        self._rows = np.ones(len(parts.table), dtype=bool) if rows is None else rows
        self._whole = whole  # a study in a temporary folder keeps that folder while it lives
        self._filters = filters

    @property
    def header(self) -> Header:
        """What the numbers are: ranker, grid, settings."""
        return self.parts.header

    @property
    def broken(self) -> dict[str, str]:
        """Parts that were left out: name of the file -> what is wrong with it."""
        return dict(self.parts.broken)

    @property
    def name(self) -> str:
        """What the study is called in titles."""
        names = [name for name in self.parts.table["perturbation"][self._rows].unique() if name]
        what = " + ".join(names[:3]) + (f" + {len(names) - 3} more" if len(names) > 3 else "")
        where = f" ({self._filters})" if self._filters else ""
        return f"{what or 'perturbed'} on {self.header.ranker}{where}"

    @cached_property
    def reasons(self) -> NDArray[np.object_]:
        """Why each pair of ``parts.table`` is not used, dims (pair); empty where it is."""
        return selection.reasons_of(self.parts.table, self.analysis.min_change)

    @cached_property
    def used(self) -> NDArray[np.bool_]:
        """Which pairs of ``parts.table`` effects are made of, dims (pair)."""
        return self._rows & np.equal(self.reasons, "").astype(np.bool_)

    @property
    def n_used(self) -> int:
        """Pairs that effects are made of."""
        return int(self.used.sum())

    @property
    def n_queries(self) -> int:
        """Queries of these pairs."""
        return len(self._queries[1])

    @property
    def n_dropped(self) -> int:
        """Pairs that were not used."""
        return int(self._rows.sum()) - self.n_used

    @cached_property
    def dropped(self) -> dict[str, int]:
        """Reason -> how many pairs were not used for it; reasons that differ only in the text given are one."""
        return selection.counted(self.reasons[self._rows & ~self.used])

    @property
    def rows(self) -> NDArray[np.bool_]:
        """Which pairs of ``parts.table`` are in the study, used or not, dims (pair)."""
        return self._rows

    @property
    def query_codes(self) -> NDArray[np.int64]:
        """Which of `query_names` each used pair is of, dims (used pair)."""
        return self._queries[0]

    @property
    def query_names(self) -> list[str]:
        """What tells the queries of used pairs apart, in an order that does not depend on that of the parts."""
        return list(self._queries[1])

    @cached_property
    def _queries(self) -> tuple[NDArray[np.int64], Any]:
        return pd.factorize(pd.Series(self.parts.queries[self.used], dtype=object), sort=True)

    def sums(self, units: NDArray[np.int64]) -> Accumulator:
        """Read the patched scores of the used pairs once, and return their sums.

        Parameters
        ----------
        units : int64 array, dims (used pair)
            Which unit of resampling each is part of, from 0.
        """
        table, rows = self.parts.table, self.used
        base, change = table["base_score"].to_numpy(), selection.change_of(table)
        unit = np.zeros(len(rows), dtype=np.int64)
        unit[rows] = units
        found = Accumulator(self.analysis.metric, int(units.max()) + 1, self.header.n_cells, self.parts.gaps)
        for places, patched in self.parts.patched(rows):
            found.add(patched, base[places], change[places], unit[places])
        return found
