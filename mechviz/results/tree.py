"""What a score is made of, from the score down: a tree of shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mechviz.errors import InputError

#: What a node can be.
NODE_KINDS = ("score", "head", "mlp", "embed", "bias", "token", "input", "rest")


@dataclass(frozen=True, eq=False)
class AttributionTree:
    """A tree whose nodes share out the value of their parent.

    Attributes
    ----------
    nodes : DataFrame
        ``id`` (int, 0 the root), ``parent`` (int, -1 of the root), ``kind`` (one of `NODE_KINDS`), ``label`` (``"2.7"``,
        ``"MLP 3"``, a token), ``layer``, ``head``, ``pos`` (-1 where there is none), ``via`` (``""``, ``"q"``, ``"k"``,
        ``"v"``: by which input of a head), ``value``, and ``state``: ``"open"`` (its children are here), ``"closed"`` (they can
        be computed), ``"leaf"``. The children of an open node sum to its value, up to its ``error``.
    title : str
        What is shared out: ``"score of the document"``, ``"margin between the two documents"``.
    tokens : tuple of str
        Labels of the positions.
    note : str
    """

    nodes: pd.DataFrame
    title: str
    tokens: tuple[str, ...] = ()
    note: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)

    COLUMNS = ("id", "parent", "kind", "label", "layer", "head", "pos", "via", "value", "error", "state")

    def __post_init__(self) -> None:
        missing = [name for name in self.COLUMNS if name not in self.nodes]
        if missing:
            raise InputError(f"nodes lacks {', '.join(missing)}; its columns are {', '.join(self.COLUMNS)}")
        if not len(self.nodes) or self.nodes["parent"].tolist().count(-1) != 1 or int(self.nodes["id"].iloc[0]) != 0:
            raise InputError("nodes must have one root, the first row, with id 0 and parent -1")

    def children(self, node: int) -> pd.DataFrame:
        """Return the rows below a node, the largest share first."""
        below = self.nodes[self.nodes["parent"] == node]
        return below.reindex(below["value"].abs().sort_values(ascending=False, kind="stable").index)

    def __repr__(self) -> str:
        return f"AttributionTree({self.title}: {self.nodes['value'].iloc[0]:.4g}, {len(self.nodes)} nodes)"
