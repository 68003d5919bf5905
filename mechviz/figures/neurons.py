"""What one attention score is made of: query, keys, their products by dimension, the scaled score, the softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError
from mechviz.figures.cells import Place, bar, zero_line
from mechviz.figures.colour import Theme, diverging, theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame, index_of, notes
from mechviz.figures.labels import placed, token_look, token_words
from mechviz.figures.raster import raster
from mechviz.figures.svg import Element, Look, line, rect, text
from mechviz.figures.words import cut, plain, signed, weight_text
from mechviz.results import StackShape
from mechviz.text import Tokens

_ROW = 17.0
_WIDEST, _LARGEST = 190, 5  # of a strip, and of one of its dimensions
_TOKEN = 122.0
_NUMBER = 76.0
_SOFTMAX = 150.0
_GAP = 14.0
_HEADS = 40.0
_MASKED = -1e30
_BARS = 60.0


@dataclass(frozen=True, eq=False)
class _Scores:
    """One run's query and keys."""

    q: NDArray[np.float64]
    k: NDArray[np.float64]
    scores: NDArray[np.float64]
    pattern: NDArray[np.float64]
    scale: float

    @property
    def products(self) -> NDArray[np.float64]:
        """By dimension, dims (key_pos, d_head)."""
        products: NDArray[np.float64] = self.q * self.k
        return products

    @property
    def dots(self) -> NDArray[np.float64]:
        """Query times key, scaled, dims (key_pos)."""
        dots: NDArray[np.float64] = self.products.sum(1) * self.scale
        return dots


def neurons_svg(
    made_of: Mapping[str, Any],
    tokens: Tokens,
    pos: int,
    layer: int,
    head: int,
    provenance: Mapping[str, str],
    theme: str = "light",
    run: int = 0,
    rows: int = 24,
    shape: StackShape | None = None,
    key_pos: int | None = None,
) -> str:
    """Draw what the attention scores of one position are made of.

    Parameters
    ----------
    made_of : mapping
        As of `mechviz.wire.pack_scores`: ``scale``, and ``q``, ``k``, ``scores``, ``pattern`` by run.
    tokens : Tokens
        Of that run: what is attended to, and what attends unless ``shape.query_labels`` names it.
    pos, layer, head : int
        What attends, and by which head.
    provenance : mapping of str to str
        As of a result.
    theme : ``"light"`` or ``"dark"``
    run : int, default 0
        Which run; 0 is the base.
    rows : int, default 24
        How many keys are drawn, the largest weights first.
    shape : StackShape, optional
        Of the head's stack, where what attends or is attended to is no position of the text.
    key_pos : int, optional
        The key whose products are drawn as bars; default that of the largest weight.

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError
        Arrays that do not fit each other or the tokens, or a number that is none of theirs.
    """
    colours = theme_named(theme)
    names = _names(tokens, shape)
    scores = _checked(made_of, index_of("run", run, len(made_of["q"])), len(names))
    asks = tuple(shape.query_labels) if shape and shape.query_labels else None
    asking = asks[index_of("pos", pos, len(asks))] if asks else token_words(tokens, index_of("pos", pos, len(tokens)))
    if shape is not None:
        layer, head = index_of("layer", layer, shape.n_layers), index_of("head", head, shape.n_heads)
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise InputError(f"rows={rows!r}; it is a number of keys, 1 at least")
    order = np.argsort(-scores.pattern, kind="stable")[:rows]
    picked = int(order[0]) if key_pos is None else index_of("key_pos", key_pos, len(names))
    table = _Table(scores, order, MARGIN, MARGIN + HEADING + 8, colours)
    looks = (
        [{}] * len(names) if len(names) != len(tokens) else [token_look(tokens, at, False, colours) for at in range(len(names))]
    )
    drawn = table.drawn(names, looks, asking)
    y = table.bottom
    if len(order) < len(names):
        rest = float(scores.pattern.sum() - scores.pattern[order].sum())
        words = f"… {len(names) - len(order):,} other keys get {weight_text(max(0.0, rest))} together"
        drawn.append(text(MARGIN, y + 14, words, fill=colours.muted))
        y += 20
    bars, y = _dimensions(scores, picked, names[picked], y + 22, table.width, colours)
    width = table.width + 2 * MARGIN
    said = (
        "Blue is positive, orange negative. The products of q and k sum to q · k; scaled, and with what position, mask and bias "
        "add (rest), that is the score; the softmax over all keys makes it a weight."
    )
    small, taken = notes([said], MARGIN, y + 20, table.width, colours)
    facts = {"layer": str(layer), "head": str(head), "query": str(pos), "run": str(run), "scale": f"{scores.scale:.6g}"}
    title = shape.title if shape is not None else ""
    name = f"Queries and keys of layer {layer}, head {head}" + (f", {title}" if title else "")
    # The text itself stays out of title and description.
    frame = Frame(name, provenance, (f"query at position {pos}",), facts=facts)
    return frame.picture(width, y + taken + MARGIN + 6, colours, [*drawn, *bars, *small])


def _names(tokens: Tokens, shape: StackShape | None) -> list[str]:
    if shape is not None and shape.key_labels is not None:
        return [" ".join(label.split()) for label in shape.key_labels]
    return [token_words(tokens, pos) for pos in range(len(tokens))]


def _checked(made_of: Mapping[str, Any], run: int, n: int) -> _Scores:
    q, k, scores, pattern = (np.asarray(made_of[name][run], dtype=np.float64) for name in ("q", "k", "scores", "pattern"))
    if q.ndim != 1 or k.shape != (n, len(q)) or scores.shape != (n,) or pattern.shape != (n,):
        raise InputError(
            f"q, k, scores and pattern of a run have shapes {q.shape}, {k.shape}, {scores.shape}, {pattern.shape}; for these "
            f"tokens they are (d_head), ({n}, d_head), ({n},), ({n},)"
        )
    if not (np.isfinite(q).all() and np.isfinite(k).all() and np.isfinite(pattern).all()):
        raise InputError("q, k or pattern hold values that are not finite")
    return _Scores(q, k, scores, pattern, float(made_of["scale"]))


def _top(values: NDArray[np.float64]) -> float:
    """Return where the colours of these values end."""
    return float(np.percentile(np.abs(values), 99.5)) if values.size else 0.0


class _Table:
    """Rows of keys at a place."""

    def __init__(self, scores: _Scores, order: NDArray[np.int64], x: float, y: float, theme: Theme) -> None:
        self.scores, self.order, self.x, self.y, self.theme = scores, order, x, y, theme
        d = len(scores.q)
        self.unit = float(max(1, min(_LARGEST, round(_WIDEST / d))))
        strip = self.unit * d
        self.keys = x + _TOKEN
        self.products = self.keys + strip + _GAP
        self.numbers = self.products + strip + 4
        self.softmax = self.numbers + 3 * _NUMBER + _GAP
        self.width = self.softmax + _SOFTMAX - x
        self.top = y + _HEADS
        self.bottom = self.top + len(order) * _ROW

    def drawn(self, names: list[str], looks: list[Look], asking: str) -> list[Element]:
        scores, order, theme = self.scores, self.order, self.theme
        vectors = _top(np.concatenate([scores.q, scores.k.ravel()]))
        muted: Look = {"fill": theme.muted, "font_size": 11}
        right: Look = {**muted, "text_anchor": "end"}
        drawn = [
            text(self.keys, self.y + 10, "query q, and keys k below", **muted),
            text(self.products, self.y + _HEADS - 8, "q × k, by dimension", **muted),
            text(self.numbers + _NUMBER, self.y + _HEADS - 8, f"q·k × {plain(scores.scale, 3)}", **right),
            text(self.numbers + 2 * _NUMBER, self.y + _HEADS - 8, "+ rest", **right),
            text(self.numbers + 3 * _NUMBER, self.y + _HEADS - 8, "= score", **right),
            text(self.softmax, self.y + _HEADS - 8, "softmax", **muted),
            placed(self.x, self.y + 29, cut(asking, _TOKEN - 8, 12, bold=True), "start", 12, {"font_weight": "bold"}),
            *self._strips(scores.q[None], vectors, self.keys, self.y + 17, _ROW - 1),
            *self._strips(scores.k[order], vectors, self.keys, self.top, _ROW),
            *self._strips(scores.products[order], _top(scores.products[order]), self.products, self.top, _ROW),
        ]
        for row, pos in enumerate(order.tolist()):
            y = self.top + row * _ROW
            drawn += [
                line(self.x, y, self.x + self.width, y, stroke=theme.faint),
                placed(self.x, y + 13, cut(names[pos], _TOKEN - 8, 12), "start", 12, looks[pos]),
                *self._numbers(pos, y),
            ]
        return drawn

    def _strips(self, values: NDArray[np.float64], limit: float, x: float, y: float, height: float) -> list[Element]:
        known = np.ones(values.shape, dtype=bool)
        return raster(diverging(values, limit, self.theme), known, x, y, self.unit, height, self.theme)

    def _numbers(self, pos: int, y: float) -> list[Element]:
        scores, theme = self.scores, self.theme
        dot, score, weight = float(scores.dots[pos]), float(scores.scores[pos]), float(scores.pattern[pos])
        masked = not np.isfinite(score) or score < _MASKED
        words = (signed(dot), "" if masked else signed(score - dot), "masked" if masked else signed(score))
        length = weight * (_SOFTMAX - 34)
        return [
            *(text(self.numbers + (i + 1) * _NUMBER, y + 13, one, text_anchor="end") for i, one in enumerate(words)),
            rect(self.softmax, y + 3, max(1.0, length), _ROW - 6, rx=2, fill=theme.bar, data_weight=pos),
            text(self.softmax + max(1.0, length) + 5, y + 13, weight_text(weight), font_size=11),
        ]


def _dimensions(scores: _Scores, pos: int, name: str, y: float, room: float, theme: Theme) -> tuple[list[Element], float]:
    """Draw the products of one key by dimension, as bars from a zero line; return where they end, too."""
    values = scores.products[pos]
    width = max(1.0, min(9.0, room // len(values)))
    largest = np.argsort(-np.abs(values), kind="stable")[:3].tolist()
    named = ", ".join(f"dimension {at} {signed(float(values[at]))}" for at in largest)
    total = float(values.sum())
    said = (
        f"Products with the key “{cut(name, 120, 12)}”, by dimension: they sum to {signed(total)}, scaled "
        f"{signed(total * scores.scale)}. Largest: {named}."
    )
    drawn, taken = notes([said], MARGIN, y, room, theme)
    top = y + taken - 4
    place = Place(values, top + _BARS, top)
    for at, value in enumerate(values.tolist()):
        mark = bar(value, place, MARGIN + at * width, width - (1 if width > 3 else 0), theme, upright=True)
        mark.attributes["data_dimension"] = at
        drawn.append(mark)
    zero = place(0.0)
    return [*drawn, zero_line(MARGIN, zero, MARGIN + len(values) * width, zero, theme)], top + _BARS
