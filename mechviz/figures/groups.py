"""The effect of one cell in each group of pairs, with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from mechviz import wire
from mechviz.figures.cells import Place, zero_line
from mechviz.figures.colour import Theme
from mechviz.figures.frame import HEADING, MARGIN, Frame, notes, selected_head
from mechviz.figures.svg import Element, circle, group, line, text
from mechviz.figures.words import cut, digits_for, percent, signed
from mechviz.results import StudySummary

_WIDTH = 560.0
_LABEL, _NUMBERS = 120.0, 150.0
_ROW = 24.0
_TITLES = {"grade": "relevance grade", "rank": "rank in the run"}


def groups_picture(frame: Frame, summary: StudySummary, selection: Mapping[str, Any] | None, theme: Theme) -> str:
    """Draw the groups of the selected head, else of the strongest cell."""
    at = chosen_cell(summary, selection)
    name = cell_name(summary, at)
    cell = int(np.ravel_multi_index(at, summary.cells["effect"].shape))
    y, drawn = MARGIN + HEADING + 8, []
    for column, of in summary.groups.items():
        drawn.append(text(MARGIN, y + 12, cut(f"{name}, by {_TITLES.get(column, column)}", _WIDTH, 12), font_weight="bold"))
        drawn += _intervals(of, cell, y + 24, theme)
        y += 24 + _ROW * of.sizes[of["effect"].dims[0]] + 26
    said = f"{percent(wire.confidence_of(summary))} intervals by bootstrap over queries; n: pairs."
    words, height = notes([said], MARGIN, y + 4, _WIDTH, theme)
    return frame.picture(_WIDTH + 2 * MARGIN, y + height + MARGIN - 6, theme, [*drawn, *words])


def chosen_cell(summary: StudySummary, selection: Mapping[str, Any] | None) -> tuple[int, ...]:
    """Return the index of the selected head, else of the cell with the largest effect."""
    effects = summary.cells["effect"].values
    if wire.is_heads(summary):
        chosen = selected_head(selection, summary.stack, *effects.shape)
        if chosen is not None:
            return chosen
    sizes = np.where(np.isfinite(effects), np.abs(effects), -1.0)
    return tuple(map(int, np.unravel_index(int(sizes.argmax()), effects.shape)))


def cell_name(summary: StudySummary, at: tuple[int, ...]) -> str:
    """Return what a cell is called: ``L3H7``, or its place in each dim."""
    if wire.is_heads(summary):
        return f"L{at[0]}H{at[1]}"
    effect = summary.cells["effect"]
    words = []
    for dim, place in zip(map(str, effect.dims), at, strict=True):
        label = wire.labels_of(effect, dim)[place]
        words.append(f"{dim} {label}" if dim in ("layer", "head", "pos") else label)
    return ", ".join(words)


def _intervals(of: xr.Dataset, cell: int, y: float, theme: Theme) -> list[Element]:
    effect, low, high = (
        of[name].values.reshape(len(of["n"]), -1)[:, cell].astype(np.float64) for name in ("effect", "low", "high")
    )
    known = np.concatenate([effect, low, high])
    known = known[np.isfinite(known)]
    place = Place(known, MARGIN + _LABEL + 8, MARGIN + _WIDTH - _NUMBERS - 8)
    digits = digits_for(float(np.abs(known).max(initial=0.0)))
    zero, bottom = place(0.0), y + _ROW * len(effect)
    drawn = [zero_line(zero, y, zero, bottom, theme), text(zero, bottom + 13, "0", text_anchor="middle", fill=theme.muted)]
    labels = wire.labels_of(of["effect"], str(of["effect"].dims[0]))
    for row, label in enumerate(labels):
        value, middle = float(effect[row]), y + _ROW * (row + 0.5)
        marks = [
            text(MARGIN + _LABEL, middle + 4, cut(label, _LABEL, 12), text_anchor="end"),
            text(MARGIN + _WIDTH - _NUMBERS, middle + 4, signed(value, digits)),
            text(MARGIN + _WIDTH, middle + 4, f"n = {int(of['n'].values[row]):,}", text_anchor="end", fill=theme.muted),
        ]
        if math.isfinite(low[row]) and math.isfinite(high[row]):
            ends = (place(float(low[row])), middle, place(float(high[row])), middle)
            marks.append(line(*ends, stroke=theme.ink, stroke_width=1.5, data_interval=label))
        if math.isfinite(value):
            fill = theme.plus if value > 0 else theme.minus if value < 0 else theme.muted
            marks.append(circle(place(value), middle, 4.5, fill=fill, stroke=theme.ink))
        drawn.append(group(marks, data_group=label))
    return drawn
