"""The live picture of an atlas: points in the plane, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from mechviz import figures, wire
from mechviz.errors import InputTypeError, shown
from mechviz.results import Atlas
from mechviz.views.checks import index
from mechviz.views.probe import ProbeView, check_result

#: Of more points than these, layers are sent when they are asked for, and labels are cut.
MANY = 30_000
#: Bytes of points and layers that a page may hold: they hardly shrink when they are compressed.
_PAGE_LAYERS = 1_600_000


class AtlasView(ProbeView):
    """Points that can be moved through, searched and brushed, with what lies where; made by `atlas`.

    Parameters
    ----------
    atlas : Atlas
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    find : str, optional
        What the view begins to search for.

    Attributes
    ----------
    atlas : Atlas
    """

    PANELS = ("atlas",)

    def __init__(self, atlas: Atlas, theme: str = "auto", find: str | None = None) -> None:
        check_result(atlas, Atlas, "atlas")
        if not isinstance(find, str | None):
            raise InputTypeError(f"find={shown(find)}; give a string, or None")
        self.atlas = atlas
        spec = wire.pack_atlas(atlas)
        super().__init__({**spec, "atlas": {**spec["atlas"], "find": find or ""}}, self.PANELS, theme)

    @property
    def title(self) -> str:
        """What a file of this view is called."""
        return f"atlas of {len(self.atlas.points):,} {self.atlas.level}s - mechviz"

    @property
    def _many(self) -> bool:
        return len(self.atlas.points) > MANY

    def _sent(self, page: bool) -> list[wire.Packed]:
        n = self.atlas.layout.sizes["layer"]
        points = wire.pack_points(self.atlas, wire.SHORT if self._many else None)
        if not page:
            return [points, *(wire.pack_layer(self.atlas, layer) for layer in ([n - 1] if self._many else range(n)))]
        size = 4 * len(self.atlas.points)
        fitting = max(1, _PAGE_LAYERS // max(1, size))
        # The last layer, the first, and others evenly between them.
        kept = dict.fromkeys(np.linspace(n - 1, 0, min(n, fitting)).round().astype(int).tolist())
        return [points, *(wire.pack_layer(self.atlas, layer, small=True) for layer in kept)]

    def _answers(self) -> dict[str, Any]:
        return {"layer": self._answer_layer}

    def _answer_layer(self, message: dict[str, Any]) -> wire.Packed:
        n = self.atlas.layout.sizes["layer"]
        return wire.pack_layer(self.atlas, index("layer", message["layer"], n, "a number below"))

    def _figure(self, panel: str, theme: str) -> str:
        return figures.atlas_svg(self.atlas, theme)

    def __repr__(self) -> str:
        return f"AtlasView({self.atlas!r})"


def atlas(atlas: Atlas, theme: str = "auto", find: str | None = None) -> AtlasView:
    """Draw an atlas: many texts or tokens as points in the plane.

    Parameters
    ----------
    atlas : Atlas
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    find : str, optional
        Points whose label holds it stand out; default none.

    Returns
    -------
    AtlasView

    Raises
    ------
    InputTypeError
        It is no Atlas.
    """
    return AtlasView(atlas, theme, find)
