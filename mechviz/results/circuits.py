"""A circuit: the parts of a ranker that carry a change of the score, and what they send to each other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import networkx as nx
import pandas as pd

from mechviz.files import replacing
from mechviz.results.pair import Pair

VERTICES = ("id", "kind", "layer", "index", "label", "drop")
EDGES = ("from_id", "to_id", "weight", "kind", "q", "k", "v")


@dataclass(frozen=True, eq=False)
class Circuit:
    """A graph from the embedded text to the score, and how much of the score change it explains.

    Attributes
    ----------
    pair : Pair
    stack : str
    threshold : float
        The smallest absolute effect of an edge.
    vertices : DataFrame
        One row a part: ``id``, ``kind`` (``embed``, ``head``, ``mlp``, ``score``), ``layer`` and ``index`` (-1 where it has
        none), ``label``, and ``drop``: how much less of the score change is kept when it leaves the circuit.
    edges : DataFrame
        One row an edge: ``from_id``, ``to_id``, ``weight`` (the path's effect, all that a head reads taken together), ``kind``
        (which inputs of a head carry at least ``threshold`` alone, such as ``q`` or ``k+v``; ``together`` where none does;
        ``in`` for an MLP or the score), and for heads the effect by ``q``, ``k`` and ``v`` alone.
    faithfulness : float
        Share of the score change that is kept when the source text is read and every head and MLP outside of the circuit is
        held at its value in the base text.
    completeness : float
        1 - the share that is left when the circuit itself is held there and all else is not.
    minimality : float
        The smallest ``drop`` of a head or MLP; NaN where there is none.
    provenance : mapping of str to str
    """

    pair: Pair
    stack: str
    threshold: float
    vertices: pd.DataFrame
    edges: pd.DataFrame
    faithfulness: float
    completeness: float
    minimality: float
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        kinds = self.vertices["kind"].value_counts()
        return (
            f"Circuit({kinds.get('head', 0)} heads, {kinds.get('mlp', 0)} MLPs, {len(self.edges)} edges at threshold "
            f"{self.threshold:g}; faithfulness {self.faithfulness:.3f}, completeness {self.completeness:.3f}, minimality "
            f"{self.minimality:.3f}; {self.pair.perturbation})"
        )

    def graph(self) -> nx.DiGraph:
        """Return the circuit as a networkx graph, with the columns of both tables as attributes."""
        graph = nx.DiGraph(
            threshold=self.threshold,
            faithfulness=self.faithfulness,
            completeness=self.completeness,
            minimality=self.minimality,
        )
        for vertex in self.vertices.to_dict("records"):
            graph.add_node(vertex["id"], **{str(key): value for key, value in vertex.items() if key != "id"})
        for edge in self.edges.to_dict("records"):
            rest = {str(key): value for key, value in edge.items() if key not in ("from_id", "to_id")}
            graph.add_edge(edge["from_id"], edge["to_id"], **rest)
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
