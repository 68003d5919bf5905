"""Whether neurons matter to the score: held at a value, against as many random ones of the same layers and of like activation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.interventions.intervention import Intervention
from mechviz.interventions.metrics import sum_up
from mechviz.interventions.ops import Clamp, Swap, Zero
from mechviz.interventions.plan import Plan
from mechviz.interventions.subspaces import Neurons
from mechviz.probes.labelled import check_neuron, check_neurons
from mechviz.probes.neurons import ConceptNeurons
from mechviz.probes.reading import position_means
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.stack import Stack
from mechviz.results.curves import Curves
from mechviz.text.checks import whole_number

if TYPE_CHECKING:
    from mechviz.views import CurvesView

FOUND, RANDOM = "found neurons", "random neurons"
CONCEPT, OTHER = "concept", "other"
#: Neurons of a layer with the most similar mean activation, among which one is drawn.
_LIKE = 20


@dataclass(frozen=True, eq=False)
class Clamping:
    """What holding neurons did to scores.

    Attributes
    ----------
    neurons : tuple of (int, int)
        Layer and index of those that were found.
    random : tuple of tuple of (int, int)
        Those of each draw, each standing for the found one at its place.
    op : str
    changes : DataArray, dims (set, pair)
        Score with the neurons held, less the score as it is; ``set`` is ``"found neurons"`` or ``"random neurons 0"``, ...;
        coordinates ``kind`` (``"concept"`` or ``"other"``) and ``query``.
    means : mapping of (int, int) to float
        Mean activation over all tokens of all texts, of every neuron named here.
    provenance : dict
    """

    neurons: tuple[tuple[int, int], ...]
    random: tuple[tuple[tuple[int, int], ...], ...]
    op: str
    changes: xr.DataArray
    means: Mapping[tuple[int, int], float] = field(repr=False)
    provenance: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def p(self) -> float:
        """How often random neurons set the texts apart as much: by mean |change| on concept texts, less that on others.

        (1 + draws that reach the found neurons') / (1 + draws).
        """
        sizes = abs(self.changes)
        apart = (sizes[:, self._is(CONCEPT)].mean("pair") - sizes[:, self._is(OTHER)].mean("pair")).values
        return float((1 + (apart[1:] >= apart[0]).sum()) / len(apart))

    def to_dataframe(self) -> pd.DataFrame:
        """Return four rows, by set (the draws of random neurons together) and kind of texts.

        ``change`` and ``size`` are the means of the score's change and of its absolute value, each with a 95 % bootstrap
        interval over queries (over pairs, where there is one query); ``pairs`` their number.
        """
        rows = []
        for name, own in ((FOUND, self.changes[:1]), (RANDOM, self.changes[1:])):
            for kind in (CONCEPT, OTHER):
                part = own[:, self._is(kind)]
                row: dict[str, Any] = {"set": name, "kind": kind, "pairs": part.sizes["pair"]}
                for column, values in (("change", part), ("size", abs(part))):
                    found = _summed(values.mean("set").values, part["query"].values)
                    row |= {column: found[0], f"{column}_low": found[1], f"{column}_high": found[2]}
                rows.append(row)
        return pd.DataFrame(rows)

    def curves(self) -> Curves:
        """Return the mean |change| of the score on both kinds of texts, by set."""
        frame = self.to_dataframe()

        def of(column: str) -> dict[str, xr.DataArray]:
            return {
                str(name): xr.DataArray(own[column].to_numpy(), dims="x", coords={"x": own["kind"].to_numpy(dtype=str)})
                for name, own in frame.groupby("set", sort=False)
            }

        low, high = of("size_low"), of("size_high")
        known = [name for name in low if bool((low[name].notnull() & high[name].notnull()).all())]
        n = len(self.random)
        return Curves(
            x="texts",
            y="mean |change| of the score",
            curves=of("size"),
            low={name: low[name] for name in known},
            high={name: high[name] for name in known},
            title=f"{self._said} {self.op}",
            note=f"Random neurons: of the same layers and of like mean activation, {n} draws; p = {self.p:.2g}. Bands: 95% "
            "bootstrap intervals over queries.",
        )

    def show(self, theme: str = "auto") -> CurvesView:
        """Return the curves as a view."""
        from mechviz.views import curves

        return curves(self.curves(), theme=theme)

    @property
    def _said(self) -> str:
        return f"{len(self.neurons)} neuron{'s' if len(self.neurons) > 1 else ''}"

    def _is(self, kind: str) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.changes["kind"].values == kind
        return found

    def __repr__(self) -> str:
        sizes = self.to_dataframe().set_index(["set", "kind"])["size"]
        said = "; ".join(f"{name} {sizes[name, CONCEPT]:.3g} and {sizes[name, OTHER]:.3g}" for name in (FOUND, RANDOM))
        return f"Clamping({self._said}, {self.op}: mean |change| on concept and other texts: {said}; p {self.p:.2g})"


def clamp_neurons(
    ranker: Ranker,
    neurons: ConceptNeurons | Sequence[tuple[int, int]],
    concept: Sequence[tuple[str, str]],
    other: Sequence[tuple[str, str]],
    to: str | float = "zero",
    n: int = 5,
    draws: int = 10,
    positions: Any = None,
    batch_size: int = 16,
    seed: int = 0,
) -> Clamping:
    """Hold neurons at a value and compare how the score changes on texts of a concept and on others.

    A neuron that only tells where a concept holds need not be used. If it is used for that, holding it changes scores where the
    concept holds, more than elsewhere, and more than holding other neurons that are as active.

    Parameters
    ----------
    ranker : Ranker
    neurons : ConceptNeurons, or sequence of (layer, index)
        Of the former the first ``n``.
    concept, other : sequences of (query, document)
        In the documents of the former the concept holds. Choose others than those on which the neurons were found.
    to : ``"zero"``, ``"mean"`` or float
        What each neuron is held at; ``"mean"`` is its own over all tokens of all documents given.
    n : int
    draws : int
        How often random neurons are drawn: each from the 20 of the same layer whose mean activation is nearest to that of the
        one it stands for.
    positions : optional
        Where in the document's text, as in `mechviz.interventions.Intervention`; everywhere by default.
    batch_size, seed : int

    Returns
    -------
    Clamping

    Raises
    ------
    InputError, InputTypeError
        A ranker without MLPs, neurons that it does not have, or a layer with too few others.
    """
    part = check_neurons(ranker)
    if isinstance(neurons, ConceptNeurons):
        neurons = neurons.neurons(n)
    chosen = list(dict.fromkeys(check_neuron(part, neuron) for neuron in neurons))
    if not chosen:
        raise InputError("neurons is empty; give at least one (layer, index)")
    whole_number("draws", draws)
    if not (to in ("zero", "mean") if isinstance(to, str) else _is_number(to)):
        raise InputError(f"to={shown(to)}; give 'zero', 'mean', or a number")
    kinds = {CONCEPT: _pairs("concept", concept), OTHER: _pairs("other", other)}
    for layer in {layer for layer, _ in chosen}:
        own = sum(one[0] == layer for one in chosen)
        if part.d_mlp < 2 * own:
            raise InputError(f"layer {layer} has {part.d_mlp} neurons: too few to draw {own} others; name fewer neurons")
    pairs = [*kinds[CONCEPT], *kinds[OTHER]]
    hooks = {layer: part.hook(layer, "mlp_post") for layer in sorted({layer for layer, _ in chosen})}
    by_hook = position_means(ranker, pairs, list(hooks.values()), batch_size)
    means = {layer: by_hook[hook] for layer, hook in hooks.items()}
    random = np.random.default_rng(seed)
    sets = [chosen, *(_alike(chosen, means, random) for _ in range(draws))]
    changes = [
        Plan(_interventions(part, one, to, means, positions), truncate=True).run(ranker, pairs, batch_size).raw.values
        for one in sets
    ]
    return Clamping(
        neurons=tuple(chosen),
        random=tuple(map(tuple, sets[1:])),
        op=f"held at {to:g}" if not isinstance(to, str) else {"zero": "held at 0", "mean": "held at their means"}[to],
        changes=xr.DataArray(
            np.array(changes, dtype=np.float64),
            dims=("set", "pair"),
            coords={
                "set": [FOUND, *(f"{RANDOM} {draw}" for draw in range(draws))],
                "kind": ("pair", np.repeat([CONCEPT, OTHER], [len(own) for own in kinds.values()])),
                "query": ("pair", [query for query, _ in pairs]),
            },
        ),
        means={(layer, index): float(means[layer][index]) for one in sets for layer, index in one},
        provenance={**provenance_of(ranker), "draws": str(draws), "seed": str(seed)},
    )


def _interventions(
    part: Stack,
    neurons: Sequence[tuple[int, int]],
    to: str | float,
    means: Mapping[int, NDArray[np.float64]],
    positions: Any,
) -> list[Intervention]:
    found = []
    for layer in sorted({layer for layer, _ in neurons}):
        hook, subspace = part.hook(layer, "mlp_post"), Neurons([index for one, index in neurons if one == layer])
        if to == "mean":
            found.append(Intervention(hook, Swap(), positions=positions, subspace=subspace, source=means[layer]))
        else:
            op = Zero() if to == "zero" else Clamp(float(to), float(to))
            found.append(Intervention(hook, op, positions=positions, subspace=subspace))
    return found


def _alike(
    chosen: Sequence[tuple[int, int]], means: Mapping[int, NDArray[np.float64]], random: np.random.Generator
) -> list[tuple[int, int]]:
    """Return a random neuron for each, of its layer and of like mean activation, all different and none of those chosen."""
    taken, found = set(chosen), []
    for layer, index in chosen:
        order = np.argsort(np.abs(means[layer] - means[layer][index]), kind="stable").tolist()
        near = [one for one in order if (layer, one) not in taken][:_LIKE]
        drawn = (layer, near[int(random.integers(len(near)))])
        taken.add(drawn)
        found.append(drawn)
    return found


def _summed(values: NDArray[np.float64], queries: NDArray[Any]) -> tuple[float, float, float]:
    names = queries if len(set(queries.tolist())) > 1 else np.arange(len(queries))
    nothing = np.full(len(values), np.nan)
    found = sum_up("raw", values, np.zeros(len(values)), nothing, nothing, names)
    return found.value, found.low, found.high


def _pairs(name: str, pairs: object) -> list[tuple[str, str]]:
    if isinstance(pairs, str) or not isinstance(pairs, Sequence) or not all(isinstance(one, tuple) for one in pairs):
        raise InputTypeError(f"{name} must be a list of (query, document), since scores are compared, not {shown(pairs)}")
    if not pairs:
        raise InputError(f"{name} is empty; give at least one (query, document)")
    return list(pairs)


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and bool(np.isfinite(value))
