"""A tree of shares as rows with bars (``js/src/views/tree.tsx``)."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechviz.errors import InputTypeError, shown
from mechviz.figures.cells import Place, bar, zero_line
from mechviz.figures.colour import Theme, theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame, notes
from mechviz.figures.labels import placed
from mechviz.figures.svg import Element, Look, text
from mechviz.figures.words import cut, digits_for, signed, visible
from mechviz.results import AttributionTree

_ROW = 22.0
_NAME, _BARS, _NUMBER, _SHARE = 330.0, 260.0, 84.0, 70.0
_WIDTH = _NAME + _BARS + _NUMBER + _SHARE + 2 * MARGIN
_INDENT = 18.0
#: Shares below this part of what siblings amount to are drawn together.
_LEAST = 0.01
#: Differences below this part of the parent's value are rounding.
_NOISE = 5e-4
#: Rows of a picture.
_MOST = 80
_VIA = {"q": "by its query", "k": "by its key", "v": "by its values"}
_NAMES = {"head": "head", "mlp": "MLP", "embed": "embedding", "bias": "bias", "token": "token", "input": "input", "rest": "rest"}


@dataclass(frozen=True)
class Row:
    """One row of the picture.

    Attributes
    ----------
    level : int
        0 the root.
    name : str
    value : float
    share : float
        Of the parent's value; NaN where there is none.
    kind : str
        Of the node; ``"fold"`` of small shares together, ``"error"`` of what children do not sum to.
    """

    level: int
    name: str
    value: float
    share: float
    kind: str


def tree_svg(tree: AttributionTree, theme: str = "light") -> str:
    """Draw all nodes of a tree that are known, the small ones of each parent together.

    Parameters
    ----------
    tree : AttributionTree
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
    if not isinstance(tree, AttributionTree):
        raise InputTypeError(f"a picture of a tree needs an AttributionTree, not {shown(tree)}; see mechviz.results")
    every = rows_of(tree)
    rows = every[:_MOST]
    values = np.nan_to_num(np.array([row.value for row in rows]))
    place = Place(values, MARGIN + _NAME, MARGIN + _NAME + _BARS)
    digits = digits_for(float(values[0]))
    top = MARGIN + HEADING + 22
    muted: Look = {"fill": colours.muted, "font_size": 11, "text_anchor": "end"}
    ends = (MARGIN + _NAME + _BARS + _NUMBER, MARGIN + _NAME + _BARS + _NUMBER + _SHARE)
    drawn = [text(x, top - 8, words, **muted) for x, words in zip(ends, ("value", "of parent"), strict=True)]
    drawn.append(zero_line(place(0.0), top, place(0.0), top + _ROW * len(rows), colours))
    for number, row in enumerate(rows):
        drawn += _draw(row, top + number * _ROW, place, digits, ends, colours)
    left = [f"{len(every) - _MOST} rows more."] if len(every) > _MOST else []
    said, taken = notes([*left, tree.note], MARGIN, top + _ROW * len(rows) + 22, _WIDTH - 2 * MARGIN, colours)
    frame = Frame(tree.title, tree.provenance, facts={"nodes": str(len(tree.nodes))})
    return frame.picture(_WIDTH, top + _ROW * len(rows) + 12 + taken + MARGIN, colours, [*drawn, *said])


def rows_of(tree: AttributionTree, least: float = _LEAST) -> list[Row]:
    """Return the rows of a tree: below each open node its children by falling size, small ones folded, then what is missing."""
    rows: list[Row] = []
    below = {node: tree.children(node).to_dict("records") for node in tree.nodes["id"].tolist()}

    def visit(node: dict[Hashable, Any], level: int, parent: float) -> None:
        value = float(node["value"])
        share = value / parent if np.isfinite(parent) and parent else float("nan")
        rows.append(Row(level, _named(node), value, share, str(node["kind"])))
        own = below[node["id"]]
        if node["state"] != "open" or not own:
            return
        values = np.array([float(one["value"]) for one in own])
        small = np.abs(values) < least * np.nansum(np.abs(values))
        folded = small if small.sum() > 1 else np.zeros_like(small)
        for one, hidden in zip(own, folded, strict=True):
            if not hidden:
                visit(one, level + 1, value)
        if folded.any():
            rows.append(Row(level + 1, f"{int(folded.sum())} more", float(values[folded].sum()), float("nan"), "fold"))
        missing = value - float(np.nansum(values))
        if abs(missing) > _NOISE * max(abs(value), 1e-9):
            rows.append(Row(level + 1, "not in any part", missing, float("nan"), "error"))

    visit(tree.nodes.iloc[0].to_dict(), 0, float("nan"))
    return rows


def _named(node: dict[Hashable, Any]) -> str:
    label, kind = visible(" ".join(str(node["label"]).split())), _NAMES.get(str(node["kind"]), "")
    parts = ["" if label.lower().startswith(kind.lower()) else kind, label]
    return " ".join(part for part in [*parts, _VIA.get(str(node["via"]), "")] if part)


def _draw(row: Row, y: float, place: Place, digits: int, ends: tuple[float, float], theme: Theme) -> list[Element]:
    base = y + _ROW / 2 + 4
    left = MARGIN + min(12, row.level) * _INDENT
    look: Look = {
        "font_weight": "bold" if row.level == 0 else None,
        "fill": theme.muted if row.kind in ("fold", "error") else None,
    }
    drawn = [placed(left, base, cut(row.name, MARGIN + _NAME - left - 10, 12, row.level == 0), "start", 12, look)]
    if np.isfinite(row.value):
        mark = bar(row.value, place, y + 6, _ROW - 12, theme)
        mark.attributes |= {"data_row": row.kind, "fill_opacity": 0.5 if row.kind in ("fold", "error") else None}
        drawn.append(mark)
    drawn.append(text(ends[0], base, signed(row.value, digits), text_anchor="end"))
    if np.isfinite(row.share):
        words = f"{signed(100 * row.share, 1 if abs(row.share) < 0.1 else 0)}%"
        drawn.append(text(ends[1], base, words, text_anchor="end", fill=theme.muted))
    return drawn
