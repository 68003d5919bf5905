"""Many texts or tokens as points in the plane, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mechviz.errors import InputError


@dataclass(frozen=True, eq=False)
class Atlas:
    """A layout of points, and a grid of cells over it that says what lies where.

    Attributes
    ----------
    layout : DataArray, dims (layer, point, axis)
        Float32; ``axis`` is ``x``, ``y``; ``layer`` a coordinate of numbers.
    points : DataFrame, one row a point
        ``label`` (the document's beginning, or the token in its context), ``text`` (the number of its text), ``score`` and
        ``grade`` (NaN where not known), ``term`` (the token; empty for documents).
    cells : DataFrame
        ``layer``, ``row``, ``column``, ``n``, ``terms`` (the strongest, joined by spaces), ``score`` (mean), and
        ``grades`` (a tuple: how many points of grade 0, 1, 2, ...). Rows and columns count from the lower left corner of the
        layer's bounding box, cut into ``size`` x ``size``.
    size : int
        Cells along one side.
    level : ``"document"`` or ``"token"``
    method : str
        What made the layout, in words: ``"PCA (34% of the variance)"``, ``"UMAP (15 neighbours)"``.
    explained : DataArray, dims (layer)
        Share of the variance that is in the plane; NaN where the method does not say.
    """

    layout: xr.DataArray
    points: pd.DataFrame
    cells: pd.DataFrame
    size: int
    level: str
    method: str
    explained: xr.DataArray
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.layout.dims != ("layer", "point", "axis") or self.layout.sizes["axis"] != 2:
            raise InputError(f"layout has dims {dict(self.layout.sizes)}; give (layer, point, axis) with two axes")
        if self.layout.sizes["point"] != len(self.points):
            raise InputError(f"layout has {self.layout.sizes['point']} points and the table {len(self.points)} rows")
        if not np.isfinite(self.layout.values).all():
            raise InputError("layout holds NaN or inf; leave such points out")

    def __repr__(self) -> str:
        layers, n, _ = self.layout.shape
        return f"Atlas({n} {self.level}s, {layers} {'layer' if layers == 1 else 'layers'}, {self.method})"
