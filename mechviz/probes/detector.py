"""Relation detectors: which pairs of tokens stand in a relation, read off the attention of all heads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from mechviz.errors import InputError, shown
from mechviz.probes.detector_file import load, save
from mechviz.probes.detector_fit import Fitted, learn, random_twin
from mechviz.probes.features import Example, Features, examples
from mechviz.probes.reading import Text, doc_of, inputs_of
from mechviz.probes.relations import Relation, check_relation
from mechviz.probes.report import RelationReport, probabilities, report
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results.relation import WAYS, RelationResult
from mechviz.text.perturb.rewrites import check_count, check_seed

if TYPE_CHECKING:
    from mechviz.probes.detector_causal import RelationAblation

#: Candidates that `RelationDetector.explain` returns at most.
MOST_CANDIDATES = 2_000


class RelationDetector:
    """Tells which pairs of tokens stand in a relation, from the attention that all heads pay between them.

    Regularised logistic regression on standardised attention weights, both ways, calibrated to how often the relation holds
    among all pairs: MIA (github.com/mattneary/MIA) as it was meant. That heads show a relation does not say that the ranker
    uses it: see `ablate`. Single weights are no importances where heads are alike: see `stability`.

    Parameters
    ----------
    relation : Relation
        Such as `relations.same_token()`.
    ranker : Ranker
        Rankers that read query and document apart show relations inside one text only.
    norm_weighted, offset, merge_words, scale, context
        What is read of attention; see `mechviz.probes.features.Features`.
    C : float, optional
        Inverse strength of the L2 penalty; by default the best of `detector_fit.STRENGTHS` on folds of whole documents.
    negatives : int, default 20
        Pairs that are not related, for each that is, in learning; half of them of the same string where there are such.
    seed : int

    Raises
    ------
    InputError, InputTypeError
    """

    def __init__(
        self,
        relation: Relation,
        ranker: Ranker,
        norm_weighted: bool = False,
        offset: int = 0,
        merge_words: bool = False,
        C: float | None = None,  # noqa: N803 - what scikit-learn calls it
        negatives: int = 20,
        seed: int = 0,
        scale: str = "log",
        context: int = 0,
    ) -> None:
        self.relation, self.ranker = check_relation(relation), check_ranker(ranker)
        self.features = Features(norm_weighted, offset, merge_words, scale, context)
        if C is not None and (isinstance(C, bool) or not isinstance(C, (int, float)) or not 0 < C < float("inf")):
            raise InputError(f"C={shown(C)}; give a number above 0, or None to have it chosen")
        self.C = None if C is None else float(C)
        self.negatives = check_count("negatives", negatives, least=1)
        self.seed = check_count("seed", check_seed("RelationDetector", seed), least=0)
        self.relation.check(ranker, paired=True)
        self._fitted: Fitted | None = None

    # -- learning and measuring ----------------------------------------------------------------------------------

    def fit(self, texts: Sequence[Text], groups: Sequence[Any] | None = None, baselines: bool = True) -> RelationDetector:
        """Learn from texts.

        Parameters
        ----------
        texts : sequence of str, or of (query, document)
            Texts that cannot carry the relation are left out. Long ones are cut.
        groups : sequence, one a text, optional
            What must not be on both sides of a fold; by default equal documents.
        baselines : bool
            Whether what `evaluate` compares with is learned too: another run of all texts, on random weights.

        Returns
        -------
        RelationDetector
            This one.

        Raises
        ------
        InputError, InputTypeError
            Fewer than two documents in which the relation holds somewhere.
        """
        documents = self.documents(texts, groups)
        self._fitted = learn(
            self.ranker,
            self.relation,
            texts,
            self.features,
            documents,
            self.C,
            self.negatives,
            self.seed,
            baselines,
        )
        return self

    def evaluate(
        self,
        texts: Sequence[Text],
        relation: Relation | None = None,
        groups: Sequence[Any] | None = None,
        draws: int = 1000,
    ) -> RelationReport:
        """Measure the detector on other texts, on all pairs.

        Parameters
        ----------
        texts : sequence of str, or of (query, document)
        relation : Relation, optional
            Whose pairs are to be found; by default that which was learned. Learn `same_token` and evaluate `synonym` to see
            whether the heads that match strings match meanings.
        groups : sequence, one a text, optional
            Texts that are drawn together in the bootstrap; by default equal documents.
        draws : int
            Bootstrap resamples.

        Returns
        -------
        RelationReport
        """
        asked = self.relation if relation is None else check_relation(relation)
        if asked.holds is None and type(asked) is Relation:
            raise InputError(
                f"the file does not hold what {asked.name!r} is (a function or a lexicon); evaluate(texts, relation=...)"
            )
        return report(
            self.fitted,
            self._both(texts, asked),
            self.documents(texts, groups),
            asked.name,
            self.relation.name,
            provenance_of(self.ranker),
            check_count("draws", draws, least=1),
            self.seed,
        )

    def ablate(
        self,
        texts: Sequence[Text],
        n: int = 8,
        draws: int = 10,
        how: str = "zero",
        perturb: Any = None,
    ) -> RelationAblation:
        """Switch off the detector's heaviest heads and compare with as many random ones; see `detector_causal.ablate`."""
        from mechviz.probes.detector_causal import ablate

        return ablate(self, texts, n, draws, how, perturb)

    # -- one text ------------------------------------------------------------------------------------------------

    def score(self, query: str, doc: str | None = None) -> xr.DataArray:
        """Return how likely the relation is between the units of a text, or of a query and a document.

        Parameters
        ----------
        query : str
            The text, where no document is given.
        doc : str, optional

        Returns
        -------
        float32 DataArray, dims (query_pos, key_pos)
            Probabilities; coordinates are positions in the sequence that ran (of words, their first pieces) and, as
            ``query_token`` and ``key_token``, what stands there. NaN for pairs that are not asked about.
        """
        one = self._one(query, doc, self.relation)
        rows, columns = one.pairs()
        values = np.full(one.allowed.shape, np.nan, dtype=np.float32)
        values[rows, columns] = probabilities(self.fitted, one, rows, columns)
        asked = [np.flatnonzero(one.allowed.any(axis=axis)) for axis in (1, 0)]
        coords: dict[str, Any] = {}
        for name, units in zip(("query", "key"), asked, strict=True):
            coords[f"{name}_pos"] = one.units.first[units]
            written = ["".join(one.units.tokens.labels[at] for at in one.units.pieces[unit]) for unit in units]
            coords[f"{name}_token"] = (f"{name}_pos", written)
        return xr.DataArray(
            values[np.ix_(*asked)], dims=("query_pos", "key_pos"), coords=coords, name=self.relation.name, attrs=self._provenance
        )

    def explain(self, query: str, doc: str | None = None, most: int = MOST_CANDIDATES) -> RelationResult:
        """Return the likeliest pairs with what every head says for or against each.

        Parameters
        ----------
        query, doc
            As in `score`.
        most : int
            Pairs at most.
        """
        most = check_count("most", most, least=1)
        fitted, one = self.fitted, self._one(query, doc, self.relation)
        rows, columns = one.pairs()
        order = np.argsort(-probabilities(fitted, one, rows, columns), kind="stable")[:most]
        rows, columns = rows[order], columns[order]
        model, (layers, heads) = fitted.model, fitted.shape
        parts = (one.of(rows, columns) - model.mean) / model.deviation * model.weights
        merged = "; each stands at the first piece of its word" if self.features.merge_words else ""
        truth = one.truth
        return RelationResult(
            relation=self.relation.name,
            tokens=one.units.tokens,
            pairs=np.stack([one.units.first[rows], one.units.first[columns]], axis=1),
            contributions=xr.DataArray(
                parts.reshape(len(rows), layers, heads, 2).astype(np.float32), dims=("candidate", "layer", "head", "way")
            ),
            other=np.zeros(len(rows), dtype=np.float32),
            weights=self.heads(),
            intercept=model.intercept,
            scale=fitted.scale,
            shift=fitted.shift,
            truth=None if truth is None else truth[rows, columns],
            note=f"The likeliest {len(rows):,} of {int(one.allowed.sum()):,} pairs{merged}.",
            provenance=self._provenance,
        )

    def show(self, query: str, doc: str | None = None, theme: str = "auto") -> Any:
        """Return `explain` as a view."""
        from mechviz import views

        return views.relation(self.explain(query, doc), theme=theme)

    # -- what was learned ----------------------------------------------------------------------------------------

    @property
    def fitted(self) -> Fitted:
        """What was learned.

        Raises
        ------
        InputError
            Nothing yet.
        """
        if self._fitted is None:
            raise InputError("this detector has learned nothing yet; call fit(texts) first")
        return self._fitted

    def heads(self) -> xr.DataArray:
        """Return the weights of standardised features, float32, dims (layer, head, way)."""
        return self._by_head(self.fitted.model.weights, "weight")

    def stability(self) -> xr.DataArray:
        """Return the share of folds in which each weight has the sign that it has in the end, dims (layer, head, way)."""
        return self._by_head(self.fitted.stability, "sign agreement")

    # -- files ---------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one JSON file, whole or not at all; see `load`.

        Raises
        ------
        InputError, InputTypeError
            Nothing was learned, or ``path`` cannot be written.
        """
        save(self, path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        ranker: Ranker,
        relation: Relation | None = None,
        any_weights: bool = False,
    ) -> RelationDetector:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path
        ranker : Ranker
            The one that it was learned on.
        relation : Relation, optional
            The file holds what ready relations are, but no function and no lexicon: give those here to learn on or to evaluate.
        any_weights : bool
            Take a ranker with other weights too.

        Raises
        ------
        InputError
            No such file, not of this kind, or learned on other weights.
        """
        made, fitted = load(cls, path, ranker, relation, any_weights)
        made._fitted = fitted
        return made

    def __repr__(self) -> str:
        made = f"{self.relation.name!r}, {self.ranker.name}"
        if self._fitted is None:
            return f"RelationDetector({made}, not fitted)"
        return (
            f"RelationDetector({made}, {self._fitted.texts} texts, {self._fitted.positives:,} of {self._fitted.pairs:,} pairs, "
            f"C={self._fitted.C:g}, out-of-fold AUC {self._fitted.out_of_fold['auc']:.3f})"
        )

    # -- inside --------------------------------------------------------------------------------------------------

    @property
    def _provenance(self) -> dict[str, Any]:
        return {**provenance_of(self.ranker), "relation": self.relation.name}

    def _by_head(self, values: np.ndarray[Any, Any], name: str) -> xr.DataArray:
        layers, heads = self.fitted.shape
        return xr.DataArray(
            values.reshape(layers, heads, 2).astype(np.float32),
            dims=("layer", "head", "way"),
            coords={"layer": range(layers), "head": range(heads), "way": list(WAYS)},
            name=name,
        )

    def documents(self, texts: Sequence[Text], groups: Sequence[Any] | None = None) -> list[Any]:
        """Return what each text belongs to."""
        inputs_of(self.ranker, texts)  # a word about texts that are none comes first
        if groups is None:
            return [doc_of(text) for text in texts]
        if isinstance(groups, str) or not isinstance(groups, Sequence) or len(groups) != len(texts):
            raise InputError(f"groups={shown(groups)}; give one a text, {len(texts)} in all")
        return list(groups)

    def _both(self, texts: Sequence[Text], relation: Relation) -> Iterator[tuple[Example, Example | None]]:
        """Yield each text as the ranker sees it and as one with random weights does."""
        baselines = self.fitted.baselines
        hidden = [] if baselines is None else [baselines.cosine]
        own = examples(self.ranker, relation, texts, self.features, hidden)
        if baselines is None or baselines.random is None:
            for one in own:
                yield one, None
            return
        twins = examples(random_twin(self.ranker, self.seed), relation, texts, self.features)
        yield from zip(own, twins, strict=True)

    def _one(self, query: str, doc: str | None, relation: Relation) -> Example:
        self.fitted  # noqa: B018 - says so if there is none
        text: Text = query if doc is None else (query, doc)
        (one,) = examples(self.ranker, relation, [text], self.features, made=False)
        if not one.allowed.any():
            raise InputError(f"there is no pair of which {relation.name!r} could be asked; give a longer text")
        return one
