"""A relation between tokens: lines as likely as the pairs are, and what the heads weigh (``js/src/views/relation.tsx``)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechviz import wire
from mechviz.errors import InputTypeError, shown
from mechviz.figures.cells import value_ramp
from mechviz.figures.colour import Theme, diverging, hexed, theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame, notes
from mechviz.figures.labels import placed, token_words
from mechviz.figures.svg import Element, Look, path, rect, text
from mechviz.figures.values import colour_limit
from mechviz.figures.words import cut
from mechviz.results import RelationResult

_ROW = 19.0
_SIDE, _GAP = 170.0, 260.0
_RIGHT = 40.0
_CELL = 20.0
_WEIGHTS = 300.0
#: A column of more tokens shows only those that a line reaches, and their neighbours.
_SHORT = 48
#: Lines of each token at most.
_TOP = 3


def relation_svg(result: RelationResult, theme: str = "light") -> str:
    """Draw the pairs that are likely as lines between two columns of tokens, and the detector's weights as a grid.

    Parameters
    ----------
    result : RelationResult
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
    if not isinstance(result, RelationResult):
        raise InputTypeError(f"a picture of a relation needs a RelationResult, not {shown(result)}; see mechviz.results")
    likely = result.probability
    least = first_threshold(likely)
    drawn_pairs = drawn_of(likely, result.pairs, least, _TOP)
    top = MARGIN + HEADING + 8
    columns = [_column(result, end, drawn_pairs) for end in (0, 1)]
    places = [_places(column) for column in columns]
    gap_left, gap_right = MARGIN + _SIDE, MARGIN + _SIDE + _GAP
    lines = [_line(result, pair, likely[pair], places, top, (gap_left, gap_right), colours) for pair in reversed(drawn_pairs)]
    words = [element for end in (0, 1) for element in _tokens(result, columns[end], end, top, drawn_pairs, colours)]
    height = _ROW * max(map(len, columns), default=1)
    left = gap_right + _SIDE + _RIGHT
    weights, taken = _heads(result, left, top, colours)
    width = left + max(_WEIGHTS, (result.weights.sizes["head"] * (_CELL + 2)) + 40) + MARGIN
    bottom = top + max(height, taken) + 18
    wrong = result.truth is not None and not all(result.truth[pair] for pair in drawn_pairs)
    said = [
        f"{len(drawn_pairs)} pairs that are at least {least:.2f} likely, of each first token at most {_TOP}.",
        "Dashed lines: the relation does not hold." if wrong else "",
        result.note,
    ]
    below, more = notes(said, MARGIN, bottom, width - 2 * MARGIN, colours)
    frame = Frame(result.relation, result.provenance, facts={"candidates": str(len(result.pairs))})
    return frame.picture(width, bottom + more + MARGIN - 8, colours, [*lines, *words, *weights, *below])


def first_threshold(likely: NDArray[np.float32]) -> float:
    """Return from where on pairs are drawn: a half, or what leaves a few lines where nothing is as likely."""
    falling = np.sort(likely)[::-1]
    if falling.size and falling[0] >= 0.5:
        return 0.5
    return float(np.floor(100 * falling[min(len(falling), 5) - 1]) / 100) if falling.size else 0.5


def drawn_of(likely: NDArray[np.float32], pairs: NDArray[np.int64], least: float, top: int) -> list[int]:
    """Return the candidates that are drawn, the likeliest first: at least as likely, at most ``top`` of each first token."""
    taken: dict[int, int] = {}
    kept = []
    for pair in np.argsort(-likely, kind="stable").tolist():
        start = int(pairs[pair, 0])
        if likely[pair] >= least and taken.get(start, 0) < top:
            kept.append(pair)
            taken[start] = taken.get(start, 0) + 1
    return kept


def _column(result: RelationResult, end: int, drawn: list[int]) -> list[int | None]:
    """Return the positions of a column, None where some are left out."""
    tokens = result.tokens
    segments = {tokens.segments[pos] for pos in result.pairs[:, end]}
    positions = [pos for pos, segment in enumerate(tokens.segments) if segment in segments]
    if len(positions) <= _SHORT:
        return list(positions)
    used = {int(result.pairs[pair, end]) + step for pair in drawn for step in (-1, 0, 1)}
    rows: list[int | None] = []
    for pos in positions:
        if pos in used:
            rows.append(pos)
        elif not rows or rows[-1] is not None:
            rows.append(None)
    return rows


def _places(column: list[int | None]) -> dict[int, float]:
    return {pos: _ROW * (row + 0.5) for row, pos in enumerate(column) if pos is not None}


def _line(
    result: RelationResult,
    pair: int,
    likely: float,
    places: list[dict[int, float]],
    top: float,
    ends: tuple[float, float],
    theme: Theme,
) -> Element:
    start, end = (top + places[at][int(result.pairs[pair, at])] for at in (0, 1))
    x0, x1 = ends[0] + 5, ends[1] - 5
    curve = f"M{x0:g} {start:g}C{x0 + 0.4 * (x1 - x0):g} {start:g} {x0 + 0.6 * (x1 - x0):g} {end:g} {x1:g} {end:g}"
    wrong = result.truth is not None and not result.truth[pair]
    look: Look = {"stroke": theme.minus if wrong else theme.line, "stroke_dasharray": "5 4" if wrong else None}
    return path(curve, fill="none", stroke_width=1.8, stroke_opacity=max(0.14, float(likely)), data_pair=pair, **look)


def _tokens(
    result: RelationResult, column: list[int | None], end: int, top: float, drawn: list[int], theme: Theme
) -> list[Element]:
    used = {int(result.pairs[pair, end]) for pair in drawn}
    x, anchor = (MARGIN + _SIDE, "end") if end == 0 else (MARGIN + _SIDE + _GAP, "start")
    made = []
    for row, pos in enumerate(column):
        name = "…" if pos is None else cut(token_words(result.tokens, pos), _SIDE, 12)
        own = pos in used
        query = pos is not None and result.tokens.segments[pos] == "query"
        look: Look = {"fill": (theme.query if query else None) if own else theme.muted}
        made.append(placed(x, top + _ROW * (row + 0.5) + 4, name, anchor, 12, look))
    return made


def _heads(result: RelationResult, x: float, y: float, theme: Theme) -> tuple[list[Element], float]:
    """Draw what the detector weighs each head by, both ways together; return also the height."""
    values = result.weights.values.astype(np.float64).sum(axis=2)
    layers, heads = values.shape
    limit = colour_limit(values)
    numbers = wire.layers_of(result.weights)
    muted: Look = {"fill": theme.muted, "font_size": 11}
    drawn = [text(x, y + 10, "Weights of heads, both ways together", font_weight="bold")]
    y += 24
    for layer in range(layers):
        top = y + (layers - 1 - layer) * (_CELL + 2)
        drawn.append(text(x + 24, top + 14, str(int(numbers[layer])), text_anchor="end", **muted))
        for head in range(heads):
            fill = hexed(diverging(values[layer, head], limit, theme))
            drawn.append(rect(x + 32 + head * (_CELL + 2), top, _CELL, _CELL, rx=2, fill=fill, data_head=f"{layer}.{head}"))
    bottom = y + layers * (_CELL + 2)
    drawn += [
        text(x + 32 + head * (_CELL + 2) + _CELL / 2, bottom + 12, str(head), text_anchor="middle", **muted)
        for head in range(heads)
    ]
    drawn += value_ramp(x + 32, bottom + 26, limit, True, theme)
    return drawn, layers * (_CELL + 2) + 24 + 60
