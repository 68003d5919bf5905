"""The live picture of a relation between tokens, and of the heads that speak for it."""

from __future__ import annotations

from typing import Any

from mechviz import figures, wire
from mechviz.results import RelationResult
from mechviz.views.probe import LIVE_BYTES, PAGE_BYTES, ProbeView, check_result


class RelationView(ProbeView):
    """Lines between tokens, as likely as a detector says, and heads that can be switched off; made by `relation`.

    Parameters
    ----------
    result : RelationResult
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Attributes
    ----------
    result : RelationResult
    """

    PANELS = ("relation",)

    def __init__(self, result: RelationResult, theme: str = "auto") -> None:
        check_result(result, RelationResult, "relation")
        self.result = result
        super().__init__(wire.pack_relation(result, self._fitting(LIVE_BYTES)), self.PANELS, theme)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"{self.result.relation} - mechviz"

    def _fitting(self, budget: int) -> int:
        """Return how many candidates fit, each with what every head says of it."""
        return min(len(self.result.pairs), max(1, budget // (4 * self.result.weights.size)))

    def _sent(self, page: bool) -> list[wire.Packed]:
        return [wire.pack_candidates(self.result, self._fitting(PAGE_BYTES if page else LIVE_BYTES))]

    def _on_page(self) -> dict[str, Any]:
        return {"n": self._fitting(PAGE_BYTES)}

    def _figure(self, panel: str, theme: str) -> str:
        return figures.relation_svg(self.result, theme)

    def __repr__(self) -> str:
        return f"RelationView({self.result!r})"


def relation(result: RelationResult, theme: str = "auto") -> RelationView:
    """Draw which tokens stand in a relation, as a detector sees it, and by which heads it sees that.

    Parameters
    ----------
    result : RelationResult
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Returns
    -------
    RelationView

    Raises
    ------
    InputTypeError
        It is no RelationResult.
    """
    return RelationView(result, theme)
