"""Statistics of many neurons at once: the area under the ROC curve by ranks, effect sizes, permutation tests, intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mechviz.errors import InputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
#: Neurons whose ranks are held at once.
_BLOCK = 1024
#: Up to where two areas are one: float64's rounding.
_EQUAL = 1e-12


def tied(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return neurons' activations in units of each one's largest, to 5 decimals, dims (example, neuron).

    What differs by less is rounding, which depends on what a text was batched with: a neuron that is the same everywhere must
    not tell anything by it.
    """
    largest = np.abs(values).max(axis=0, keepdims=True)
    found: NDArray[np.float32] = np.round(values / np.where(largest > 0, largest, 1), 5).astype(np.float32)
    return found


def areas(values: NDArray[np.floating], labels: Bools) -> Floats:
    """Return the area under the ROC curve of every neuron: how often a positive example has more of it than a negative one.

    With mid-ranks r, AUC = (sum of r over positives - n+ (n+ + 1) / 2) / (n+ n-), which is the Mann-Whitney U; ties count half.

    Parameters
    ----------
    values : array, dims (example, neuron)
    labels : bool array, dims (example)

    Returns
    -------
    float64 array, dims (neuron)

    Raises
    ------
    InputError
        Shapes that differ, NaN among the values, or one kind of label only.
    """
    _check(values, labels)
    found = np.empty(values.shape[1])
    for part, ranks in _ranks(values):
        found[part] = _areas(ranks, labels[None])[0]
    return found


def effect_sizes(values: NDArray[np.floating], labels: Bools) -> Floats:
    """Return Cohen's d of every neuron, dims (neuron): the difference of means in pooled deviations; NaN without deviation."""
    _check(values, labels)
    groups = [values[labels].astype(np.float64), values[~labels].astype(np.float64)]
    sums = sum(((group - group.mean(axis=0)) ** 2).sum(axis=0) for group in groups)
    pooled = np.sqrt(sums / max(len(values) - 2, 1))
    difference = groups[0].mean(axis=0) - groups[1].mean(axis=0)
    found = np.full(values.shape[1], np.nan)
    np.divide(difference, pooled, out=found, where=pooled > 0)
    return found


def areas_and_p(
    values: NDArray[np.floating], labels: Bools, draws: int, seed: int, strata: NDArray[np.integer] | None = None
) -> tuple[Floats, Floats, Floats]:
    """Return the AUC of every neuron, tested against labels that are dealt again.

    The statistic is |AUC - 1/2|. The second p is corrected for the number of neurons by the largest statistic of each draw
    (max-T, Westfall and Young 1993): the probability that any neuron does as well.

    Parameters
    ----------
    values : array, dims (example, neuron)
    labels : bool array, dims (example)
    draws : int
        The smallest p is 1 / (draws + 1).
    seed : int
    strata : int array, dims (example), optional
        Labels are dealt within these: tokens of one text.

    Returns
    -------
    tuple of float64 arrays, dims (neuron)
        AUC; p of each neuron alone; p corrected.
    """
    _check(values, labels)
    dealt = _dealt(labels, draws, np.random.default_rng(seed), strata)
    above = np.zeros(values.shape[1])
    largest = np.zeros(draws)
    found, observed = np.empty(values.shape[1]), np.empty(values.shape[1])
    for part, ranks in _ranks(values):
        found[part] = _areas(ranks, labels[None])[0]
        observed[part] = np.abs(found[part] - 0.5)
        under = np.abs(_areas(ranks, dealt) - 0.5)
        above[part] = (under >= observed[part] - _EQUAL).sum(axis=0)
        largest = np.maximum(largest, under.max(axis=1))
    corrected = (largest[:, None] >= observed - _EQUAL).sum(axis=0)
    return found, (above + 1) / (draws + 1), (corrected + 1) / (draws + 1)


def area_interval(
    values: NDArray[np.floating],
    labels: Bools,
    groups: NDArray[np.integer],
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of one neuron's AUC, whole groups drawn together, dims (example) all.

    NaN where fewer than two groups hold positives, or negatives.
    """
    _, codes = np.unique(groups, return_inverse=True)
    n = int(codes.max(initial=-1)) + 1
    owners = [codes[labels], codes[~labels]]
    if any(len(np.unique(own)) < 2 for own in owners):
        return float("nan"), float("nan")
    won = _won_by_group(np.asarray(values, dtype=np.float64), labels, owners, n)
    sizes = [np.bincount(own, minlength=n) for own in owners]
    # Groups that hold one kind only are drawn among their like, so that no draw lacks a kind where texts are the groups.
    kinds = (sizes[0] > 0) + 2 * (sizes[1] > 0)
    random = np.random.default_rng(seed)
    weights = np.zeros((draws, n))
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        weights[:, own] = random.multinomial(len(own), np.full(len(own), 1 / len(own)), size=draws)
    pairs = (weights @ sizes[0]) * (weights @ sizes[1])
    drawn = np.einsum("dg,gh,dh->d", weights, won, weights, optimize=True)[pairs > 0] / pairs[pairs > 0]
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def threshold(values: NDArray[np.floating], labels: Bools) -> tuple[float, float]:
    """Return the value from which an example counts as positive, and the mean of sensitivity and specificity there.

    It is the least value with the largest of that (Youden 1950), on the examples that it was chosen on.
    """
    steps = np.unique(values)
    own = [np.sort(values[labels]), np.sort(values[~labels])]
    right = [1 - np.searchsorted(own[0], steps) / len(own[0]), np.searchsorted(own[1], steps) / len(own[1])]
    balanced = (right[0] + right[1]) / 2
    at = int(np.argmax(balanced))
    return float(steps[at]), float(balanced[at])


def _check(values: NDArray[np.floating], labels: Bools) -> None:
    if values.ndim != 2 or labels.shape != (len(values),) or labels.dtype != np.bool_:
        raise InputError(f"values have shape {values.shape}, labels {labels.shape}; give dims (example, neuron) and (example)")
    if labels.all() or not labels.any():
        raise InputError(
            f"all {len(labels)} examples are {'positive' if len(labels) and labels[0] else 'negative'}; give both kinds"
        )
    if not np.isfinite(values).all():
        raise InputError("values hold NaN or inf; leave such examples out")


def _ranks(values: NDArray[np.floating]) -> Iterator[tuple[slice, Floats]]:
    for start in range(0, values.shape[1], _BLOCK):
        part = slice(start, start + _BLOCK)
        yield part, stats.rankdata(values[:, part], axis=0)


def _areas(ranks: Floats, labels: Bools) -> Floats:
    """Return areas, dims (draw, neuron), from ranks, dims (example, neuron), and labels, dims (draw, example)."""
    n = int(labels[0].sum())
    found: Floats = (labels.astype(np.float64) @ ranks - n * (n + 1) / 2) / (n * (len(ranks) - n))
    return found


def _dealt(labels: Bools, draws: int, random: np.random.Generator, strata: NDArray[np.integer] | None) -> Bools:
    if strata is None:
        return random.permuted(np.tile(labels, (draws, 1)), axis=1)
    places = np.argsort(strata, kind="stable")
    found = np.empty((draws, len(labels)), dtype=bool)
    for row in found:
        row[places] = labels[np.lexsort((random.random(len(labels)), strata))]
    return found


def _won_by_group(values: Floats, labels: Bools, owners: list[NDArray[np.int64]], n: int) -> Floats:
    """Return the pairs that positives of one group win against negatives of another, ties half, dims (group, group)."""
    positive, negative = values[labels], values[~labels]
    found = np.zeros((n, n))
    order = np.argsort(owners[1], kind="stable")
    groups, starts = np.unique(owners[1][order], return_index=True)
    for start in range(0, len(positive), 256):
        part = slice(start, start + 256)
        ahead = positive[part, None] - negative[order]
        won = np.add.reduceat((ahead > 0) + 0.5 * (ahead == 0), starts, axis=1)
        rows = np.zeros((len(won), n))
        rows[:, groups] = won
        np.add.at(found, owners[0][part], rows)
    return found
