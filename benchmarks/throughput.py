"""How fast rankers open and score: `Ranker.score` against plain `transformers`, text to score on both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import normalize
from transformers import BertModel, PreTrainedTokenizerBase

import mechviz as mv
from benchmarks.machine import medians, seconds
from benchmarks.models import bert_base, plain_copy
from benchmarks.table import Row
from benchmarks.texts import QUERY, all_minilm, documents

BATCH, TOKENS = 32, 128
REPEATS = 7
#: One short text, many times: where a fixed cost of each run would show.
SHORT_TOKENS, SHORT_REPEATS = 31, 200


@dataclass
class Plain:
    """What a person writes without mechviz: tokenise a batch, run the model, pool, normalise, compare."""

    model: BertModel
    tokenizer: PreTrainedTokenizerBase
    docs: list[str]

    @torch.no_grad()
    def __call__(self) -> np.ndarray:
        """Return the scores of all documents."""
        vectors = [self._vectors(texts) for texts in ([QUERY], self.docs)]
        return (vectors[1] @ vectors[0][0]).numpy()

    def _vectors(self, texts: list[str]) -> torch.Tensor:
        batch = self.tokenizer(texts, padding=True, return_tensors="pt")
        weight = batch["attention_mask"][..., None].float()
        return normalize((self.model(**batch).last_hidden_state * weight).sum(1) / weight.sum(1), dim=-1)


def rows() -> list[Row]:
    """Measure opening, throughput at two sizes, and what hooks cost that are not set."""
    small = all_minilm()
    folder = small.model.config._name_or_path
    opening = float(np.median([seconds(lambda: mv.load(folder)) for _ in range(5)]))
    large = bert_base()
    toy = float(np.median([seconds(lambda: mv.load("toy/cat")) for _ in range(5)]))
    found = [
        Row("`mv.load` of all-MiniLM, torch and transformers imported", f"{opening:.2f} s", "0.5 s", opening < 0.5),
        Row("`mv.load` of toy/cat, its files' sums checked", f"{toy:.2f} s", "0.3 s", toy < 0.3),
    ]
    for name, ranker in (("all-MiniLM", small), ("BERT-base's shape", large)):
        found += _throughput(name, ranker)
    return [*found, *_overhead(small)]


def _throughput(name: str, ranker: mv.Dot) -> list[Row]:
    docs = documents(ranker, TOKENS, BATCH)
    plain = {way: Plain(plain_copy(ranker, way), ranker.tokenizer, docs) for way in ("eager", "sdpa")}
    difference = np.abs(ranker.score(QUERY, docs, batch_size=BATCH) - plain["eager"]()).max()
    assert difference < 1e-4, f"the two do not compute the same: {difference}"
    time = medians({"score": lambda: ranker.score(QUERY, docs, batch_size=BATCH), **plain}, REPEATS)
    where = f"score, {name}, {BATCH} documents of {TOKENS} tokens"
    ratio = time["score"] / time["eager"]
    return [
        Row(
            f"{where}: time over plain transformers', eager attention",
            f"{ratio:.2f} ({BATCH / time['score']:.0f} / {BATCH / time['eager']:.0f} documents a second)",
            "1.10",
            ratio <= 1.10,
        ),
        Row(f"{where}: time over plain transformers', sdpa attention", f"{time['score'] / time['sdpa']:.2f}"),
    ]


def _overhead(ranker: mv.Dot) -> list[Row]:
    """Time the model alone, ready for hooks of which none is set, against the same model as `transformers` runs it (sdpa)."""
    found: list[Row] = []
    model = plain_copy(ranker, "sdpa")
    for tokens, batch, repeats in ((TOKENS, BATCH, REPEATS), (SHORT_TOKENS, 1, SHORT_REPEATS)):
        inputs = ranker.checked_inputs([(QUERY, doc) for doc in documents(ranker, tokens, batch)])
        arguments = ranker.padded([pair["doc"] for pair in inputs], ranker.hooked, ranker.tokenizer)
        time = medians(_overhead_works(ranker, model, arguments), repeats)
        ratio = time["hooked"] / time["plain"] - 1
        what = f"hooks that are not set, {batch} x {tokens} tokens: time added to the model's"
        found.append(Row(what, f"{100 * ratio:.1f} %", "2 %", ratio < 0.02))
    return found


def _overhead_works(ranker: mv.Dot, model: BertModel, arguments: dict[str, torch.Tensor]) -> dict[str, Callable[[], object]]:
    @torch.no_grad()
    def hooked() -> None:
        with ranker.running("doc"):
            ranker.hooked.main.runner(**arguments)

    @torch.no_grad()
    def plain() -> None:
        model(**arguments)

    return {"hooked": hooked, "plain": plain}
