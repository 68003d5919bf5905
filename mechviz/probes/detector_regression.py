"""The regression that relation detectors are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Linear:
    """A regression on standardised features.

    Attributes
    ----------
    mean, deviation, weights : float64 array, dims (feature)
    intercept : float
    """

    mean: Doubles
    deviation: Doubles
    weights: Doubles
    intercept: float

    def __call__(self, features: NDArray[Any]) -> Doubles:
        """Return the log-odds of pairs before calibration, dims (pair)."""
        found: Doubles = features.astype(np.float64) @ (self.weights / self.deviation) + self.bias
        return found

    @property
    def bias(self) -> float:
        """The intercept of features that are not standardised."""
        return float(self.intercept - self.mean @ (self.weights / self.deviation))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "deviation", "weights")}
        return {**arrays, "intercept": self.intercept}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Linear:
        """Rebuild from the value of `to_dict`."""
        arrays = {name: np.array(data[name], dtype=np.float64) for name in ("mean", "deviation", "weights")}
        return cls(**arrays, intercept=float(data["intercept"]))


def regression(x: NDArray[Any], y: Bools, hard: Bools, strength: float) -> Linear:
    """Return logistic regression with an L2 penalty on standardised features.

    Both classes weigh alike, and among the pairs that are not related those of the same string (``hard``), which are few, weigh
    as much as all others together: else nearly all that is learned is to tell strings apart.
    """
    x = x.astype(np.float64)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    # what is constant up to rounding says nothing; divided by next to nothing it would
    deviation = np.where(deviation > 1e-7 * np.maximum(1, np.abs(mean)), deviation, np.inf)
    found = LogisticRegression(C=strength, max_iter=2000)
    found.fit((x - mean) / deviation, y, sample_weight=balance(y, hard))
    finite = np.isfinite(deviation)
    weights = np.where(finite, found.coef_[0], 0.0)
    return Linear(mean, np.where(finite, deviation, 1.0), weights, float(found.intercept_[0]))


def balance(y: Bools, hard: Bools) -> Doubles:
    """Return weights, dims (pair), that sum to the number of pairs: half of it for the related ones."""
    parts = [part for part in (~y & hard, ~y & ~hard) if part.any()]
    shares = [(y, 0.5), *((part, 0.5 / len(parts)) for part in parts)]
    found = np.zeros(len(y))
    for part, share in shares:
        found[part] = share * len(y) / part.sum()
    return found
