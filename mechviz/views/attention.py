"""The live picture of one text's attention."""

from __future__ import annotations

from collections.abc import Sequence

from mechviz import wire
from mechviz.errors import InputTypeError, shown
from mechviz.results import AttentionResult
from mechviz.views.checks import check_panels
from mechviz.views.pictures import attention_picture
from mechviz.views.reader import Attended, Reader
from mechviz.views.view import View


class AttentionView(View):
    """Where the heads of a ranker attend: thumbnails of all heads, lines of one or several, and what a score is made of.

    Parameters
    ----------
    result : AttentionResult
        From `mechviz.attention` or `from_arrays`.
    reader : Reader, optional
        What queries and keys are read from, for the neuron view.
    panels : sequence of str, optional
        Which panels: ``model``, ``lines``, ``neurons``, ``score``. Default: all that have something to show.
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    parts : Packed, optional
        What the score is made of: see `mechviz.wire.pack_parts`.

    Attributes
    ----------
    result : AttentionResult
    selection : dict
        See `View`; may be set.
    """

    PANELS = ("model", "lines", "neurons", "score")
    _shows_thumbs_first = True

    def __init__(
        self,
        result: AttentionResult,
        reader: Reader | None = None,
        panels: Sequence[str] | None = None,
        theme: str = "auto",
        parts: wire.Packed | None = None,
    ) -> None:
        if not isinstance(result, AttentionResult):
            raise InputTypeError(f"an AttentionView draws an AttentionResult, not {shown(result)}; see mv.attention, from_arrays")
        self.result = result
        self._parts = parts
        default = ["model", "lines", *(["neurons"] if reader is not None else []), *(["score"] if parts is not None else [])]
        order = [
            (shape.name, layer, head)
            for shape in sorted(result.stacks, key=lambda one: one.text != result.main.text)
            for layer in range(shape.n_layers)
            for head in range(shape.n_heads)
        ]
        chosen = check_panels(panels, default, self.PANELS)
        super().__init__(wire.pack_attention(result), reader or Attended(result), chosen, order, theme)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"attention: {self.result.query} - mechviz"

    def __repr__(self) -> str:
        return f"AttentionView({self.result!r})"

    def _figure(self, panel: str, theme: str) -> str:
        return attention_picture(self, self.result, panel, theme, self._parts)

    def _packed(self, count: int, budget: int, page: bool) -> list[wire.Packed]:
        return [*([] if self._parts is None else [self._parts]), *super()._packed(count, budget, page)]
