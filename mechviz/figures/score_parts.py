"""What a score is made of: products by dimension, term weights, two logits, or a max-sim matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mechviz import wire
from mechviz.errors import InputError, shown
from mechviz.figures.cells import Place, bar, zero_line
from mechviz.figures.colour import Theme, theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame, notes, text_names
from mechviz.figures.labels import placed
from mechviz.figures.max_sim import max_sim
from mechviz.figures.svg import Element, Look, rect, text
from mechviz.figures.words import cut, digits_for, plain, signed, visible, width_of

_SHOWN = 24
_ROW = 22.0
_MOST_NAME = 140.0
_BARS = 260.0
_NUMBER = 88.0
_NAMES = {"dimensions": "dimension", "terms": "term", "labels": "label"}
_SAID = {
    "dimensions": "The score is the sum over all dimensions of the query's vector times the document's.",
    "terms": "The score is the sum over all terms of their weight in the query times their weight in the document.",
    "labels": "The ranker weighs two label tokens against each other: their logits after the prompt.",
}


def score_svg(packed: wire.Packed, direction: str, provenance: Mapping[str, str], theme: str = "light") -> str:
    """Draw what a score is made of.

    Parameters
    ----------
    packed : Packed
        From `mechviz.wire.pack_parts`, of one text or of both.
    direction : ``"perturbed->original"`` or ``"original->perturbed"``
        Which text the first one is, as of a pair.
    provenance : mapping of str to str
        As of a result.
    theme : ``"light"`` or ``"dark"``

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError
        The parts are of an unknown kind.
    """
    colours = theme_named(theme)
    kind = packed.entry.get("kind")
    names = text_names(direction)
    top = MARGIN + HEADING + 8
    if kind == "max_sim":
        drawn, width, bottom = max_sim(packed, names, MARGIN, top, colours)
    elif kind in _NAMES:
        drawn, width, bottom = _bars(packed.entry, names, MARGIN, top, colours)
    else:
        raise InputError(f"parts of kind {shown(kind)}; a picture knows {', '.join(map(repr, (*_NAMES, 'max_sim')))}")
    frame = Frame("What the score is made of", provenance, facts={"parts": str(kind), "direction": direction})
    return frame.picture(width + 2 * MARGIN, bottom + MARGIN, colours, drawn)


def _bars(
    entry: Mapping[str, Any], names: tuple[str, str], x: float, y: float, theme: Theme
) -> tuple[list[Element], float, float]:
    """Draw a bar a text for each part; return the elements, their width, and where they end."""
    kind, rows = str(entry["kind"]), list(entry["rows"])
    n_texts = max((len(row) - 1 for row in rows), default=1)
    two = n_texts > 1
    values = np.array([value for _, *of in rows for value in of], dtype=np.float64)
    changes = values.reshape(-1, n_texts)[:, 1:] - values.reshape(-1, n_texts)[:, :-1]
    # Two digits that count, of the values and of what the perturbation did to them.
    digits = max(digits_for(float(np.abs(numbers).max(initial=0.0))) for numbers in (values, changes if two else values))
    named = [cut(visible(" ".join(str(row[0]).split())), _MOST_NAME, 12) for row in rows[:_SHOWN]]
    start = x + max([60.0, *(width_of(name, 12) + 14 for name in named)])
    place = Place(values, start, start + _BARS)
    columns = [*names, "change"] if two else ["value"]
    width = start + _BARS + len(columns) * _NUMBER - x

    more = "" if kind == "labels" else f" Shown are {'those that differ most between the texts' if two else 'the largest'}."
    drawn, taken = notes([_SAID[kind] + more], x, y + 8, width, theme)
    y += taken + 26
    muted: Look = {"fill": theme.muted, "font_size": 11}
    drawn.append(text(x, y, _NAMES[kind], **muted))
    for column, name in enumerate(columns):
        right = start + _BARS + (column + 1) * _NUMBER
        drawn.append(text(right, y, name, text_anchor="end", **muted))
        if name in names:
            drawn.append(rect(right - width_of(name, 11) - 18, y - 8, 12, 7, fill=_colour(name, two, theme)))
    y += 10
    for number, (row, name) in enumerate(zip(rows, named, strict=False)):
        drawn += _row(row[1:], name, y + number * _ROW, (x, start), place, digits, (columns, names), theme)
    zero, bottom = place(0.0), y + len(named) * _ROW
    drawn.append(zero_line(zero, y, zero, bottom, theme))
    said, taken = notes(_sums(entry, len(named), digits, names), x, bottom + 20, width, theme)
    return [*drawn, *said], width, bottom + 14 + taken


def _colour(name: str, two: bool, theme: Theme) -> str:
    return theme.change if two and name == "perturbed" else theme.muted


def _row(
    values: Sequence[float],
    name: str,
    y: float,
    left: tuple[float, float],
    place: Place,
    digits: int,
    columns: tuple[Sequence[str], tuple[str, str]],
    theme: Theme,
) -> list[Element]:
    two = len(values) > 1
    thickness = 7.0 if two else 11.0
    drawn = [placed(left[0], y + _ROW / 2 + 4, name, "start", 12, {})]
    for number, value in enumerate(values):
        top = y + (_ROW - len(values) * thickness) / 2 + number * thickness
        mark = bar(value, place, top, thickness - 0.5, theme)
        mark.attributes |= {"fill": _colour(columns[1][number], two, theme), "data_part": name}
        drawn.append(mark)
    numbers = [*values, values[1] - values[0]] if two else list(values)
    for column, value in enumerate(numbers):
        right = left[1] + _BARS + (column + 1) * _NUMBER
        weight = "bold" if columns[0][column] == "change" else None
        drawn.append(text(right, y + _ROW / 2 + 4, signed(value, digits), text_anchor="end", font_weight=weight))
    return drawn


def _sums(entry: Mapping[str, Any], shown_rows: int, digits: int, names: tuple[str, str]) -> list[str]:
    """Say what is not drawn, and what all of it sums to."""
    rows, totals = list(entry["rows"]), entry.get("totals")
    said = []
    if totals is not None:
        drawn = np.array([row[1:] for row in rows[:shown_rows]], dtype=np.float64).reshape(-1, len(totals)).sum(0)
        left = int(entry.get("of", len(rows))) - shown_rows
        if left > 0:
            rest = " and ".join(signed(total - part, digits) for total, part in zip(totals, drawn.tolist(), strict=True))
            said.append(f"{left:,} others add {rest}.")
        said.append(f"Sum: {' → '.join(plain(total, 4) for total in totals)}.")
    if entry["kind"] == "labels" and len(rows) == 2 and len(rows[0]) > 2:
        (yes, *first), (no, *second) = rows
        shares = [1 / (1 + math.exp(min(700.0, b - a))) for a, b in zip(first, second, strict=True)]
        said.append(
            f"“{yes}” against “{no}”: " + " → ".join(f"{plain(s, 4)} {name}" for s, name in zip(shares, names, strict=True))
        )
    return said
