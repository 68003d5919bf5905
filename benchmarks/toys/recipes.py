"""How the toys that ship were trained: on judgements of 2020, and on texts of other collections, from MECHVIZ_DATA."""

from __future__ import annotations

from pathlib import Path

import mechviz as mv
from benchmarks.texts import all_minilm
from benchmarks.toys.data import cranfield_texts, judged_pairs, query_ids, vaswani_texts
from mechviz.demo import ADDED, COMPETITORS, DOC, QUERY
from mechviz.toys.passages import PASSAGES

#: Toy -> kind, layers, activation.
RECIPES = {
    "cat": ("Cat", 2, "gelu"),
    "dot": ("Dot", 2, "gelu"),
    "cat-attn-only": ("Cat", 2, "none"),
    "dot-attn-only": ("Dot", 1, "none"),
    "monot5": ("MonoT5", 2, "gelu"),
}
#: The package's own texts, whose words a toy must know to be shown on them.
EXAMPLES = (*PASSAGES, QUERY, DOC, ADDED, *COMPETITORS)
#: Every so many of 2020's queries are kept apart while settings are chosen; every so many of Vaswani's texts are read.
APART, SPARSE = 4, 4
#: Characters of a text that is passed over.
SHORT = 40


def judged(apart: bool) -> list[mv.TextPair]:
    """Return the pairs of 2020's queries without a passage that 2019's have; without every fourth query if ``apart``."""
    pairs = list(judged_pairs())
    tests = query_ids(2019)
    hidden = {pair.doc for pair in pairs if pair.query_id in tests}
    kept = query_ids(2020) - (set(sorted(query_ids(2020))[::APART]) if apart else set())
    return [pair for pair in pairs if pair.query_id in kept and pair.doc not in hidden]


def train(name: str, seed: int, out: Path, apart: bool = False, cache: Path | None = None) -> mv.Dot | mv.Cat | mv.MonoT5:
    """Train a toy as it ships."""
    kind, layers, activation = RECIPES[name]
    texts = [*list(vaswani_texts().values())[::SPARSE], *cranfield_texts().values()]
    return mv.toys.train(
        kind,
        judged(apart),
        layers=layers,
        activation=activation,
        texts=[text for text in texts if len(text) > SHORT],
        teacher=all_minilm(),
        examples=EXAMPLES,
        seed=seed,
        out=out,
        cache=cache,
    )
