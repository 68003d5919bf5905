"""Probes that are fitted: logistic regression on few neurons, and directions, each beside one fitted to control labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.interventions import bases
from mechviz.interventions.subspaces import Basis
from mechviz.probes.labelled import Labelled, check_neurons, chosen_layers, labelled
from mechviz.probes.neuron_statistics import area_interval, areas, effect_sizes
from mechviz.probes.reading import Text
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results.curves import MOST_CURVES, Curves

if TYPE_CHECKING:
    from mechviz.views import CurvesView

KS = (1, 2, 4, 8, 16)
MEAN, REGRESSION = "mean difference", "logistic regression"
#: Fits on examples (example, feature) and labels, and returns a function of examples: how positive they are.
_Scores = Callable[[NDArray[np.float32]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Probes:
    """What fitted probes read on held-out examples, by layer.

    Attributes
    ----------
    concept : str
    level : ``"token"`` or ``"text"``
    auc, low, high : DataArray, dims (layer, probe)
        The area under the ROC curve on held-out examples, and its 95 % bootstrap interval over texts or queries.
    control : DataArray, dims (layer, probe)
        The same of a probe fitted to control labels: every token id (every text, where examples are texts) has one drawn at
        random, so that only a probe that learns by heart can do it (Hewitt and Liang 2019). Texts are not seen twice, so of
        texts it says how far chance reaches.
    found : mapping of (int, str) to tuple or Basis
        By layer and probe: the neurons, best first, or the direction.
    title : str
    n_train, n_held_out : int
    provenance : dict
    """

    concept: str
    level: str
    auc: xr.DataArray
    low: xr.DataArray
    high: xr.DataArray
    control: xr.DataArray
    found: dict[tuple[int, str], Any] = field(repr=False)
    title: str
    n_train: int
    n_held_out: int
    provenance: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def selectivity(self) -> xr.DataArray:
        """``auc - control``, dims (layer, probe)."""
        return self.auc - self.control

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a layer and probe: ``auc``, ``low``, ``high``, ``control``, ``selectivity``."""
        columns = {"auc": self.auc, "low": self.low, "high": self.high, "control": self.control, "selectivity": self.selectivity}
        return xr.Dataset(columns).to_dataframe().reset_index()

    def curves(self) -> Curves:
        """Return held-out areas by layer, with intervals, beside the control of the last probe."""
        names = self.auc["probe"].values.tolist()[-(MOST_CURVES - 1) :]
        at = {"x": self.auc["layer"].values}

        def of(values: xr.DataArray) -> dict[str, xr.DataArray]:
            return {name: xr.DataArray(values.sel(probe=name).values, dims="x", coords=at) for name in names}

        low, high = of(self.low), of(self.high)
        known = [name for name in names if bool((low[name].notnull() & high[name].notnull()).all())]
        return Curves(
            x="layer",
            y="AUC on held-out examples",
            curves={**of(self.auc), f"control labels, {names[-1]}": of(self.control)[names[-1]]},
            low={name: low[name] for name in known},
            high={name: high[name] for name in known},
            reference={"chance": 0.5},
            title=f"{self.title}: {self.concept}",
            note=f"Fitted on {self.n_train} {self.level}s, measured on {self.n_held_out} of other texts; bands: 95% bootstrap "
            "intervals over these.",
        )

    def show(self, theme: str = "auto") -> CurvesView:
        """Return the curves as a view."""
        from mechviz.views import curves

        return curves(self.curves(), theme=theme)

    def __repr__(self) -> str:
        best = self.auc.where(self.auc == self.auc.max(), drop=True)
        where = f"layer {int(best['layer'][0])}, {best['probe'].values[0]}"
        return f"Probes({self.title}, {self.concept}: best {float(self.auc.max()):.3f} held out at {where})"


def sparse_probe(
    ranker: Ranker,
    concept: Any = None,
    texts: Sequence[Text] | None = None,
    positive: Sequence[Any] | None = None,
    negative: Sequence[Any] | None = None,
    layers: Sequence[int] | None = None,
    ks: Sequence[int] = KS,
    pool: str = "max",
    held_out: float = 0.5,
    most: int = 4000,
    batch_size: int = 32,
    seed: int = 0,
) -> Probes:
    """Fit logistic regressions on the k best neurons of each layer (Gurnee et al. 2023).

    The neurons are those with the largest |Cohen's d| on the examples that are fitted to. How the curve of k rises says whether
    the concept is in one neuron, in a few, or in many.

    Parameters
    ----------
    ranker : Ranker
    concept, texts, positive, negative, layers, pool, held_out, most, batch_size, seed
        As in `mechviz.probes.find_concept_neurons`.
    ks : sequence of int

    Returns
    -------
    Probes
        Its probes are ``"k = 1"``, ``"k = 2"``, ...

    Raises
    ------
    InputError, InputTypeError
    """
    part = check_neurons(ranker)
    wanted = sorted(set(ks)) if isinstance(ks, Sequence) else []
    if not wanted or any(type(k) is not int or not 1 <= k <= part.d_mlp for k in wanted):
        raise InputError(f"ks={shown(ks)}; give whole numbers from 1 to {part.d_mlp} (a layer has {part.d_mlp} neurons)")
    chosen = chosen_layers(part, layers)
    found = labelled(ranker, concept, texts, positive, negative, chosen, "mlp_post", pool, most, batch_size, seed)

    def fitted(examples: NDArray[np.float32], labels: NDArray[np.bool_], name: str) -> tuple[_Scores, Any]:
        order = np.argsort(-np.nan_to_num(np.abs(effect_sizes(examples, labels))), kind="stable")[: int(name.split()[-1])]
        return _regression(examples[:, order], labels, order), tuple(order.tolist())

    title = "Probes of few neurons"
    return _probes(ranker, found, chosen, [f"k = {k}" for k in wanted], fitted, title, held_out, seed)


def direction_probe(
    ranker: Ranker,
    concept: Any = None,
    texts: Sequence[Text] | None = None,
    positive: Sequence[Any] | None = None,
    negative: Sequence[Any] | None = None,
    layers: Sequence[int] | None = None,
    site: str = "resid_post",
    pool: str = "mean",
    held_out: float = 0.5,
    most: int = 4000,
    batch_size: int = 32,
    seed: int = 0,
) -> Probes:
    """Fit a direction to each layer: the difference of means, and logistic regression.

    Parameters
    ----------
    ranker : Ranker
    concept, texts, positive, negative, layers, pool, held_out, most, batch_size, seed
        As in `mechviz.probes.find_concept_neurons`.
    site : str
        With dims (pos, feature).

    Returns
    -------
    Probes
        Its probes are ``"mean difference"`` and ``"logistic regression"``; ``found`` holds a `Basis` of each, for
        interventions.

    Raises
    ------
    InputError, InputTypeError
    """
    check_ranker(ranker)
    stack = ranker.stack_of("doc")
    part = ranker.stack(stack)
    chosen = chosen_layers(part, layers)
    if not isinstance(site, str) or site in ("q", "k", "v", "z", "pattern", "attn_scores"):
        raise InputError(f"site={shown(site)}; give one without heads, such as 'resid_post', 'attn_out' or 'mlp_post'")
    ranker.towers[stack].names([part.hook(layer, site) for layer in chosen])
    found = labelled(ranker, concept, texts, positive, negative, chosen, site, pool, most, batch_size, seed)

    def fitted(examples: NDArray[np.float32], labels: NDArray[np.bool_], name: str) -> tuple[_Scores, Any]:
        try:
            if name == MEAN:
                basis = bases.mean_difference(_twice(examples[labels]), _twice(examples[~labels]))
            else:
                basis = bases.probe(examples, labels)
        except InputError:  # nothing differs there
            return lambda rows: np.zeros(len(rows)), None
        return _along(basis), basis

    return _probes(ranker, found, chosen, [MEAN, REGRESSION], fitted, f"Directions at {site}", held_out, seed)


def control_labels(kinds: NDArray[np.integer], share: float, seed: int) -> NDArray[np.bool_]:
    """Return labels drawn at random for each kind, dims (example): kinds are drawn until a share of the examples is positive."""
    used, at, sizes = np.unique(kinds, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(used))
    before = np.cumsum(sizes[order]) - sizes[order]
    positive = np.zeros(len(used), dtype=bool)
    positive[order] = before < share * len(kinds)
    found: NDArray[np.bool_] = positive[at]
    return found


def _probes(
    ranker: Ranker,
    found: Labelled,
    layers: Sequence[int],
    names: Sequence[str],
    fitted: Callable[[NDArray[np.float32], NDArray[np.bool_], str], tuple[_Scores, Any]],
    title: str,
    held_out: float,
    seed: int,
) -> Probes:
    out = found.split(held_out, seed)
    control = control_labels(found.kinds, float(found.labels.mean()), seed)
    values = np.full((4, len(layers), len(names)), np.nan)
    kept: dict[tuple[int, str], Any] = {}
    for at, layer in enumerate(layers):
        train, test = found.features[~out, at], found.features[out, at]
        for number, name in enumerate(names):
            scores, kept[layer, name] = fitted(train, found.labels[~out], name)
            read = scores(test)
            values[0, at, number] = areas(read[:, None], found.labels[out])[0]
            values[1:3, at, number] = area_interval(read, found.labels[out], found.groups[out], seed=seed)
            if all(0 < side.sum() < len(side) for side in (control[out], control[~out])):
                values[3, at, number] = areas(fitted(train, control[~out], name)[0](test)[:, None], control[out])[0]
    auc, low, high, by_heart = (
        xr.DataArray(one, dims=("layer", "probe"), coords={"layer": list(layers), "probe": list(names)}) for one in values
    )
    return Probes(
        concept=found.name,
        level=found.level,
        auc=auc,
        low=low,
        high=high,
        control=by_heart,
        found=kept,
        title=title,
        n_train=int((~out).sum()),
        n_held_out=int(out.sum()),
        provenance={**provenance_of(ranker), "texts": str(len(found.texts)), "seed": str(seed)},
    )


def _regression(examples: NDArray[np.float32], labels: NDArray[np.bool_], columns: NDArray[np.int64]) -> _Scores:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(examples.astype(np.float64), labels)

    def scores(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = model.decision_function(rows[:, columns].astype(np.float64))
        return found

    return scores


def _along(basis: Basis) -> _Scores:
    return lambda rows: rows.astype(np.float64) @ basis.directions[:, 0].astype(np.float64)


def _twice(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return examples, a single one twice, which leaves the mean as it is."""
    return rows if len(rows) > 1 else np.repeat(rows, 2, axis=0)
