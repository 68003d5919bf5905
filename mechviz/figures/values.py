"""What a picture of cells shows, without drawing it: values in a unit, which are estimates, the limit of the colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.figures.words import digits_for, signed
from mechviz.results import PatchResult

_MEANINGS = {
    "effect": "0 = nothing moved, 1 = the whole change",
    "raw": "patched minus base score, 0 = nothing moved",
    "values": "as they were given",
    "robust": "score difference over √(1 + change²), 0 = nothing moved",
}


@dataclass(frozen=True, eq=False)
class Values:
    """Values of cells.

    Attributes
    ----------
    values : float64 array, dims of the grid
        NaN where a cell was not computed or its metric is not defined.
    estimates : bool array, dims of the grid
        Which cells were estimated, not computed by an intervention.
    metric : str
        ``raw`` where effects are not defined, else the result's own.
    floor : float
        Differences below it are float32's noise and get no strong colours.
    shared : float or None
        The limit of a scale that they share with others; None for their own.
    """

    values: NDArray[np.float64]
    estimates: NDArray[np.bool_]
    metric: str
    floor: float = 0.0
    shared: float | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which cells have a value."""
        return np.isfinite(self.values)

    @property
    def limit(self) -> float:
        """Where the colours end: the 99th percentile of the values' sizes."""
        if self.shared is not None:
            return self.shared
        sizes = np.abs(self.values[self.known])
        return max(self.floor, float(np.percentile(sizes, 99))) if sizes.size else self.floor

    @property
    def digits(self) -> int:
        """Digits after the point that show these values."""
        return 2 if self.metric == "effect" else max(3, digits_for(self.limit))

    @property
    def meaning(self) -> str:
        """What the numbers mean."""
        return _MEANINGS.get(self.metric, f"the metric {self.metric}")

    def strongest(self, k: int) -> list[tuple[int, ...]]:
        """Return the indices of the ``k`` values of the largest size, the largest first."""
        sizes = np.where(self.known, np.abs(self.values), -1.0).ravel()
        order = np.argsort(-sizes, kind="stable")[: min(k, int(self.known.sum()))]
        return [tuple(int(i) for i in np.unravel_index(cell, self.values.shape)) for cell in order]

    def sums(self, dim: int) -> NDArray[np.float64]:
        """Return the sums along one dim, of what has a value."""
        total: NDArray[np.float64] = np.where(self.known, self.values, 0.0).sum(dim)
        return total

    def means(self, dim: int) -> NDArray[np.float64]:
        """Return the means along one dim, of what has a value; 0 where nothing has."""
        mean: NDArray[np.float64] = self.sums(dim) / np.maximum(1, self.known.sum(dim))
        return mean

    def reshaped(self, shape: tuple[int, ...]) -> Values:
        """Return the same values in another shape."""
        return replace(self, values=self.values.reshape(shape), estimates=self.estimates.reshape(shape))

    def signed(self, value: float) -> str:
        """Return one value in words."""
        return signed(value, self.digits)


def values_of(result: PatchResult) -> Values:
    """Return what a result's cells show: its metric, or score differences where the perturbation changed no score."""
    pair = result.pair
    if result.metric == "effect" and not pair.gate:
        metric, values = "raw", result.patched.values.astype(np.float64) - pair.base_score
    else:
        metric, values = result.metric, result.effects.values.astype(np.float64)
    values = np.where(np.isfinite(values), values, np.nan)
    estimates = np.isfinite(result.patched.values) & ~result.exact.values
    return Values(values, estimates, metric, 1e-5 * max(1.0, abs(pair.base_score)) if metric == "raw" else 0.0)


def joined(several: Sequence[Values], shared: float | None = None) -> Values:
    """Return the values of several grids of one unit in a row, dims (cell)."""
    flat = [one.reshaped((one.values.size,)) for one in several]
    return replace(
        several[0],
        values=np.concatenate([one.values for one in flat]),
        estimates=np.concatenate([one.estimates for one in flat]),
        floor=max(one.floor for one in several),
        shared=shared,
    )


def pooled(values: Values, dim: int) -> Values:
    """Return, along one dim, the values of the largest size, with their signs."""
    sizes = np.where(values.known, np.abs(values.values), -1.0)
    at: Any = np.expand_dims(sizes.argmax(dim), dim)
    return replace(
        values,
        values=np.take_along_axis(values.values, at, dim).squeeze(dim),
        estimates=np.take_along_axis(values.estimates, at, dim).squeeze(dim),
    )


def colour_limit(values: NDArray[Any]) -> float:
    """Return where colours end: the 99th percentile of the sizes, so that one huge value does not fade all others.

    Where that is 0 it is the largest size; 0 where no value is known.
    """
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    sizes = sizes[np.isfinite(sizes)]
    return (float(np.percentile(sizes, 99)) or float(sizes.max())) if sizes.size else 0.0
