"""Passages in groups, each piece with its number behind it (``js/src/views/passages.tsx``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from mechviz.errors import InputTypeError, shown
from mechviz.figures.cells import value_ramp
from mechviz.figures.colour import Theme, diverging, hexed, ink_on, sequential, theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame, notes
from mechviz.figures.labels import placed
from mechviz.figures.svg import Element, Look, line, rect, text
from mechviz.figures.values import colour_limit
from mechviz.figures.words import cut, digits_for, letters, plain, signed, width_of
from mechviz.results import Passage, Passages

#: A passage of more pieces is cut, and so many pieces stay on each side of what is meant.
LONG, _AROUND = 90, 16
#: Passages of a group that are drawn.
_SHOWN = 12
_WIDTH = 940.0
_LABEL = 150.0
_FONT = 14.0
_LINE = 24.0

Words = Callable[[float], str]


def passages_svg(passages: Passages, theme: str = "light") -> str:
    """Draw the first passages of each group with their numbers as colours.

    Parameters
    ----------
    passages : Passages
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
    if not isinstance(passages, Passages):
        raise InputTypeError(f"a picture of passages needs Passages, not {shown(passages)}; see mechviz.results.Passages")
    limit = limit_of(passages)
    digits = digits_for(limit)
    words: Words = (lambda value: signed(value, digits)) if passages.signed else (lambda value: plain(value, digits))
    y = MARGIN + HEADING + 4
    drawn = [text(MARGIN, y + 9, cut(passages.unit, _WIDTH, 12))]
    drawn += value_ramp(MARGIN + width_of(cut(passages.unit, _WIDTH - 260, 12), 12) + 16, y, limit, passages.signed, colours)
    y += 40
    first, taken = notes([passages.warning], MARGIN, y, _WIDTH - 2 * MARGIN, colours)
    drawn += first
    y += taken + (8 if taken else 0)
    for group in passages.groups:
        if group.title and group.title != passages.title:
            titled = cut(group.title, _WIDTH - 2 * MARGIN, 14, bold=True)
            drawn.append(text(MARGIN, y + 6, titled, font_size=14, font_weight="bold"))
            y += 16
        said, taken = notes([group.note], MARGIN, y + 7, _WIDTH - 2 * MARGIN, colours)
        drawn += said
        y += taken
        for one in group.passages[:_SHOWN]:
            y = _row(drawn, one, y, limit, passages.signed, words, colours)
        if len(group.passages) > _SHOWN:
            left = f"{len(group.passages) - _SHOWN} more"
            drawn.append(text(MARGIN, y + 15, left, fill=colours.muted, font_size=11))
            y += 20
        y += 22
    said, taken = notes([passages.note], MARGIN, y, _WIDTH - 2 * MARGIN, colours)
    frame = Frame(passages.title or passages.unit, passages.provenance, facts={"numbers": passages.unit})
    return frame.picture(_WIDTH, y + taken + MARGIN - 8, colours, [*drawn, *said])


def limit_of(passages: Passages) -> float:
    """Return where the colours of all groups end."""
    return colour_limit(np.concatenate([np.zeros(0), *(one.values for group in passages.groups for one in group.passages)]))


def parts_of(one: Passage) -> list[tuple[int, int]]:
    """Return which pieces [from, to) are shown: all of a short passage; else what is around marks, or the largest values."""
    n = len(one.pieces)
    if n <= LONG:
        return [(0, n)]
    centres = np.flatnonzero(one.marks).tolist()
    if not centres:
        sizes = np.nan_to_num(np.abs(one.values))
        order = np.argsort(-sizes, kind="stable")[:3]
        centres = sorted(int(at) for at in order if sizes[at] > 0)
    if not centres:
        return [(0, 2 * _AROUND)]
    parts: list[tuple[int, int]] = []
    for at in centres:
        start, end = max(0, at - _AROUND), min(n, at + _AROUND + 1)
        if parts and start <= parts[-1][1] + 4:  # a gap that hides a few pieces saves nothing
            parts[-1] = (parts[-1][0], max(parts[-1][1], end))
        else:
            parts.append((0 if start < 5 else start, n if end > n - 5 else end))
    return parts


def _row(drawn: list[Element], one: Passage, y: float, limit: float, both: bool, words: Words, theme: Theme) -> float:
    """Draw a passage and return where it ends."""
    left = MARGIN + _LABEL + 16
    drawn.append(line(MARGIN, y, _WIDTH - MARGIN, y, stroke=theme.faint))
    muted: Look = {"fill": theme.muted}
    drawn.append(placed(MARGIN, y + 19, cut(one.label, _LABEL, 11), "start", 11, muted))
    if np.isfinite(one.value):
        drawn.append(text(MARGIN, y + 34, words(one.value), font_size=11))
    x, base = left, y + 20
    numbered = bool(np.isfinite(one.values).any())
    for piece, at in _shown(one):
        label = cut(" ".join(piece.split()) or "␣", _WIDTH - MARGIN - left, _FONT)
        bold = at >= 0 and bool(one.marks[at])
        room = width_of(label, _FONT, bold)
        gap = width_of(" ", _FONT) if x > left and (at < 0 or one.spaces[at]) else 0.0
        if x > left and x + gap + room > _WIDTH - MARGIN:
            x, gap, base = left, 0.0, base + _LINE
        x += gap
        drawn += _piece(label, x, base, room, one, at, limit, both, numbered, theme)
        x += room
    return max(base + 12, y + 42 if np.isfinite(one.value) else y + 26)


def _shown(one: Passage) -> Iterable[tuple[str, int]]:
    """Yield pieces with their places, and how many are left out with -1."""
    last = 0
    for start, end in parts_of(one):
        if start > last:
            yield f"… {start - last} …", -1
        yield from ((one.pieces[at], at) for at in range(start, end))
        last = end
    if last < len(one.pieces):
        yield f"… {len(one.pieces) - last} …", -1


def _piece(
    label: str, x: float, base: float, room: float, one: Passage, at: int, limit: float, both: bool, numbered: bool, theme: Theme
) -> list[Element]:
    value = float(one.values[at]) if at >= 0 else float("nan")
    bold = at >= 0 and bool(one.marks[at])
    look: Look = {"font_weight": "bold" if bold else None}
    drawn: list[Element] = []
    if np.isfinite(value):
        colour = diverging(value, limit, theme) if both else sequential(value / limit if limit else 0.0, theme)
        drawn.append(rect(x - 1, base - 15, room + 2, 20, rx=2, fill=hexed(colour), data_piece=at))
        look["fill"] = ink_on(colour)
    elif numbered:
        look["fill"] = theme.muted
    if bold:
        drawn.append(
            rect(x - 1.5, base - 15.5, room + 3, 21, rx=3, fill="none", stroke=theme.ink, stroke_width=1.5, data_mark=at)
        )
    if room and letters(label) != "emoji":  # whichever font draws it, a piece fills its place and touches no neighbour
        look |= {"textLength": room, "lengthAdjust": "spacingAndGlyphs"}
    return [*drawn, placed(x, base, label, "start", _FONT, look)]
