"""What can be read at each layer beside what is used there: a linear probe and an interchange at the same places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from mechviz.errors import InputError, shown
from mechviz.interventions.bases import probe
from mechviz.interventions.intervention import Intervention
from mechviz.interventions.laid import listed
from mechviz.interventions.metrics import sum_up
from mechviz.interventions.plan import Plan
from mechviz.interventions.steering import split
from mechviz.interventions.subspaces import Basis
from mechviz.rankers.ranker import Ranker
from mechviz.results import Curves, Evaluation

if TYPE_CHECKING:
    from mechviz.views import CurvesView

READ, MOVED, PROBED, RANDOM = "probe reads it", "swap of everything", "swap along the probe", "swap along a random direction"


@dataclass(frozen=True, eq=False)
class Probing:
    """Probe and interchange by layer.

    Attributes
    ----------
    site : str
    found : mapping of str to sequence of Evaluation
        By curve, one a layer. Of ``probe reads it`` the value is the share of held-out texts that the probe tells apart, from 0.5
        (chance) to 1; of the swaps it is the effect, from 0 (nothing) to 1 (the whole score change).
    """

    site: str
    found: dict[str, list[Evaluation]]

    def curves(self) -> Curves:
        """Return everything by layer, with intervals."""
        layers = {"x": np.arange(len(self.found[READ]))}

        def of(name: str) -> dict[str, xr.DataArray]:
            return {
                curve: xr.DataArray([getattr(one, name) for one in all_], dims="x", coords=layers)
                for curve, all_ in self.found.items()
            }

        low, high = of("low"), of("high")
        bounded = [curve for curve in low if bool((low[curve].notnull() & high[curve].notnull()).all())]
        return Curves(
            x="layer",
            y="accuracy of the probe, effect of the swaps",
            curves=of("value"),
            low={curve: low[curve] for curve in bounded},
            high={curve: high[curve] for curve in bounded},
            reference={"chance of the probe": 0.5},
            title=f"Read and used at {self.site}",
            note=f"{self.found[MOVED][0].n_used} held-out pairs; bands are 95% bootstrap intervals over queries.",
        )

    def show(self, theme: str = "auto") -> CurvesView:
        """Return the curves as a view."""
        from mechviz.views import curves

        return curves(self.curves(), theme=theme)

    def __repr__(self) -> str:
        best = {name: max(range(len(all_)), key=lambda layer: all_[layer].value) for name, all_ in self.found.items()}
        said = ", ".join(f"{name} best at layer {layer} ({self.found[name][layer].value:.2f})" for name, layer in best.items())
        return f"Probing({self.site}: {said})"


def read_and_used(
    ranker: Ranker,
    pairs: Any,
    positions: Any = "cls",
    site: str = "resid_post",
    held_out: float = 0.5,
    seed: int = 0,
    **options: Any,
) -> Probing:
    """Compare a linear probe with interchange interventions at every layer.

    That a probe reads something does not mean that the ranker uses it: the probe tells originals from their perturbed copies; the
    swap says how much of the score change goes through there.

    Parameters
    ----------
    ranker : Ranker
    pairs : as in `Plan.run`
    positions : default ``"cls"``
        Where; what the probe reads is the mean over them.
    site : str, default ``"resid_post"``
        In every layer.
    held_out : float
        Share of the queries (of the pairs, where there is one query) that both are judged on.
    seed : int
    **options
        ``stack``, ``filler``, ``truncate``, ``aligned`` of `Plan`.

    Returns
    -------
    Probing

    Raises
    ------
    InputError
        Too few pairs, or a site that this ranker does not have.
    """
    train, test = split(listed(pairs), held_out, seed)
    stack = options.get("stack") or ranker.stack_of("doc")
    ranker.check_stack(stack)
    part = ranker.stack(stack)
    found: dict[str, list[Evaluation]] = {READ: [], MOVED: [], PROBED: [], RANDOM: []}
    for layer in range(part.n_layers):
        hook = part.hook(layer, site)
        ranker.towers[stack].names(hook)
        texts = {name: [_means(ranker, chosen, hook, positions, way, options) for way in _WAYS]
                 for name, chosen in (("train", train), ("test", test))}  # fmt: skip
        features = np.concatenate([one for one, _ in texts["train"]])
        labels = np.repeat([False, True], [len(one) for one, _ in texts["train"]])
        try:
            basis: Basis | None = probe(features, labels)
        except InputError:  # nothing differs there
            basis = None
        found[READ].append(_read(basis, texts))
        found[MOVED].append(_swap(ranker, test, hook, positions, None, options))
        drawn = np.random.default_rng(seed).standard_normal(features.shape[1])
        for name, along in ((PROBED, basis), (RANDOM, Basis(drawn, made="random"))):
            found[name].append(_swap(ranker, test, hook, positions, along, options) if along is not None else _nothing("effect"))
    return Probing(f"{site}, {shown(positions)}", found)


_WAYS = ("perturbed->original", "original->perturbed")


def _means(ranker: Ranker, pairs: Sequence[Any], hook: str, positions: Any, way: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """Return what is at the positions on average in each text, dims (pair, feature), and the pairs' queries."""
    result = Plan(Intervention(hook, "collect", positions=positions), direction=way, **options).run(ranker, pairs)
    (collected,) = result.collected.values()
    return np.nanmean(collected.values, axis=1), result.pairs["query_id"].to_numpy()


def _read(basis: Basis | None, texts: dict[str, list[tuple[Any, Any]]]) -> Evaluation:
    """Return how many held-out texts lie on their own side of the middle between the training means."""
    if basis is None:
        return _nothing("accuracy")
    direction = basis.directions[:, 0]
    means = [(one @ direction).mean() for one, _ in texts["train"]]
    middle, sign = float(np.mean(means)), np.sign(means[1] - means[0])
    right, queries = [], []
    for positive, (one, names) in enumerate(texts["test"]):
        right.append(((one @ direction - middle) * sign > 0) == bool(positive))
        queries.append(names)
    values = np.concatenate(right).astype(np.float64)
    zeros = np.zeros_like(values)
    return sum_up(_share, values, zeros, zeros, values, np.concatenate(queries), name=READ)


def _share(patched: Any, base: Any, wanted: Any) -> Any:
    return patched


def _swap(
    ranker: Ranker, pairs: Sequence[Any], hook: str, positions: Any, along: Basis | None, options: dict[str, Any]
) -> Evaluation:
    return Plan(Intervention(hook, positions=positions, subspace=along), **options).evaluate(ranker, pairs)


def _nothing(metric: str) -> Evaluation:
    return Evaluation(metric, float("nan"), float("nan"), float("nan"), 0, 0)
