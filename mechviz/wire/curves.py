"""Named curves over one axis, for the drawing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.results.curves import Curves
from mechviz.wire.buffers import Packed
from mechviz.wire.spec import bare


def pack_curves(curves: Curves) -> dict[str, Any]:
    """Return the spec of curves: what axes, curves and lines are called, and the places of the x axis."""
    return {
        **bare("curves", {}),
        "curves": {
            "x": curves.x,
            "y": curves.y,
            "names": list(curves.curves),
            "places": list(curves.places),
            "reference": [[name, float(value)] for name, value in curves.reference.items()],
            "title": curves.title,
            "note": curves.note,
        },
    }


def pack_curve_values(curves: Curves) -> Packed:
    """Pack the numbers of curves.

    Returns
    -------
    Packed
        ``curves``: ``value``, ``low`` and ``high``, dims (curve, place), NaN where one is not known; and ``points``, 1 where
        the curve has a point: a line goes on over a place that is not the curve's, and breaks where its point is NaN.
    """
    at = {place: number for number, place in enumerate(curves.places)}
    shape = (len(curves.curves), len(at))
    points = np.zeros(shape, dtype="<u1")
    numbers: dict[str, NDArray[Any]] = {name: np.full(shape, np.nan, dtype="<f4") for name in ("value", "low", "high")}
    of = {"value": curves.curves, "low": curves.low, "high": curves.high}
    for row, (name, curve) in enumerate(curves.curves.items()):
        columns = [at[place] for place in curve["x"].values.tolist()]
        points[row, columns] = 1
        for variable, array in numbers.items():
            if name in of[variable]:
                array[row, columns] = of[variable][name].values
    arrays: dict[str, NDArray[Any]] = {**numbers, "points": points}
    return Packed("curves", {}, {f"curves.{name}": array for name, array in arrays.items()})
