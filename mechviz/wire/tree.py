"""A tree of shares, for the drawing."""

from __future__ import annotations

from typing import Any

from mechviz.results.tree import AttributionTree
from mechviz.wire.spec import bare, finite

_WORDS = ("kind", "label", "via", "state")


def pack_tree(tree: AttributionTree, opens: bool) -> dict[str, Any]:
    """Return the spec of a tree.

    Parameters
    ----------
    tree : AttributionTree
    opens : bool
        Whether somebody can compute what lies below a closed node.
    """
    return {
        **bare("tree", tree.provenance, tree.title),
        "tree": {
            "title": tree.title,
            "note": tree.note,
            "tokens": list(tree.tokens),
            "opens": opens,
            "nodes": [
                {str(name): _value(str(name), value) for name, value in row.items()}
                for row in tree.nodes[list(AttributionTree.COLUMNS)].to_dict("records")
            ],
        },
    }


def _value(name: str, value: Any) -> Any:
    if name in _WORDS:
        return str(value)
    return finite(float(value)) if name in ("value", "error") else int(value)
