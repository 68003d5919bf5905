"""What the tests of relation detectors share: texts in the words of a compiled ranker, and a tiny BERT."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

import mechviz as mv
from mechviz.rankers import Ranker
from tests.tiny.models import save


@cache
def compiled(name: str) -> Ranker:
    return mv.load(f"toy/compiled-{name}")


def pairs_in_words_of(ranker: Ranker, count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return (query, document) of words that the ranker knows; three of the document's are of the query."""
    words = sorted(word for word in ranker.tokenizer.get_vocab() if word.isalpha() and len(word) > 3)
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        query = random.choice(words, 4, replace=False)
        doc = random.permutation([*random.choice(words, 14), *random.choice(query, 3)])
        found.append((" ".join(query), " ".join(doc)))
    return found


def tiny(folder: Path, kind: str = "Cat", family: str = "bert", **config: int) -> Ranker:
    classes = {"Cat": "BertForSequenceClassification", "Dot": "BertModel"}
    if kind == "Cat":
        config = {"num_labels": 1, **config}
    path = save(folder, family, classes[kind], **config)
    return mv.Cat(str(path)) if kind == "Cat" else mv.Dot(str(path), pooling="mean")


SENTENCES = [
    "Hot springs are warm. Water is heated by rock. It rises again through cracks.",
    "A volcano is a mountain. Lava flows out of it. The rock is hot.",
    "Rain fills the lake. The lake is cold in winter. Ice covers the water.",
    "Rock melts deep down. The melt is called magma. Magma rises to the surface.",
    "Steam rises from the ground. The ground is hot. Springs boil near the rock.",
    "Water runs down the hill. The hill is steep. Rain makes the water rise.",
]
