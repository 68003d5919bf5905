"""What a plan did to pairs, batch by batch, as one result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from torch import Tensor

from mechviz.interventions.batches import Batch
from mechviz.interventions.intervention import Intervention
from mechviz.interventions.laid import Laid
from mechviz.results import PlanResult


def result_of(
    interventions: Sequence[Intervention],
    laid: Sequence[Laid],
    rows: dict[int, tuple[float, list[float], float]],
    kept: dict[int, dict[int, Tensor]],
    reasons: dict[int, str],
) -> PlanResult:
    """Return what a plan did, from the scores of each pair (base, of its sources, patched) and what was collected, by number."""
    numbers = [one.number for one in laid]
    coords = {"pair": numbers}
    n_sources = max((len(rows[number][1]) for number in numbers), default=0)
    sources = np.full((len(numbers), n_sources), np.nan, dtype=np.float32)
    for row, number in enumerate(numbers):
        sources[row, : len(rows[number][1])] = rows[number][1]

    def column(at: int) -> xr.DataArray:
        return xr.DataArray(np.array([rows[n][at] for n in numbers], dtype=np.float32), dims="pair", coords=coords)

    table = [(one.query, one.doc, one.query_id, one.given.doc_id if one.given else "", one.number) for one in laid]
    return PlanResult(
        base_score=column(0),
        source_score=xr.DataArray(sources, dims=("pair", "source"), coords=coords),
        patched=column(2),
        collected=_collected(interventions, numbers, kept),
        pairs=pd.DataFrame(table, columns=["query", "doc", "query_id", "doc_id", "number"]),
        reasons=reasons,
    )


def _collected(
    interventions: Sequence[Intervention], numbers: Sequence[int], kept: dict[int, dict[int, Tensor]]
) -> dict[str, xr.DataArray]:
    found: dict[str, xr.DataArray] = {}
    for at, one in enumerate(interventions):
        values = [kept[number][at].cpu().numpy() for number in numbers if at in kept[number]]
        if one.op.name != "collect" or not values:
            continue
        whole = np.full((len(values), *np.max([value.shape for value in values], axis=0)), np.nan, dtype=np.float32)
        for row, value in enumerate(values):
            whole[row, : len(value), : value.shape[1]] = value
        name = one.hook if one.hook not in found else f"{one.hook} #{at}"
        found[name] = xr.DataArray(whole, dims=("pair", "unit", "feature"), coords={"pair": list(numbers)})
    return found


def meant(batch: Batch, number: int, row: int, value: Tensor) -> Tensor:
    """Return what was collected in one pair, without what only fills up, dims (unit, feature)."""
    where = batch.where(number, batch.plan.into(number))
    if where is not None:
        return value[row][where[1][row]]
    return value[row][: len(batch.laid[row].tokens())]
