"""The live picture of a tree of shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mechviz import figures, wire
from mechviz.errors import InputTypeError, MechvizError, shown
from mechviz.results import AttributionTree
from mechviz.views.probe import ProbeView, check_result

Expand = Callable[[int], AttributionTree]


class TreeView(ProbeView):
    """Rows that open into what their value is made of, made by `tree`.

    Parameters
    ----------
    tree : AttributionTree
    expand : callable, optional
        ``id -> AttributionTree``: the same tree with the nodes below one more. Without it closed nodes stay closed.
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Attributes
    ----------
    tree : AttributionTree
        With all that has been opened.
    """

    PANELS = ("tree",)

    def __init__(self, tree: AttributionTree, expand: Expand | None = None, theme: str = "auto") -> None:
        check_result(tree, AttributionTree, "tree")
        if expand is not None and not callable(expand):
            raise InputTypeError(f"expand={shown(expand)}; give a function from a node's id to a tree with more nodes")
        self._expand = expand
        self.tree = tree
        super().__init__(wire.pack_tree(tree, expand is not None), self.PANELS, theme)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"{self.tree.title} - mechviz"

    def expand(self, node: int) -> AttributionTree:
        """Compute what lies below a closed node and return the tree with it; the widget follows.

        Raises
        ------
        MechvizError
            Nobody can compute it: the view was made without ``expand``.
        """
        if self._expand is None:
            raise MechvizError("this tree was made without a function that opens nodes: pass expand= to mechviz.views.tree")
        self.tree = self._expand(node)
        self._spec = {**self._spec, **wire.pack_tree(self.tree, True)}
        self.spec = wire.with_held(self._spec, [])
        return self.tree

    def _answers(self) -> dict[str, Any]:
        return {"expand": self._answer_expand}

    def _answer_expand(self, message: dict[str, Any]) -> wire.Packed:
        node = int(message["node"])
        states = self.tree.nodes.set_index("id")["state"]
        if node not in states.index:
            raise MechvizError(f"there is no node {node}")
        if states[node] == "closed":  # another view of the same widget may have opened it
            self.expand(node)
        return wire.Packed(f"expand.{node}", {}, {})

    def _sent(self, page: bool) -> list[wire.Packed]:
        return []

    def _on_page(self) -> dict[str, Any]:
        return {"opens": False}  # a page has no kernel

    def _figure(self, panel: str, theme: str) -> str:
        return figures.tree_svg(self.tree, theme)

    def __repr__(self) -> str:
        return f"TreeView({self.tree!r})"


def tree(tree: AttributionTree, theme: str = "auto", expand: Expand | None = None) -> TreeView:
    """Draw what a score is made of, from the score down.

    Parameters
    ----------
    tree : AttributionTree
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    expand : callable, optional
        ``id -> AttributionTree``: computes what lies below a closed node and returns the tree with it.

    Returns
    -------
    TreeView

    Raises
    ------
    InputTypeError
        It is no AttributionTree, or ``expand`` no function.
    """
    return TreeView(tree, expand, theme)
