"""The live picture of a number for each head, made by anybody."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz import figures, wire
from mechviz.errors import InputError
from mechviz.results import AttentionResult
from mechviz.views.pictures import attention_picture
from mechviz.views.reader import Attended
from mechviz.views.view import View


class GridView(View):
    """A grid of layers and heads, with the attention of a chosen head beside it; made by `from_arrays`.

    Parameters
    ----------
    result : AttentionResult
    effects : float32 array, dims (layer, head)
        NaN is "not computed".
    interval : (low, high) or None
        Bounds of each effect.
    n : int or None
        How many pairs each effect is a mean of.
    lines : bool
        Whether there is attention to draw.
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    """

    PANELS = ("heads", "lines", "model")

    def __init__(
        self,
        result: AttentionResult,
        effects: NDArray[np.float32],
        interval: tuple[Any, Any] | None,
        n: int | None,
        lines: bool,
        theme: str = "auto",
    ) -> None:
        self.effects = effects
        self._result, self._interval, self._n = result, interval, n
        shape = result.main
        key = f"{shape.name}.heads"
        grid = {
            "key": key,
            "name": "heads",
            "stack": shape.name,
            "dims": ["layer", "head"],
            "shape": list(effects.shape),
            "sites": None,
            "metric": "values",
            "n": n,
        }
        cells = {
            f"{key}.effects": effects.astype("<f4"),
            f"{key}.patched": np.full_like(effects, np.nan, dtype="<f4"),
            f"{key}.state": np.where(np.isfinite(effects), wire.EXACT, wire.EMPTY).astype("<u1"),
        }
        if interval is not None:
            bounds = [np.asarray(bound, dtype="<f4") for bound in interval]
            if any(bound.shape != effects.shape for bound in bounds):
                raise InputError(
                    f"interval has shapes {', '.join(str(bound.shape) for bound in bounds)}, effects {effects.shape}"
                )
            cells |= {f"{key}.low": bounds[0], f"{key}.high": bounds[1]}
        size = np.where(np.isfinite(effects), np.abs(effects), -1)
        flat = np.argsort(-size, axis=None, kind="stable")
        order = [(shape.name, *map(int, np.unravel_index(at, effects.shape))) for at in flat]
        super().__init__(
            {**wire.pack_attention(result), "grids": [grid]},
            Attended(result) if lines else None,
            self.PANELS if lines else ("heads",),
            order,  # type: ignore[arg-type]
            theme,
            cells=wire.bytes_of(cells),
        )

    def _figure(self, panel: str, theme: str) -> str:
        if panel != "heads":
            return attention_picture(self, self._result, panel, theme)
        low, high = self._interval or (None, None)
        return figures.grid_svg(
            self.effects, low, high, self._n, self._result.query, self._result.provenance, theme, self.selection
        )

    def __repr__(self) -> str:
        return f"GridView({self.effects.shape[0]} layers x {self.effects.shape[1]} heads)"
