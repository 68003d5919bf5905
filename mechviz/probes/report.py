"""How good a relation detector is on texts it has not learned from, beside what much simpler methods achieve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import roc_auc_score, roc_curve

from mechviz.errors import InputError, shown
from mechviz.probes.detector_figures import Pairs, figures, resamples
from mechviz.probes.detector_fit import Fitted, position_features
from mechviz.probes.features import Example
from mechviz.results.curves import MOST_CURVES, Curves

if TYPE_CHECKING:
    from mechviz.views.chart import CurvesView

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

DETECTOR = "detector"
STRINGS, NEIGHBOURS = "string equality", "neighbouring strings"
HEAD, MEAN, COSINE = "best single head", "mean attention", "hidden-state cosine"
POSITION, RANDOM, SHUFFLED, PREVALENCE = "position only", "random weights", "shuffled labels", "prevalence"
#: What the detector is compared with, in the order of the table. Neighbouring strings: how many of the units two before to two
#: after are the same string as those at the same distance from the other.
BASELINES = (STRINGS, NEIGHBOURS, HEAD, MEAN, COSINE, POSITION, RANDOM, SHUFFLED, PREVALENCE)

#: What is near: at most so many positions apart.
NEAR = 32
#: Pairs whose features are held at once.
CHUNK = 32_768
#: False positive rates at which ROC curves are drawn.
_RATES = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class RelationReport:
    """What a detector and its baselines achieve.

    Attributes
    ----------
    relation : str
        Whose pairs were to be found.
    learned : str
        What the detector was learned on.
    table : DataFrame
        One line a slice and method: ``slice``, ``method``, ``auc``, ``pr_auc``, ``p_at_1``, ``log_loss`` (nats a pair; of
        probabilities only), each with ``_low`` and ``_high`` (95% bootstrap over documents; of shuffled labels, the range of
        the middle 95% of shuffles), ``pairs``, ``positives``, ``prevalence`` (their share, which is the PR-AUC of chance) and
        ``documents``. NaN where there are no pairs of both kinds.
    reliability : DataFrame
        ``predicted`` (mean probability), ``observed`` (share that is related), ``pairs``, by tenths of probability.
    roc : dict of (slice, method) to DataArray, dims (x)
        True positive rate by false positive rate.
    dropped : int
        Texts that cannot carry the relation.
    """

    relation: str
    learned: str
    table: pd.DataFrame
    reliability: pd.DataFrame
    roc: dict[tuple[str, str], xr.DataArray]
    dropped: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)

    def at(self, method: str = DETECTOR, slice_: str = "all") -> pd.Series:
        """Return a line of the table.

        Raises
        ------
        InputError
            There is no such line.
        """
        found = self.table[(self.table["method"] == method) & (self.table["slice"] == slice_)]
        if not len(found):
            methods, slices = (", ".join(map(repr, self.table[name].unique())) for name in ("method", "slice"))
            raise InputError(f"there is no {shown(method)} of {shown(slice_)}; methods are {methods}; slices {slices}")
        return found.iloc[0]

    def curves(self, kind: str = "roc", slice_: str = "all") -> Curves:
        """Return ROC curves of the detector and its baselines in a slice, or the reliability of its probabilities.

        Parameters
        ----------
        kind : ``"roc"`` or ``"reliability"``
        slice_ : str
            Of ROC.
        """
        if kind == "reliability":
            kept = self.reliability
            curve = xr.DataArray(kept["observed"].to_numpy(), dims="x", coords={"x": kept["predicted"].to_numpy()})
            same = xr.DataArray(curve["x"].values, dims="x", coords={"x": curve["x"].values})
            return Curves(
                "probability said",
                "share that is related",
                {DETECTOR: curve, "perfect": same},
                title=f"How far to trust the probabilities of {self.learned!r}",
            )
        if kind != "roc":
            raise InputError(f"kind={shown(kind)}; it is 'roc' or 'reliability'")
        chosen = {method: curve for (name, method), curve in self.roc.items() if name == slice_}
        if not chosen:
            self.at(slice_=slice_)
            raise InputError(f"{slice_!r} has no pairs of both kinds, so there is no ROC curve")
        best = sorted(chosen, key=lambda method: (method != DETECTOR, -float(chosen[method].mean())))[:MOST_CURVES]
        line = self.at(slice_=slice_)
        return Curves(
            "false positive rate",
            "true positive rate",
            {method: chosen[method] for method in best},
            title=f"{self.relation}: {slice_}",
            note=f"{int(line['positives']):,} related of {int(line['pairs']):,} pairs in {int(line['documents'])} documents.",
        )

    def show(self, kind: str = "roc", slice_: str = "all", theme: str = "auto") -> CurvesView:
        """Return `curves` as a view."""
        from mechviz.views import curves

        return curves(self.curves(kind, slice_), theme=theme)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the table."""
        return self.table.copy()

    def __repr__(self) -> str:
        told = self.relation if self.relation == self.learned else f"{self.relation}, learned on {self.learned}"
        line = self.at()
        counts = f"{int(line['positives']):,} of {int(line['pairs']):,} pairs in {int(line['documents'])} documents"
        lines = [f"RelationReport({told}: {counts}, prevalence {line['prevalence']:.4f})"]
        columns = ["auc", "pr_auc", "p_at_1", "log_loss"]
        for name, part in self.table.groupby("slice", sort=False):
            if part["auc"].notna().any():
                shown_part = part.set_index("method")[columns]
                shown_part.index.name = f"{name} ({int(part['pairs'].iloc[0]):,} pairs)"
                lines.append(shown_part.to_string(float_format="{:.3f}".format, na_rep=""))
        return "\n\n".join(lines)


def report(
    fitted: Fitted,
    found: Iterable[tuple[Example, Example | None]],
    documents: Sequence[Any],
    relation: str,
    learned: str,
    provenance: dict[str, Any],
    draws: int,
    seed: int,
) -> RelationReport:
    """Measure a detector on examples, each with the same text as the ranker with random weights sees it (or None).

    Parameters
    ----------
    fitted : Fitted
    found : iterable of (Example, Example or None)
    documents : sequence, one a text
        Texts of one document are drawn together.
    relation, learned : str
    provenance : dict
    draws : int
        Bootstrap resamples.
    seed : int
    """
    collected = _Collected(fitted)
    for one, twin in found:
        collected.add(one, twin, documents[one.number])
    if not sum(map(len, collected.labels)):
        raise InputError(f"the texts have no pairs of which {relation!r} could be asked; give others")
    pairs, scores, slices, shuffled = collected.joined()
    drawn = resamples(int(pairs.docs.max()) + 1, draws, seed)
    lines, roc = [], {}
    for name, chosen in slices.items():
        part = pairs.pick(chosen)
        for method, values in scores.items():
            own = values[chosen]
            figure = figures(part, own, drawn, method in (DETECTOR, PREVALENCE))
            lines.append({"slice": name, "method": method, **figure, **_counts(part)})
            if part.told and method != PREVALENCE:
                roc[name, method] = _roc(part.labels, own)
        if shuffled is not None:
            lines.append({"slice": name, "method": SHUFFLED, **_shuffled(part, shuffled[chosen]), **_counts(part)})
    return RelationReport(
        relation,
        learned,
        pd.DataFrame(lines),
        _reliability(pairs.labels, scores[DETECTOR]),
        roc,
        len(documents) - len(collected.labels),
        provenance,
    )


class _Collected:
    """Scores of all pairs, text by text."""

    def __init__(self, fitted: Fitted) -> None:
        self.fitted = fitted
        self.labels: list[Bools] = []
        self.docs: list[Ints] = []
        self.rows: list[Ints] = []
        self.scores: dict[str, list[NDArray[Any]]] = {}
        self.slices: dict[str, list[Bools]] = {}
        self.shuffled: list[Floats] = []
        self._numbers: dict[Any, int] = {}
        self._units = 0

    def add(self, one: Example, twin: Example | None, document: Any) -> None:
        if one.truth is None:
            raise InputError("of these texts nobody knows where the relation holds; evaluate with another relation")
        rows, columns = one.pairs()
        self.labels.append(one.truth[rows, columns])
        self.docs.append(np.full(len(rows), self._numbers.setdefault(document, len(self._numbers)), dtype=np.int64))
        self.rows.append(rows + self._units)
        self._units += len(one.units)
        for name, values in _scores(self.fitted, one, twin, rows, columns).items():
            if name == SHUFFLED:
                self.shuffled.append(values)
            else:
                self.scores.setdefault(name, []).append(values)
        for name, chosen in _slices(one, rows, columns).items():
            self.slices.setdefault(name, []).append(chosen)

    def joined(self) -> tuple[Pairs, dict[str, NDArray[Any]], dict[str, Bools], Floats | None]:
        pairs = Pairs(np.concatenate(self.labels), np.concatenate(self.docs), np.concatenate(self.rows))
        order = [DETECTOR, *(name for name in BASELINES if name in self.scores)]
        scores = {name: np.concatenate(self.scores[name]) for name in order}
        slices = {name: np.concatenate(parts) for name, parts in self.slices.items()}
        return pairs, scores, slices, np.concatenate(self.shuffled) if self.shuffled else None


def probabilities(fitted: Fitted, one: Example, rows: Ints, columns: Ints) -> NDArray[np.float64]:
    """Return how likely the relation is for pairs of an example, dims (pair)."""
    odds = np.concatenate([np.zeros(0), *(fitted.model(part) for part in _parts(one, rows, columns))])
    found: NDArray[np.float64] = expit(fitted.scale * odds + fitted.shift)
    return found


def _parts(one: Example, rows: Ints, columns: Ints) -> Iterable[Floats]:
    for start in range(0, len(rows), CHUNK):
        chunk = slice(start, start + CHUNK)
        yield one.of(rows[chunk], columns[chunk])


def _scores(fitted: Fitted, one: Example, twin: Example | None, rows: Ints, columns: Ints) -> dict[str, NDArray[Any]]:
    """Return what each method says of pairs, dims (pair); of shuffled labels, dims (pair, shuffle)."""
    mean = one.attention.mean(axis=(0, 1))
    same = one.units.same(one.units.keys)
    found: dict[str, NDArray[Any]] = {
        STRINGS: same[rows, columns].astype(np.float32),
        NEIGHBOURS: _neighbours(same, rows, columns),
        MEAN: (mean + mean.T)[rows, columns],
        PREVALENCE: np.full(len(rows), fitted.prevalence),
    }
    baselines = fitted.baselines
    odds: list[NDArray[Any]] = [np.zeros(0)]
    head: list[NDArray[Any]] = [np.zeros(0)]
    shuffled: list[NDArray[Any]] = [np.zeros((0, 0 if baselines is None else len(baselines.shuffled)))]
    for part in _parts(one, rows, columns):
        odds.append(fitted.model(part))
        if baselines is not None:
            head.append(baselines.head[1] * part[:, baselines.head[0]])
            shuffled.append(np.stack([model(part) for model in baselines.shuffled], axis=1))
    found[DETECTOR] = expit(fitted.scale * np.concatenate(odds) + fitted.shift)
    if baselines is not None:
        found[HEAD] = np.concatenate(head)
        found[COSINE] = one.hidden[baselines.cosine][rows, columns]
        found[POSITION] = baselines.position(position_features(one, rows, columns))
        found[SHUFFLED] = np.concatenate(shuffled).astype(np.float32)
        if baselines.random is not None and twin is not None:
            found[RANDOM] = np.concatenate([np.zeros(0), *(baselines.random(part) for part in _parts(twin, rows, columns))])
    return found


def _neighbours(same: Bools, rows: Ints, columns: Ints) -> Floats:
    found = np.zeros(len(rows), dtype=np.float32)
    last = len(same) - 1
    for step in (-2, -1, 1, 2):
        a, b = rows + step, columns + step
        there = (np.minimum(a, b) >= 0) & (np.maximum(a, b) <= last)
        found += there & same[np.clip(a, 0, last), np.clip(b, 0, last)]
    return found


def _slices(one: Example, rows: Ints, columns: Ints) -> dict[str, Bools]:
    same = one.units.same(one.units.keys)
    again = (same & one.allowed).sum(axis=1) > 1
    apart = np.abs(one.units.first[rows] - one.units.first[columns])
    return {
        "all": np.ones(len(rows), dtype=bool),
        "repeated tokens": same[rows, columns] & again[rows],
        "other strings": ~same[rows, columns],
        "split words": one.units.split[rows] | one.units.split[columns],
        "near": apart <= NEAR,
        "far": apart > NEAR,
    }


def _counts(pairs: Pairs) -> dict[str, float]:
    positives = int(pairs.labels.sum())
    share = positives / len(pairs) if len(pairs) else float("nan")
    return {"pairs": len(pairs), "positives": positives, "prevalence": share, "documents": pairs.n_docs}


def _shuffled(pairs: Pairs, scores: Floats) -> dict[str, float]:
    """Return the mean AUC of detectors that learned on shuffled labels: each alone may lean to either side."""
    if not pairs.told:
        return {}
    found = np.array([roc_auc_score(pairs.labels, column) for column in scores.T])
    low, high = np.quantile(found, (0.025, 0.975))
    return {"auc": float(found.mean()), "auc_low": float(low), "auc_high": float(high)}


def _roc(labels: Bools, scores: NDArray[Any]) -> xr.DataArray:
    false, true, _ = roc_curve(labels, scores, drop_intermediate=True)
    return xr.DataArray(np.interp(_RATES, false, true), dims="x", coords={"x": _RATES})


def _reliability(labels: Bools, probability: NDArray[Any]) -> pd.DataFrame:
    bins = np.minimum((probability * 10).astype(int), 9)
    table = pd.DataFrame({"bin": bins, "predicted": probability, "observed": labels.astype(float), "pairs": 1})
    return table.groupby("bin").agg({"predicted": "mean", "observed": "mean", "pairs": "sum"}).reset_index(drop=True)
