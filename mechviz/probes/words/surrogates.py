"""LIME: an additive model of the target near the text, fitted to copies that lack many words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student
from sklearn.linear_model import Ridge

from mechviz.errors import InputError, shown
from mechviz.probes.words.fits import fit_of
from mechviz.probes.words.masking import DELETE, Floats, Masks, closeness, drawn
from mechviz.probes.words.result import Fit, WordExplanation, explanation
from mechviz.probes.words.scoring import Game, game_of
from mechviz.rankers.ranker import Ranker

#: Share of the samples that are not fitted to.
HELD_OUT = 0.2


@dataclass(frozen=True, eq=False)
class Surrogate:
    """An additive model: the numbers of an explanation.

    Attributes
    ----------
    values, low, high : float64 arrays, dims (unit)
    intercept : float
    fit : Fit
        On held-out samples.
    """

    values: Floats
    low: Floats
    high: Floats
    intercept: float
    fit: Fit


def lime(
    ranker: Ranker,
    query: str,
    doc: str,
    target: Any = "score",
    masker: str | None = DELETE,
    n_samples: int = 1000,
    width: float | None = 0.25,
    alpha: float = 1.0,
    seed: int = 0,
    unit: str = "word",
    side: str = "doc",
    confidence: float = 0.95,
    **options: Any,
) -> WordExplanation:
    """Fit a weighted ridge regression of the target on which words are there (LIME).

    Copies of the text lose a number of words that is uniform from 1 to all but one. A copy counts by its cosine c with the
    whole text: by LIME's kernel sqrt(exp(-((1 - c) / width)^2)), or by c itself as in ELI5.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    target, masker, unit, side, **options
        See `occlusion`.
    n_samples : int
        Masked copies, of which a fifth is held out for the fit that is reported.
    width : float or None
        Of the kernel, in units of 1 - c; 0.25 is what LIME takes for texts. None for ELI5's weights.
    alpha : float
        Strength of the ridge penalty.
    seed : int
    confidence : float
        Of the intervals.

    Returns
    -------
    WordExplanation
        Intervals say how much a value depends on the draw of the samples (heteroskedasticity-consistent errors, Student's t);
        they hold the penalty to be part of the question. `WordExplanation.warning` is set where the held-out fit is low.

    Raises
    ------
    InputError, InputTypeError

    Notes
    -----
    Ribeiro, Singh and Guestrin, "Why should I trust you? Explaining the predictions of any classifier", KDD 2016.
    """
    settings = _checked(n_samples, width, alpha, seed, confidence)
    return limed(game_of(ranker, query, doc, target, masker, unit, side, **options), **settings)


def limed(game: Game, **settings: Any) -> WordExplanation:
    """Explain by LIME what is in hand."""
    found = lime_values(game, game.n, **settings)
    return explanation(
        game,
        "LIME",
        found.values,
        found.low,
        found.high,
        found.intercept,
        settings,
        fit=found.fit,
        warning=found.fit.warning,
    )


def lime_values(
    function: Callable[[Masks], Floats],
    n: int,
    n_samples: int = 1000,
    width: float | None = 0.25,
    alpha: float = 1.0,
    seed: int = 0,
    confidence: float = 0.95,
) -> Surrogate:
    """Fit LIME's model to a function of which units are there.

    Parameters
    ----------
    function : callable
        Takes which of n units are there, boolean, dims (sample, unit); returns numbers, dims (sample); samples of NaN are
        left out.
    n : int
        At least 2.
    n_samples, width, alpha, seed, confidence
        See `lime`.

    Raises
    ------
    InputError
        Fewer than two units, or fewer than ten samples with a number.
    """
    if n < 2:
        raise InputError("LIME needs a text of at least two words (or terms, or sentences); use occlusion")
    keep = drawn(n, n_samples, np.random.default_rng(seed))
    keep[0] = True  # the text itself, as in LIME
    target = function(keep)
    known = np.isfinite(target)
    keep, target = keep[known], target[known]
    held = round(HELD_OUT * len(keep))
    if len(keep) - held < 8 or held < 2:
        raise InputError(f"{len(keep)} samples have a score; give n_samples of at least 10, and another masker if texts vanish")
    fitted, tested = slice(0, len(keep) - held), slice(len(keep) - held, None)
    weights = closeness(keep, width)
    model = Ridge(alpha=alpha, solver="svd").fit(keep[fitted].astype(np.float64), target[fitted], sample_weight=weights[fitted])
    errors = _errors(keep[fitted], target[fitted] - model.predict(keep[fitted]), weights[fitted], alpha)
    reach = errors * student.ppf((1 + confidence) / 2, max(1, len(keep) - held - n - 1))
    values: Floats = model.coef_
    foretold = model.predict(keep[tested])
    # a held-out sample that was fitted to as well is not held out
    fit = fit_of(keep[tested], target[tested], foretold, seen=keep[fitted])
    return Surrogate(values, values - reach, values + reach, float(model.intercept_), fit)


def _errors(keep: Masks, residuals: Floats, weights: Floats, alpha: float) -> Floats:
    """Return standard errors of ridge coefficients, dims (unit): the sandwich of White (1980) with its small-sample factor."""
    centred = keep - np.average(keep, axis=0, weights=weights)
    bread = np.linalg.pinv((centred.T * weights) @ centred + alpha * np.eye(keep.shape[1]))
    filling = (centred.T * (weights * residuals) ** 2) @ centred
    degrees = float(np.trace(bread @ (centred.T * weights) @ centred)) + 1
    factor = len(keep) / max(1.0, len(keep) - degrees)
    found: Floats = np.sqrt(np.maximum(factor * np.diag(bread @ filling @ bread), 0))
    return found


def _checked(n_samples: object, width: object, alpha: object, seed: object, confidence: object) -> dict[str, Any]:
    if width is not None and not _positive(width):
        raise InputError(f"width={shown(width)}; give a number above 0, or None for the cosine itself")
    if not (_positive(alpha) or (alpha == 0 and not isinstance(alpha, bool))):
        raise InputError(f"alpha={shown(alpha)}; give a number, at least 0")
    return {**check_sampling(n_samples, seed, confidence), "width": width, "alpha": alpha}


def check_sampling(n_samples: object, seed: object, confidence: object) -> dict[str, Any]:
    """Return the settings of a method that samples, or refuse them.

    Raises
    ------
    InputError
    """
    if isinstance(n_samples, bool) or not isinstance(n_samples, int) or n_samples < 10:
        raise InputError(f"n_samples={shown(n_samples)}; give a whole number, at least 10")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed={shown(seed)}; give a whole number, at least 0")
    if not isinstance(confidence, float) or not 0 < confidence < 1:
        raise InputError(f"confidence={shown(confidence)}; give a share, such as 0.95")
    return {"n_samples": n_samples, "seed": seed, "confidence": confidence}


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
