"""The marks of a picture of cells: cells, bars, and the legend of what they mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mechviz.figures.colour import Theme, diverging, hexed, ink_on, sequential
from mechviz.figures.svg import Element, Look, group, line, path, rect, text
from mechviz.figures.values import Values
from mechviz.figures.words import digits_for, plain, signed, width_of

#: Cells smaller than this get no sign, and those smaller than the other no mark at all but their colour.
GLYPH_FROM = 16.0
MARKED_FROM = 8.0

#: Width of `ramp`.
RAMP = 150

_STEP = 3
_NOTE = 11.0

#: A line of a legend: words, and what is drawn before them.
Entry = tuple[str, list[Element]]


def cell(x: float, y: float, width: float, height: float, values: Values, at: tuple[int, ...], theme: Theme) -> list[Element]:
    """Draw one cell: its colour, and marks for what its colour cannot say."""
    value = float(values.values[at])
    if not np.isfinite(value):
        return hatch(x, y, width, height, theme)
    limit = values.limit
    colour = diverging(value, limit, theme)
    estimate = bool(values.estimates[at])
    size = min(width, height)
    if size < MARKED_FROM:
        return [rect(x, y, width, height, fill=hexed(colour))]
    # An estimate may be wrong, so it never looks as full as an exact cell.
    drawn = (
        _estimate(x, y, width, height, hexed(colour), theme)
        if estimate
        else [rect(x, y, width, height, rx=min(2.0, size / 6), fill=hexed(colour))]
    )
    if abs(value) > limit:
        tick = max(4.0, size * 0.28)
        drawn.append(path(f"M{x + width - tick:g} {y:g}h{tick:g}v{tick:g}z", fill=theme.page))
    if not estimate and limit > 0 and abs(value) >= limit / 2 and size >= GLYPH_FROM:
        drawn.append(_sign(x + width / 2, y + height / 2, value > 0, ink_on(colour)))
    return drawn


def faint_cell(
    x: float, y: float, width: float, height: float, values: Values, at: tuple[int, ...], hollow: bool, theme: Theme
) -> list[Element]:
    """Draw a cell that is not told apart from nothing: smaller, and hollow where its interval holds 0."""
    value = float(values.values[at])
    if not np.isfinite(value):
        return hatch(x, y, width, height, theme)
    return _faint(x, y, width, height, hexed(diverging(value, values.limit, theme)), hollow, theme)


def _faint(x: float, y: float, width: float, height: float, fill: str, hollow: bool, theme: Theme) -> list[Element]:
    pads = [share * min(width, height) for share in (0.2, 0.36)]
    border = rect(x + 0.5, y + 0.5, width - 1, height - 1, fill="none", stroke=theme.border)
    squares = [
        rect(x + pad, y + pad, width - 2 * pad, height - 2 * pad, fill=colour)
        for pad, colour in zip(pads, (fill, theme.page), strict=True)
    ]
    return [border, *(squares if hollow else squares[:1])]


def faint_swatch(hollow: bool, theme: Theme) -> list[Element]:
    """Draw the sample of such a cell for a legend."""
    return _faint(0, 0, 13, 13, theme.plus, hollow, theme)


def _estimate(x: float, y: float, width: float, height: float, fill: str, theme: Theme) -> list[Element]:
    pad = 0.2 * min(width, height)
    border: Look = {"fill": "none", "stroke": theme.muted, "stroke_opacity": 0.7, "stroke_dasharray": "3 2"}
    return [
        rect(x + 0.5, y + 0.5, width - 1, height - 1, **border),
        rect(x + pad, y + pad, width - 2 * pad, height - 2 * pad, fill=fill),
    ]


def _sign(x: float, y: float, plus: bool, ink: str) -> Element:
    """Draw a sign as strokes: fonts do not agree on where the middle of one is."""
    return path(f"M{x - 3.5:g} {y:g}h7" + (f"M{x:g} {y - 3.5:g}v7" if plus else ""), stroke=ink, stroke_width=1.7, fill="none")


def unsure(x: float, y: float, width: float, height: float, theme: Theme) -> Element:
    """Draw the inner frame of a cell that cannot be told from 0."""
    inset = max(2.0, 0.15 * min(width, height))
    look: Look = {"fill": "none", "stroke": theme.page, "stroke_width": 1.5, "data_unsure": "1"}
    return rect(x + inset, y + inset, width - 2 * inset, height - 2 * inset, rx=1, **look)


def hatch(x: float, y: float, width: float, height: float, theme: Theme) -> list[Element]:
    """Draw a place that has no value: diagonal lines, cut by hand at its border (a pattern would need a name in the page)."""
    strokes = []
    for start in np.arange(5.0, width + height, 5.0):
        # From the left or lower side up to the upper or right one, along x + y = start.
        x0, x1 = max(0.0, start - height), min(width, start)
        strokes.append(f"M{x + x0:g} {y + start - x0:g}L{x + x1:g} {y + start - x1:g}")
    look: Look = {"fill": "none", "stroke": theme.muted, "stroke_opacity": 0.4}
    return [
        rect(x + 0.5, y + 0.5, max(0.0, width - 1), max(0.0, height - 1), **look),
        path("".join(strokes) or f"M{x:g} {y:g}", data_hatch="1", **look),
    ]


def outline(x: float, y: float, width: float, height: float, theme: Theme) -> list[Element]:
    """Draw the frame of what is selected."""
    return [
        rect(x - 0.5, y - 0.5, width + 1, height + 1, rx=2, fill="none", stroke=theme.page),
        rect(x - 2, y - 2, width + 4, height + 4, rx=3, fill="none", stroke=theme.ink, stroke_width=2, data_selected="1"),
    ]


def bar(value: float, place: Place, across: float, thickness: float, theme: Theme, upright: bool = False) -> Element:
    """Draw a bar from the zero line to a value."""
    zero, end = place(0.0), place(value)
    start, length = min(zero, end), max(0.75, abs(end - zero)) if value else 0.0
    box = (across, start, thickness, length) if upright else (start, across, length, thickness)
    return rect(*box, fill=theme.plus if value > 0 else theme.minus)


class Place:
    """Where a value lies on an axis that holds zero and all values."""

    def __init__(self, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], start: float, end: float) -> None:
        self.low = min(0.0, float(values.min(initial=0.0)))
        self.high = max(0.0, float(values.max(initial=0.0)), self.low + 1e-12)
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        """Return the place of one value."""
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)


def diverging_steps(theme: Theme) -> NDArray[np.uint8]:
    """Return the colours of the whole diverging ramp, dims (step, rgb)."""
    return diverging(np.linspace(-1, 1, RAMP // _STEP), 1.0, theme)


def sequential_steps(theme: Theme) -> NDArray[np.uint8]:
    """Return the colours of the whole sequential ramp, equal steps of the colour, dims (step, rgb)."""
    return sequential(np.linspace(0, 1, RAMP // _STEP) ** 2, theme)


def ramp(x: float, y: float, colours: NDArray[np.uint8], words: tuple[str, str, str], theme: Theme) -> list[Element]:
    """Draw a scale of colours, dims (step, rgb), with words below its beginning, middle and end."""
    steps = [rect(x + i * _STEP, y, _STEP, 9, fill=hexed(colour)) for i, colour in enumerate(colours)]
    muted: Look = {"fill": theme.muted, "font_size": _NOTE}
    return [
        group(steps, shape_rendering="crispEdges"),
        text(x, y + 21, words[0], **muted),
        text(x + RAMP / 2, y + 21, words[1], text_anchor="middle", **muted),
        text(x + RAMP, y + 21, words[2], text_anchor="end", **muted),
    ]


def value_ramp(x: float, y: float, limit: float, both: bool, theme: Theme) -> list[Element]:
    """Draw the scale of colours of values, from -limit to limit if they go both ways, else from 0."""
    digits = digits_for(limit)
    if both:
        return ramp(x, y, diverging_steps(theme), (signed(-limit, digits), "0", signed(limit, digits)), theme)
    return ramp(x, y, sequential_steps(theme), ("0", "", plain(limit, digits)), theme)


def legend(
    x: float,
    y: float,
    width: float,
    values: Values,
    theme: Theme,
    size: float,
    notes: Sequence[Entry] = (),
    scale: str = "|value|",
) -> tuple[list[Element], float]:
    """Draw what colours and marks mean, for cells of a size; ``scale`` says what the limit is a percentile of.

    Returns
    -------
    list of Element
    float
        Its height.
    """
    limit = values.limit
    drawn = ramp(x, y, diverging_steps(theme), (values.signed(-limit), "0", values.signed(limit)), theme)
    entries: list[Entry] = [(values.meaning, [])]
    entries.append((f"colours end at ±{plain(limit, values.digits)}, the 99th percentile of {scale}", []))
    known = values.known
    marked = size >= MARKED_FROM
    if marked and (np.abs(values.values[known]) > limit).any():
        entries.append(("beyond them", _swatch_over(theme)))
    if size >= GLYPH_FROM and limit > 0 and (known & ~values.estimates).any():
        entries.append(("+ − at least half of them", []))
    estimates = known & values.estimates
    if estimates.any() and marked:
        entries.append(("estimate, may be wrong", _estimate(0, 0, 13, 13, theme.plus, theme)))
    elif estimates.any():
        entries.append((f"{'all' if estimates.sum() == known.sum() else 'some'} values are estimates and may be wrong", []))
    if not known.all():
        entries.append(("not computed or not defined", hatch(0, 0, 13, 13, theme)))
    entries += notes
    beside = width >= RAMP + 16 + max(width_of(words, _NOTE) for words, _ in entries[:2])
    if beside:
        for row, (words, _) in enumerate(entries[:2]):
            drawn.append(text(x + RAMP + 16, y + 8 + 14 * row, words, fill=theme.muted, font_size=_NOTE))
        entries = entries[2:]
    listed, height = _flowed(x, y + 40, width, entries, theme)
    return drawn + listed, 30 + height


def _swatch_over(theme: Theme) -> list[Element]:
    return [rect(0, 0, 13, 13, rx=2, fill=theme.ramp[-1]), path("M8 0h5v5z", fill=theme.page)]


def _flowed(x: float, y: float, width: float, entries: list[Entry], theme: Theme) -> tuple[list[Element], float]:
    drawn: list[Element] = []
    left, base = x, y
    for words, swatch in entries:
        taken = width_of(words, _NOTE) * 1.06 + (19 if swatch else 0)
        if left > x and left + taken > x + width:
            left, base = x, base + 17
        if swatch:
            drawn.append(group(swatch, transform=f"translate({left:g} {base - 10:g})"))
        drawn.append(text(left + (19 if swatch else 0), base, words, fill=theme.muted, font_size=_NOTE))
        left += taken + 14
    return drawn, base - y + 17 if entries else 0.0


def zero_line(x1: float, y1: float, x2: float, y2: float, theme: Theme) -> Element:
    """Draw the line from which bars start."""
    return line(x1, y1, x2, y2, stroke=theme.muted, shape_rendering="crispEdges")
