"""A graph as two tables, and its files for other tools (Gephi, Cytoscape, yEd, networkx, R)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd

from mechviz.files import replacing


class Exported:
    """What has ``vertices`` (with ``id``) and ``edges`` (with ``from_id`` and ``to_id``) as tables."""

    vertices: pd.DataFrame
    edges: pd.DataFrame

    #: Whether there may be several edges from one vertex to another.
    _multiple = False

    def graph(self) -> nx.DiGraph:
        """Return the graph for networkx, with the columns of both tables as attributes; NaN is left out."""
        graph = (nx.MultiDiGraph if self._multiple else nx.DiGraph)(**self._attributes())
        for vertex in self.vertices.to_dict("records"):
            graph.add_node(vertex["id"], **_known(vertex, ("id",)))
        for edge in self.edges.to_dict("records"):
            graph.add_edge(edge["from_id"], edge["to_id"], **_known(edge, ("from_id", "to_id")))
        return graph

    def to_csv(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``vertices.csv`` and ``edges.csv`` into a folder, which is made if it is not there, and return the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in (("vertices", self.vertices), ("edges", self.edges)):
            with replacing(folder / f"{name}.csv") as part:
                frame.to_csv(part, index=False)
        return folder

    def to_graphml(self, path: str | os.PathLike[str]) -> Path:
        """Write the graph as GraphML (Gephi, Cytoscape, yEd, networkx read it), and return the path."""
        with replacing(path) as part:
            nx.write_graphml(self.graph(), part)
        return Path(path)

    def _attributes(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, eq=False)
class Graph(Exported):
    """Weights or activations as vertices and edges.

    Attributes
    ----------
    vertices : DataFrame
        ``id``, ``kind``, ``layer`` and ``index`` (-1 where there is none), ``label``, ``bias`` and ``value`` (NaN where there
        is none).
    edges : DataFrame
        ``from_id``, ``to_id``, ``weight``, ``kind``.
    provenance : mapping of str to str
    """

    vertices: pd.DataFrame
    edges: pd.DataFrame
    provenance: Mapping[str, str] = field(default_factory=dict)

    _multiple = True

    def _attributes(self) -> dict[str, Any]:
        return dict(self.provenance)

    def __repr__(self) -> str:
        kinds = ", ".join(f"{n} {kind}" for kind, n in self.vertices["kind"].value_counts().items())
        return f"Graph({kinds}; {len(self.edges)} edges)"


def _known(row: Mapping[Any, Any], without: tuple[str, ...]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name not in without and value == value}
