"""Named curves over one axis: lines with points, bands for their intervals, names at their ends (``js/src/views/curves.tsx``)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputTypeError, shown
from mechviz.figures.changes import round_up
from mechviz.figures.colour import Theme, series, theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame, notes
from mechviz.figures.svg import Element, Look, group, line, path, text
from mechviz.figures.words import cut, plain, width_of
from mechviz.results import Curves

#: One mark each, about the point where the path stands: curves differ by more than their colour.
MARKS = (
    "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "m-2.7-2.7h5.4v5.4h-5.4z",
    "m0-4l4 4l-4 4l-4-4z",
    "m0-4l3.8 6.6h-7.6z",
)
#: Points closer than this get no mark, but for those that no line reaches.
MARK_ROOM = 7.0

_WIDTH, _HEIGHT = 700.0, 300.0
_LABEL, _LABEL_GAP = 190.0, 15.0
_SMALL = 11.0
#: How long a name on the x axis may be, and how much of the axis one needs that is turned.
_TURNED, _TURNED_ROOM = 130.0, 17.0

Scale = Callable[[float], float]
Numbers = NDArray[np.float64]


def curves_svg(curves: Curves, theme: str = "light") -> str:
    """Draw curves with their intervals, the lines to compare them with, and names at their ends.

    Parameters
    ----------
    curves : Curves
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
    if not isinstance(curves, Curves):
        raise InputTypeError(f"a picture of curves needs Curves, not {shown(curves)}; see mechviz.results.Curves")
    frame = Frame(curves.title or f"{curves.y} by {curves.x}", {}, facts={"x": curves.x, "y": curves.y})
    top = MARGIN + HEADING + 6
    names = [*curves.curves, *curves.reference]
    height = max(_HEIGHT, _LABEL_GAP * len(names))
    low, high = extent(curves)
    rows, row_step = ticks(low, high, 6)
    left = MARGIN + 10 + max((width_of(written(at, row_step), _SMALL) for at in rows), default=0.0)
    label = min(_LABEL, max(width_of(name, 12) for name in names)) + 4
    right = MARGIN + _WIDTH - label - 26
    left = _room_for_names(curves, left, right)
    y = linear((low, high), (top + height, top))
    drawn = [text(MARGIN, top - 14, cut(curves.y, _WIDTH, _SMALL), fill=colours.muted, font_size=_SMALL)]
    for at in rows:
        drawn.append(line(left, y(at), right, y(at), stroke=colours.border, shape_rendering="crispEdges"))
        look: Look = {"text_anchor": "end", "fill": colours.muted, "font_size": _SMALL}
        drawn.append(text(left - 6, y(at) + 4, written(at, row_step), **look))
    x, marks, foot = _x_axis(curves, left, right, top + height, colours)
    drawn += marks
    for name, value in curves.reference.items():
        look = {"stroke": colours.muted, "stroke_width": 1.5, "stroke_dasharray": "6 4", "data_reference": name}
        drawn.append(line(left, y(value), right, y(value), **look))
    inks = series(colours)
    lines = [
        _Line(name, curve, curves.low.get(name), curves.high.get(name), [x(place) for place in _places(curves, curve)])
        for name, curve in curves.curves.items()
    ]
    drawn += [band for one, ink in zip(lines, inks, strict=False) if (band := one.band(y, ink)) is not None]
    drawn += [one.drawn(y, MARKS[number % len(MARKS)], inks[number], right - left) for number, one in enumerate(lines)]
    ends = [one.end(y) for one in lines] + [(right, y(value)) for value in curves.reference.values()]
    drawn += _names(names, ends, inks[: len(lines)], (right, top, top + height), label, colours)
    gaps = any(np.isnan(curve.values).any() for curve in curves.curves.values())
    said = [
        "Bands are intervals." if curves.low and not curves.note else "",
        curves.note,
        "A line breaks where its value is not known." if gaps else "",
    ]
    words, more = notes(said, MARGIN, foot + 18, _WIDTH, colours)
    return frame.picture(_WIDTH + 2 * MARGIN, foot + 4 + more + MARGIN, colours, [*drawn, *words])


def linear(domain: tuple[float, float], to: tuple[float, float]) -> Scale:
    """Return the scale from one range to another; a domain of one value lies in the middle."""
    slope = 0.0 if domain[1] == domain[0] else (to[1] - to[0]) / (domain[1] - domain[0])
    return lambda value: to[0] + (value - domain[0]) * slope if slope else (to[0] + to[1]) / 2


def extent(curves: Curves) -> tuple[float, float]:
    """Return from where to where the y axis goes: all that is drawn, and a little room."""
    arrays = [array.values for of in (curves.curves, curves.low, curves.high) for array in of.values()]
    every = np.concatenate([*arrays, np.array(list(curves.reference.values()), dtype=np.float64)]).astype(np.float64)
    known = every[np.isfinite(every)]
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    room = 0.05 * (high - low) or abs(low) * 0.1 or 1.0
    return low - room, high + room


def ticks(low: float, high: float, most: int, whole: bool = False) -> tuple[list[float], float]:
    """Return round numbers of a range, at most ``most`` and one, and the step between them; ``whole`` allows no fractions."""
    step = max(round_up((high - low) / most), 1.0 if whole else 0.0)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)], step


def written(value: float, step: float) -> str:
    """Return a number in words, so that it can be told from one that is a step away."""
    if value and (step < 1e-5 or abs(value) >= 1e7):
        return re.sub(r"e([+-])0(\d)", r"e\1\2", f"{value:.2e}").replace("-", "−")
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return plain(value, digits) if digits else f"{round(value):,}".replace("-", "−")


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move places apart to at least ``gap``, each as little as can be, within a range; their order stays."""
    order = sorted(range(len(wanted)), key=lambda one: wanted[one])
    # Less its gaps, a row that is far enough apart only rises: runs that fall are drawn together to their mean.
    runs: list[list[float]] = []
    for place, one in enumerate(order):
        runs.append([wanted[one] - place * gap])
        while len(runs) > 1 and np.mean(runs[-2]) > np.mean(runs[-1]):
            runs[-2:] = [runs[-2] + runs[-1]]
    flat = [float(np.mean(run)) for run in runs for _ in run]
    moved = [0.0] * len(order)
    for place, one in enumerate(order):
        moved[one] = max(low, min(high - gap * (len(order) - 1), flat[place])) + place * gap
    return moved


def _places(curves: Curves, curve: xr.DataArray) -> list[float]:
    """Return where a curve's points are on the x axis: their numbers, or the number of each name."""
    values = curve["x"].values.tolist()
    if isinstance(curves.places[0], str):
        return [float(curves.places.index(value)) for value in values]
    return [float(value) for value in values]


@dataclass(frozen=True, eq=False)
class _Line:
    name: str
    curve: xr.DataArray
    low: xr.DataArray | None
    high: xr.DataArray | None
    x: list[float]

    def runs(self, values: Sequence[Numbers]) -> list[list[int]]:
        """Return the points from the left, a run of them wherever no value is missing."""
        runs: list[list[int]] = [[]]
        for at in sorted(range(len(self.x)), key=lambda one: self.x[one]):
            if all(math.isfinite(of[at]) for of in values):
                runs[-1].append(at)
            elif runs[-1]:
                runs.append([])
        return [run for run in runs if run]

    def band(self, y: Scale, ink: str) -> Element | None:
        if self.low is None or self.high is None:
            return None
        low, high = (np.asarray(of.values, dtype=np.float64) for of in (self.low, self.high))
        parts = []
        for run in self.runs((low, high)):
            edge = [(at, high[at]) for at in run] + [(at, low[at]) for at in reversed(run)]
            parts.append("M" + "L".join(f"{self.x[at]:.2f} {y(float(value)):.2f}" for at, value in edge) + "Z")
        look: Look = {"fill": ink, "fill_opacity": 0.18, "data_band": self.name}
        return path("".join(parts), **look) if parts else None

    def drawn(self, y: Scale, mark: str, ink: str, width: float) -> Element:
        values = np.asarray(self.curve.values, dtype=np.float64)
        runs = self.runs((values,))
        at = [[f"{self.x[one]:.2f} {y(float(values[one])):.2f}" for one in run] for run in runs]
        marked = width / len(self.x) >= MARK_ROOM
        marks = "".join(f"M{point}{mark}" for run in at if marked or len(run) == 1 for point in run)
        lines = "".join("M" + "L".join(run) for run in at if len(run) > 1)
        parts = [path(lines, fill="none", stroke=ink, stroke_width=1.8, stroke_linejoin="round")] if lines else []
        return group([*parts, *([path(marks, fill=ink)] if marks else [])], data_curve=self.name)

    def end(self, y: Scale) -> tuple[float, float] | None:
        """Return the last point that is known."""
        values = np.asarray(self.curve.values, dtype=np.float64)
        runs = self.runs((values,))
        return (self.x[runs[-1][-1]], y(float(values[runs[-1][-1]]))) if runs else None


def _x_axis(curves: Curves, left: float, right: float, bottom: float, theme: Theme) -> tuple[Scale, list[Element], float]:
    """Draw the x axis; return its scale, what is drawn and where that ends."""
    look: Look = {"fill": theme.muted, "font_size": _SMALL}
    places = curves.places
    labels = {float(at): str(name) for at, name in enumerate(places)}
    turned = False
    if isinstance(places[0], str):
        slot = (right - left) / len(places)
        x = linear((-0.5, len(places) - 0.5), (left, right))
        turned = _widest(curves) > slot - 6
        labels = {at: name for at, name in labels.items() if not turned or at % math.ceil(_TURNED_ROOM / slot) == 0}
    elif len(places) == 1:
        x = linear((0.0, 0.0), (left, right))
        labels = {float(places[0]): f"{places[0]:g}"}
    else:
        numbers = [float(place) for place in places]
        x = linear((numbers[0], numbers[-1]), (left + 10, right - 10))
        at, step = ticks(numbers[0], numbers[-1], 10, all(number.is_integer() for number in numbers))
        labels = {number: written(number, step) for number in at}
    drawn = [line(left, bottom, right, bottom, stroke=theme.muted, shape_rendering="crispEdges")]
    longest = 14.0
    for number, name in labels.items():
        drawn.append(line(x(number), bottom, x(number), bottom + 4, stroke=theme.muted, shape_rendering="crispEdges"))
        words = cut(name, _TURNED, _SMALL)
        if turned:
            longest = max(longest, 0.71 * width_of(words, _SMALL) + 8)
            turn = f"rotate(-45 {x(number):.2f} {bottom + 13:.2f})"
            drawn.append(text(x(number) + 3, bottom + 13, words, text_anchor="end", transform=turn, **look))
        else:
            drawn.append(text(x(number), bottom + 17, words, text_anchor="middle", **look))
    foot = bottom + longest + 20
    drawn.append(text((left + right) / 2, foot, cut(curves.x, right - left, _SMALL), text_anchor="middle", **look))
    return x, drawn, foot


def _widest(curves: Curves) -> float:
    return max(width_of(cut(str(name), _TURNED, _SMALL), _SMALL) for name in curves.places)


def _room_for_names(curves: Curves, left: float, right: float) -> float:
    """Return where the plot begins, so that names that are turned do not leave the page."""
    slot = (right - left) / len(curves.places)
    turned = isinstance(curves.places[0], str) and _widest(curves) > slot - 6
    return max(left, MARGIN + 0.71 * _widest(curves) + 8 - slot / 2) if turned else left


def _names(
    names: Sequence[str],
    ends: Sequence[tuple[float, float] | None],
    inks: Sequence[str],
    box: tuple[float, float, float],
    room: float,
    theme: Theme,
) -> list[Element]:
    """Draw the names of curves, then of lines, beside their ends; a thin line leads to a name that had to move."""
    right, top, bottom = box
    moved = spread([bottom if end is None else end[1] for end in ends], _LABEL_GAP, top, bottom)
    drawn: list[Element] = []
    for number, (name, end, y) in enumerate(zip(names, ends, moved, strict=True)):
        ink = inks[number] if number < len(inks) else theme.muted
        if end is not None:
            lead = f"M{end[0] + 5:.2f} {end[1]:.2f}L{right + 2:.2f} {end[1]:.2f}L{right + 16:.2f} {y:.2f}"
            dashes = None if number < len(inks) else "4 3"
            drawn.append(path(lead, fill="none", stroke=ink, stroke_opacity=0.6, stroke_dasharray=dashes))
        if number < len(inks):
            drawn.append(path(f"M{right + 20:.2f} {y:.2f}{MARKS[number % len(MARKS)]}", fill=ink))
        fill = None if number < len(inks) else theme.muted
        x = right + (28 if number < len(inks) else 19)
        drawn.append(text(x, y + 4, cut(name, room, 12), fill=fill, data_name=name))
    return drawn
