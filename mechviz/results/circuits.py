"""A circuit: the parts of a ranker that carry a change of the score, and what they send to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mechviz.results.graph import Exported
from mechviz.results.pair import Pair

VERTICES = ("id", "kind", "layer", "index", "label", "drop")
EDGES = ("from_id", "to_id", "weight", "kind", "q", "k", "v")


@dataclass(frozen=True, eq=False)
class Circuit(Exported):
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

    def _attributes(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("threshold", "faithfulness", "completeness", "minimality")}
