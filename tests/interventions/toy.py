"""A bag of few words: what it computes is a formula, and what CLS holds after its one layer are counts."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np

import mechviz as mv
from mechviz.interventions import DAS, CausalModel, Intervention, Plan

A, B = "lava", "rock"
OTHERS = ["ash", "cone", "dome", "edge", "fire", "glow", "heat", "iron", "jade", "kiln"]


@cache
def bag() -> mv.Dot:
    return mv.toys.compiled("bag", [" ".join([A, B, *OTHERS])])


def length(text: str) -> int:
    return len(text.split()) + 2


def rest(query: str, doc: str) -> float:
    return sum(doc.split().count(word) for word in query.split() if word != A) / (length(query) * length(doc))


MODEL = CausalModel(
    {
        "tf": lambda doc: doc.split().count(A),
        "rest": rest,
        "score": lambda query, doc, tf, rest: rest + tf * query.split().count(A) / (length(query) * length(doc)),
    }
)


def pairs(count: int, seed: int = 0, queries: int = 6) -> list[tuple[str, str, str]]:
    """Documents of eight words with A and B by chance; A is in one text of each pair, so that doing nothing is never right."""
    drawn = random.Random(seed)

    def doc(holds: bool) -> str:
        words = [drawn.choice(OTHERS) for _ in range(8)]
        if holds:
            words[2] = A
        if drawn.random() < 0.5:
            words[5] = B
        return " ".join(words)

    found = []
    for number in range(count):
        holds = drawn.random() < 0.5
        found.append((f"{A} {B} {OTHERS[number % queries]}", doc(holds), doc(not holds)))
    return found


def plan(subspace: Any = None, hook: str = "blocks.0.hook_resid_post", positions: Any = "cls", **options: Any) -> Plan:
    subspace = DAS(1) if subspace is None else subspace
    return Plan(Intervention(hook, positions=positions, subspace=subspace), aligned=False, **options)


def targets(given: list[tuple[str, str, str]]) -> np.ndarray:
    return MODEL.targets(given, "tf")
