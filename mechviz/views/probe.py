"""What the views of probes share: a bundle of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mechviz import snapshot, wire
from mechviz.errors import InputTypeError, shown
from mechviz.views.view import View

#: Bytes of arrays that come with a widget, and that a page may hold.
LIVE_BYTES, PAGE_BYTES = 1_000_000, 2_500_000


class ProbeView(View):
    """A widget that draws what a probe found.

    Parameters
    ----------
    spec : mapping
        From `mechviz.wire`.
    panels : sequence of str
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    """

    _esm = snapshot.STATIC / f"{snapshot.PROBES}.js"
    _css = snapshot.STATIC / f"{snapshot.PROBES}.css"
    _bundle = snapshot.PROBES

    def __init__(self, spec: Mapping[str, Any], panels: Sequence[str], theme: str) -> None:
        super().__init__(spec, None, panels, (), theme)

    def _packed(self, count: int, budget: int, page: bool) -> list[wire.Packed]:
        return self._sent(page)

    def _still(self, count: int, budget: int, page: bool = False) -> dict[str, Any]:
        still = super()._still(count, budget, page)
        if page:
            name = self.PANELS[0]
            still["spec"] = {**still["spec"], name: {**still["spec"][name], **self._on_page()}}
        return still

    def _on_page(self) -> dict[str, Any]:
        """Return what a page's spec says otherwise than the widget's."""
        return {}

    def _sent(self, page: bool) -> list[wire.Packed]:
        """Return what comes with the widget, or with a page."""
        raise NotImplementedError


def check_result(value: object, kind: type, view: str) -> None:
    """Refuse what is not the result that a view draws."""
    if not isinstance(value, kind):
        name = kind.__name__
        article = "an" if name[0] in "AEIO" else "a"
        raise InputTypeError(f"{view} draws {article} {name}, not {shown(value)}; see mechviz.results.{name}")
