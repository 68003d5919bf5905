"""Whether the heads that show a relation carry it: they are switched off, beside as many random ones of the same layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from mechviz.errors import InputError, shown
from mechviz.interventions.intervention import Intervention
from mechviz.interventions.plan import Plan
from mechviz.probes.detector_figures import Pairs, interval, resampled_ranks, resamples
from mechviz.probes.detector_fit import Fitted
from mechviz.probes.detector_regression import Linear
from mechviz.probes.features import examples
from mechviz.probes.reading import Text, position_means
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker
from mechviz.text.perturb.base import as_perturbation
from mechviz.text.perturb.rewrites import check_choice, check_count

if TYPE_CHECKING:
    from mechviz.probes.detector import RelationDetector

Doubles = NDArray[np.float64]
#: (layer, head).
Head = tuple[int, int]

#: What stands in place of what a head writes.
HOW = ("zero", "mean")
RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class RelationAblation:
    """What is left without some heads.

    Attributes
    ----------
    relation : str
    how : str
        One of `HOW`.
    table : DataFrame
        A line each for ``intact``, ``top`` (the detector's heaviest heads) and every ``random`` draw: ``heads`` (``"1.4 2.0"``:
        head 4 of layer 1 and head 0 of layer 2), and

        - ``auc``: of the detector on attention as it is while they are off; their own patterns do not change, only those of
          later layers;
        - ``auc_without``: the same with their own attention taken as unknown too (the mean of training);
        - ``score_change``: of the ranker's score, mean absolute change;
        - ``effect``: mean of the score of the perturbed text minus that of the original, under the ablation.

        ``..._change`` is the difference from intact, each with ``_low`` and ``_high``, 95% bootstrap over documents. NaN where
        texts have no query, or there is no perturbation.
    """

    relation: str
    how: str
    table: pd.DataFrame
    provenance: dict[str, Any] = field(default_factory=dict)

    def compare(self) -> pd.DataFrame:
        """Return the top heads beside the random draws, one line a measure.

        Columns: ``top``, ``random`` (mean of the draws), ``random_low``, ``random_high`` (the least and the largest draw), and
        ``as_far``: (1 + draws that move as far or farther) / (1 + draws), the p-value of a draw like the others; it is never
        below 1 / (1 + draws).
        """
        top = self.table[self.table["condition"] == "top"].iloc[0]
        random = self.table[self.table["condition"] == "random"]
        lines = []
        for name in ("auc_change", "auc_without_change", "score_change", "effect_change"):
            drawn = random[name].to_numpy(dtype=float)
            known = bool(np.isfinite(top[name]) and np.isfinite(drawn).all())
            far = (1 + (np.abs(drawn) >= abs(top[name])).sum()) / (1 + len(drawn)) if known else np.nan
            lines.append((name, top[name], drawn.mean(), drawn.min(), drawn.max(), far))
        return pd.DataFrame(lines, columns=["measure", "top", "random", "random_low", "random_high", "as_far"])

    def to_dataframe(self) -> pd.DataFrame:
        """Return the table."""
        return self.table.copy()

    def __repr__(self) -> str:
        top = self.table[self.table["condition"] == "top"].iloc[0]
        told = self.compare().to_string(index=False, float_format="{:.4f}".format, na_rep="")
        return f"RelationAblation({self.relation}, heads {top['heads']} to {self.how})\n{told}"


def ablate(
    detector: RelationDetector,
    texts: Sequence[Text],
    n: int = 8,
    draws: int = 10,
    how: str = "zero",
    perturb: Any = None,
) -> RelationAblation:
    """Switch off the detector's heaviest heads, and as many random heads of the same layers.

    Parameters
    ----------
    detector : RelationDetector
        Fitted.
    texts : sequence of str, or of (query, document)
        Others than it was learned on. With queries the change of the ranker's score is measured too.
    n : int
        Heads; the heaviest are those with the largest sum of squares of both weights.
    draws : int
        Random sets, no two of them the same; fewer where there are no more. They have as many heads of each layer, none of the
        top ones.
    how : ``"zero"`` or ``"mean"``
        What a head writes (z): nothing, or its mean over these texts.
    perturb : as in `mechviz.make_pair`, optional
        Whose effect on the score is measured, such as ``mechviz.axioms.TFC1()``. Texts are (query, document) then; all must
        allow it.

    Returns
    -------
    RelationAblation

    Raises
    ------
    InputError, InputTypeError
        No fitted detector; a layer without enough other heads.
    """
    fitted, ranker = detector.fitted, detector.ranker
    n, draws = check_count("n", n, least=1), check_count("draws", draws, least=1)
    check_choice("how", how, HOW)
    top = _heaviest(fitted, n)
    sets = [top, *_random(fitted, top, draws, detector.seed)]
    documents = detector.documents(texts)
    pairs = _scored(ranker, texts, perturb)
    means = _means(ranker, texts) if how == "mean" else None
    baseline = _Measured.of(detector, texts, documents, pairs, (), None)
    drawn = resamples(len(set(documents)), RESAMPLES, detector.seed)
    lines = [{"condition": "intact", "heads": "", **baseline.line(baseline, drawn)}]
    for number, heads in enumerate(sets):
        found = _Measured.of(detector, texts, documents, pairs, heads, plan_without(ranker, heads, means))
        name = " ".join(f"{layer}.{head}" for layer, head in heads)
        lines.append({"condition": "random" if number else "top", "heads": name, **found.line(baseline, drawn)})
    return RelationAblation(
        detector.relation.name,
        "zero" if how == "zero" else "their mean",
        pd.DataFrame(lines),
        {**provenance_of(ranker), "relation": detector.relation.name},
    )


def plan_without(ranker: Ranker, heads: Sequence[Head], means: dict[int, NDArray[np.float32]] | None = None) -> Plan:
    """Return a plan that puts zeros, or means by layer, dims (head, d_head), in place of what heads write."""
    stack = ranker.stack_of("doc")
    part = ranker.stack(stack)
    made = []
    for layer in sorted({layer for layer, _ in heads}):
        own = sorted(head for at, head in heads if at == layer)
        if means is None:
            made.append(Intervention(part.hook(layer, "z"), "zero", heads=own))
        else:
            made.append(Intervention(part.hook(layer, "z"), "swap", heads=own, source=means[layer][own].reshape(-1)))
    return Plan(made, stack=stack)


@dataclass(frozen=True, eq=False)
class _Measured:
    """One condition: all pairs with the log-odds as read and without the heads' own features, and the ranker's scores."""

    pairs: Pairs
    odds: Doubles
    without: Doubles
    scores: Doubles
    changed: Doubles
    documents: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        detector: RelationDetector,
        texts: Sequence[Text],
        documents: Sequence[Any],
        scored: tuple[list[str], list[str], list[str] | None] | None,
        heads: Sequence[Head],
        plan: Plan | None,
    ) -> _Measured:
        fitted, ranker = detector.fitted, detector.ranker
        codes = {document: number for number, document in enumerate(dict.fromkeys(documents))}
        own = _own(fitted, heads)
        parts: list[tuple[Any, ...]] = []
        units = 0
        with nullcontext() if plan is None else plan.active(ranker):
            for one in examples(ranker, detector.relation, texts, detector.features):
                rows, columns = one.pairs()
                if one.truth is None:
                    raise InputError(f"of these texts nobody knows where {detector.relation.name!r} holds")
                x = one.of(rows, columns)
                docs = np.full(len(rows), codes[documents[one.number]], dtype=np.int64)
                odds = (fitted.scale * model(x) for model in (fitted.model, own))
                parts.append((one.truth[rows, columns], docs, rows + units, *odds))
                units += len(one.units)
            scores, changed = _scores(ranker, scored, len(texts))
        labels, docs, rows, whole, without = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        found = Pairs(labels, docs, rows)
        if not found.told:
            raise InputError(f"in these texts {detector.relation.name!r} holds nowhere, or everywhere; give others")
        return cls(found, whole, without, scores, changed, np.array([codes[document] for document in documents]))

    def line(self, intact: _Measured, drawn: Doubles) -> dict[str, float]:
        """Return the figures of a condition beside those of the intact ranker."""
        found: dict[str, float] = {}
        base = resampled_ranks(intact.pairs, intact.odds, drawn)[0]
        at_start = float(roc_auc_score(intact.pairs.labels, intact.odds))
        for name, odds in (("auc", self.odds), ("auc_without", self.without)):
            value = float(roc_auc_score(self.pairs.labels, odds))
            spread = resampled_ranks(self.pairs, odds, drawn)[0]
            found |= _bounded(name, value, interval(spread, self.pairs.n_docs))
            found |= _bounded(f"{name}_change", value - at_start, interval(spread - base, self.pairs.n_docs))
        effect, before = self.changed - self.scores, intact.changed - intact.scores
        for name, values in (
            ("score_change", np.abs(self.scores - intact.scores)),
            ("effect", effect),
            ("effect_change", effect - before),
        ):
            size = drawn.shape[1]
            counts = drawn @ np.bincount(self.documents, minlength=size)
            resampled = drawn @ np.bincount(self.documents, weights=values, minlength=size) / counts
            found |= _bounded(name, float(values.mean()), interval(resampled, size))
        return found


def _bounded(name: str, value: float, bounds: tuple[float, float]) -> dict[str, float]:
    return {name: value, f"{name}_low": bounds[0], f"{name}_high": bounds[1]}


def _heaviest(fitted: Fitted, n: int) -> list[Head]:
    weight = (fitted.model.weights.reshape(*fitted.shape, 2) ** 2).sum(axis=-1)
    if n >= weight.size:
        raise InputError(f"n={n}, and this ranker has {weight.size} heads; some must be left to compare with")
    order = np.argsort(-weight.reshape(-1), kind="stable")[:n]
    layers, heads = np.unravel_index(order, fitted.shape)
    return sorted(zip(layers.tolist(), heads.tolist(), strict=True))


def _random(fitted: Fitted, top: Sequence[Head], draws: int, seed: int) -> list[list[Head]]:
    """Draw different sets of heads, as many of each layer as ``top`` has and none of these; all, if there are no more."""
    random = np.random.default_rng([seed, 2])
    wanted = {layer: [head for at, head in top if at == layer] for layer, _ in top}
    left = {layer: np.setdiff1d(np.arange(fitted.shape[1]), own) for layer, own in wanted.items()}
    for layer, own in wanted.items():
        if len(left[layer]) < len(own):
            raise InputError(
                f"{len(own)} of the {fitted.shape[1]} heads of layer {layer} are among the {len(top)} heaviest, so that there "
                "are not as many others to compare with; give a smaller n"
            )
    each = {layer: list(combinations(left[layer].tolist(), len(own))) for layer, own in wanted.items() if len(left[layer]) < 16}
    if len(each) == len(wanted) and math.prod(map(len, each.values())) <= draws:  # so few that all of them are taken
        return [
            sorted((layer, head) for layer, heads in zip(each, chosen, strict=True) for head in heads)
            for chosen in product(*each.values())
        ]
    found: list[list[Head]] = []
    while len(found) < draws:
        drawn = sorted(
            (layer, int(head)) for layer, own in wanted.items() for head in random.permutation(left[layer])[: len(own)]
        )
        if drawn not in found:
            found.append(drawn)
    return found


def _own(fitted: Fitted, heads: Sequence[Head]) -> Linear:
    """Return the regression without the features of some heads, which count as what they were on average."""
    kept = np.ones((*fitted.shape, 2))
    for layer, head in heads:
        kept[layer, head] = 0
    model = fitted.model
    return Linear(model.mean, model.deviation, model.weights * kept.reshape(-1), model.intercept)


def _means(ranker: Ranker, texts: Sequence[Text]) -> dict[int, NDArray[np.float32]]:
    """Return what each head writes on average over all positions of all texts, by layer, dims (head, d_head)."""
    part = ranker.stack(ranker.stack_of("doc"))
    hooks = [part.hook(layer, "z") for layer in range(part.n_layers)]
    means = position_means(ranker, texts, hooks)
    return {layer: means[hook].astype(np.float32) for layer, hook in enumerate(hooks)}


def _scored(ranker: Ranker, texts: Sequence[Text], perturb: Any) -> tuple[list[str], list[str], list[str] | None] | None:
    """Return queries, documents and perturbed documents; None where texts have no query."""
    given = [text for text in texts if isinstance(text, tuple)]
    if not given:
        if perturb is not None:
            raise InputError(f"perturb={shown(perturb)} changes the score of a document for a query; give texts as (query, doc)")
        return None
    queries, docs = [query for query, _ in given], [doc for _, doc in given]
    if perturb is None:
        return queries, docs, None
    change = as_perturbation(perturb)
    if change.side != "doc":
        raise InputError(f"perturb={change.name} changes the query; give one that changes the document")
    return queries, docs, [change.apply(query, doc) for query, doc in given]


def _scores(ranker: Ranker, scored: tuple[list[str], list[str], list[str] | None] | None, n: int) -> tuple[Doubles, Doubles]:
    nothing = np.full(n, np.nan)
    if scored is None:
        return nothing, nothing
    queries, docs, changed = scored
    scores = ranker.score(queries, docs, truncate=True).astype(np.float64)
    after = nothing if changed is None else ranker.score(queries, changed, truncate=True).astype(np.float64)
    return scores, after
