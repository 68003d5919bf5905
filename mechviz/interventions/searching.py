"""Where a variable lies: a plan fitted at every layer and place, and how well each works on held-out pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from mechviz.errors import InputError, shown
from mechviz.interventions.fitting import fit
from mechviz.interventions.intervention import Intervention
from mechviz.interventions.laid import listed
from mechviz.interventions.plan import Plan
from mechviz.interventions.positions import as_where
from mechviz.interventions.subspaces import DAS
from mechviz.patching.pairs import make_pair
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import Pair, PatchResult

if TYPE_CHECKING:
    from mechviz.views import PatchingView

SITES = ("resid_pre", "attn_out", "mlp_out")
#: Where a search looks by default; places that the pairs do not have are left out.
PLACES = ("cls", "query", "injected", "query_term", "sep")


@dataclass(frozen=True, eq=False)
class Search:
    """How well plans work by layer and place.

    Attributes
    ----------
    accuracy : DataArray, dims (site, layer, place)
        Interchange accuracy on held-out pairs; NaN where a plan could not be fitted.
    random : DataArray, dims as ``accuracy``
        The same with random directions, as many: what a place gives away without anything being learned.
    plans : mapping of (site, layer, place) to Plan
    example : Pair or None
        A pair for the picture.
    provenance : mapping of str to str
        Ranker and weights.
    """

    accuracy: xr.DataArray
    random: xr.DataArray
    plans: dict[tuple[str, int, str], Plan] = field(repr=False)
    example: Pair | None = field(default=None, repr=False)
    provenance: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a site, layer and place, the best first."""
        frame = self.accuracy.rename("accuracy").to_dataframe().reset_index()
        frame["random"] = self.random.values.ravel()
        return frame.sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)

    @property
    def best(self) -> Plan:
        """The plan that works best."""
        row = self.to_dataframe().iloc[0]
        return self.plans[row["site"], int(row["layer"]), row["place"]]

    def show(self, theme: str = "auto") -> PatchingView:
        """Return a heat map over the positions of one pair: by how much accuracy is above that of random directions there.

        Raises
        ------
        InputError
            There is no pair whose positions could be drawn, or places are no classes of tokens.
        """
        from mechviz.views import PatchingView

        if self.example is None:
            raise InputError("this search has no pair with one perturbed text to draw; see to_dataframe()")
        classes = self.example.classes()
        places = self.accuracy["place"].values.tolist()
        shape = (*self.accuracy.shape[:2], len(classes))
        values = np.full(shape, np.nan, dtype=np.float32)
        above = (self.accuracy - self.random).values
        for position, name in enumerate(classes):
            if name in places:
                values[:, :, position] = above[:, :, places.index(name)]
        coords = {"site": self.accuracy["site"].values, "layer": self.accuracy["layer"].values, "pos": np.arange(len(classes))}
        drawn = xr.DataArray(values, dims=("site", "layer", "pos"), coords=coords)
        result = PatchResult(
            self.example,
            grid="blocks",
            method="exact",
            metric="accuracy above random directions",
            effects=drawn,
            patched=drawn,
            exact=drawn.notnull(),
            provenance=self.provenance,
        )
        return PatchingView(result, theme=theme)

    def __repr__(self) -> str:
        row = self.to_dataframe().iloc[0]
        return (
            f"Search({self.accuracy.size} places; best {row['site']} of layer {row['layer']} at {row['place']!r}: accuracy "
            f"{row['accuracy']:.2f}, random directions {row['random']:.2f})"
        )


def search(
    ranker: Ranker,
    pairs: Any,
    targets: Any = None,
    sites: Sequence[str] = SITES,
    places: Sequence[str] = PLACES,
    layers: Sequence[int] | None = None,
    rank: int = 1,
    aligned: bool = True,
    stack: str | None = None,
    progress: bool = True,
    **options: Any,
) -> Search:
    """Fit `DAS` at every site, layer and place, and judge each on held-out pairs.

    Parameters
    ----------
    ranker : Ranker
    pairs, targets
        As in `Plan.fit`.
    sites : sequence of str
        Such as ``resid_pre``, ``attn_out``, ``mlp_out``, ``resid_post``, ``z``.
    places : sequence of str
        Names of positions as an `Intervention` takes them; those that the pairs do not have are left out.
    layers : sequence of int, optional
        All by default.
    rank : int
        How many directions are learned.
    aligned, stack
        As in `Plan`.
    progress : bool
    **options
        As in `Plan.fit`: ``epochs``, ``lr``, ``objective``, ``seed``, ...

    Returns
    -------
    Search

    Raises
    ------
    InputError
        No place, or a site that this ranker does not have.
    """
    check_ranker(ranker)
    given = listed(pairs)
    stack = stack or ranker.stack_of(given[0][0].side)
    ranker.check_stack(stack)
    part = ranker.stack(stack)
    names = [sites] if isinstance(sites, str) else [site for site in sites if part.offers(site)]
    wanted = [places] if isinstance(places, str) else list(places)
    for place in wanted:
        as_where("places", place)
    chosen = list(range(part.n_layers)) if layers is None else list(layers)
    there = _there(ranker, given, wanted, aligned, stack)
    if not there or not names or not chosen:
        raise InputError(f"places={shown(places)}, sites={shown(sites)}, layers={shown(layers)}: nothing is left to search")
    shape = (len(names), len(chosen), len(there))
    accuracy, random = np.full(shape, np.nan), np.full(shape, np.nan)
    plans: dict[tuple[str, int, str], Plan] = {}
    for index in tqdm(list(np.ndindex(shape)), desc="search", disable=not progress):
        site, layer, place = names[index[0]], chosen[index[1]], there[index[2]]
        plan = Plan(Intervention(part.hook(layer, site), positions=place, subspace=DAS(rank)), aligned=aligned, stack=stack)
        fitted = fit(plan, ranker, pairs, targets, controls="random subspace", progress=False, **options)
        accuracy[index], random[index] = fitted.evaluation.value, fitted.controls[0].value
        plans[site, layer, place] = plan
    coords = {"site": names, "layer": chosen, "place": there}
    dims = ("site", "layer", "place")
    arrays = [xr.DataArray(values, coords, dims) for values in (accuracy, random)]
    return Search(arrays[0], arrays[1], plans, _example(ranker, given), provenance_of(ranker))


def _there(ranker: Ranker, given: Sequence[Any], places: Sequence[str], aligned: bool, stack: str) -> list[str]:
    """Return the places that every pair has."""
    first = Plan([Intervention(ranker.stack(stack).hook(0, "resid_pre"), positions=place) for place in places],
                 aligned=aligned, stack=stack)  # fmt: skip
    laid, _ = first.lay(ranker, [(pair.query, pair.doc, texts) for pair, texts in given], "record")
    return [
        place
        for place in places
        if all(len(as_where("places", place).of(0, one.tokens(), one.classes(), one.query)) for one in laid)  # type: ignore[union-attr]
    ]


def _example(ranker: Ranker, given: Sequence[Any]) -> Pair | None:
    pair, texts = min(given, key=lambda one: len(one[0].doc))
    if len(texts) != 1 or pair.side != "doc":
        return None
    return replace(make_pair(ranker, pair.query, pair.doc, texts[0]), perturbation="a pair of the search")
