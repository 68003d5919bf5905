"""Grids of a study that are not of heads: one small grid of numbers for each site, rows are layers with layer 0 at the bottom."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from mechviz import wire
from mechviz.figures.cells import diverging_steps, hatch, ramp
from mechviz.figures.colour import Theme, diverging, hexed, ink_on
from mechviz.figures.frame import HEADING, MARGIN, Frame, notes
from mechviz.figures.svg import Element, group, rect, text
from mechviz.figures.values import Values
from mechviz.figures.words import cut, percent
from mechviz.results import StudySummary

_CELL = (78.0, 24.0)
_LABEL = 44.0
_TITLE, _NAMES = 22.0, 20.0
_GAP = 30.0
_ROOM = 1080.0


def small_grids_picture(frame: Frame, summary: StudySummary, weak: NDArray[np.bool_], theme: Theme) -> str:
    """Draw the grids beside each other on one scale, each cell with its number."""
    effect = summary.cells["effect"]
    numbers = effect.values.astype(np.float64)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    zero = (summary.cells["low"].values <= 0) & (summary.cells["high"].values >= 0)
    dims = list(map(str, effect.dims))
    labels = [wire.labels_of(effect, dim) for dim in dims]
    if len(dims) == 1:  # a column of layers
        numbers, weak, zero = numbers[:, None], weak[:, None], zero[:, None]
        dims, labels = [*dims, "effect"], [*labels, ["effect"]]
    values = Values(numbers, np.zeros(numbers.shape, dtype=bool), summary.metric)
    rows, columns = numbers.shape[-2:]
    width, height = _LABEL + columns * _CELL[0], _TITLE + _NAMES + rows * _CELL[1]
    x, y, right, drawn = MARGIN, MARGIN + HEADING + 4, 0.0, []
    for at in product(*map(range, numbers.shape[:-2])):
        if x > MARGIN and x + width > _ROOM:
            x, y = MARGIN, y + height + _GAP
        title = ", ".join(labels[dim][place] for dim, place in enumerate(at))
        drawn += _grid(x, y, title, at, values, weak, zero, dims, labels, theme)
        right, x = max(right, x + width), x + width + _GAP
    bottom = y + height + 14
    ends = (values.signed(-values.limit), "0", values.signed(values.limit))
    drawn += ramp(MARGIN + _LABEL, bottom, diverging_steps(theme), ends, theme)
    total = max(right, 520.0)
    said = (
        f"{values.meaning}. A strip of colour only: q over 0.05, not told apart after correction. In brackets: the "
        f"{percent(wire.confidence_of(summary))} interval holds 0. Hatched: not defined."
    )
    words, taken = notes([said], MARGIN + _LABEL, bottom + 44, total - MARGIN - _LABEL, theme)
    return frame.picture(total + MARGIN, bottom + 34 + taken + MARGIN, theme, [*drawn, *words])


def _grid(
    x: float,
    y: float,
    title: str,
    outer: tuple[int, ...],
    values: Values,
    weak: NDArray[np.bool_],
    zero: NDArray[np.bool_],
    dims: list[str],
    labels: list[list[str]],
    theme: Theme,
) -> list[Element]:
    drawn = [text(x + _LABEL, y + 12, title, font_weight="bold")] if title else []
    rows, columns = values.values.shape[-2:]
    top = y + _TITLE + _NAMES
    for column in range(columns):
        name = cut(("H" if dims[-1] == "head" else "") + labels[-1][column], _CELL[0] - 4, 11)
        middle = x + _LABEL + (column + 0.5) * _CELL[0]
        drawn.append(text(middle, top - 6, name, text_anchor="middle", fill=theme.muted, font_size=11))
    for row in range(rows):
        place = top + (rows - 1 - row) * _CELL[1]
        name = ("L" if dims[-2] == "layer" else "") + labels[-2][row]
        drawn.append(text(x + _LABEL - 8, place + 16, cut(name, _LABEL, 11), text_anchor="end", fill=theme.muted, font_size=11))
        for column in range(columns):
            at = (*outer, row, column)
            box = (x + _LABEL + column * _CELL[0] + 1, place + 1, _CELL[0] - 2, _CELL[1] - 2)
            marks = _cell(box, values, at, bool(weak[at]), bool(zero[at]), theme)
            drawn.append(group(marks, data_cell=".".join(map(str, at)), data_weak="1" if weak[at] else None))
    return drawn


def _cell(
    box: tuple[float, float, float, float], values: Values, at: tuple[int, ...], weak: bool, zero: bool, theme: Theme
) -> list[Element]:
    x, y, width, height = box
    value = float(values.values[at])
    if not np.isfinite(value):
        return hatch(x, y, width, height, theme)
    colour = diverging(value, values.limit, theme)
    words = f"({values.signed(value)})" if zero else values.signed(value)
    if weak:
        border = rect(x + 0.5, y + 0.5, width - 1, height - 1, fill="none", stroke=theme.border)
        strip = rect(x, y, 7, height, fill=hexed(colour))
        return [border, strip, text(x + width / 2 + 3, y + 15, words, text_anchor="middle")]
    fill = rect(x, y, width, height, rx=2, fill=hexed(colour))
    return [fill, text(x + width / 2, y + 15, words, text_anchor="middle", fill=ink_on(colour))]
