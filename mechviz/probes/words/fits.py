"""How well values, added up, foretell the target of texts that they were not fitted to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import kendalltau

from mechviz.errors import InputError
from mechviz.probes.words.masking import Floats, Masks, closeness, drawn
from mechviz.probes.words.result import Fit, WordExplanation


def fit_of(keep: Masks, target: Floats, foretold: Floats, seen: Masks | None = None) -> Fit:
    """Compare what was foretold with the target.

    Parameters
    ----------
    keep : bool array, dims (sample, unit)
    target, foretold : float64 arrays, dims (sample)
    seen : bool array, dims (sample, unit), optional
        Samples that were fitted to; the same are left out, and so is a sample that comes twice.
    """
    _, first = np.unique(keep, axis=0, return_index=True)
    chosen = np.zeros(len(keep), dtype=np.bool_)
    chosen[first] = True
    if seen is not None:
        known = {row.tobytes() for row in seen}
        chosen &= [row.tobytes() not in known for row in keep]
    chosen &= np.isfinite(target)
    target, foretold, weights = target[chosen], foretold[chosen], closeness(keep[chosen], None)
    if len(target) < 2:
        return Fit(np.nan, np.nan, np.nan, len(target))
    tau = np.nan if np.ptp(target) == 0 or np.ptp(foretold) == 0 else float(kendalltau(target, foretold).statistic)
    return Fit(_r2(target, foretold, np.ones_like(target)), _r2(target, foretold, weights), tau, len(target))


def held_out_fit(explanation: WordExplanation, n_samples: int = 200, seed: int = 1) -> Fit:
    """Return how well an explanation's values foretell the target of masked copies that are drawn anew.

    Parameters
    ----------
    explanation : WordExplanation
        One that still has its ranker (not read from a file).
    n_samples : int
    seed : int
        Another than the explanation's own, whose samples it was fitted to.

    Raises
    ------
    InputError
        It has no ranker any more, or one word only.
    """
    game = game_with(explanation)
    n = len(explanation.words)
    if n < 2:
        raise InputError("a fit needs at least two words, so that some can be away")
    keep = drawn(n, n_samples, np.random.default_rng(seed))
    return fit_of(keep, game(keep), explanation.foretold(keep))


def game_with(explanation: WordExplanation) -> Callable[[Masks], Floats]:
    """Return the function that was explained.

    Raises
    ------
    InputError
        The explanation was pickled, and its ranker left behind.
    """
    if explanation.game is None:
        raise InputError("this explanation has lost its ranker (it was pickled); make it anew")
    return explanation.game


def _r2(target: Floats, foretold: Floats, weights: Floats) -> float:
    spread = weights @ (target - np.average(target, weights=weights)) ** 2
    # float32 scores that differ by rounding only do not vary
    if spread <= weights.sum() * (np.abs(target).max() * 1e-7) ** 2:
        return float("nan")
    return float(1 - weights @ (target - foretold) ** 2 / spread)
