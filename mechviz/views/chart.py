"""The live picture of named curves: dose and response, accuracy by layer, loss by step."""

from __future__ import annotations

from mechviz import figures, wire
from mechviz.errors import InputTypeError, shown
from mechviz.results import Curves
from mechviz.views.view import View


class CurvesView(View):
    """Lines with bands for their intervals, made by `curves`; arrow keys and the pointer read all curves at one place.

    Parameters
    ----------
    curves : Curves
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Attributes
    ----------
    curves : Curves
    """

    PANELS = ("curves",)

    def __init__(self, curves: Curves, theme: str = "auto") -> None:
        if not isinstance(curves, Curves):
            raise InputTypeError(f"a CurvesView draws Curves, not {shown(curves)}; see mechviz.results.Curves")
        self.curves = curves
        super().__init__(wire.pack_curves(curves), None, self.PANELS, (), theme)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"{self.curves.title or f'{self.curves.y} by {self.curves.x}'} - mechviz"

    def _packed(self, count: int, budget: int, page: bool) -> list[wire.Packed]:
        return [wire.pack_curve_values(self.curves)]

    def _figure(self, panel: str, theme: str) -> str:
        return figures.curves_svg(self.curves, theme)

    def __repr__(self) -> str:
        return f"CurvesView({self.curves!r})"


def curves(curves: Curves, theme: str = "auto") -> CurvesView:
    """Draw named curves with their intervals.

    Parameters
    ----------
    curves : Curves
        At most eight, with lines to compare them with.
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Returns
    -------
    CurvesView

    Raises
    ------
    InputTypeError
        It is no Curves.
    """
    return CurvesView(curves, theme)
