"""Every head of every layer as a thumbnail of its attention."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz import wire
from mechviz.errors import InputError, shown
from mechviz.figures.cells import diverging_steps, outline, ramp, sequential_steps
from mechviz.figures.colour import Theme, diverging, sequential, theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame, notes, selected_head
from mechviz.figures.raster import image, png
from mechviz.figures.svg import Element, text
from mechviz.results import StackShape

_ROOM = 1000.0
_LARGEST, _SMALLEST = 76, 18
_LABEL = 34.0
_ONE_ROW = 12.0
#: Pixels between two thumbnails, which have at least the other number of them across.
_GAP, _FINE = 2, 40
#: Where the colours of a difference end, and words below the scale of weights.
_LIMIT = 0.5
_ROOT = ("0", "0.25", "1")
_LEAST_WIDTH = 420.0
_LINE = 12.0
_RUNS = (*wire.RUNS, "difference")


def model_svg(
    packed: wire.Packed,
    shape: StackShape,
    provenance: Mapping[str, str],
    theme: str = "light",
    selection: Mapping[str, Any] | None = None,
    run: str = "base",
) -> str:
    """Draw where every head of a stack attends.

    Parameters
    ----------
    packed : Packed
        From `mechviz.wire.pack_thumbs`.
    shape : StackShape
        Of the same stack.
    provenance : mapping of str to str
        As of a result.
    theme : ``"light"`` or ``"dark"``
    selection : mapping, optional
        ``layer`` and ``head`` of the head that gets an outline, and ``stack``, without which this one is meant.
    run : ``"base"``, ``"source"`` or ``"difference"``

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError
        The thumbnails are of another stack or have no such run, or the selection lies outside of it.
    """
    colours = theme_named(theme)
    side = int(max(_SMALLEST, min(_LARGEST, _ROOM // shape.n_heads - _GAP)))
    numbers, palette, gap = _pixels(packed, shape, run, side, colours)
    chosen = selected_head(selection, shape.name, shape.n_layers, shape.n_heads)
    rows, columns = numbers.shape[2:]
    zoom = max(1, min(side, _FINE) // columns)
    across, down = columns * zoom, rows * zoom
    width = float(side // across * across)  # whole pixels stay sharp
    height = _ONE_ROW if rows == 1 else width * min(2.0, max(0.5, rows / columns))
    pitch = (width * (1 + _GAP / across), height * (1 + _GAP / down))

    left, top = MARGIN + _LABEL, MARGIN + HEADING + 4
    right, bottom = left + shape.n_heads * pitch[0], top + shape.n_layers * pitch[1]
    page = max(right + MARGIN, _LEAST_WIDTH)
    data = png(_tiled(numbers, zoom, gap), palette)
    drawn = [image(data, left, top, right - left, bottom - top)]
    drawn += _labels(shape, left, top, pitch, (width, height), colours)
    if chosen is not None:
        layer, head = chosen
        drawn += outline(left + head * pitch[0], top + (shape.n_layers - 1 - layer) * pitch[1], width, height, colours)
    difference = run == "difference"
    steps, ends = (
        (diverging_steps(colours), (f"−{_LIMIT:g}", "0", f"+{_LIMIT:g}")) if difference else (sequential_steps(colours), _ROOT)
    )
    drawn += ramp(left, bottom + 26, steps, ends, colours)
    small, taken = notes(_said(shape, run, colours), left, bottom + 66, page - MARGIN - left, colours)
    facts = {"stack": shape.name, "run": "source minus base" if difference else run}
    of = () if len(packed.arrays) == 1 else ("source minus base" if difference else f"{run} run",)
    name = "Attention of all heads" + (f", {shape.title}" if shape.title else "")
    frame = Frame(name, provenance, of, facts=facts)
    return frame.picture(page, bottom + 58 + taken + MARGIN - 6, colours, [*drawn, *small])


def _pixels(
    packed: wire.Packed, shape: StackShape, run: str, side: int, theme: Theme
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int]:
    """Return the number of each pixel's colour, dims (layer, head, row, column), the colours, and the number of the page's.

    Thumbnails with more than ``side`` pixels are shrunk by their strongest ones, so that no reader averages them away.
    """
    if run not in _RUNS:
        raise InputError(f"run={shown(run)}; it is one of {', '.join(map(repr, _RUNS))}")
    wanted = wire.RUNS if run == "difference" else (run,)
    missing = [one for one in wanted if f"{packed.key}.{one}" not in packed.arrays]
    if missing:
        raise InputError(f"run={shown(run)}: these thumbnails have no {missing[0]} run; there is only one text")
    runs = [packed.arrays[f"{packed.key}.{one}"] for one in wanted]
    sizes = (shape.n_layers, shape.n_heads)
    if packed.entry.get("stack") != shape.name or any(one.ndim != 4 or one.shape[:2] != sizes for one in runs):
        raise InputError(
            f"thumbnails of {shown(packed.entry.get('stack'))}, {' x '.join(map(str, runs[0].shape))}, are not of the stack "
            f"{shape.name!r} with {shape.n_layers} layers x {shape.n_heads} heads"
        )
    runs = [wire.max_pool(one.astype(np.float32), side) for one in runs]
    if run != "difference":
        return runs[0].astype(np.uint8), sequential((np.arange(256) / 255) ** 2, theme), 0
    base, source = ((one / 255.0) ** 2 for one in runs)
    # 255 colours from -limit to limit leave one for the page.
    share = np.clip((source - base) / (2 * _LIMIT) + 0.5, 0, 1)
    page = sequential([0.0], theme)
    return np.round(share * 254).astype(np.uint8), np.concatenate([diverging(np.linspace(-1, 1, 255), 1, theme), page]), 255


def _tiled(numbers: NDArray[np.uint8], zoom: int, gap: int) -> NDArray[np.uint8]:
    """Return all thumbnails as one picture, layer 0 at the bottom."""
    large = numbers[::-1].repeat(zoom, axis=2).repeat(zoom, axis=3)
    spaced = np.pad(large, ((0, 0), (0, 0), (0, _GAP), (0, _GAP)), constant_values=gap)
    n_layers, n_heads, rows, columns = spaced.shape
    return spaced.transpose(0, 2, 1, 3).reshape(n_layers * rows, n_heads * columns)


def _labels(
    shape: StackShape, left: float, top: float, pitch: tuple[float, float], size: tuple[float, float], theme: Theme
) -> list[Element]:
    drawn = []
    for layer in range(0, shape.n_layers, math.ceil(_LINE / pitch[1])):
        y = top + (shape.n_layers - 1 - layer) * pitch[1] + size[1] / 2
        drawn.append(text(left - 8, y + 4, f"L{layer}", text_anchor="end", fill=theme.muted, font_size=11))
    bottom = top + shape.n_layers * pitch[1] + 12
    drawn.append(text(left - 8, bottom, "head", text_anchor="end", fill=theme.muted, font_size=11))
    for head in range(shape.n_heads):
        x = left + head * pitch[0] + size[0] / 2
        drawn.append(text(x, bottom, str(head), text_anchor="middle", fill=theme.muted, font_size=11))
    return drawn


def _said(shape: StackShape, run: str, theme: Theme) -> list[str]:
    more = "Darker" if theme.name == "light" else "Brighter"
    colours = (
        "Blue: the source run attends more; orange: less."
        if run == "difference"
        else f"{more} is more attention, on a square-root scale."
    )
    one = shape.query_labels is not None and len(shape.query_labels) == 1
    rows = "A strip is what the one query attends to, from the left" if one else "Rows attend to columns, both from the top left"
    reading = f"{rows}; several tokens to a pixel show their strongest."
    return [f"{shape.label}." if shape.label else "", f"{colours} {reading}"]
