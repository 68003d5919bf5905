"""A compiled ranker whose MLPs get neurons: one that answers to the query's words, others that answer to anything."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

import mechviz as mv
from mechviz.toys.compiled import D_MODEL, MATCHED

#: Layer and index of the neuron that is on where a word of the document is in the query.
PLANTED = (0, 2)
TOPICS = {
    "volcano lava": ["hot lava flows from the volcano", "the volcano throws ash and lava", "lava is rock"],
    "bread flour": ["bread is made of flour", "water and flour make bread", "the oven bakes bread"],
    "moon tides": ["the moon makes the tides", "tides follow the moon", "the moon is far"],
    "honey bees": ["bees make honey", "honey comes from bees", "bees live in the hive"],
}


@cache
def ranker() -> mv.Cat:
    """Return ``toy/compiled-exact-match`` with random neurons, and the planted one, which adds to what the score is made of."""
    texts = [text for query, docs in TOPICS.items() for text in (query, *docs)]
    made = mv.toys.compiled("exact_match", texts)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in made.model.bert.encoder.layer:
            weight = layer.intermediate.dense.weight
            half = torch.randn(weight.shape[0], D_MODEL // 2, generator=generator)
            half[:, MATCHED:] = 0
            weight.copy_(torch.cat([half, -half], dim=1))
        layer, index = PLANTED
        block = made.model.bert.encoder.layer[layer]
        block.intermediate.dense.weight[index] = 0
        for sign, feature in ((0.5, MATCHED), (-0.5, MATCHED + D_MODEL // 2)):
            block.intermediate.dense.weight[index, feature] = 4 * sign
            block.output.dense.weight[feature, index] = 2 * sign
    return made


def pairs(matching: bool | None = None) -> list[tuple[str, str]]:
    """Return queries with their own documents, with those of others, or both."""
    found = []
    names = list(TOPICS)
    for at, query in enumerate(names):
        own, other = TOPICS[query], TOPICS[names[(at + 1) % len(names)]]
        found += [(query, doc) for doc in own if matching is not False]
        found += [(query, doc) for doc in other if matching is not True]
    return found


def plain_activations(query: str, doc: str, layer: int) -> np.ndarray:
    """Return what leaves the non-linearity of a layer's MLP, dims (pos, neuron), and by `transformers` alone."""
    made = ranker()
    kept = []
    module = made.model.bert.encoder.layer[layer].intermediate
    handle = module.register_forward_hook(lambda module, given, out: kept.append(out.detach()[0].numpy()))
    try:
        with torch.no_grad():
            made.model(**made.tokenizer(query, doc, return_tensors="pt"))
    finally:
        handle.remove()
    return kept[0]
