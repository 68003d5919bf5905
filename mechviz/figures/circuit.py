"""A circuit as a graph: parts by layer from left to right, edges by what they carry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.figures.colour import Theme, theme_named
from mechviz.figures.frame import HEADING, MARGIN, Frame, facts_of, notes
from mechviz.figures.graph import Edge, Layout, Vertex, above, layout, parts_of
from mechviz.figures.svg import Element, Look, circle, group, line, path, rect, text
from mechviz.figures.words import cut, plain, signed
from mechviz.results import Circuit

_R = 15.0
_THINNEST, _THICKEST = 0.6, 7.0
_LISTED = 12
_LIST = 230.0
_GAP = 28.0
_ROW = 20.0
_LEAST_WIDTH = 520.0
_INPUTS = {"": "", "in": "", "together": ", together"}


def circuit_svg(
    circuit: Circuit, theme: str = "light", selection: Mapping[str, Any] | None = None, least: float | None = None
) -> str:
    """Draw a circuit from the text at the left to the score at the right.

    Parameters
    ----------
    circuit : Circuit
        From `mechviz.circuit`.
    theme : ``"light"`` or ``"dark"``
    selection : mapping, optional
        ``layer`` and ``head`` of the head that stands out, and ``stack``, without which this one is meant.
    least : float, optional
        Edges that carry less, and parts that no longer reach the score, are left out; default the circuit's threshold.

    Returns
    -------
    str
        SVG.

    Raises
    ------
    InputError, InputTypeError
    """
    colours = theme_named(theme)
    if not isinstance(circuit, Circuit):
        raise InputTypeError(f"a picture of a circuit needs a Circuit, not {shown(circuit)}; see mv.circuit")
    if least is not None and (isinstance(least, bool) or not isinstance(least, (int, float)) or not math.isfinite(least)):
        raise InputError(f"least={shown(least)}; it is a share of the score change, such as 0.1")
    limit = circuit.threshold if least is None else float(least)
    all_vertices, all_edges = parts_of(circuit)
    vertices, edges = above(all_vertices, all_edges, limit)
    most = max([circuit.threshold, 1e-9, *(abs(edge.weight) for edge in all_edges)])
    chosen = _chosen(selection, circuit.stack)
    plan = layout(vertices, edges)
    width = max(_LEAST_WIDTH, plan.width) + 2 * MARGIN
    left, top = (width - plan.width) / 2, MARGIN + HEADING
    names = {vertex.id: _short(vertex) for vertex in all_vertices}
    drawn = [_edge(edge, plan, left, top, most, colours) for edge in sorted(edges, key=lambda edge: abs(edge.weight))]
    drawn += [_part(vertex, plan, left, top, vertex.id == chosen, colours) for vertex in vertices]
    muted: Look = {"fill": colours.muted, "font_size": 11, "text_anchor": "middle"}
    drawn += [text(left + x, top + 18, name, **muted) for name, x in plan.columns]
    y = top + plan.height + 16
    listed, taken = _lists(vertices, edges, names, MARGIN, y, width - 2 * MARGIN, colours)
    shares = {"faithfulness": circuit.faithfulness, "completeness": circuit.completeness, "minimality": circuit.minimality}
    figures = ", ".join(f"{name} {plain(share, 3)}" for name, share in shares.items() if math.isfinite(share))
    counts = (
        f"Edges of at least {plain(limit, 3)} of the score change: {len(edges)} of {len(all_edges)}, "
        f"{len(vertices)} of {len(all_vertices)} parts."
    )
    reading = (
        "The width of an edge is what it carries of the score change: blue towards it, orange and dashed against it. q, k, v: "
        "by which input of a head; together: only by several at once."
    )
    y += taken + 22
    drawn += [*listed, text(MARGIN, y, figures, font_weight="bold")]
    small, taken = notes([counts, reading], MARGIN, y + 20, width - 2 * MARGIN, colours)
    pair = circuit.pair
    facts = {
        "perturbation": pair.perturbation,
        "changed": pair.side,
        "stack": circuit.stack,
        "threshold": f"{circuit.threshold:g}",
        "drawn": f"edges of at least {limit:g}",
        **{name: f"{share:.6g}" for name, share in shares.items()},
        **facts_of(pair),
    }
    frame = Frame("Circuit", circuit.provenance, (pair.perturbation,), facts=facts)
    return frame.picture(width, y + 14 + taken + MARGIN, colours, [*drawn, *small])


def _chosen(selection: Mapping[str, Any] | None, stack: str) -> str:
    """Return the id of the chosen head; a head that is no part of the circuit stands out nowhere."""
    if selection is None or selection.get("stack") not in (None, stack):
        return ""
    return f"{selection.get('layer')}.{selection.get('head')}"


def _short(vertex: Vertex) -> str:
    named = {"embed": "text", "score": "score", "mlp": f"MLP {vertex.layer}", "head": f"L{vertex.layer}H{vertex.index}"}
    return named.get(vertex.kind, vertex.label)


def _edge(edge: Edge, plan: Layout, left: float, top: float, most: float, theme: Theme) -> Element:
    (x1, y1), (x2, y2) = plan.places[edge.start], plan.places[edge.end]
    x1, x2, y1, y2 = left + x1, left + x2, top + y1, top + y2
    bend = max(24.0, (x2 - x1) / 2)
    points = f"M{x1 + _R:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2 - _R:.1f} {y2:.1f}"
    look: Look = {"stroke": theme.plus, "stroke_opacity": 0.75, "fill": "none", "data_edge": f"{edge.start}>{edge.end}"}
    if edge.weight < 0:
        look |= {"stroke": theme.minus, "stroke_dasharray": "6 4"}
    return path(points, stroke_width=_THINNEST + (_THICKEST - _THINNEST) * abs(edge.weight) / most, **look)


def _part(vertex: Vertex, plan: Layout, left: float, top: float, chosen: bool, theme: Theme) -> Element:
    x, y = plan.places[vertex.id]
    x, y = left + x, top + y
    end = vertex.kind in ("embed", "score")
    look: Look = {
        "fill": theme.change_faint if end else theme.page,
        "stroke": theme.change if end else theme.ink,
        "stroke_width": 3.5 if chosen else 1.5,
        "data_selected": "1" if chosen else None,
    }
    shape = (
        circle(x, y, _R, **look) if vertex.kind == "head" else rect(x - _R - 4, y - _R + 2, 2 * _R + 8, 2 * _R - 4, rx=4, **look)
    )
    words = {"embed": "text", "score": "score", "mlp": "MLP", "head": f"H{vertex.index}"}.get(vertex.kind, vertex.label)
    return group([shape, text(x, y + 4, words, text_anchor="middle", font_size=11)], data_part=vertex.id)


def _lists(
    vertices: Sequence[Vertex], edges: Sequence[Edge], names: Mapping[str, str], x: float, y: float, width: float, theme: Theme
) -> tuple[list[Element], float]:
    """List the strongest edges, and what is lost without the parts that count most: a picture has no pointer to ask with."""
    strongest = sorted(edges, key=lambda edge: -abs(edge.weight))[:_LISTED]
    lost = sorted((v for v in vertices if math.isfinite(v.drop)), key=lambda vertex: -abs(vertex.drop))[:_LISTED]
    inputs = [_INPUTS.get(edge.kind, f" by {edge.kind}") for edge in strongest]
    columns = [
        (
            "Strongest edges",
            [(f"{names[e.start]} → {names[e.end]}{by}", e.weight) for e, by in zip(strongest, inputs, strict=True)],
        ),
        ("Change lost without it", [(names[vertex.id], vertex.drop) for vertex in lost]),
    ]
    drawn: list[Element] = []
    for number, (head, rows) in enumerate(columns):
        left = x + number * (_LIST + _GAP)
        if not rows:
            continue
        drawn.append(text(left, y + 12, head, font_weight="bold"))
        for row, (name, value) in enumerate(rows):
            base = y + 14 + (row + 1) * _ROW
            drawn.append(line(left, base - 14, left + _LIST, base - 14, stroke=theme.faint))
            drawn.append(text(left, base, cut(name, _LIST - 56, 12)))
            drawn.append(text(left + _LIST, base, signed(value, 3), text_anchor="end"))
    return drawn, 14 + _ROW * max(len(rows) for _, rows in columns) + 8
