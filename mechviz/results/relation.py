"""A relation between tokens, as a detector sees it in one text or pair: how likely, and by which heads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit

from mechviz.errors import InputError
from mechviz.text.tokens import Tokens

#: Of two positions i and j: attention from i to j, or from j to i.
WAYS = ("forth", "back")


@dataclass(frozen=True, eq=False)
class RelationResult:
    """Pairs of positions with what each head says for or against the relation.

    The probability of a pair is ``1 / (1 + exp(-(scale * (sum of its contributions + intercept) + shift)))``.

    Attributes
    ----------
    relation : str
        The relation's name, in words: ``"same token"``.
    tokens : Tokens
        Of the sequence that ran.
    pairs : int array, dims (candidate, end)
        Positions i, j of the candidates, the likeliest first; not all pairs of a long text are here.
    contributions : float32 DataArray, dims (candidate, layer, head, way)
        Weight times feature; ``way`` is ``WAYS``.
    other : float32 array, dims (candidate)
        What features that belong to no head contribute.
    weights : float32 DataArray, dims (layer, head, way)
        The detector's weights, of standardised features.
    intercept, scale, shift : float
        Of the regression, and of its calibration.
    truth : bool array, dims (candidate), or None
        Whether the relation holds by its definition; None where it is not known.
    """

    relation: str
    tokens: Tokens
    pairs: NDArray[np.int64]
    contributions: xr.DataArray
    other: NDArray[np.float32]
    weights: xr.DataArray
    intercept: float
    scale: float = 1.0
    shift: float = 0.0
    truth: NDArray[np.bool_] | None = None
    note: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.pairs)
        if self.contributions.dims != ("candidate", "layer", "head", "way") or len(self.contributions) != n:
            raise InputError(
                f"contributions has dims {dict(self.contributions.sizes)}; give (candidate, layer, head, way) for {n} pairs"
            )
        if self.weights.shape != self.contributions.shape[1:]:
            raise InputError(f"weights has shape {self.weights.shape} and contributions {self.contributions.shape[1:]} a pair")

    @property
    def probability(self) -> NDArray[np.float32]:
        """How likely each candidate is, dims (candidate)."""
        raw = self.contributions.values.sum(axis=(1, 2, 3)) + self.other + self.intercept
        found: NDArray[np.float32] = expit(self.scale * raw + self.shift).astype(np.float32)
        return found

    def __repr__(self) -> str:
        layers, heads, _ = self.weights.shape
        return f"RelationResult({self.relation}, {len(self.pairs)} pairs, {layers} x {heads} heads)"
