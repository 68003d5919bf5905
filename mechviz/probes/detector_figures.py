"""How well scores tell related pairs from others, with intervals over documents."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Different scores of related pairs that intervals tell apart.
LEVELS = 2048


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of many texts.

    Attributes
    ----------
    labels : bool array, dims (pair)
    docs : int64 array, dims (pair)
        Number of the document (group of texts), from 0.
    rows : int64 array, dims (pair)
        Number of the first unit of the pair, over all texts.
    """

    labels: Bools
    docs: Ints
    rows: Ints

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, chosen: Bools) -> Pairs:
        """Return some of the pairs."""
        return Pairs(self.labels[chosen], self.docs[chosen], self.rows[chosen])

    @property
    def n_docs(self) -> int:
        """Documents that have a pair."""
        return len(np.unique(self.docs))

    @property
    def told(self) -> bool:
        """Whether there are related pairs and others."""
        return bool(self.labels.any() and not self.labels.all())


def resamples(n_docs: int, draws: int, seed: int) -> Doubles:
    """Draw documents with replacement: how often each was drawn, dims (draw, doc)."""
    return np.random.default_rng(seed).multinomial(n_docs, np.full(n_docs, 1 / n_docs), size=draws).astype(np.float64)


def figures(pairs: Pairs, scores: NDArray[Any], drawn: Doubles, probabilities: bool = False) -> dict[str, float]:
    """Return what a method achieves.

    Parameters
    ----------
    pairs : Pairs
    scores : array, dims (pair)
        More where the relation is likelier.
    drawn : float64 array, dims (draw, doc)
    probabilities : bool
        Whether scores are probabilities, of which log-loss is asked.

    Returns
    -------
    dict of str to float
        ``auc`` (of ROC), ``pr_auc`` (average precision), ``p_at_1`` (share of the first units with a related one for which the
        highest score is one of those; ties count in part), ``log_loss`` (nats a pair), each with ``_low`` and ``_high`` of its
        95% bootstrap interval. NaN where it is not defined.
    """
    names = ("auc", "pr_auc", "p_at_1", "log_loss")
    found = {f"{name}{end}": float("nan") for name in names for end in ("", "_low", "_high")}
    if not pairs.told:
        return found
    n_docs = drawn.shape[1]
    auc, precision = resampled_ranks(pairs, scores, drawn)
    found["auc"] = float(roc_auc_score(pairs.labels, scores))
    found["pr_auc"] = float(average_precision_score(pairs.labels, scores))
    hits, asked = _first(pairs, scores, n_docs)
    found["p_at_1"] = float(hits.sum() / asked.sum())
    spread = {"auc": auc, "pr_auc": precision, "p_at_1": _ratio(drawn @ hits, drawn @ asked)}
    if probabilities:
        kept = np.clip(scores.astype(np.float64), 1e-15, 1 - 1e-15)
        found["log_loss"] = float(log_loss(pairs.labels, kept))
        losses = np.bincount(pairs.docs, weights=-np.log(np.where(pairs.labels, kept, 1 - kept)), minlength=n_docs)
        spread["log_loss"] = _ratio(drawn @ losses, drawn @ np.bincount(pairs.docs, minlength=n_docs))
    for name, values in spread.items():
        found[f"{name}_low"], found[f"{name}_high"] = interval(values, pairs.n_docs)
    return found


def interval(values: Doubles, n_docs: int) -> tuple[float, float]:
    """Return the 2.5% and 97.5% quantiles of resampled values; NaN below two documents."""
    if n_docs < 2 or np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(values, (0.025, 0.975))
    return float(low), float(high)


def resampled_ranks(pairs: Pairs, scores: NDArray[Any], drawn: Doubles) -> tuple[Doubles, Doubles]:
    """Return ROC-AUC and average precision of every resample, dims (draw).

    Both come from counts by document at each score of a related pair, which are summed as often as the document was drawn.
    Above `LEVELS` different scores of related pairs, neighbouring ones count as equal.
    """
    n_docs = drawn.shape[1]
    positive, negative = scores[pairs.labels], scores[~pairs.labels]
    levels = np.unique(positive)
    if len(levels) > LEVELS:
        levels = levels[np.unique(np.linspace(0, len(levels) - 1, LEVELS).round().astype(int))]
    size = len(levels)

    def counts(at: Ints, docs: Ints, bins: int) -> Doubles:
        return np.bincount(at * n_docs + docs, minlength=bins * n_docs).reshape(bins, n_docs).astype(np.float64)

    docs = pairs.docs[~pairs.labels]
    held = counts(np.searchsorted(levels, positive, side="right") - 1, pairs.docs[pairs.labels], size) @ drawn.T
    not_above = counts(np.searchsorted(levels, negative, side="left"), docs, size + 1)[:-1].cumsum(axis=0) @ drawn.T
    below = counts(np.searchsorted(levels, negative, side="right"), docs, size + 1)[:-1].cumsum(axis=0) @ drawn.T
    n_held, n_other = held.sum(axis=0), drawn @ np.bincount(docs, minlength=n_docs)
    auc = _ratio((held * (below + not_above) / 2).sum(axis=0), n_held * n_other)
    true = held[::-1].cumsum(axis=0)[::-1]  # at or above each level
    precision = _ratio(true, true + n_other - below)
    return auc, _ratio((held * np.nan_to_num(precision)).sum(axis=0), n_held)


def _first(pairs: Pairs, scores: NDArray[Any], n_docs: int) -> tuple[Doubles, Doubles]:
    """Return by document how often the highest score of a first unit is a related pair, and how many units were asked."""
    _, rows = np.unique(pairs.rows, return_inverse=True)
    size = int(rows.max()) + 1
    best = np.full(size, -np.inf)
    np.maximum.at(best, rows, scores)
    top = scores == best[rows]
    right = np.bincount(rows, weights=(top & pairs.labels), minlength=size) / np.bincount(rows, weights=top, minlength=size)
    asked = np.bincount(rows, weights=pairs.labels, minlength=size) > 0
    docs = np.zeros(size, dtype=np.int64)
    docs[rows] = pairs.docs
    hits = np.bincount(docs[asked], weights=right[asked], minlength=n_docs)
    return hits.astype(np.float64), np.bincount(docs[asked], minlength=n_docs).astype(np.float64)


def _ratio(top: Doubles, bottom: Doubles) -> Doubles:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Doubles = np.where(bottom > 0, top / bottom, np.nan)
    return found
