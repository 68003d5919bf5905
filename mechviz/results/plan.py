"""What a plan of interventions did to the scores of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from mechviz.results.pair import passes_gate


@dataclass(frozen=True, eq=False)
class PlanResult:
    """What a plan did to pairs.

    Attributes
    ----------
    base_score : DataArray, dims (pair)
        Score of each base run as it is, float32.
    source_score : DataArray, dims (pair, source)
        And of each source run; no columns where the pairs have no perturbed text.
    patched : DataArray, dims (pair)
        Score of the base run with the plan's edits.
    collected : mapping of str to DataArray, dims (pair, unit, feature)
        What was at the positions of each ``collect``, by its hook (``hook #2`` where another one has it); NaN where a pair has
        fewer positions.
    pairs : DataFrame
        One row a pair: ``query``, ``doc``, ``query_id``, ``doc_id``, ``number`` (among those given).
    reasons : mapping of int to str
        Why the others could not be run, by their number.
    """

    base_score: xr.DataArray
    source_score: xr.DataArray
    patched: xr.DataArray
    collected: Mapping[str, xr.DataArray] = field(default_factory=dict, repr=False)
    pairs: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    reasons: Mapping[int, str] = field(default_factory=dict)

    @property
    def raw(self) -> xr.DataArray:
        """``patched - base_score``, dims (pair)."""
        return self.patched - self.base_score

    @property
    def effects(self) -> xr.DataArray:
        """``(patched - base) / (source - base)``, dims (pair, source); NaN where the two scores are equal (`Pair.gate`)."""
        change = self.source_score - self.base_score
        effects: xr.DataArray = (self.raw / change).where(passes_gate(self.base_score, change))
        return effects.transpose("pair", "source")

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a pair: texts, scores and effects (numbered by source where there are several)."""
        frame = self.pairs.assign(base_score=self.base_score.values, patched=self.patched.values)
        several = self.source_score.sizes["source"] > 1
        for number in range(self.source_score.sizes["source"]):
            end = f"_{number}" if several else ""
            frame[f"source_score{end}"] = self.source_score.values[:, number]
            frame[f"effect{end}"] = self.effects.values[:, number]
        return frame

    def __repr__(self) -> str:
        n = self.patched.sizes["pair"]
        effect = f", mean effect {np.nanmean(self.effects.values):.3g}" if np.isfinite(self.effects.values).any() else ""
        more = f", {len(self.reasons)} could not be run" if self.reasons else ""
        kept = f", collected {', '.join(self.collected)}" if self.collected else ""
        return f"PlanResult({n} pair{'' if n == 1 else 's'}, mean change {float(self.raw.mean()):.4g}{effect}{more}{kept})"


@dataclass(frozen=True)
class Evaluation:
    """A metric of a plan over pairs, with its uncertainty.

    Attributes
    ----------
    metric : str
    value, low, high : float
        The metric and its bootstrap interval over queries; NaN where it is not defined (fewer than two queries).
    n_used, n_dropped : int
        Pairs that are in it, and that are not (no change of the score, or could not be run).
    confidence : float
    name : str
        What was evaluated.
    """

    metric: str
    value: float
    low: float
    high: float
    n_used: int
    n_dropped: int
    confidence: float = 0.95
    name: str = "plan"

    def __repr__(self) -> str:
        dropped = f", {self.n_dropped} dropped" if self.n_dropped else ""
        return (
            f"{self.name}: {self.metric} {self.value:.3g} [{self.low:.3g}, {self.high:.3g}] "
            f"({self.confidence:.0%} over queries, {self.n_used} pairs{dropped})"
        )
