"""Any array with named dims, for the drawing: whole, or reduced to what is looked at."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.wire.buffers import Packed
from mechviz.wire.spec import bare

#: What a dim can be: an axis, side by side, or one number for all its places. A whole number is the index that is looked at.
AXES = ("x", "y", "facet")
REDUCTIONS = ("mean", "sum", "norm", "max", "min")
MOST_DIMS = 6
#: Cells that a view draws at most.
MOST_CELLS = 2_000_000
#: A dim of at most this many places begins side by side.
_FEW = 4

Roles = dict[str, "str | int"]


def labels_of(array: xr.DataArray, dim: Hashable) -> tuple[list[str] | None, bool]:
    """Return what the places of a dim are called, None where nobody says, and whether these are words.

    Words are any coordinate of strings along the dim, such as tokens; else the dim's own numbers.
    """
    along = [one for one in array.coords.values() if one.dims == (dim,)]
    words = [one for one in along if one.dtype.kind in "UO"]
    if words:
        return [str(value) for value in words[0].values], True
    return ([f"{value:g}" for value in array.coords[dim].values.tolist()], False) if _numbered(array, dim) else (None, False)


def _numbered(array: xr.DataArray, dim: Hashable) -> bool:
    if dim not in array.coords or array.coords[dim].dtype.kind not in "iuf":
        return False
    return not np.array_equal(array.coords[dim].values, np.arange(array.sizes[dim]))


def first_roles(array: xr.DataArray) -> Roles:
    """Return how an array is looked at first: its last two dims as axes, a dim of few places side by side, others at 0."""
    dims = [str(dim) for dim in array.dims]
    facet = next((dim for dim in dims if 1 < array.sizes[dim] <= _FEW), None) if len(dims) > 2 else None
    rest = [dim for dim in dims if dim != facet]
    roles: Roles = dict.fromkeys(dims, 0)
    if facet is not None:
        roles[facet] = "facet"
    if len(rest) > 1:
        roles[rest[-2]] = "y"
    roles[rest[-1]] = "x"
    return {dim: roles[dim] for dim in dims}


def check_roles(array: xr.DataArray, roles: Mapping[str, Any]) -> Roles:
    """Return what each dim is.

    Raises
    ------
    InputError
        A dim without a role, a role that there is not, an axis given twice, or more cells than can be drawn.
    """
    dims = [str(dim) for dim in array.dims]
    if sorted(roles) != sorted(dims):
        raise InputError(f"roles has {', '.join(map(repr, roles))}; the dims are {', '.join(map(repr, dims))}")
    cells = 1
    for dim in dims:
        role, size = roles[dim], array.sizes[dim]
        index = isinstance(role, (int, np.integer)) and not isinstance(role, bool) and 0 <= role < size
        if not index and role not in (*AXES, *REDUCTIONS):
            raise InputError(f"roles[{dim!r}]={shown(role)}; give {', '.join(AXES + REDUCTIONS)} or a number below {size}")
        cells *= size if role in AXES else 1
    for axis in AXES:
        if list(roles.values()).count(axis) > 1:
            raise InputError(f"{axis} is given to two dims")
    if cells > MOST_CELLS:
        raise InputError(f"{cells:,} cells are more than can be drawn ({MOST_CELLS:,}); reduce a dim, or look at one index of it")
    return {dim: roles[dim] for dim in dims}


def reduced(array: xr.DataArray, roles: Mapping[str, str | int]) -> NDArray[np.float32]:
    """Return what is looked at, dims (facet, y, x).

    Indices are taken first, then dims reduced in their order; NaN is left out, and is what remains where there is nothing else.
    """
    of = array.isel({dim: role for dim, role in roles.items() if not isinstance(role, str)}).astype(np.float64)
    for dim, role in roles.items():
        if role in REDUCTIONS:
            of = _REDUCE[str(role)](of, dim)
    axes = {axis: dim for dim, axis in roles.items() if axis in AXES}
    of = of.transpose(*(axes[axis] for axis in ("facet", "y", "x") if axis in axes))
    shape = [array.sizes[axes[axis]] if axis in axes else 1 for axis in ("facet", "y", "x")]
    found: NDArray[np.float32] = of.values.reshape(shape).astype("<f4")
    return found


_REDUCE: dict[str, Any] = {
    "mean": lambda of, dim: of.mean(dim, skipna=True),
    "sum": lambda of, dim: of.sum(dim, skipna=True, min_count=1),
    "norm": lambda of, dim: np.sqrt((of**2).sum(dim, skipna=True, min_count=1)),
    "max": lambda of, dim: of.max(dim, skipna=True),
    "min": lambda of, dim: of.min(dim, skipna=True),
}


def pack_tensor(array: xr.DataArray, title: str, whole: bool) -> dict[str, Any]:
    """Return the spec of an array; ``whole`` says whether all of it comes along."""
    dims = []
    for dim in array.dims:
        labels, words = labels_of(array, dim)
        dims.append({"name": str(dim), "size": array.sizes[dim], "labels": labels, "words": words})
    return {
        **bare("tensor", array.attrs, title),
        "tensor": {"name": str(array.name or "value"), "dims": dims, "whole": whole, "start": first_roles(array)},
    }


def pack_whole(array: xr.DataArray) -> Packed:
    """Pack all of an array as float32, row-major in its dims."""
    return Packed("tensor", {}, {"tensor.values": array.values.astype("<f4")})


def slice_key(roles: Mapping[str, str | int]) -> str:
    """Return the name of what is looked at: the roles in the order of the dims."""
    return "slice." + ",".join(map(str, roles.values()))


def pack_slice(array: xr.DataArray, roles: Roles) -> Packed:
    """Pack what is looked at, dims (facet, y, x)."""
    key = slice_key(roles)
    return Packed(key, {}, {f"{key}.values": reduced(array, roles)})
