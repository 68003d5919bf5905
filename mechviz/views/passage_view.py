"""The live picture of passages with a number at each piece."""

from __future__ import annotations

from mechviz import figures, wire
from mechviz.results import Curves, Passages
from mechviz.views.probe import ProbeView, check_result


class PassagesView(ProbeView):
    """Passages in groups, coloured by their numbers, made by `passages`; with curves below them where there are any.

    Parameters
    ----------
    passages : Passages
    curves : Curves, optional
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Attributes
    ----------
    passages : Passages
    curves : Curves or None
    """

    PANELS = ("passages", "curves")

    def __init__(self, passages: Passages, curves: Curves | None = None, theme: str = "auto") -> None:
        check_result(passages, Passages, "passages")
        if curves is not None:
            check_result(curves, Curves, "passages(curves=)")
        self.passages, self.curves = passages, curves
        spec = wire.pack_passages(passages)
        if curves is not None:
            spec["curves"] = wire.pack_curves(curves)["curves"]
        super().__init__(spec, self.PANELS[: 1 + (curves is not None)], theme)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"{self.passages.title or self.passages.unit} - mechviz"

    def _sent(self, page: bool) -> list[wire.Packed]:
        return [wire.pack_passage_texts(self.passages), *([wire.pack_curve_values(self.curves)] if self.curves else [])]

    def _figure(self, panel: str, theme: str) -> str:
        if panel == "curves" and self.curves is not None:
            return figures.curves_svg(self.curves, theme)
        return figures.passages_svg(self.passages, theme)

    def __repr__(self) -> str:
        return f"PassagesView({self.passages!r})"


def passages(passages: Passages, theme: str = "auto", curves: Curves | None = None) -> PassagesView:
    """Draw passages in groups, coloured by their numbers.

    Parameters
    ----------
    passages : Passages
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    curves : Curves, optional
        Drawn below, such as accuracy by layer.

    Returns
    -------
    PassagesView

    Raises
    ------
    InputTypeError
        These are no Passages.
    """
    return PassagesView(passages, curves, theme)
