"""Effects by position: one heat map a site, tokens along x, layers along y with layer 0 at the bottom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mechviz.errors import InputError
from mechviz.figures.cells import MARKED_FROM, Entry, Place, bar, cell, legend, outline, zero_line
from mechviz.figures.colour import Theme, diverging, theme_named
from mechviz.figures.frame import HEADING, MARGIN, frame_of, selected
from mechviz.figures.raster import raster
from mechviz.figures.svg import Element, Look, group, text
from mechviz.figures.tokens_axis import TokenAxis
from mechviz.figures.values import Values, pooled, values_of
from mechviz.results import PatchResult

#: More cells than this become one picture inside the picture.
RASTER_FROM = 5000

_LABELS = 36.0
_TOTALS = 112.0
_ON_TOP = 30.0
_PANEL_GAP = 20.0
_ROOM = 1080.0
_LEAST_WIDTH = 360.0
_SITES = {
    "resid_pre": "residual stream",
    "resid_mid": "residual stream after attention",
    "attn_out": "attention's output",
    "mlp_out": "MLP's output",
    "z": "z of the heads",
    "pattern": "pattern of the heads",
}


def positions_svg(result: PatchResult, theme: str = "light", selection: Mapping[str, Any] | None = None) -> str:
    """Draw the effects of patching single positions.

    Parameters
    ----------
    result : PatchResult, dims (layer, pos), with site before them and head between them or without
        Of the heads of a layer, the one with the largest effect is shown.
    theme : ``"light"`` or ``"dark"``
    selection : mapping, optional
        ``layer`` and ``pos`` of what gets an outline.

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError
        The result has no positions, or the selection lies outside of it.
    """
    colours = theme_named(theme)
    values, sites = _by_site(result)
    n_sites, n_layers, n_pos = values.values.shape
    chosen = selected(selection, layer=n_layers, pos=n_pos)
    width = float(max(3, min(18, _ROOM // n_pos)))
    height = 18.0 if n_layers <= 12 else 14.0 if n_layers <= 32 else 9.0
    as_image = values.values.size > RASTER_FROM
    axis = TokenAxis(result, values, MARGIN + _LABELS, width, colours, chosen["pos"])

    grid_width = width * n_pos
    page = 2 * MARGIN + max(_LABELS + grid_width + _TOTALS, _LEAST_WIDTH)
    y = MARGIN + HEADING + 6
    drawn = axis.segments(y)
    y += 24 if drawn else 0
    for site in range(n_sites):
        panel = _Panel(values, site, sites[site], MARGIN, y, width, height, colours)
        drawn += panel.drawn(as_image)
        if chosen["layer"] is not None and chosen["pos"] is not None:
            drawn += outline(*panel.corner(chosen["layer"], chosen["pos"]), width, height, colours)
        y = panel.bottom + _PANEL_GAP
    labels, below = axis.labels(y - _PANEL_GAP)
    drawn += labels
    y += below - _PANEL_GAP + 16
    notes: list[Entry] = [("of each layer the head with the largest effect", [])] if "head" in result.effects.dims else []
    size = 0.0 if as_image else min(width, height)
    marks, taken = legend(MARGIN + _LABELS, y, page - 2 * MARGIN - _LABELS, values, colours, size, notes)
    return frame_of(result, "Patch effects by position").picture(page, y + taken + MARGIN - 8, colours, [*drawn, *marks])


def _by_site(result: PatchResult) -> tuple[Values, list[str]]:
    """Return values with dims (site, layer, pos), and what each site is called."""
    dims = list(result.effects.dims)
    if [dim for dim in dims if dim not in ("site", "head")] != ["layer", "pos"] or dims.index("layer") != dims.count("site"):
        raise InputError(
            f"a picture by position needs dims ('site', 'layer', 'pos'), this result has {tuple(dims)}; see heads_svg"
        )
    values = values_of(result)
    if "head" in dims:
        values = pooled(values, dims.index("head"))
    if "site" not in dims:
        return values.reshaped((1, *values.values.shape)), [""]
    names = [str(name) for name in result.effects["site"].values]
    return values, [f"{_SITES[name]} ({name})" if name in _SITES else name for name in names]


class _Panel:
    """The heat map of one site, with the sums over layers above it and those over tokens at its right."""

    def __init__(
        self, values: Values, site: int, name: str, x: float, y: float, width: float, height: float, theme: Theme
    ) -> None:
        self.values, self.site, self.name, self.theme = values, site, name, theme
        self.width, self.height = width, height
        self.n_layers, self.n_pos = values.values.shape[1:]
        self.left, self.y = x + _LABELS, y
        self.top = y + 18 + _ON_TOP
        self.right = self.left + width * self.n_pos
        self.bottom = self.top + height * self.n_layers

    def corner(self, layer: int, pos: int) -> tuple[float, float]:
        return self.left + pos * self.width, self.top + (self.n_layers - 1 - layer) * self.height

    def drawn(self, as_image: bool) -> list[Element]:
        cells = self._image() if as_image else [self._cells()]
        return [text(self.left, self.y + 10, self.name, font_weight="bold"), *cells, *self._over_layers(), *self._over_tokens()]

    def _cells(self) -> Element:
        gap = 1.0 if min(self.width, self.height) >= MARKED_FROM else 0.0
        drawn = []
        for layer in range(self.n_layers):
            for pos in range(self.n_pos):
                x, y = self.corner(layer, pos)
                marks = cell(x, y, self.width - gap, self.height - gap, self.values, (self.site, layer, pos), self.theme)
                drawn.append(group(marks, data_cell=f"{self.site}.{layer}.{pos}"))
        return group(drawn, shape_rendering=None if gap else "crispEdges")

    def _image(self) -> list[Element]:
        rows = self.values.values[self.site, ::-1]
        colours = diverging(rows, self.values.limit, self.theme)
        return raster(colours, np.isfinite(rows), self.left, self.top, self.width, self.height, self.theme)

    def _over_layers(self) -> list[Element]:
        sums = self.values.sums(1)
        # The panels share one scale, so that their bars can be compared.
        place = Place(sums, self.top - 4, self.top - 4 - _ON_TOP + 4)
        thick = max(1.0, self.width - (2 if self.width >= MARKED_FROM else 0.5))
        bars = [
            bar(float(value), place, self.corner(0, pos)[0], thick, self.theme, upright=True)
            for pos, value in enumerate(sums[self.site])
        ]
        zero = place(0.0)
        return [*bars, zero_line(self.left, zero, self.right, zero, self.theme)]

    def _over_tokens(self) -> list[Element]:
        sums = self.values.sums(2)
        place = Place(sums, self.right + 10, self.right + 54)
        step = max(1, int(np.ceil(13 / self.height)))
        muted: Look = {"fill": self.theme.muted, "font_size": 11}
        drawn = [text(self.right + 10, self.top - 6, "layer sum", **muted)] if self.site == 0 else []
        known = self.values.known[self.site].any(1)
        for layer, value in enumerate(sums[self.site]):
            middle = self.corner(layer, 0)[1] + self.height / 2
            drawn.append(bar(float(value), place, middle - (self.height - 6) / 2, self.height - 6, self.theme))
            if layer % step == 0:
                drawn.append(text(self.left - 8, middle + 4, f"L{layer}", text_anchor="end", **muted))
                drawn.append(text(self.right + 60, middle + 4, self.values.signed(float(value)) if known[layer] else "", **muted))
        zero = place(0.0)
        return [*drawn, zero_line(zero, self.top, zero, self.bottom, self.theme)]
