"""The cells of a grid, and what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.results import PatchResult

#: Values of the ``state`` buffer.
EMPTY, PREVIEW, EXACT = 0, 1, 2


def grid_key(result: PatchResult) -> str:
    """Return the name of a result's grid in a view, such as ``encoder.heads``."""
    return f"{result.stack}.{result.grid}"


def pack_grid(result: PatchResult) -> dict[str, Any]:
    """Return the JSON description of a grid."""
    sites = result.effects.coords["site"].values.tolist() if "site" in result.effects.dims else None
    return {
        "key": grid_key(result),
        "name": result.grid,
        "stack": result.stack,
        "dims": list(map(str, result.effects.dims)),
        "shape": list(result.effects.shape),
        "sites": sites,
        "metric": result.metric,
    }


def pack_cells(result: PatchResult, exact: NDArray[np.bool_] | None = None) -> dict[str, NDArray[Any]]:
    """Pack a grid: ``effects``, ``patched`` and what each cell is (``state``), each by the grid's key.

    Parameters
    ----------
    result : PatchResult
    exact : bool array, dims as the grid, optional
        Which cells are exact while a computation runs; default what the result says.
    """
    patched = result.patched.values
    known = result.exact.values if exact is None else exact
    state = np.where(known, EXACT, np.where(np.isfinite(patched), PREVIEW, EMPTY))
    key = grid_key(result)
    return {
        f"{key}.effects": result.effects.values.astype("<f4"),
        f"{key}.patched": patched.astype("<f4"),
        f"{key}.state": state.astype("<u1"),
    }
