"""A number for each head, made by anybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechviz.errors import InputError
from mechviz.figures.colour import theme_named
from mechviz.figures.frame import Frame
from mechviz.figures.head_grid import Stack, grids_picture
from mechviz.figures.values import Values


def grid_svg(
    effects: ArrayLike,
    low: ArrayLike | None,
    high: ArrayLike | None,
    n: int | None,
    title: str,
    provenance: Mapping[str, str],
    theme: str = "light",
    selection: Mapping[str, Any] | None = None,
) -> str:
    """Draw a number for each head.

    Parameters
    ----------
    effects : array, dims (layer, head)
        NaN is "not computed".
    low, high : arrays, dims (layer, head), or None
        Bounds of each number: cells whose interval holds 0 get an inner frame in the page's colour.
    n : int or None
        How many pairs each number is a mean of.
    title : str
        What the picture shows; empty for "Values of attention heads".
    provenance : mapping of str to str
        As of a result.
    theme : ``"light"`` or ``"dark"``
    selection : mapping, optional
        ``layer`` and ``head`` of the head that gets an outline.

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError
        Arrays that are no grid or do not fit together, or a selection outside of it.
    """
    colours = theme_named(theme)
    values = _grid("effects", effects)
    if values.ndim != 2 or not values.size:
        raise InputError(f"effects has shape {values.shape}; it has dims (layer, head), one head at least")
    if (low is None) != (high is None):
        raise InputError("an interval has two bounds; give low and high, or neither")
    bounds = None if low is None or high is None else (_grid("low", low), _grid("high", high))
    if bounds is not None and any(bound.shape != values.shape for bound in bounds):
        raise InputError(f"low and high have shapes {bounds[0].shape} and {bounds[1].shape}, effects {values.shape}")
    cells = Values(values, np.zeros(values.shape, dtype=bool), "values")
    mean = "" if n is None else f"mean of n = {n:,} pairs"
    frame = Frame(title or "Values of attention heads", provenance, (mean,), facts={"values": "as they were given"})
    # A selection of a view names the view's own stack, and there is only this one.
    chosen = None if selection is None else {name: at for name, at in selection.items() if name != "stack"}
    return grids_picture(frame, [Stack("heads", "", cells, bounds=bounds)], chosen, colours)


def _grid(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        grid = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is no array of numbers: {error}") from error
    return np.where(np.isfinite(grid), grid, np.nan)
