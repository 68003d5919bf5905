"""A list of the strongest heads: numbers that can be compared, with a bar each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mechviz.figures.cells import Place, bar, zero_line
from mechviz.figures.colour import Theme
from mechviz.figures.svg import Element, line, rect, text
from mechviz.figures.words import width_of

#: Width of a column of the list, and what lies between two.
LIST = 200.0
GAP = 24.0

_LISTED = 8
_ROW = 24.0
_HEAD = 22.0


@dataclass(frozen=True)
class Listed:
    """A head of the list.

    Attributes
    ----------
    name, words : str
        What it is called, and its value as a text.
    value : float
    estimate : bool
    chosen : bool
    bounds : (low, high) or None
        Of the value.
    """

    name: str
    words: str
    value: float
    estimate: bool
    chosen: bool
    bounds: tuple[float, float] | None


def height_of(rows: Sequence[Listed], columns: int) -> float:
    """Return the height of `strongest`."""
    return _HEAD + _ROW * math.ceil(min(_LISTED, len(rows)) / columns)


def strongest(rows: Sequence[Listed], x: float, y: float, columns: int, theme: Theme) -> list[Element]:
    """List the first rows."""
    rows = rows[:_LISTED]
    if not rows:
        return []
    drawn = [text(x, y + 12, "Strongest heads", font_weight="bold")]
    named = max(52.0, max(width_of(row.name, 12) for row in rows) + 12)
    known = [end for row in rows for end in (row.value, *(row.bounds or ())) if math.isfinite(end)]
    each = math.ceil(len(rows) / columns)
    for rank, row in enumerate(rows):
        column, number = divmod(rank, each)
        left, top = x + column * (LIST + GAP), y + _HEAD + number * _ROW
        place = Place(np.array(known), left + named, left + 132)
        if row.chosen:
            drawn.append(rect(left - 6, top + 1, LIST, _ROW - 2, rx=4, fill="none", stroke=theme.ink))
        mark = bar(row.value, place, top + 7, 10, theme)
        if row.estimate:
            mark.attributes["opacity"] = 0.55
        drawn += [text(left, top + 16, row.name), mark, zero_line(place(0.0), top + 5, place(0.0), top + 19, theme)]
        if row.bounds is not None and all(map(math.isfinite, row.bounds)):
            ends = (place(row.bounds[0]), top + 12, place(row.bounds[1]), top + 12)
            drawn.append(line(*ends, stroke=theme.ink, stroke_width=1.5, data_interval=row.name))
        drawn.append(text(left + LIST - 12, top + 16, row.words, text_anchor="end"))
    return drawn
