"""Whether explanations can be trusted: stable over seeds, true to the target, and of one mind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import kendalltau, spearmanr

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.probes.words.fits import game_with
from mechviz.probes.words.masking import Floats, Masks
from mechviz.probes.words.result import WordExplanation
from mechviz.results import Curves
from mechviz.results.curves import MOST_CURVES

#: Name of the curve of words in random order.
RANDOM = "random order"
#: Words that two methods' first choices are compared over.
FIRST = 5

Explanations = Mapping[str, WordExplanation] | Sequence[WordExplanation]


@dataclass(frozen=True, eq=False)
class Stability:
    """The values of one method under several seeds.

    Attributes
    ----------
    method : str
    values : DataArray, dims (seed, word)
    pairs : DataFrame
        One row a pair of seeds: ``seed_a``, ``seed_b``, ``kendall``, ``spearman``, ``first`` (see `agreement`).
    """

    method: str
    values: xr.DataArray
    pairs: pd.DataFrame

    @property
    def spearman(self) -> float:
        """Mean rank correlation over pairs of seeds."""
        return float(self.pairs["spearman"].mean())

    @property
    def kendall(self) -> float:
        """Mean Kendall's tau over pairs of seeds."""
        return float(self.pairs["kendall"].mean())

    def __repr__(self) -> str:
        return (
            f"Stability({self.method}, {self.values.sizes['seed']} seeds, {self.values.sizes['word']} words: "
            f"mean Spearman {self.spearman:.3f}, Kendall {self.kendall:.3f})"
        )


def stability(method: Callable[[int], WordExplanation], seeds: Iterable[int] = range(5)) -> Stability:
    """Explain under several seeds and compare.

    Parameters
    ----------
    method : callable
        Takes a seed and returns a `WordExplanation`: ``lambda seed: lime(ranker, query, doc, seed=seed)``.
    seeds : iterable of int
        At least two.

    Raises
    ------
    InputError, InputTypeError
        Too few seeds, or no function that explains the same words each time.
    """
    chosen = list(seeds)
    if len(chosen) < 2 or len(set(chosen)) < len(chosen):
        raise InputError(f"seeds={shown(chosen)}; give at least two different ones")
    if not callable(method):
        raise InputTypeError(f"method must be a function of a seed, such as lambda seed: lime(...), not {shown(method)}")
    found = {str(seed): method(seed) for seed in chosen}
    compared = _compared(_same(found)).rename(columns={"a": "seed_a", "b": "seed_b"})
    pairs = compared.astype({"seed_a": int, "seed_b": int})
    first = next(iter(found.values()))
    values = xr.concat([one.values for one in found.values()], pd.Index(chosen, name="seed"))
    return Stability(first.method, values, pairs)


def agreement(explanations: Explanations) -> pd.DataFrame:
    """Compare what methods say of the same words.

    Parameters
    ----------
    explanations : mapping of name to WordExplanation, or sequence of them
        At least two, of one text and unit.

    Returns
    -------
    DataFrame
        One row a pair: ``a``, ``b``; ``kendall`` and ``spearman``, rank correlations of the values (NaN where one side does
        not vary); ``first``, the share of the five largest (by absolute value) that both name.

    Raises
    ------
    InputError, InputTypeError
    """
    found = _same(_named(explanations))
    if len(found) < 2:
        raise InputError("one explanation agrees with itself; give at least two")
    return _compared(found)


@dataclass(frozen=True, eq=False)
class WordCurves:
    """The target as words are taken away, or put in, in the order of their values.

    Attributes
    ----------
    deletion, insertion : Curves
        x is the share of the words, from the most helpful on; the random order's band is the middle 90% of its draws.
    auc : DataFrame
        One row an order: ``method``, ``deletion`` and ``insertion``, the areas under the curves (means of the target along the
        way), and both less those of the random order: a good order has a ``deletion_gain`` below 0 and an
        ``insertion_gain`` above 0.
    """

    deletion: Curves
    insertion: Curves
    auc: pd.DataFrame = field(repr=False)

    def show(self, which: str = "deletion", theme: str = "auto") -> Any:
        """Draw the ``"deletion"`` or the ``"insertion"`` curves."""
        if which not in ("deletion", "insertion"):
            raise InputError(f"which={shown(which)}; give 'deletion' or 'insertion'")
        from mechviz import views

        return views.curves(getattr(self, which), theme=theme)

    def __repr__(self) -> str:
        rows = (f"{row.method} {row.deletion:.3g}/{row.insertion:.3g}" for row in self.auc.itertuples())
        return f"WordCurves(areas of deletion/insertion: {', '.join(rows)})"


def deletion_insertion(explanations: Explanations, n_random: int = 10, seed: int = 0) -> WordCurves:
    """Take words away, and put them in, in the order that each explanation gives, and follow the target.

    All orders are walked under the masker of the first explanation.

    Parameters
    ----------
    explanations : mapping of name to WordExplanation, sequence of them, or one
        Of one text, unit and target; at most seven.
    n_random : int
        Random orders that are averaged for comparison.
    seed : int

    Raises
    ------
    InputError, InputTypeError

    Notes
    -----
    Petsiuk, Das and Saenko, "RISE: randomized input sampling for explanation of black-box models", BMVC 2018.
    """
    named = _same(_named([explanations] if isinstance(explanations, WordExplanation) else explanations))
    if len(named) >= MOST_CURVES:
        raise InputError(f"{len(named)} explanations are too many for one picture; give at most {MOST_CURVES - 1}")
    if isinstance(n_random, bool) or not isinstance(n_random, int) or n_random < 1:
        raise InputError(f"n_random={shown(n_random)}; give a whole number, at least 1")
    first = next(iter(named.values()))
    for name, one in named.items():
        if one.target != first.target:
            raise InputError(f"{name} explains {one.target}, another {first.target}; give explanations of one target")
    n, rng = len(first.words), np.random.default_rng(seed)
    orders = [np.argsort(-np.nan_to_num(one.values.values, nan=-np.inf), kind="stable") for one in named.values()]
    orders += [rng.permutation(n) for _ in range(n_random)]
    walked = _walks(game_with(first), np.array(orders))
    share = np.arange(n + 1) / n
    curves, auc = {}, {}
    for row, what in enumerate(("deletion", "insertion")):
        own, random = walked[row, : len(named)], walked[row, len(named) :]
        curves[what] = _curves(what, first, dict(zip(named, own, strict=True)), random, share)
        auc[what] = np.array([_area(values, share) for values in [*own, random.mean(axis=0)]])
    table = pd.DataFrame({"method": [*named, RANDOM], **auc})
    for what in auc:
        table[f"{what}_gain"] = table[what] - table[what].iloc[-1]
    return WordCurves(curves["deletion"], curves["insertion"], table)


def _walks(game: Callable[[Masks], Floats], orders: Any) -> Floats:
    """Return the target along each order, dims (deletion or insertion, order, step)."""
    count, n = orders.shape
    rank = orders.argsort(axis=1)
    put_in = rank[:, None, :] < np.arange(n + 1)[:, None]
    keep = np.stack([~put_in, put_in]).reshape(-1, n)
    return game(keep).reshape(2, count, n + 1)


def _area(values: Floats, share: Floats) -> float:
    """Return the mean of a curve over the part of the way where it is defined."""
    known = np.isfinite(values)
    if known.sum() < 2:
        return float("nan")
    return float(np.trapezoid(values[known], share[known]) / np.ptp(share[known]))


def _curves(what: str, first: WordExplanation, own: Mapping[str, Floats], random: Floats, share: Floats) -> Curves:
    def curve(values: Floats) -> xr.DataArray:
        return xr.DataArray(values, dims=("x",), coords={"x": share})

    low, high = np.quantile(random, (0.05, 0.95), axis=0)
    verb = "taken away" if what == "deletion" else "put in"
    return Curves(
        x=f"share of {first.unit}s {verb}, most helpful first",
        y=first.target_unit,
        curves={**{name: curve(values) for name, values in own.items()}, RANDOM: curve(random.mean(axis=0))},
        low={RANDOM: curve(low)},
        high={RANDOM: curve(high)},
        reference={"whole text": first.full},
        title=f"{what.capitalize()}: {first.target}",
        note=f"Mean and middle 90% of {len(random)} random orders; away means: {first.masker}.",
    )


def _compared(explanations: Mapping[str, WordExplanation]) -> pd.DataFrame:
    rows = []
    for (a, one), (b, other) in combinations(explanations.items(), 2):
        x, y = one.values.values, other.values.values
        both = np.isfinite(x) & np.isfinite(y)
        x, y = x[both], y[both]
        varies = len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0
        most = min(FIRST, len(x))
        tops = [set(np.argsort(-np.abs(values), kind="stable")[:most].tolist()) for values in (x, y)]
        rows.append(
            {
                "a": a,
                "b": b,
                "kendall": float(kendalltau(x, y).statistic) if varies else np.nan,
                "spearman": float(spearmanr(x, y).statistic) if varies else np.nan,
                "first": len(tops[0] & tops[1]) / most if most else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=["a", "b", "kendall", "spearman", "first"])


def _named(explanations: object) -> dict[str, Any]:
    if isinstance(explanations, Mapping):
        return dict(explanations)
    if isinstance(explanations, (str, WordExplanation)) or not isinstance(explanations, Iterable):
        raise InputTypeError(f"explanations must be a list or a dict of WordExplanation, not {shown(explanations)}")
    found: dict[str, Any] = {}
    for number, one in enumerate(explanations):
        name = getattr(one, "method", str(number))
        found[name if name not in found else f"{name} ({number})"] = one
    return found


def _same(explanations: dict[str, Any]) -> dict[str, WordExplanation]:
    if not explanations:
        raise InputError("explanations is empty; give at least one")
    for name, one in explanations.items():
        if not isinstance(one, WordExplanation):
            raise InputTypeError(f"explanation {name} is {shown(one)}; give what occlusion, lime and their like return")
    first = next(iter(explanations.values()))
    for name, one in explanations.items():
        if one.text != first.text or [word.spans for word in one.words] != [word.spans for word in first.words]:
            raise InputError(f"{name} explains other words than the first explanation; give explanations of one text and unit")
    return explanations
