"""Heat maps of any array, as a view of it begins (``js/src/views/tensor.tsx``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mechviz import wire
from mechviz.figures.cells import value_ramp
from mechviz.figures.colour import Theme, diverging, sequential, theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame
from mechviz.figures.labels import depth_of, slanted
from mechviz.figures.raster import raster
from mechviz.figures.svg import Element, Look, text
from mechviz.figures.values import colour_limit
from mechviz.figures.words import cut, width_of

#: Heat maps side by side, and the room of one.
_FACETS = 4
_ROOM, _ALONE = 260.0, 700.0
_LARGEST, _ROOMY = 22, 34
#: Of so few cells each is larger.
_FEW = 160
_LABEL = 90.0
_LINE = 14.0
_GAP = 26.0
#: Room for the names of the axes.
_FOOT = 170.0


def tensor_svg(array: xr.DataArray, title: str = "", theme: str = "light") -> str:
    """Draw the heat maps with which a view of an array begins.

    Parameters
    ----------
    array : DataArray
        One to six dims; NaN is drawn as a hatch.
    title : str
    theme : ``"light"`` or ``"dark"``

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError
    """
    colours = theme_named(theme)
    roles = wire.check_roles(array, wire.first_roles(array))
    shown = wire.reduced(array, roles).astype(np.float64)
    both = bool((shown < 0).any())
    limit = colour_limit(shown)
    axes = {axis: dim for dim, axis in roles.items() if axis in wire.AXES}
    labels = {axis: _labels(array, dim) for axis, dim in axes.items()}
    facets, rows, columns = shown.shape
    room = _ALONE if facets == 1 else _ROOM
    # Whole pixels a cell: nothing is blurred, and a picture of few cells stays small.
    largest = _ROOMY if rows * columns <= _FEW else _LARGEST
    side = int(max(1, min(largest, room // columns, 2 * _ALONE // max(1, rows))))
    shown = _pooled(_pooled(shown, 1), 2)
    facets, rows, columns = shown.shape
    gutter = max((width_of(label, 11) for label in labels.get("y", [])), default=0.0) + 8
    depth = _depth(labels.get("x", []))
    top = MARGIN + HEADING + 44
    name = cut(str(array.name or "value"), 300, 12)
    fixed = ", ".join(f"{dim} {_place(array, dim, role)}" for dim, role in roles.items() if role not in wire.AXES)
    drawn = [text(MARGIN, MARGIN + HEADING + 8, name)]
    drawn += value_ramp(MARGIN + width_of(name, 12) + 16, MARGIN + HEADING - 1, limit, both, colours)
    across = min(facets, _FACETS)
    wide = gutter + max(_FOOT, side * columns) + _GAP
    high = side * rows + depth + 50
    width = max(2 * MARGIN + across * wide, MARGIN * 2 + width_of(name, 12) + 220, 2 * MARGIN + width_of(fixed, 11))
    for facet in range(facets):
        x = MARGIN + (facet % across) * wide
        y = top + (facet // across) * high
        called = f"{axes['facet']} {labels['facet'][facet]}" if "facet" in axes else ""
        drawn += _map(shown[facet], x + gutter, y, side, limit, both, called, labels, axes, colours)
    bottom = top + -(-facets // across) * high
    look: Look = {"fill": colours.muted, "font_size": 11}
    drawn.append(text(MARGIN, bottom - 4, cut(fixed, width - 2 * MARGIN, 11), **look))
    facts = {"dims": " x ".join(f"{size} {dim}" for dim, size in array.sizes.items())}
    provenance = {str(key): str(value) for key, value in array.attrs.items()}
    return Frame(title or name, provenance, facts=facts).picture(width, bottom + MARGIN, colours, drawn)


def _pooled(values: NDArray[np.float64], dim: int) -> NDArray[np.float64]:
    """Return a dim of at most twice the room's places: of those that share one the value of the largest size."""
    n = values.shape[dim]
    step = -(-n // int(2 * _ALONE))
    if step == 1:
        return values
    padding = [(0, -n % step if at == dim else 0) for at in range(values.ndim)]
    padded = np.pad(values, padding, constant_values=np.nan)
    blocks = padded.reshape(*values.shape[:dim], -1, step, *values.shape[dim + 1 :])
    at = np.nan_to_num(np.abs(blocks), nan=-1.0).argmax(axis=dim + 1)
    found: NDArray[np.float64] = np.take_along_axis(blocks, np.expand_dims(at, dim + 1), axis=dim + 1).squeeze(dim + 1)
    return found


def _turned(labels: list[str]) -> bool:
    return max(map(len, labels), default=0) > 3


def _depth(labels: list[str]) -> float:
    """Return the height of the names of columns."""
    return max(depth_of(width_of(label, 11)) for label in labels) + 12 if _turned(labels) else 18.0


def _labels(array: xr.DataArray, dim: str) -> list[str]:
    labels, _ = wire.labels_of_dim(array, dim)
    return [cut(label, _LABEL, 11) for label in labels or map(str, range(array.sizes[dim]))]


def _place(array: xr.DataArray, dim: str, role: str | int) -> str:
    return f"({role})" if isinstance(role, str) else _labels(array, dim)[role]


def _map(
    values: NDArray[np.float64],
    x: float,
    y: float,
    side: int,
    limit: float,
    both: bool,
    called: str,
    labels: dict[str, list[str]],
    axes: dict[str, Any],
    theme: Theme,
) -> list[Element]:
    rows, columns = values.shape
    colours = diverging(values, limit, theme) if both else sequential(np.nan_to_num(values) / (limit or 1.0), theme)
    drawn = raster(colours, np.isfinite(values), x, y, side, side, theme)
    look: Look = {"fill": theme.muted, "font_size": 11}
    if called:
        drawn.append(text(x, y - 7, cut(called, side * columns + 20, 11, bold=True), font_weight="bold", font_size=11))
    apart = max(1, -(-int(_LINE) // side))
    wide = apart if _turned(labels.get("x", [])) else max(1, -(-24 // side))
    # Where an axis was thinned out, its places no longer are the labels'.
    for row, label in enumerate(labels.get("y", [])):
        if row % apart == 0 and len(labels["y"]) == rows:
            drawn.append(text(x - 6, y + side * (row + 0.5) + 4, label, text_anchor="end", **look))
    for column, label in enumerate(labels.get("x", [])):
        if column % wide == 0 and len(labels["x"]) == columns:
            at = (x + side * (column + 0.5), y + side * rows)
            turned = slanted(at[0], at[1] + 10, label, fill=theme.muted)
            drawn.append(turned if _turned(labels["x"]) else text(at[0], at[1] + 14, label, text_anchor="middle", **look))
    foot = f"{axes['x']}" + (f", down: {axes['y']}" if "y" in axes else "")
    room = max(_FOOT, side * columns)
    drawn.append(text(x, y + side * rows + _depth(labels.get("x", [])) + 16, cut(foot, room, 11), **look))
    return drawn
