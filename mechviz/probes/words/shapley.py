"""Shapley values of words: all subsets of a few words, else the regression of KernelSHAP."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb, factorial
from typing import Any

import numpy as np
from scipy.stats import norm

from mechviz.errors import InputError
from mechviz.probes.words.fits import fit_of
from mechviz.probes.words.masking import Floats, Masks, drawn
from mechviz.probes.words.result import WordExplanation, explanation
from mechviz.probes.words.scoring import Game, game_of
from mechviz.probes.words.surrogates import HELD_OUT, Surrogate, check_sampling
from mechviz.rankers.ranker import Ranker

#: Up to so many words all subsets are scored, whatever ``n_samples``.
EXACT = 10


def kernel_shap(
    ranker: Ranker,
    query: str,
    doc: str,
    target: Any = "score",
    masker: str | None = None,
    n_samples: int = 1000,
    seed: int = 0,
    unit: str = "word",
    side: str = "doc",
    confidence: float = 0.95,
    **options: Any,
) -> WordExplanation:
    """Return Shapley values: what a word adds to the target, averaged over the orders in which words could be put in.

    Up to 10 words (or where ``n_samples`` suffices) all subsets are scored and the values are exact. Else they come from
    KernelSHAP's weighted regression: subset sizes are scored in full from both ends inwards as long as the samples suffice,
    the rest is drawn by size, each subset with its complement. In both cases values add up to full - base exactly.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    target, unit, side, **options
        See `occlusion`.
    masker : str or None
        As in `occlusion`, but the text without any word must have a score: with ``"delete"`` it mostly has none. None for
        ``"[MASK]"``, or ``"a"`` where the tokenizer has none.
    n_samples : int
        Masked copies, of which a fifth is held out for the fit that is reported.
    seed : int
    confidence : float
        Of the intervals, which say how much a value depends on the draw of the samples; NaN where values are exact.

    Returns
    -------
    WordExplanation

    Raises
    ------
    InputError, InputTypeError

    Notes
    -----
    Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017. Drawing in pairs: Covert and Lee,
    "Improving KernelSHAP: practical Shapley value estimation via linear regression", AISTATS 2021.
    """
    settings = check_sampling(n_samples, seed, confidence)
    return shapley(game_of(ranker, query, doc, target, masker, unit, side, **options), **settings)


def shapley(game: Game, **settings: Any) -> WordExplanation:
    """Explain by KernelSHAP what is in hand."""
    found = shap_values(game, game.n, **settings)
    said = {**settings, "subsets": "all" if np.isnan(found.low).all() else "sampled"}
    return explanation(
        game,
        "KernelSHAP",
        found.values,
        found.low,
        found.high,
        found.intercept,
        said,
        fit=found.fit,
        warning=found.fit.warning if game.n > 1 else "",
    )


def shap_values(
    function: Callable[[Masks], Floats], n: int, n_samples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> Surrogate:
    """Return the Shapley values of a function of which units are there.

    Parameters
    ----------
    function : callable
        Takes which of n units are there, boolean, dims (sample, unit); returns numbers, dims (sample).
    n : int
    n_samples, seed, confidence
        See `kernel_shap`.

    Raises
    ------
    InputError
        A subset without a number, or too few samples for so many units.
    """
    rng = np.random.default_rng(seed)
    if n <= EXACT or 2**n <= n_samples:
        keep = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.bool_)
        target = _defined(function(keep))
        unknown = np.full(n, np.nan)
        values = _exact(keep, target)
        # nothing is left to hold out: the fit to all subsets
        return Surrogate(values, unknown, unknown, float(target[0]), fit_of(keep, target, target[0] + keep @ values))
    held = round(HELD_OUT * n_samples)
    if n_samples - held < 2 * n + 4:
        least = int(np.ceil((2 * n + 4) / (1 - HELD_OUT)))
        raise InputError(f"n_samples={n_samples} is too few for {n} words; give at least {least}, or unit='sentence'")
    keep, weights, first = subsets(n, n_samples - held, rng)
    ends = np.repeat(np.array([[False], [True]]), n, axis=1)
    tested = drawn(n, held, rng)
    target = _defined(function(np.vstack([ends, keep, tested])))  # in one call: batches of like length are fuller
    base, change = target[0], target[1] - target[0]
    fitted = target[2 : 2 + len(keep)] - base
    values, covariance = _regressed(keep, fitted, weights, change, first)
    reach = norm.ppf((1 + confidence) / 2) * np.sqrt(np.maximum(np.diag(covariance), 0))
    fit = fit_of(tested, target[2 + len(keep) :], base + tested @ values, seen=np.vstack([ends, keep]))
    return Surrogate(values, values - reach, values + reach, float(base), fit)


def subsets(n: int, budget: int, rng: np.random.Generator) -> tuple[Masks, Floats, int]:
    """Choose subsets of n units and their weights, empty and full set left out.

    A size s together with n - s is taken whole where its share of the budget suffices, from both ends inwards. The rest are
    drawn: the sizes by systematic sampling from what Shapley's kernel leaves, each subset followed by its complement.

    Parameters
    ----------
    n : int
        At least 2.
    budget : int
        Subsets at most.
    rng : Generator

    Returns
    -------
    bool array, dims (sample, unit)
    float64 array, dims (sample)
        Weights; they add up to 1.
    int
        The first sample that was drawn.
    """
    sizes = np.arange(1, n // 2 + 1)
    counts = [comb(n, int(s)) * (1 if 2 * s == n else 2) for s in sizes]
    # of all subsets of sizes s and n - s: sum of (n - 1) / (C(n, s) s (n - s)), without the constant
    mass = np.array([(1 if 2 * s == n else 2) / (s * (n - s)) for s in sizes])
    mass /= mass.sum()
    keep: list[Masks] = []
    weights: list[Floats] = []
    left, whole = budget, 0
    while whole < len(sizes) and counts[whole] <= left * mass[whole] / mass[whole:].sum() + 1e-9:
        chosen = _of_size(n, int(sizes[whole]))
        keep.append(chosen)
        weights.append(np.full(len(chosen), mass[whole] / len(chosen)))
        left -= len(chosen)
        whole += 1
    first = sum(map(len, keep))
    pairs = left // 2
    if whole < len(sizes) and pairs:
        edges = np.cumsum(mass[whole:])
        at = (rng.random() + np.arange(pairs)) / pairs * edges[-1]
        size = sizes[whole + np.minimum(np.searchsorted(edges, at, side="right"), len(edges) - 1)]
        half = rng.random((pairs, n)).argsort(axis=1).argsort(axis=1) < size[:, None]
        keep.append(np.stack([half, ~half], axis=1).reshape(-1, n))
        weights.append(np.full(2 * pairs, edges[-1] / (2 * pairs)))
    return np.vstack(keep), np.concatenate(weights), first


def _of_size(n: int, size: int) -> Masks:
    chosen = np.array(list(combinations(range(n), size)))
    keep = np.zeros((len(chosen), n), dtype=np.bool_)
    np.put_along_axis(keep, chosen, True, axis=1)
    return keep if 2 * size == n else np.vstack([keep, ~keep])


def _exact(keep: Masks, target: Floats) -> Floats:
    """Return Shapley values from all subsets, dims (unit)."""
    n = keep.shape[1]
    share = np.array([factorial(s) * factorial(n - s - 1) / factorial(n) for s in range(n)] + [0.0])
    size = keep.sum(axis=1)
    joined, absent = share[np.maximum(size - 1, 0)], share[size]
    return _balanced(np.where(keep, joined[:, None], -absent[:, None]).T @ target, float(target[-1] - target[0]))


def _regressed(keep: Masks, target: Floats, weights: Floats, change: float, first: int) -> tuple[Floats, Floats]:
    """Return the weighted least squares values that add up to ``change``, and their covariance over the draw of pairs."""
    n = keep.shape[1]
    design = keep.astype(np.float64)
    inverse = np.linalg.pinv((design.T * weights) @ design, hermitian=True)
    ones = inverse.sum(axis=0)
    free = inverse @ (design.T @ (weights * target))
    values = _balanced(free - ones * (free.sum() - change) / ones.sum(), change)
    if first == len(keep):
        return values, np.zeros((n, n))
    # Linearised: a drawn pair moves the values by its part in the normal equations, within the constraint.
    pull = (design.T * (weights * (target - design @ values))).T[first:].reshape(-1, 2, n).sum(axis=1)
    pull -= pull.mean(axis=0)
    within = inverse - np.outer(ones, ones) / ones.sum()
    moved = pull @ within
    return values, moved.T @ moved * len(pull) / max(1, len(pull) - 1)


def _balanced(values: Floats, change: float) -> Floats:
    """Spread what rounding left, so that values add up to the change."""
    balanced: Floats = values + (change - values.sum()) / len(values)
    return balanced


def _defined(target: Floats) -> Floats:
    if not np.isfinite(target).all():
        raise InputError(
            "Shapley values need the score of the text without any word, and masker='delete' leaves no text; give "
            "masker='[MASK]' or a word such as 'a'"
        )
    return target
