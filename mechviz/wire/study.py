"""What a study found, for the drawing."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mechviz.results.study import CELL_VARIABLES, StudySummary
from mechviz.wire.buffers import Packed
from mechviz.wire.cells import EMPTY, EXACT
from mechviz.wire.pairs import LISTED
from mechviz.wire.spec import finite, frame_of


def pack_study(summary: StudySummary, opens: bool) -> dict[str, Any]:
    """Return the spec of a study.

    Parameters
    ----------
    summary : StudySummary
    opens : bool
        Whether somebody can run the ranker on a pair of the list.
    """
    effect = summary.cells["effect"]
    heads = is_heads(summary)
    stacks = []
    if heads:
        sizes = dict(zip(("n_layers", "n_heads"), effect.shape, strict=True))
        empty = {"title": "", "text": "", "label": "", "query_labels": None, "key_labels": None}
        stacks.append({"name": summary.stack, **sizes, **empty})
    grid = {
        "key": study_key(summary),
        "name": "heads" if heads else summary.grid,
        "stack": summary.stack,
        "dims": list(map(str, effect.dims)),
        "shape": list(effect.shape),
        "sites": None,
        "metric": summary.metric,
        "n": summary.n_used,
        "labels": [labels_of(effect, str(dim)) for dim in effect.dims],
    }
    return {
        **frame_of("study", dict(summary.provenance)),
        "query": "",
        "doc": "",
        "grids": [grid],
        "stacks": stacks,
        "texts": {},
        "text": "",
        "study": {
            "name": summary.name,
            "grid": summary.grid,
            "direction": summary.direction,
            "confidence": confidence_of(summary),
            "n_used": summary.n_used,
            "n_queries": summary.n_queries,
            "dropped": [[str(reason), int(n)] for reason, n in summary.dropped.items()],
            "min_change": min_change_of(summary),
            "groups": list(summary.groups),
            "covariates": _covariates(summary),
        },
        "list": {"opens": opens, "n": min(LISTED, len(summary.pairs)), "of": summary.n_used + summary.n_dropped},
    }


def _covariates(summary: StudySummary) -> list[dict[str, Any]] | None:
    if summary.covariates is None:
        return None
    rows = summary.covariates.to_dict("records")
    return [{str(name): finite(value) for name, value in row.items()} for row in rows]


def is_heads(summary: StudySummary) -> bool:
    """Tell whether the cells are a grid of layers and heads."""
    return summary.cells["effect"].dims == ("layer", "head")


def study_key(summary: StudySummary) -> str:
    """Return the name of the study's grid in a view."""
    return f"{summary.stack}.{'heads' if is_heads(summary) else summary.grid}"


def labels_of(array: xr.DataArray, dim: str) -> list[str]:
    """Return what the places of a dim are called."""
    values = array.coords[dim].values if dim in array.coords else range(array.sizes[dim])
    return [str(value) for value in values]


def confidence_of(summary: StudySummary) -> float:
    """Return how sure the intervals are, 0.95 where it is not said."""
    return float(summary.cells.attrs.get("confidence", 0.95))


def min_change_of(summary: StudySummary) -> float | None:
    """Return the least score change of a pair that is used, None where it is not said."""
    try:
        return abs(float(summary.provenance["min_change"]))
    except (KeyError, ValueError):
        return None


def pack_study_cells(summary: StudySummary) -> dict[str, NDArray[Any]]:
    """Return the arrays of the study's grid, by its key."""
    key = study_key(summary)
    named = {"effects": "effect", **{name: name for name in CELL_VARIABLES if name != "effect"}}
    arrays: dict[str, NDArray[Any]] = {
        f"{key}.{name}": summary.cells[variable].values.astype("<f4") for name, variable in named.items()
    }
    arrays[f"{key}.patched"] = np.full_like(arrays[f"{key}.effects"], np.nan)
    arrays[f"{key}.state"] = np.where(np.isfinite(arrays[f"{key}.effects"]), EXACT, EMPTY).astype("<u1")
    return arrays


def pack_groups(summary: StudySummary, name: str) -> Packed:
    """Pack the effects of all cells by group: ``effect``, ``low`` and ``high``, dims (group, dims of the grid), and ``n``."""
    group = summary.groups[name]
    effect = group["effect"]
    first = str(effect.dims[0])
    key = f"groups.{name}"
    arrays = {f"{key}.{variable}": group[variable].values.astype("<f4") for variable in ("effect", "low", "high", "n")}
    return Packed(key, {"values": labels_of(effect, first)}, arrays)
