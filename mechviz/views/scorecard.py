"""The live picture of a scorecard: how far a ranker agrees with axioms, and the pairs behind each number."""

from __future__ import annotations

from mechviz import figures, wire
from mechviz.errors import InputTypeError, shown
from mechviz.results import Scorecard
from mechviz.views.opening import Opener, OpeningView


class ScorecardView(OpeningView):
    """A table of axioms: in which share of pairs the ranker agrees, by how much, by grade and rank; and the pairs.

    Parameters
    ----------
    scorecard : Scorecard
        From `mechviz.scorecard`, or made of anybody's numbers.
    opener : callable, optional
        ``number -> PatchingView``: runs the ranker on the pair of this number. Without it the list opens no pair.
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Attributes
    ----------
    scorecard : Scorecard
    opened : dict of int to PatchingView
        The pairs that were opened, by number.
    """

    PANELS = ("scorecard", "pairs")

    def __init__(self, scorecard: Scorecard, opener: Opener | None = None, theme: str = "auto") -> None:
        if not isinstance(scorecard, Scorecard):
            raise InputTypeError(f"a ScorecardView draws a Scorecard, not {shown(scorecard)}; see mv.scorecard")
        self.scorecard = scorecard
        super().__init__(wire.pack_scorecard(scorecard, opener is not None), scorecard.pairs, opener, self.PANELS, theme)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"scorecard: {self.scorecard.ranker} - mechviz"

    def _figure(self, panel: str, theme: str) -> str:
        return figures.scorecard_svg(self.scorecard, panel, theme)

    def __repr__(self) -> str:
        return f"ScorecardView({self.scorecard!r})"
