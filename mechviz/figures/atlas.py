"""Points in the plane with what lies where, of the last layer (``js/src/views/atlas.tsx``)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechviz import wire
from mechviz.errors import InputTypeError, shown
from mechviz.figures.colour import Theme, hexed, theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame
from mechviz.figures.raster import image, png
from mechviz.figures.svg import Element, Look, circle, line, path, rect, text
from mechviz.figures.words import digits_for, percent, plain, width_of
from mechviz.results import Atlas

_SIDE = 640.0
_STEPS = 12
#: More points are drawn as pixels.
_VECTOR = 3000
_PIXELS = 1280
#: px between labels, and the share of the fullest cell below which one has none.
_APART, _LEAST = 38.0, 0.08
_RAMPS = {"light": ((168, 202, 230), (8, 62, 112), (190, 196, 202)), "dark": ((72, 104, 134), (160, 214, 255), (92, 98, 106))}


def atlas_svg(atlas: Atlas, theme: str = "light") -> str:
    """Draw the last layer of an atlas: points coloured by score or grade, and the terms of its fullest cells.

    Parameters
    ----------
    atlas : Atlas
    theme : ``"light"`` or ``"dark"``

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError, InputTypeError
    """
    colours = theme_named(theme)
    if not isinstance(atlas, Atlas):
        raise InputTypeError(f"a picture of an atlas needs an Atlas, not {shown(atlas)}; see mechviz.results.Atlas")
    at = atlas.layout.values[-1].astype(np.float64)
    low, high = at.min(axis=0), at.max(axis=0)
    half = max(float((high - low).max()) / 2, 1e-12)
    top = MARGIN + HEADING + 4
    centre = (MARGIN + _SIDE / 2, top + _SIDE / 2)
    scale = 0.47 * _SIDE / half
    middle = (low + high) / 2
    placed = np.stack([centre[0] + (at[:, 0] - middle[0]) * scale, centre[1] - (at[:, 1] - middle[1]) * scale], axis=1)
    name, values, steps = _coloured(atlas)
    bounds = (-0.5, steps - 0.5) if name == "grade" else _bounds(values)
    buckets = _buckets(values, steps, bounds)
    inks = _inks(steps, colours)
    drawn = [rect(MARGIN, top, _SIDE, _SIDE, rx=5, fill="none", stroke=colours.border)]
    corner = [centre[0] + (low[0] - middle[0]) * scale, centre[1] - (low[1] - middle[1]) * scale]
    far = [centre[0] + (high[0] - middle[0]) * scale, centre[1] - (high[1] - middle[1]) * scale]
    for number in range(atlas.size + 1):
        x, y = (a + (b - a) * number / atlas.size for a, b in zip(corner, far, strict=True))
        drawn += [line(x, far[1], x, corner[1], stroke=colours.faint), line(corner[0], y, far[0], y, stroke=colours.faint)]
    drawn += _dots(placed, buckets, inks) if len(placed) <= _VECTOR else [_pixels(placed, buckets, inks, top, colours)]
    drawn += _terms(atlas, corner, far, colours)
    bottom = top + _SIDE + 20
    drawn += _legend(name, steps, bounds, inks, bottom, colours)
    share = float(atlas.explained.values[-1])
    held = f", {percent(share)} of the variance" if np.isfinite(share) else ""
    said = f"{len(placed):,} {atlas.level}s, {atlas.method}{held}"
    drawn.append(text(MARGIN + _SIDE, bottom + 9, said, text_anchor="end", fill=colours.muted, font_size=11))
    layer = int(wire.layers_of(atlas.layout)[-1])
    facts = {"layer": str(layer), "method": atlas.method, "points": str(len(placed))}
    frame = Frame(f"{atlas.level.capitalize()}s as layer {layer} places them", atlas.provenance, facts=facts)
    return frame.picture(_SIDE + 2 * MARGIN, bottom + 20 + MARGIN, colours, drawn)


def _coloured(atlas: Atlas) -> tuple[str, NDArray[np.float64], int]:
    """Return what gives points their colours, its values, and how many steps there are."""
    score, grade = (atlas.points[name].to_numpy(dtype=float) for name in ("score", "grade"))
    if np.isfinite(score).any():
        return "score", score, _STEPS
    if np.isfinite(grade).any():
        return "grade", grade, int(np.nanmax(grade)) + 1
    return "", np.zeros(len(score)), 1


def _bounds(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.nanpercentile(values, (2, 98))
    return float(low), float(high)


def _buckets(values: NDArray[np.float64], steps: int, bounds: tuple[float, float]) -> NDArray[np.int64]:
    """Return which colour each point has; ``steps`` is that of a point without a value."""
    low, high = bounds
    share = (values - low) / (high - low) if high > low else np.where(np.isnan(values), np.nan, 0.5)
    found: NDArray[np.int64] = np.clip(np.floor(np.nan_to_num(share) * steps), 0, steps - 1).astype(np.int64)
    found[np.isnan(share)] = steps
    return found


def _inks(steps: int, theme: Theme) -> NDArray[np.uint8]:
    start, end, none = (np.array(colour, dtype=float) for colour in _RAMPS[theme.name])
    shares = np.linspace(0, 1, steps) if steps > 1 else np.array([0.65])
    return np.concatenate([np.round(start + (end - start) * shares[:, None]), none[None]]).astype(np.uint8)


def _dots(placed: NDArray[np.float64], buckets: NDArray[np.int64], inks: NDArray[np.uint8]) -> list[Element]:
    """Draw points, all of one colour as one path."""
    radius = 4.0 if len(placed) <= 800 else 2.6
    disc = f"a{radius:g} {radius:g} 0 1 0 {2 * radius:g} 0a{radius:g} {radius:g} 0 1 0-{2 * radius:g} 0z"
    return [
        path(
            "".join(f"M{x - radius:.1f} {y:.1f}{disc}" for x, y in placed[buckets == bucket]),
            fill=hexed(inks[bucket]),
            fill_opacity=0.85,
            data_points=int((buckets == bucket).sum()),
        )
        for bucket in np.unique(buckets)
    ]


def _pixels(
    placed: NDArray[np.float64], buckets: NDArray[np.int64], inks: NDArray[np.uint8], top: float, theme: Theme
) -> Element:
    """Draw points as pixels: each the mean colour of its points, the fuller the stronger."""
    at = np.floor((placed - (MARGIN, top)) / _SIDE * _PIXELS).astype(np.int64)
    cells: NDArray[np.int64] = np.concatenate(
        [(at[:, 1] + dy) * _PIXELS + at[:, 0] + dx for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1))]
    )
    inside = (cells >= 0) & (cells < _PIXELS**2)
    cells, colours = cells[inside], np.tile(inks[buckets].astype(float), (4, 1))[inside]
    n = np.bincount(cells, minlength=_PIXELS**2)
    sums = np.stack([np.bincount(cells, colours[:, channel], minlength=_PIXELS**2) for channel in range(3)], axis=1)
    pixels = np.zeros((_PIXELS**2, 4), dtype=np.uint8)
    pixels[:, :3] = np.round(sums / np.maximum(n, 1)[:, None])
    pixels[:, 3] = np.round(255 * (1 - 0.45**n))
    return image(png(pixels.reshape(_PIXELS, _PIXELS, 4)), MARGIN, top, _SIDE, _SIDE)


def _terms(atlas: Atlas, corner: list[float], far: list[float], theme: Theme) -> list[Element]:
    """Write the terms of the fullest cells where they touch no other."""
    cells = atlas.cells[atlas.cells["layer"] == wire.layers_of(atlas.layout)[-1]]
    if not len(cells):
        return []
    cells = cells[cells["n"] >= _LEAST * cells["n"].max()].sort_values("n", ascending=False, kind="stable")
    kept: list[tuple[float, float, float]] = []
    drawn: list[Element] = []
    look: Look = {"font_weight": "bold", "text_anchor": "middle"}
    for row in cells.to_dict("records"):
        words = " ".join(str(row["terms"]).split(" ")[:2])
        half = width_of(words, 12, bold=True) / 2 + 8
        x = corner[0] + (row["column"] + 0.5) / atlas.size * (far[0] - corner[0])
        y = corner[1] + (row["row"] + 0.5) / atlas.size * (far[1] - corner[1])
        x = min(max(x, MARGIN + half), MARGIN + _SIDE - half)
        if not words or any(abs(y - b) < _APART and abs(x - a) < half + other for a, b, other in kept):
            continue
        kept.append((x, y, half))
        drawn += [
            text(x, y + 4, words, stroke=theme.page, stroke_width=3.5, stroke_opacity=0.8, stroke_linejoin="round", **look),
            text(x, y + 4, words, data_terms="1", **look),
        ]
    return drawn


def _legend(name: str, steps: int, bounds: tuple[float, float], inks: NDArray[np.uint8], y: float, theme: Theme) -> list[Element]:
    muted: Look = {"fill": theme.muted, "font_size": 11}
    if name == "score":
        digits = digits_for(bounds[1] - bounds[0])
        low, high = (plain(bound, digits) for bound in bounds)
        x = MARGIN + 44 + width_of(low, 11)
        ramp = [rect(x + 10 * step, y, 10, 10, fill=hexed(inks[step])) for step in range(steps)]
        ends = [text(x - 6, y + 9, low, text_anchor="end", **muted), text(x + 10 * steps + 6, y + 9, high, **muted)]
        return [text(MARGIN, y + 9, name, font_size=11), *ramp, *ends]
    if name == "grade":
        drawn = [text(MARGIN, y + 9, name, font_size=11)]
        for step in range(steps):
            x = MARGIN + 46 + 32 * step
            drawn += [circle(x, y + 5, 4.5, fill=hexed(inks[step])), text(x + 9, y + 9, str(step), **muted)]
        return drawn
    return []
