"""Activation addition: pushing a ranker towards what sets two kinds of texts apart, and how the score answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from mechviz.errors import InputError, shown
from mechviz.interventions.bases import examples
from mechviz.interventions.intervention import Intervention
from mechviz.interventions.laid import drawn, listed
from mechviz.interventions.ops import Add
from mechviz.interventions.plan import Plan
from mechviz.rankers.ranker import Ranker
from mechviz.results import Curves

if TYPE_CHECKING:
    from mechviz.views import CurvesView

DOSES = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
#: Curves of the view.
STEERED, RANDOM = "mean difference", "random direction"


@dataclass(frozen=True, eq=False)
class Steering:
    """How scores answer to a direction that is added.

    Attributes
    ----------
    hook : str
    direction : float32 array, dims (feature)
        The mean difference of what is at the positions, perturbed less original: a dose of 1.
    scores : DataArray, dims (direction, dose, pair)
        Scores of the held-out pairs' original texts with so much of the direction added; ``direction`` is the one found, and a
        random one of the same length.
    original, perturbed : float64 arrays, dims (pair)
        Scores of the held-out texts as they are.
    query_ids : array of str, dims (pair)
    held_out : tuple of pairs
        Those that were measured, as `Plan.run` takes them: the direction is made of the others.
    """

    hook: str
    direction: NDArray[np.float32]
    scores: xr.DataArray
    original: NDArray[np.float64]
    perturbed: NDArray[np.float64]
    query_ids: NDArray[Any]
    held_out: tuple[Any, ...] = field(default=(), repr=False)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a direction, dose and pair: ``change`` is that of the score."""
        frame = self.scores.rename("score").to_dataframe().reset_index()
        frame["change"] = frame["score"] - self.original[frame["pair"].to_numpy()]
        return frame

    def curves(self) -> Curves:
        """Return the mean change of the score by dose, with intervals over queries."""
        changes = self.scores - xr.DataArray(self.original, dims="pair")
        found: dict[str, xr.DataArray] = {}
        low: dict[str, xr.DataArray] = {}
        high: dict[str, xr.DataArray] = {}
        for name in (STEERED, RANDOM):
            middle, half = means(changes.sel(direction=name).values, self.query_ids)
            for into, values in ((found, middle), (low, middle - half), (high, middle + half)):
                into[name] = xr.DataArray(values, dims="x", coords={"x": self.scores["dose"].values})
        whole = float((self.perturbed - self.original).mean())
        n = len(set(self.query_ids.tolist()))
        return Curves(
            x="dose (times the mean difference)",
            y="change of the score",
            curves=found,
            low=low,
            high=high,
            reference={"by the perturbation": whole, "no change": 0.0},
            title=f"Steering at {self.hook}",
            note=f"Mean over {len(self.original)} held-out pairs of {n} queries; bands: 95% intervals (Student's t).",
        )

    def show(self, theme: str = "auto") -> CurvesView:
        """Return the dose-response curves as a view."""
        from mechviz.views import curves

        return curves(self.curves(), theme=theme)

    def __repr__(self) -> str:
        change = self.scores.sel(direction=STEERED) - self.scores.sel(direction=STEERED, dose=0.0)
        ends = ", ".join(
            f"{float(change.sel(dose=dose).mean()):+.3g} at {dose:g}" for dose in self.scores["dose"].values[[0, -1]]
        )
        return f"Steering({self.hook}, {len(self.original)} held-out pairs: score {ends})"


def steer(
    ranker: Ranker,
    pairs: Any,
    hook: str,
    positions: Any = None,
    doses: Sequence[float] = DOSES,
    held_out: float = 0.5,
    seed: int = 0,
    **options: Any,
) -> Steering:
    """Add the mean difference between perturbed and original texts to original ones, in several doses.

    Parameters
    ----------
    ranker : Ranker
    pairs : as in `Plan.run`
        Such as documents without and with the query term: the direction is then "holds the term".
    hook : str
        Full name; what leaves a layer (``"blocks.1.hook_resid_post"``) is usual.
    positions : optional
        Where the difference is taken and added: as in `Intervention`; everywhere by default.
    doses : sequence of float
        Multiples of the mean difference; 0 is added where it is missing.
    held_out : float
        Share of the queries (of the pairs, where there is one query) on which the answer is measured; the direction is made of
        the others.
    seed : int
        Of what is held out, and of the random direction.
    **options
        ``stack``, ``filler``, ``truncate``, ``aligned`` of `Plan`.

    Returns
    -------
    Steering

    Raises
    ------
    InputError
        Too few pairs, doses that are no numbers.

    Notes
    -----
    Turner et al., "Steering language models with activation engineering", 2023; the control is a random direction as long.
    """
    given = listed(pairs)
    wanted = sorted({0.0, *map(float, doses)})
    if not np.isfinite(wanted).all():
        raise InputError(f"doses={shown(doses)}; give finite numbers")
    train, test = split(given, held_out, seed)
    taken = []
    for direction in ("perturbed->original", "original->perturbed"):
        plan = Plan(Intervention(hook, "collect", positions=positions), direction=direction, **options)
        (collected,) = plan.run(ranker, train).collected.values()
        found = examples(collected)
        if not len(found):
            raise InputError(f"positions={shown(positions)}: no text has such a position; choose others")
        taken.append(found.mean(axis=0, dtype=np.float64))
    direction_found = taken[1] - taken[0]
    length = np.linalg.norm(direction_found)
    if length == 0:
        raise InputError(f"at {hook} original and perturbed texts are alike on average: there is no direction to steer in")
    random = np.random.default_rng(seed).standard_normal(len(direction_found))
    rows = []
    result = None
    for vector in (direction_found, random / np.linalg.norm(random) * length):
        for dose in wanted:
            result = Plan(Intervention(hook, Add(dose), positions=positions, source=vector), **options).run(ranker, test)
            rows.append(result.patched.values)
    assert result is not None
    scores = xr.DataArray(
        np.array(rows).reshape(2, len(wanted), -1),
        dims=("direction", "dose", "pair"),
        coords={"direction": [STEERED, RANDOM], "dose": wanted, "pair": np.arange(len(test))},
    )
    return Steering(
        hook,
        np.asarray(direction_found, dtype=np.float32),
        scores,
        result.base_score.values.astype(np.float64),
        result.source_score.values[:, -1].astype(np.float64),
        result.pairs["query_id"].to_numpy(),
        tuple(test),
    )


def split(given: Sequence[Any], held_out: float, seed: int) -> tuple[list[Any], list[Any]]:
    """Return pairs in two parts that share no query (no pair, where there is one query).

    Raises
    ------
    InputError
        Fewer than two pairs, or a share that leaves a part empty.
    """
    if isinstance(held_out, bool) or not isinstance(held_out, (int, float)) or not 0 < held_out < 1:
        raise InputError(f"held_out={shown(held_out)}; give a share between 0 and 1")
    names = [pair.query_id or pair.query for pair, _ in given]
    if len(set(names)) < 2:
        names = [str(number) for number in range(len(given))]
    different = sorted(set(names))
    if len(different) < 2:
        raise InputError("one pair is too few: some are learned from and others are judged; give at least two")
    count = min(max(1, round(held_out * len(different))), len(different) - 1)
    chosen = drawn(different, count, seed)
    parts: tuple[list[Any], list[Any]] = ([], [])
    for name, (pair, perturbed) in zip(names, given, strict=True):
        parts[name in chosen].append((pair.query, pair.doc, perturbed) if pair.side == "doc" else pair)
    return parts


def means(values: NDArray[Any], queries: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean over queries of the means over their pairs, and half of its 95 % interval (Student's t).

    Parameters
    ----------
    values : array, dims (..., pair)
    queries : array, dims (pair)
    """
    _, codes = np.unique(queries, return_inverse=True)
    n = int(codes.max()) + 1
    if n < 2:  # one query: over its pairs
        codes, n = np.arange(values.shape[-1]), values.shape[-1]
    own = np.stack([values[..., codes == one].mean(axis=-1) for one in range(n)], axis=-1).astype(np.float64)
    half = stats.t.ppf(0.975, n - 1) * own.std(axis=-1, ddof=1) / np.sqrt(n) if n > 1 else np.full(own.shape[:-1], np.nan)
    return own.mean(axis=-1), half
