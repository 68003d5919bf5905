"""Learning a relation detector: which pairs are looked at, the regression, its calibration, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from sklearn.model_selection import GroupKFold

from mechviz.errors import InputError
from mechviz.interventions.controls import randomized
from mechviz.probes.detector_regression import Linear, balance, regression
from mechviz.probes.features import Example, Features, Floats, examples, hidden_hooks
from mechviz.probes.reading import Text
from mechviz.probes.relations import Relation
from mechviz.rankers.ranker import Ranker

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: What C is chosen from, where it is not given.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
FOLDS = 5
#: Rows on which C is chosen; more would cost time and change nothing.
ROWS_FOR_C = 20_000
#: Rows on which each regression of shuffled labels is learned.
ROWS_SHUFFLED = 2_000
SHUFFLES = 20
#: Pairs of one text at most, and of all texts about.
MOST_OF_TEXT, MOST_OF_ALL = 2_000, 200_000


@dataclass(frozen=True, eq=False)
class Baselines:
    """What the detector is compared with, as far as it is chosen or learned on the training texts.

    Attributes
    ----------
    head : tuple
        Number of the best single feature, and 1, or -1 where less attention speaks for the relation.
    cosine : str
        Hook of the hidden states whose cosine does best.
    position : Linear
    shuffled : tuple of Linear
        Learned on labels in another order.
    random : Linear or None
        Learned on a ranker with random weights.
    """

    head: tuple[int, int]
    cosine: str
    position: Linear
    shuffled: tuple[Linear, ...]
    random: Linear | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return {
            "head": list(self.head),
            "cosine": self.cosine,
            "position": self.position.to_dict(),
            "shuffled": [one.to_dict() for one in self.shuffled],
            "random": None if self.random is None else self.random.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Baselines:
        """Rebuild from the value of `to_dict`."""
        return cls(
            (int(data["head"][0]), int(data["head"][1])),
            data["cosine"],
            Linear.from_dict(data["position"]),
            tuple(Linear.from_dict(one) for one in data["shuffled"]),
            None if data["random"] is None else Linear.from_dict(data["random"]),
        )


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was learned.

    Attributes
    ----------
    shape : tuple of int
        Layers and heads.
    model : Linear
    C : float
        Inverse strength of the L2 penalty.
    scale, shift : float
        Of the calibration: probability = 1 / (1 + exp(-(scale * log-odds + shift))).
    prevalence : float
        Share of all pairs asked about, in the training texts, for which the relation holds.
    stability : float64 array, dims (feature)
        Share of the folds in which the weight has the sign that it has in the end.
    out_of_fold : dict of str to float
        ``auc``, ``pr_auc``, ``log_loss`` of pairs of texts that were left out, weighted to the natural prevalence; C was chosen
        on the same folds.
    texts, dropped, pairs, positives : int
        Texts used, texts that cannot carry the relation, pairs learned from, and for how many of these it holds.
    baselines : Baselines or None
    """

    shape: tuple[int, int]
    model: Linear
    C: float
    scale: float
    shift: float
    prevalence: float
    stability: Doubles
    out_of_fold: dict[str, float]
    texts: int
    dropped: int
    pairs: int
    positives: int
    baselines: Baselines | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        plain = ("C", "scale", "shift", "prevalence", "out_of_fold", "texts", "dropped", "pairs", "positives")
        return {
            **{name: getattr(self, name) for name in plain},
            "shape": list(self.shape),
            "model": self.model.to_dict(),
            "stability": self.stability.tolist(),
            "baselines": None if self.baselines is None else self.baselines.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Fitted:
        """Rebuild from the value of `to_dict`."""
        given = dict(data)
        given["shape"] = tuple(given["shape"])
        given["model"] = Linear.from_dict(given["model"])
        given["stability"] = np.array(given["stability"], dtype=np.float64)
        given["baselines"] = None if given["baselines"] is None else Baselines.from_dict(given["baselines"])
        return cls(**given)


@dataclass
class Sample:
    """Pairs drawn from texts, with what is read of them.

    `Sample.weights` says for how many pairs of its text each stands, and `Sample.same` whether it is of the same string.
    """

    numbers: list[int] = field(default_factory=list)
    chosen: list[tuple[Ints, Ints]] = field(default_factory=list)
    features: list[Floats] = field(default_factory=list)
    labels: list[Bools] = field(default_factory=list)
    weights: list[Doubles] = field(default_factory=list)
    same: list[Bools] = field(default_factory=list)
    cosines: list[dict[str, Floats]] = field(default_factory=list)
    positions: list[Floats] = field(default_factory=list)

    def add(self, one: Example, rows: Ints, columns: Ints, weights: Doubles) -> None:
        """Keep pairs of an example."""
        assert one.truth is not None
        self.numbers.append(one.number)
        self.chosen.append((rows, columns))
        self.features.append(one.of(rows, columns))
        self.labels.append(one.truth[rows, columns])
        self.weights.append(weights)
        self.same.append(one.units.same(one.units.keys)[rows, columns])
        self.cosines.append({name: array[rows, columns] for name, array in one.hidden.items()})
        self.positions.append(position_features(one, rows, columns))


def position_features(one: Example, rows: Ints, columns: Ints) -> Floats:
    """Return what a detector without attention may know of pairs, dims (pair, 3): offset, distance, ln(1 + distance)."""
    offset = (one.units.first[columns] - one.units.first[rows]).astype(np.float32)
    return np.stack([offset, np.abs(offset), np.log1p(np.abs(offset))], axis=1)


def learn(
    ranker: Ranker,
    relation: Relation,
    texts: Sequence[Text],
    features: Features,
    groups: Sequence[Any],
    strength: float | None,
    negatives: int,
    seed: int,
    baselines: bool,
) -> Fitted:
    """Learn a detector; see `RelationDetector.fit`."""
    part = ranker.stack(ranker.stack_of("doc"))
    hidden = hidden_hooks(part) if baselines else []
    most = max(10 * (1 + negatives), min(MOST_OF_TEXT, MOST_OF_ALL // len(texts)))
    sample, held, asked = Sample(), 0, 0
    for one in examples(ranker, relation, texts, features, hidden):
        if one.truth is None:
            raise InputError(f"of {relation.name!r} the texts do not say where it holds; give another relation")
        held += int(one.truth.sum())
        asked += int(one.allowed.sum())
        sample.add(one, *_drawn(one, negatives, most, np.random.default_rng([seed, one.number])))
    x, y, weights = np.concatenate(sample.features), np.concatenate(sample.labels), np.concatenate(sample.weights)
    hard = np.concatenate(sample.same)
    codes = _codes([groups[number] for number in sample.numbers])
    group = np.repeat(codes, [len(labels) for labels in sample.labels])
    with_both = len(set(group[y].tolist()))
    if with_both < 2 or y.all():
        raise InputError(
            f"the relation {relation.name!r} holds somewhere in {with_both} of {len(texts)} texts (and not everywhere in them); "
            "learning needs two such texts that differ: give more, or longer ones"
        )
    folds = [
        (train, test)
        for train, test in GroupKFold(min(FOLDS, len(set(codes.tolist())))).split(x, y, group)
        if 0 < y[train].sum() < len(train)
    ]
    if strength is None:
        strength = _best_strength(x, y, hard, folds, np.random.default_rng(seed))
    model = regression(x, y, hard, strength)
    outside, agree = np.full(len(y), np.nan), np.zeros(x.shape[1])
    for train, test in folds:
        one_fold = regression(x[train], y[train], hard[train], strength)
        outside[test] = one_fold(x[test])
        agree += np.sign(one_fold.weights) == np.sign(model.weights)
    seen = np.isfinite(outside)
    scale, shift = _calibrated(outside[seen], y[seen], weights[seen], held / asked)
    probability = expit(scale * outside[seen] + shift)
    return Fitted(
        shape=(part.n_layers, part.n_heads),
        model=model,
        C=float(strength),
        scale=scale,
        shift=shift,
        prevalence=held / asked,
        stability=agree / len(folds),
        out_of_fold=_figures(y[seen], probability, weights[seen]),
        texts=len(sample.numbers),
        dropped=len(texts) - len(sample.numbers),
        pairs=len(y),
        positives=int(y.sum()),
        baselines=_compared(ranker, relation, texts, features, sample, x, y, strength, seed) if baselines else None,
    )


def random_twin(ranker: Ranker, seed: int) -> Ranker:
    """Return the ranker with random weights that a detector is compared with."""
    return randomized(ranker, seed)


def _drawn(one: Example, negatives: int, most: int, random: np.random.Generator) -> tuple[Ints, Ints, Doubles]:
    """Draw pairs: those that are related, as many as ``negatives`` others each, half of these of the same string if there are."""
    assert one.truth is not None
    truth = one.truth
    same = one.units.same(one.units.keys)
    strata = [truth, one.allowed & ~truth & same, one.allowed & ~truth & ~same]
    positive = min(int(truth.sum()), most // (1 + negatives))
    wanted = negatives * max(1, positive)
    hard = min(int(strata[1].sum()), wanted // 2)
    rows, columns, weights = [], [], []
    for stratum, count in zip(strata, (positive, hard, wanted - hard), strict=True):
        all_rows, all_columns = np.nonzero(stratum)
        count = min(count, len(all_rows))
        kept = np.sort(random.permutation(len(all_rows))[:count])
        rows.append(all_rows[kept])
        columns.append(all_columns[kept])
        weights.append(np.full(count, len(all_rows) / max(1, count)))
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(weights)


def _codes(groups: Sequence[Any]) -> Ints:
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)


def _best_strength(x: Floats, y: Bools, hard: Bools, folds: Sequence[tuple[Ints, Ints]], random: np.random.Generator) -> float:
    """Return the C whose held-out log-loss, weighed as in learning, is the lowest; the smallest of equals."""
    kept = np.zeros(len(y), dtype=bool)
    kept[random.permutation(len(y))[:ROWS_FOR_C]] = True
    losses = np.zeros(len(STRENGTHS))
    for train, test in folds:
        inside, outside = train[kept[train]], test[kept[test]]
        if len(set(y[inside].tolist())) < 2 or len(set(y[outside].tolist())) < 2:
            continue
        weighed = balance(y[outside], hard[outside])
        for at, strength in enumerate(STRENGTHS):
            odds = regression(x[inside], y[inside], hard[inside], strength)(x[outside])
            losses[at] += log_loss(y[outside], expit(odds), sample_weight=weighed)
    return STRENGTHS[int(np.argmin(np.round(losses, 12)))]


def _calibrated(odds: Doubles, y: Bools, weights: Doubles, prevalence: float) -> tuple[float, float]:
    """Return scale and shift so that the probabilities fit all pairs, of which ``weights`` are drawn (Platt 1999)."""
    spread = float(odds.std()) or 1.0
    # the penalty is next to nothing, but keeps the scale finite where the odds tell all pairs
    found = LogisticRegression(C=100.0, max_iter=2000).fit(odds[:, None] / spread, y, sample_weight=weights)
    scale = float(found.coef_[0, 0]) / spread
    if scale <= 0:  # what was learned does not carry over to other texts: the share of pairs is all that is known
        return 0.0, float(np.log(prevalence / (1 - prevalence)))
    return scale, float(found.intercept_[0])


def _figures(y: Bools, probability: Doubles, weights: Doubles) -> dict[str, float]:
    if y.all() or not y.any():
        return dict.fromkeys(("auc", "pr_auc", "log_loss"), float("nan"))
    return {
        "auc": float(roc_auc_score(y, probability, sample_weight=weights)),
        "pr_auc": float(average_precision_score(y, probability, sample_weight=weights)),
        "log_loss": float(log_loss(y, probability, sample_weight=weights)),
    }


def _compared(
    ranker: Ranker,
    relation: Relation,
    texts: Sequence[Text],
    features: Features,
    sample: Sample,
    x: Floats,
    y: Bools,
    strength: float,
    seed: int,
) -> Baselines:
    weights = np.concatenate(sample.weights)

    def auc(score: NDArray[Any]) -> float:
        return float(roc_auc_score(y, score, sample_weight=weights))

    heads = [auc(column) for column in x.T]
    best = int(np.argmax(np.abs(np.array(heads) - 0.5)))
    cosines = {name: np.concatenate([one[name] for one in sample.cosines]) for name in sample.cosines[0]}
    random = np.random.default_rng([seed, 1])
    some = np.sort(random.permutation(len(y))[:ROWS_SHUFFLED])
    if len(set(y[some].tolist())) < 2:
        some = np.arange(len(y))
    hard = np.concatenate(sample.same)
    orders = [random.permutation(some) for _ in range(SHUFFLES)]  # of labels and what goes with them, which would tell
    return Baselines(
        head=(best, 1 if heads[best] >= 0.5 else -1),
        cosine=max(cosines, key=lambda name: auc(cosines[name])),
        position=regression(np.concatenate(sample.positions), y, hard, 1.0),
        shuffled=tuple(regression(x[some], y[order], hard[order], strength) for order in orders),
        random=_on_twin(ranker, relation, texts, features, sample, lambda rows: regression(rows, y, hard, strength), seed),
    )


def _on_twin(
    ranker: Ranker,
    relation: Relation,
    texts: Sequence[Text],
    features: Features,
    sample: Sample,
    learned: Callable[[Floats], Linear],
    seed: int,
) -> Linear:
    """Learn on the same pairs as a ranker with random weights sees them."""
    found = {}
    for one in examples(random_twin(ranker, seed), relation, texts, features):
        rows, columns = sample.chosen[sample.numbers.index(one.number)]
        found[one.number] = one.of(rows, columns)
    return learned(np.concatenate([found[number] for number in sample.numbers]))
