"""What a toy does inside, by mechviz's own tools: effects of heads, what they attend to, and what is lost without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import mechviz as mv
from benchmarks.toys import data, measures
from benchmarks.toys.judge import scores
from mechviz.rankers import Ranker
from mechviz.text import Tokens

#: Pairs that heads are looked at on, of the queries of 2020.
PAIRS = 100
#: nDCG under ablation is of every third of them: it is asked once a head.
EVERY = 3

#: How each column is made, in the card's words.
WHAT = {
    "effect": (
        "the share of the score change by an added query term (TFC1) that the head's output alone carries, over the pairs, with "
        "a 95 % interval by bootstrap over queries (`mv.study`, grid `heads`)"
    ),
    "attention": (
        "mean attention from a token to a token of the same id in the other text, and to each other token there, over all "
        "tokens of query and document that have such a copy (`mv.attention`)"
    ),
    "attention of a bi-encoder": (
        "mean attention, over the document's tokens, to each of its tokens that the query has too, and to each other one "
        "(`mv.attention`); the two texts are read apart, so that no token can see its copy"
    ),
    "change left": (
        "the check by ablation: the share of the same score change that is left when the head puts out its mean over positions "
        "and pairs, whatever it reads"
    ),
    "nDCG without": f"nDCG@10 over the passages of every {EVERY}rd query of 2020 under the same ablation",
}


@dataclass(frozen=True)
class Found:
    """What was found of one head; attention only where its queries are tokens of the text."""

    stack: str
    layer: int
    head: int
    effect: float
    low: float
    high: float
    q: float
    same: float | None
    other: float | None
    left: float
    ndcg: float

    @property
    def name(self) -> str:
        """As circuits call it."""
        return f"{self.layer}.{self.head}"


def look(ranker: Ranker) -> dict[str, Any]:
    """Return what is found inside a ranker."""
    own = data.query_ids(2020)
    pairs = list(data.judged_pairs().where(lambda pair: pair.query_id in own).sample(PAIRS, seed=0).perturb(mv.axioms.TFC1()))
    usable = [pair for pair in pairs if pair.perturbed is not None]
    without = _Ablation(ranker, usable)
    found: list[Found] = []
    used = 0
    for stack in _stacks(ranker):
        study = mv.study(ranker, usable, stack=stack, truncate=True, progress=False)
        used = study.n_used
        cells = study.interval.assign(effect=study.effects, q=study.q).to_dataframe()
        seen = _attention(ranker, stack, usable)
        for (layer, head), cell in cells.iterrows():
            same, other = (None, None) if seen is None else seen[:, layer, head].tolist()
            left, ndcg = without(stack, layer, head)
            found.append(Found(stack, layer, head, cell.effect, cell.low, cell.high, cell.q, same, other, left, ndcg))
    return {
        "pairs": used,
        "apart": ranker.kind == "Dot",
        "ndcg": without.whole[1],
        "change": without.change,
        "heads": [asdict(one) for one in found],
    }


def _stacks(ranker: Ranker) -> Sequence[str]:
    return ("doc",) if ranker.kind == "Dot" else ranker.stacks


def _attention(ranker: Ranker, stack: str, pairs: Sequence[mv.TextPair]) -> NDArray[np.float64] | None:
    """Return attention to copies and to others, dims (2, layer, head); None for a decoder, which reads no text."""
    if stack in ("decoder", "cross"):
        return None
    each = []
    for pair in pairs:
        seen = mv.attention(ranker, pair.query, pair.doc, truncate=True)
        patterns = seen.patterns(stack).values
        texts = seen.tokens[seen.shape(stack).text]
        masks = _received(texts, seen.tokens["query"]) if ranker.kind == "Dot" else _across(texts)
        if all(mask.any() for mask in masks):
            each.append([patterns[..., mask].mean(-1) for mask in masks])
    return np.mean(each, axis=0)


def _across(tokens: Tokens) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which (query_pos, key_pos) are a token and its copy in the other text, and which such a token and another."""
    side = np.array(tokens.segments)
    apart = (side[:, None] == "query") & (side == "doc") | (side[:, None] == "doc") & (side == "query")
    same = apart & (tokens.ids[:, None] == tokens.ids)
    return same, apart & ~same & same.any(1, keepdims=True)


def _received(doc: Tokens, query: Tokens) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the same of a document alone: keys that the query has, and other keys."""
    own = np.array(doc.segments) == "doc"
    wanted = np.isin(doc.ids, query.ids[query.positions("query")])
    return own[:, None] & own & wanted, own[:, None] & own & ~wanted


class _Ablation:
    """A ranker with one head that puts out its mean; for a bi-encoder, in both texts."""

    def __init__(self, ranker: Ranker, pairs: Sequence[mv.TextPair]) -> None:
        self.ranker, self.pool = ranker, data.trecdl(2020, every=EVERY)
        self.queries = [pair.query for pair in pairs]
        self.docs = [pair.doc for pair in pairs]
        self.perturbed = [str(pair.perturbed) for pair in pairs]
        self.means = self._means()
        self.whole = self._measured()
        self.change = self.whole[0]

    def __call__(self, stack: str, layer: int, head: int) -> tuple[float, float]:
        """Return the share of the change that is left without a head, and nDCG@10."""
        name = self.ranker.stack(stack).hook(layer, "z")
        mean = self.means[name][head]

        def constant(z: Tensor, hook: Any) -> Tensor:
            z = z.clone()
            z[:, :, head] = mean
            return z

        with self.ranker.hooks([(name, constant)]):
            change, ndcg = self._measured()
        return change / self.change, ndcg

    def _means(self) -> dict[str, Tensor]:
        """Return the mean output of every head, hook name -> dims (head, d_head); one pair at a time, so that none is padded."""
        sums: dict[str, Tensor] = {}
        counts: dict[str, int] = {}

        def add(z: Tensor, hook: Any) -> None:
            sums[hook.name] = sums.get(hook.name, torch.zeros(())) + z.sum((0, 1))
            counts[hook.name] = counts.get(hook.name, 0) + z.shape[0] * z.shape[1]

        with self.ranker.hooks([("z", add)]):
            self.ranker.score(self.queries, self.docs, batch_size=1, truncate=True)
        return {name: total / counts[name] for name, total in sums.items()}

    def _measured(self) -> tuple[float, float]:
        change = scores(self.ranker, self.queries, self.perturbed) - scores(self.ranker, self.queries, self.docs)
        ndcg = measures.ndcg(self.pool, scores(self.ranker, self.pool.queries, self.pool.docs))
        return float(change.mean()), float(ndcg.mean())
