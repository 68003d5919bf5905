"""Grids of heads on one scale: rows are layers with layer 0 at the bottom, columns heads, MLPs apart; the strongest listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.figures.cells import Entry, Place, bar, cell, faint_cell, faint_swatch, legend, outline, unsure, zero_line
from mechviz.figures.colour import Theme
from mechviz.figures.frame import HEADING, MARGIN, Frame, selected_head
from mechviz.figures.strongest import GAP, LIST, Listed, height_of, strongest
from mechviz.figures.svg import Element, Look, group, rect, text
from mechviz.figures.values import Values, joined
from mechviz.figures.words import percent

#: Grids with more heads or layers name every fourth of them.
_MANY = 24

_LABELS = 38.0
_TOTALS = 112.0
_MEANS = 26.0
_NUMBERS = 20.0
_TITLE = 20.0
_MLP = 26.0
_MLP_GAP = 8.0
_BETWEEN = 28.0
#: Grids stand beside each other up to this width.
_ROOM = 1000.0
_LEAST_LEGEND = 330.0


@dataclass(frozen=True, eq=False)
class Stack:
    """The numbers of one stack.

    Attributes
    ----------
    name : str
    title : str
        Above its grid, where there are several.
    heads : Values, dims (layer, head)
    mlps : Values, dims (layer), or None
    bounds : (low, high) or None
        Of the heads' values, dims (layer, head).
    weak : bool array, dims (layer, head), or None
        Which heads are not told apart from nothing, after correction for many of them.
    confidence : float
        Of the bounds.
    """

    name: str
    title: str
    heads: Values
    mlps: Values | None = None
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    weak: NDArray[np.bool_] | None = None
    confidence: float = 0.95

    @property
    def zeros(self) -> NDArray[np.bool_]:
        """Which heads have an interval that holds 0."""
        if self.bounds is None:
            return np.zeros(self.heads.values.shape, dtype=bool)
        return (self.bounds[0] <= 0) & (self.bounds[1] >= 0) & self.heads.known

    def on(self, limit: float) -> Stack:
        """Return the same on a scale that others share."""
        mlps = None if self.mlps is None else replace(self.mlps, shared=limit)
        return replace(self, heads=replace(self.heads, shared=limit), mlps=mlps)


def grids_picture(frame: Frame, stacks: Sequence[Stack], selection: Mapping[str, Any] | None, theme: Theme) -> str:
    """Draw the grids of all stacks, one legend and one list."""
    limit = joined([stack.heads for stack in stacks]).limit
    stacks = [stack.on(limit) for stack in stacks]
    most_heads = max(stack.heads.values.shape[1] for stack in stacks)
    most_layers = max(stack.heads.values.shape[0] for stack in stacks)
    size = 12.0 if max(most_heads, most_layers) > _MANY else 22.0 if most_heads > 8 else 28.0
    grids = _placed(stacks, size, theme)
    right, bottom = max(grid.x + grid.width for grid in grids), max(grid.bottom for grid in grids)

    left = MARGIN + _LABELS
    legend_width = max(_LEAST_LEGEND, right - left)
    everything = joined([values for stack in stacks for values in (stack.heads, stack.mlps) if values is not None], limit)
    zeros = any(stack.zeros.any() for stack in stacks)
    entries: list[Entry] = []
    weak = any(stack.weak is not None and stack.weak.any() for stack in stacks)
    if weak:
        entries.append(("q over 0.05, not told apart", faint_swatch(False, theme)))
    if zeros:
        swatch = faint_swatch(True, theme) if weak else _unsure_swatch(theme)
        entries.append((f"{percent(stacks[0].confidence)} interval holds 0", swatch))
    scale = "the heads' |values|" if any(stack.mlps is not None for stack in stacks) else "|value|"
    marks, taken = legend(left, bottom + _NUMBERS + 12, legend_width, everything, theme, size, entries, scale)
    bottom += _NUMBERS + 12 + taken

    stack_of = None if selection is None else selection.get("stack") or stacks[0].name
    chosen = [
        selected_head(selection, stack.name, *stack.heads.values.shape) if stack.name == stack_of else None for stack in stacks
    ]
    rows = _rows(stacks, chosen)
    side = max(right, left + legend_width)
    if most_heads > _MANY or len(stacks) > 1:
        columns = 2 if most_heads > _MANY else min(4, int((side - left) // (LIST + GAP)))
        listed, width, y = strongest(rows, left, bottom + 10, columns, theme), side, bottom + 10
        bottom = y + height_of(rows, columns)
    else:
        listed, width = strongest(rows, side + 22, grids[0].y - 4, 1, theme), side + 22 + LIST
        bottom = max(bottom, grids[0].y + height_of(rows, 1))
    drawn = [mark for grid in grids for mark in grid.drawn()] + marks + listed
    for grid, at in zip(grids, chosen, strict=True):
        if at is not None:
            drawn += outline(*grid.corner(*at), size, size, theme)
    return frame.picture(width + MARGIN, bottom + MARGIN - 6, theme, drawn)


def _placed(stacks: Sequence[Stack], size: float, theme: Theme) -> list[_Grid]:
    """Place grids beside each other, and below where there is no room."""
    sums = np.concatenate([stack.heads.sums(1) for stack in stacks])
    titled = len(stacks) > 1
    grids: list[_Grid] = []
    x, y = MARGIN, MARGIN + HEADING + 8
    for stack in stacks:
        grid = _Grid(stack, size, x, y, sums, titled, theme)
        if grids and x + grid.width > _ROOM:
            x, y = MARGIN, max(one.bottom for one in grids) + _NUMBERS + _BETWEEN
            grid = _Grid(stack, size, x, y, sums, titled, theme)
        grids.append(grid)
        x += grid.width + _BETWEEN
    return grids


def _unsure_swatch(theme: Theme) -> list[Element]:
    return [rect(0, 0, 13, 13, rx=2, fill=theme.plus), unsure(0, 0, 13, 13, theme)]


def _rows(stacks: Sequence[Stack], chosen: Sequence[tuple[int, int] | None]) -> list[Listed]:
    """Return the heads of all stacks with a value, the largest first; those of other stacks than the first say which."""
    rows = []
    for number, stack in enumerate(stacks):
        before = f"{stack.name[:3]} " if number else ""
        for layer, head in stack.heads.strongest(stack.heads.values.size):
            bounds = None if stack.bounds is None else (float(stack.bounds[0][layer, head]), float(stack.bounds[1][layer, head]))
            rows.append(
                Listed(
                    name=f"{before}L{layer}H{head}",
                    value=float(stack.heads.values[layer, head]),
                    words=stack.heads.signed(float(stack.heads.values[layer, head])),
                    estimate=bool(stack.heads.estimates[layer, head]),
                    chosen=(layer, head) == chosen[number],
                    bounds=bounds,
                )
            )
    return sorted(rows, key=lambda row: -abs(row.value))


class _Grid:
    """The grid of one stack with its numbers, means and sums, at a place."""

    def __init__(
        self, stack: Stack, size: float, x: float, y: float, sums: NDArray[np.float64], titled: bool, theme: Theme
    ) -> None:
        self.stack, self.values, self.size, self.x, self.theme = stack, stack.heads, size, x, theme
        self.all_sums, self.title = sums, stack.title if titled else ""
        self.n_layers, self.n_heads = self.values.values.shape
        self.pitch = size + 2
        self.y = y + (_TITLE if titled else 0.0)
        self.top = self.y + _MEANS
        self.mlps = x + _LABELS + self.n_heads * self.pitch + _MLP_GAP
        self.right = x + _LABELS + self.n_heads * self.pitch + (0.0 if stack.mlps is None else _MLP_GAP + _MLP + 2)
        self.bottom = self.top + self.n_layers * self.pitch
        self.width = self.right + _TOTALS - x

    def corner(self, layer: int, head: int) -> tuple[float, float]:
        return self.x + _LABELS + head * self.pitch, self.top + (self.n_layers - 1 - layer) * self.pitch

    def drawn(self) -> list[Element]:
        title = [text(self.x + _LABELS, self.y - 8, self.title, font_weight="bold")] if self.title else []
        return [*title, *self._means(), *self._cells(), *self._mlps(), *self._numbers(), *self._sums()]

    def _cells(self) -> list[Element]:
        cells, zeros = [], self.stack.zeros
        for layer in range(self.n_layers):
            for head in range(self.n_heads):
                box = (*self.corner(layer, head), self.size, self.size)
                weak = self.stack.weak is not None and bool(self.stack.weak[layer, head])
                if weak:
                    marks = faint_cell(*box, self.values, (layer, head), bool(zeros[layer, head]), self.theme)
                else:
                    marks = cell(*box, self.values, (layer, head), self.theme)
                if zeros[layer, head] and not weak:
                    marks.append(unsure(*box, self.theme))
                cells.append(group(marks, data_cell=f"{layer}.{head}", data_stack=self.stack.name))
        return cells

    def _mlps(self) -> list[Element]:
        mlps = self.stack.mlps
        if mlps is None:
            return []
        cells = [
            group(cell(self.mlps, self.corner(layer, 0)[1], _MLP, self.size, mlps, (layer,), self.theme), data_mlp=layer)
            for layer in range(self.n_layers)
        ]
        middle = self.mlps + _MLP / 2
        return [*cells, text(middle, self.bottom + 14, "MLP", text_anchor="middle", fill=self.theme.muted, font_size=11)]

    def _numbers(self) -> list[Element]:
        muted: Look = {"fill": self.theme.muted, "font_size": 11}
        drawn = [text(self.x + _LABELS - 8, self.bottom + 14, "head", text_anchor="end", **muted)]
        for layer in _named(self.n_layers):
            middle = self.corner(layer, 0)[1] + self.size / 2
            drawn.append(text(self.x + _LABELS - 8, middle + 4, f"L{layer}", text_anchor="end", **muted))
        for head in _named(self.n_heads):
            middle = self.corner(0, head)[0] + self.size / 2
            drawn.append(text(middle, self.bottom + 14, str(head), text_anchor="middle", **muted))
        return drawn

    def _means(self) -> list[Element]:
        means = self.values.means(0)
        place = Place(means, self.y + 22, self.y)
        muted: Look = {"fill": self.theme.muted, "font_size": 11}
        drawn = [
            text(self.x + _LABELS - 8, self.y + 21, "mean", text_anchor="end", **muted),
            text(self.right + 8, self.y + 21, "layer sum", **muted),
        ]
        bars = [
            bar(mean, place, self.corner(0, head)[0] + self.size / 4, self.size / 2, self.theme, upright=True)
            for head, mean in enumerate(means)
        ]
        zero, end = place(0.0), self.corner(0, self.n_heads)[0] - 2
        return [*drawn, *bars, zero_line(self.x + _LABELS, zero, end, zero, self.theme)]

    def _sums(self) -> list[Element]:
        # The grids share one scale, so that their bars can be compared.
        place = Place(self.all_sums, self.right + 8, self.right + 52)
        thickness = min(10.0, self.size - 2)
        drawn, named = [], set(_named(self.n_layers))
        for layer, value in enumerate(self.values.sums(1)):
            middle = self.corner(layer, 0)[1] + self.size / 2
            drawn.append(bar(value, place, middle - thickness / 2, thickness, self.theme))
            if layer in named:
                look: Look = {"fill": self.theme.muted, "font_size": 11}
                words = self.values.signed(value) if self.values.known[layer].any() else ""
                drawn.append(text(self.right + 58, middle + 4, words, **look))
        zero = place(0.0)
        return [*drawn, zero_line(zero, self.top, zero, self.bottom - 2, self.theme)]


def _named(n: int) -> range:
    return range(0, n, 1 if n <= _MANY else 4)
