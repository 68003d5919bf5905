"""Named curves over one axis, with intervals: dose and response, accuracy by layer, loss by step."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from mechviz.errors import InputError, InputTypeError, shown

#: More curves than these cannot be told apart in one picture.
MOST_CURVES = 8


@dataclass(frozen=True, eq=False)
class Curves:
    """Up to eight curves with their intervals, and lines to compare them with.

    Attributes
    ----------
    x : str
        What the x axis is, in words, with its unit: ``"layer"``, ``"dose (standard deviations)"``.
    y : str
        What the y axis is: ``"interchange accuracy"``.
    curves : mapping of str to DataArray
        Name -> values, dims (x,), with a coordinate ``x`` of numbers, or of strings where places have names. NaN is a gap.
    low, high : mapping of str to DataArray
        Bounds of each value, at the same places as the curve of that name; of some curves, or of none.
    reference : mapping of str to float
        Name -> value of a horizontal line: ``"chance"``, ``"original score"``.
    title : str
    note : str
        A sentence that is shown below: what the interval is, of how many.
    """

    x: str
    y: str
    curves: Mapping[str, xr.DataArray]
    low: Mapping[str, xr.DataArray] = field(default_factory=dict)
    high: Mapping[str, xr.DataArray] = field(default_factory=dict)
    reference: Mapping[str, float] = field(default_factory=dict)
    title: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for axis in ("x", "y"):
            name = getattr(self, axis)
            if not isinstance(name, str) or not name.strip():
                raise InputError(f"{axis}={shown(name)}; say in words what the {axis} axis is, such as 'layer' or 'accuracy'")
        if not self.curves:
            raise InputError("curves is empty; give at least one curve: {'name': DataArray with dims ('x',)}")
        if len(self.curves) > MOST_CURVES:
            raise InputError(
                f"{len(self.curves)} curves cannot be told apart; give at most {MOST_CURVES}, or draw several pictures"
            )
        for name, curve in self.curves.items():
            _check_curve(name, curve)
        named = [name for name, curve in self.curves.items() if is_named(curve)]
        if named and len(named) < len(self.curves):
            other = next(name for name in self.curves if name not in named)
            raise InputError(f"x of {named[0]!r} is strings, x of {other!r} numbers; the curves share one axis, so give one kind")
        self._check_bounds()
        for name, value in self.reference.items():
            _check_reference(name, value)

    def _check_bounds(self) -> None:
        if set(self.low) != set(self.high):
            alone = sorted(set(self.low) ^ set(self.high))
            raise InputError(f"low and high differ in {', '.join(map(repr, alone))}; an interval needs both of its bounds")
        for name in self.low:
            if name not in self.curves:
                raise InputError(f"low has {name!r}; the curves are {', '.join(map(repr, self.curves))}")
            curve = self.curves[name]
            for side, bound in (("low", self.low[name]), ("high", self.high[name])):
                where = f"{side}[{name!r}]"
                _check_array(where, bound)
                if bound.shape != curve.shape or bound["x"].values.tolist() != curve["x"].values.tolist():
                    raise InputError(
                        f"{where} has shape {bound.shape} and its curve {curve.shape}; give a bound at each x of the curve"
                    )
            if (self.low[name].values > self.high[name].values).any():
                raise InputError(f"low[{name!r}] is above high[{name!r}] at some x; exchange them")

    @property
    def places(self) -> tuple[float, ...] | tuple[str, ...]:
        """Where any curve has a point: rising numbers, or names in the order in which they first come."""
        every = [at for curve in self.curves.values() for at in curve["x"].values.tolist()]
        if is_named(next(iter(self.curves.values()))):
            return tuple(dict.fromkeys(every))
        return tuple(sorted({float(at) for at in every}))

    def to_dataframe(self) -> pd.DataFrame:
        """Return the numbers as a table: ``curve``, ``x``, ``value``, ``low`` and ``high`` (NaN where no interval is known)."""
        frames = []
        for name, curve in self.curves.items():
            bounds = {side: of[name].values if name in of else np.nan for side, of in (("low", self.low), ("high", self.high))}
            frames.append(pd.DataFrame({"curve": name, "x": curve["x"].values, "value": curve.values, **bounds}))
        return pd.concat(frames, ignore_index=True)

    def __repr__(self) -> str:
        n = len(self.curves)
        return f"Curves({n} {'curve' if n == 1 else 'curves'} of {self.y} by {self.x}, {len(self.places)} places)"


def is_named(curve: xr.DataArray) -> bool:
    """Tell whether the places of a curve have names instead of numbers."""
    return curve["x"].dtype.kind not in "iuf"


def _check_reference(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise InputError(f"reference[{name!r}]={shown(value)}; give a finite number, or leave the line out")


def _check_curve(name: object, curve: object) -> None:
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"a curve is called {shown(name)}; give it a name that can be read beside it")
    where = f"curves[{name!r}]"
    _check_array(where, curve)
    x = curve["x"].values  # type: ignore[index]
    if is_named(curve):  # type: ignore[arg-type]
        if not all(isinstance(at, str) for at in x.tolist()):
            raise InputError(f"x of {where} holds {shown(x[0])}; give numbers or strings")
    elif not np.isfinite(x).all():
        raise InputError(f"x of {where} holds NaN or inf; leave such points out")
    if len(set(x.tolist())) < len(x):
        raise InputError(f"x of {where} holds a place twice; average its values, or give two curves")


def _check_array(where: str, array: object) -> None:
    if not isinstance(array, xr.DataArray):
        raise InputTypeError(f"{where} is {shown(array)}; give xr.DataArray(values, dims=('x',), coords={{'x': places}})")
    if array.dims != ("x",) or "x" not in array.coords:
        raise InputError(f"{where} has dims {array.dims}; give dims ('x',) and coords={{'x': places}}")
    if not array.size:
        raise InputError(f"{where} has no points; give at least one, or leave it out")
    if array.dtype.kind not in "iuf":
        raise InputError(f"{where} holds {array.dtype}; give numbers, NaN for a gap")
    if np.isinf(array.values).any():
        raise InputError(f"{where} holds inf; give NaN for a gap")
