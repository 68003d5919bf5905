"""The live picture of a ranked list, before and after a perturbation."""

from __future__ import annotations

import numpy as np

from mechviz import figures, wire
from mechviz.errors import InputTypeError, shown
from mechviz.results import RankingResult
from mechviz.views.view import View


class RankingView(View):
    """Ranks of a candidate list before and after a perturbation: slopes, and a table.

    Parameters
    ----------
    result : RankingResult
        From `mechviz.show_ranking`, or made of anybody's scores.
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    """

    PANELS = ("ranking",)

    def __init__(self, result: RankingResult, theme: str = "auto") -> None:
        if not isinstance(result, RankingResult):
            raise InputTypeError(f"a RankingView draws a RankingResult, not {shown(result)}; see mv.show_ranking")
        self.result = result
        super().__init__(wire.pack_ranked(result), None, self.PANELS, (), theme)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"ranking: {self.result.query} - mechviz"

    def _figure(self, panel: str, theme: str) -> str:
        result = self.result
        after = result.original if result.perturbed is None else result.perturbed
        changed = np.flatnonzero(np.asarray(result.changed))
        return figures.ranking_svg(
            [f"doc {number + 1}" for number in range(len(result.docs))],
            result.original.tolist(),
            after.tolist(),
            int(changed[0]) if len(changed) == 1 else None,
            theme,
            query=result.query,
            perturbation=result.perturbation,
            provenance=result.provenance,
        )

    def __repr__(self) -> str:
        return f"RankingView({self.result!r})"
