"""A circuit laid out in layers, from the text at the left to the score at the right (``js/src/marks/graph.ts``)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mechviz.results import Circuit

_COLUMN, _LEAST_COLUMN, _ROOM = 118.0, 58.0, 1000.0
_ROW = 40.0
_EDGE, _TOP = 30.0, 56.0
_SWEEPS = 8


@dataclass(frozen=True)
class Vertex:
    """A part of a circuit."""

    id: str
    kind: str
    layer: int
    index: int
    label: str
    drop: float

    @property
    def depth(self) -> float:
        """Where it stands in the computation: heads of a layer before its MLP."""
        if self.kind in ("embed", "score"):
            return -1.0 if self.kind == "embed" else math.inf
        return 2.0 * self.layer + (self.kind == "mlp")

    @property
    def column(self) -> str:
        """What its column is called."""
        if self.kind in ("embed", "score"):
            return "text" if self.kind == "embed" else "score"
        return f"MLP {self.layer}" if self.kind == "mlp" else f"layer {self.layer}"


@dataclass(frozen=True)
class Edge:
    """What one part sends to another."""

    start: str
    end: str
    weight: float
    kind: str


@dataclass(frozen=True)
class Layout:
    """Where everything lies.

    Attributes
    ----------
    places : dict of id to (x, y)
    columns : list of (name, x)
    width, height : float
    """

    places: dict[str, tuple[float, float]]
    columns: list[tuple[str, float]]
    width: float
    height: float


def parts_of(circuit: Circuit) -> tuple[list[Vertex], list[Edge]]:
    """Return the parts of a circuit and its edges."""
    vertices = [
        Vertex(str(v["id"]), str(v["kind"]), int(v["layer"]), int(v["index"]), str(v["label"]), float(v["drop"]))
        for v in circuit.vertices.to_dict("records")
    ]
    edges = [
        Edge(str(e["from_id"]), str(e["to_id"]), float(e["weight"]), str(e["kind"])) for e in circuit.edges.to_dict("records")
    ]
    return vertices, edges


def above(vertices: Sequence[Vertex], edges: Sequence[Edge], least: float) -> tuple[list[Vertex], list[Edge]]:
    """Keep edges of at least ``least`` that still reach the score, and the parts that they join."""
    strong = [edge for edge in edges if abs(edge.weight) >= least]
    reaching = {"score"}
    size = 0
    while size != len(reaching):
        size = len(reaching)
        reaching |= {edge.start for edge in strong if edge.end in reaching}
    kept = [edge for edge in strong if edge.end in reaching]
    ids = {"score", *(end for edge in kept for end in (edge.start, edge.end))}
    return [vertex for vertex in vertices if vertex.id in ids], kept


def layout(vertices: Sequence[Vertex], edges: Iterable[Edge]) -> Layout:
    """Place parts in columns by depth, each beside the middle of its neighbours."""
    columns = [
        sorted((vertex for vertex in vertices if vertex.depth == depth), key=lambda vertex: vertex.index)
        for depth in sorted({vertex.depth for vertex in vertices})
    ]
    place: dict[str, float] = {}

    def spread(column: Sequence[Vertex]) -> None:
        for row, vertex in enumerate(column):
            place[vertex.id] = row - (len(column) - 1) / 2

    for column in columns:
        spread(column)
    neighbours: dict[str, list[str]] = {}
    for edge in edges:
        neighbours.setdefault(edge.start, []).append(edge.end)
        neighbours.setdefault(edge.end, []).append(edge.start)

    def middle(vertex: Vertex) -> float:
        beside = neighbours.get(vertex.id, [])
        return sum(place[other] for other in beside) / len(beside) if beside else place[vertex.id]

    # A few sweeps keep most edges from crossing.
    for sweep in range(_SWEEPS):
        for column in reversed(columns) if sweep % 2 else columns:
            column.sort(key=middle)
            spread(column)
    tallest = max((len(column) for column in columns), default=1)
    step = max(_LEAST_COLUMN, min(_COLUMN, _ROOM / max(1, len(columns) - 1)))
    places = {
        vertex.id: (_EDGE + i * step, _TOP + tallest * _ROW / 2 + place[vertex.id] * _ROW)
        for i, column in enumerate(columns)
        for vertex in column
    }
    names = [(column[0].column, _EDGE + i * step) for i, column in enumerate(columns)]
    return Layout(places, names, 2 * _EDGE + max(0, len(columns) - 1) * step, _TOP + tallest * _ROW)
