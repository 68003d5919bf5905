"""The live picture of any array with named dims."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from mechviz import figures, wire
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.views.probe import LIVE_BYTES, PAGE_BYTES, ProbeView


class TensorView(ProbeView):
    """Heat maps of an array; each dim can be an axis, side by side, at one index or reduced. Made by `tensor`.

    Parameters
    ----------
    array : DataArray
    title : str
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Attributes
    ----------
    array : DataArray
    """

    PANELS = ("tensor",)

    def __init__(self, array: xr.DataArray, title: str = "", theme: str = "auto") -> None:
        self.array = _checked(array)
        if not isinstance(title, str):
            raise InputTypeError(f"title={shown(title)}; give a string")
        self._name = title
        super().__init__(wire.pack_tensor(self.array, title, self._bytes() <= LIVE_BYTES), self.PANELS, theme)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"{self._name or self.array.name or 'array'} - mechviz"

    def reduced(self, **roles: str | int) -> xr.DataArray:
        """Return what the view shows when dims are looked at so, dims (facet, y, x).

        Parameters
        ----------
        **roles
            For each dim ``"x"``, ``"y"``, ``"facet"``, an index, ``"mean"``, ``"sum"``, ``"norm"``, ``"max"`` or ``"min"``;
            what is left out is as the view begins.

        Raises
        ------
        InputError
            No such dim or role.
        """
        checked = wire.check_roles(self.array, {**wire.first_roles(self.array), **roles})
        return xr.DataArray(wire.reduced(self.array, checked), dims=("facet", "y", "x"))

    def _bytes(self) -> int:
        return 4 * int(self.array.size)

    def _sent(self, page: bool) -> list[wire.Packed]:
        if self._bytes() <= (PAGE_BYTES if page else LIVE_BYTES):
            return [wire.pack_whole(self.array)]
        roles = wire.first_roles(self.array)
        packed = [wire.pack_slice(self.array, wire.check_roles(self.array, roles))]
        if not page:
            return packed
        # The places of the first dim that is looked at by an index, as many as fit.
        dim = next((dim for dim, role in roles.items() if role == 0), None)
        left = PAGE_BYTES - packed[0].nbytes
        if dim is not None:
            places = range(1, min(self.array.sizes[dim], 1 + left // packed[0].nbytes))
            packed += [wire.pack_slice(self.array, {**roles, dim: place}) for place in places]
        return packed

    def _on_page(self) -> dict[str, Any]:
        return {"whole": self._bytes() <= PAGE_BYTES}

    def _answers(self) -> dict[str, Any]:
        return {"slice": self._answer_slice}

    def _answer_slice(self, message: dict[str, Any]) -> wire.Packed:
        return wire.pack_slice(self.array, wire.check_roles(self.array, message["roles"]))

    def _figure(self, panel: str, theme: str) -> str:
        return figures.tensor_svg(self.array, self._name, theme)

    def __repr__(self) -> str:
        return f"TensorView({' x '.join(f'{size} {dim}' for dim, size in self.array.sizes.items())})"


def _checked(array: object) -> xr.DataArray:
    if not isinstance(array, xr.DataArray):
        raise InputTypeError(
            f"tensor draws an xarray.DataArray, not {shown(array)}; name its dims with xr.DataArray(a, dims=...)"
        )
    if array.dtype.kind not in "biuf":
        raise InputTypeError(f"tensor draws numbers, and this array holds {array.dtype}")
    if not 1 <= array.ndim <= wire.MOST_DIMS or not array.size:
        raise InputError(f"the array has dims {dict(array.sizes)}; give 1 to {wire.MOST_DIMS} dims, each of at least one place")
    if np.isinf(array.values).any():
        raise InputError("the array holds inf; give NaN where there is no number")
    wire.check_roles(array, wire.first_roles(array))
    return array


def tensor(array: xr.DataArray, title: str = "", theme: str = "auto") -> TensorView:
    """Draw any array of up to six named dims.

    Parameters
    ----------
    array : DataArray
        NaN where there is no number. Its coordinates are what rows and columns are called.
    title : str
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Returns
    -------
    TensorView

    Raises
    ------
    InputError, InputTypeError
        No array of numbers, more than six dims, inf.
    """
    return TensorView(array, title, theme)
