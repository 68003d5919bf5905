"""How a study is analysed: the choices, and what they give for sums by query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mechviz.errors import InputError, shown
from mechviz.studies import statistics
from mechviz.studies.statistics import METRICS, Accumulator, Interval
from mechviz.studies.statistics.sums import Floats

# Streams of random numbers, kept apart.
_BOOTSTRAP, _SIGNS = 1, 2


@dataclass(frozen=True)
class Analysis:
    """The choices of an analysis.

    Attributes
    ----------
    metric : ``"effect"``, ``"raw"`` or ``"robust"``
    confidence : float
        Of intervals.
    draws : int
        Resamples of the bootstrap.
    flips : int
        Sign patterns that a p-value is made of. The least q that one cell alone can have is the number of cells / (flips + 1).
    seed : int
        The same seed gives the same numbers.
    min_change : float
        Pairs whose score changes by no more are not used.

    Raises
    ------
    InputError
        A choice that cannot be.
    """

    metric: str = "effect"
    confidence: float = 0.95
    draws: int = 1000
    flips: int = 10_000
    seed: int = 0
    min_change: float = 0.0

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise InputError(f"metric={shown(self.metric)}; a study has {', '.join(map(repr, METRICS))}")
        if not _is_number(self.confidence) or not 0 < self.confidence < 1:
            raise InputError(f"confidence={shown(self.confidence)}; give a share, such as 0.95")
        if not _is_number(self.min_change) or not 0 <= self.min_change < np.inf:
            raise InputError(f"min_change={shown(self.min_change)}; give the least change of the score that counts, 0 or more")
        for name, least in (("draws", 100), ("flips", 100), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise InputError(f"{name}={shown(value)}; give a whole number, at least {least}")

    def interval(self, found: Accumulator) -> Interval:
        """Return the estimate and its bootstrap interval, dims (cell)."""
        sums = found.sums
        drawn = statistics.counts(np.zeros(len(sums.numerator), dtype=np.int64), self.draws, self.rng(_BOOTSTRAP))
        return statistics.interval([sums], [1], drawn, self.confidence)

    def p(self, found: Accumulator) -> Floats:
        """Return p-values by sign flips, dims (cell); NaN where no pair has the cell."""
        return np.where(found.pairs > 0, statistics.sign_flips(found.sums.numerator, self.flips, self.rng(_SIGNS)), np.nan)

    def rng(self, stream: int = _BOOTSTRAP) -> np.random.Generator:
        """Return a fresh generator of one stream of random numbers."""
        return np.random.default_rng([self.seed, stream])


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
