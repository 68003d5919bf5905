"""The axioms once more, each from its formula, over lists of words: slow, literal, and without code of the package.

Every function takes the query's words, two documents' words and a `World`, and returns the margin, or None where the
precondition does not hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

COLLECTION = ["q1 q2", "q1 q2 q3", "q3 x", "q3 y", "q3", "q1 q2 q4", "z"]
SIMILAR = {("q1", "x"): 0.8, ("q2", "x"): 0.5, ("q1", "y"): 0.3, ("q1", "q2"): 0.9, ("q3", "z"): 0.4, ("q2", "q3"): 0.1}


@dataclass(frozen=True)
class World:
    """What the axioms know beside the texts."""

    collection: tuple[str, ...] = tuple(COLLECTION)

    def idf(self, term):
        df = sum(term in text.split() for text in self.collection)
        return math.log((len(self.collection) + 1) / (df + 0.5))

    def same_idf(self, one, other):
        low, high = sorted([self.idf(one), self.idf(other)])
        return high - low <= 0.1 * high

    def like(self, one, other):
        return 1.0 if one == other else SIMILAR.get((one, other), SIMILAR.get((other, one), 0.0))

    def bm25(self, query, doc):
        mean = sum(len(text.split()) for text in self.collection) / len(self.collection)
        total = 0.0
        for term in query:
            tf = doc.count(term)
            total += self.idf(term) * tf / (tf + 1.2 * (1 - 0.75 + 0.75 * len(doc) / mean))
        return total


def near(a, b):
    return abs(len(a) - len(b)) <= 1 or 10 * abs(len(a) - len(b)) <= max(len(a), len(b))


def tfc1(q, a, b, world):
    return sum(w in q for w in a) - sum(w in q for w in b) if near(a, b) else None


def _two_terms(q, a, b):
    """All (w1, w2) such that the other query terms occur equally often and the total of the two is the same."""
    for one, two in permutations(sorted(set(q)), 2):
        rest = all(a.count(w) == b.count(w) for w in set(q) - {one, two})
        if rest and a.count(one) + a.count(two) == b.count(one) + b.count(two) and a.count(one) != b.count(one):
            yield one, two


def _no_change(q, a, b):
    return all(a.count(w) == b.count(w) for w in q)


def tfc2(q, a, b, world):
    if not near(a, b):
        return None
    if _no_change(q, a, b):
        return 0
    for one, two in _two_terms(q, a, b):
        if world.same_idf(one, two) and min(a.count(one), a.count(two), b.count(one), b.count(two)) > 0:
            return min(a.count(one), a.count(two)) - min(b.count(one), b.count(two))
    return None


def tfc3(q, a, b, world):
    if not near(a, b):
        return None
    if _no_change(q, a, b):
        return 0
    for one, two in _two_terms(q, a, b):
        for direction, d1, d2 in ((1, a, b), (-1, b, a)):
            moved = d2.count(one) == d1.count(one) + d1.count(two) and d2.count(two) == 0
            if world.same_idf(one, two) and moved and d1.count(one) and d1.count(two):
                return direction * d1.count(two)
    return None


def tdc(q, a, b, world):
    in_a, in_b = ([world.idf(w) for w in doc if w in q] for doc in (a, b))
    if not near(a, b) or len(in_a) != len(in_b):
        return None
    levels = sorted({*in_a, *in_b})
    ahead = [sum(x >= level for x in in_a) - sum(x >= level for x in in_b) for level in levels]
    if min(ahead, default=0) < 0 < max(ahead, default=0):
        return None
    return (sum(in_a) - sum(in_b)) / max(1, len(in_a)) if any(ahead) else 0


def lnc1(q, a, b, world):
    return len(b) - len(a) if _no_change(q, a, b) else None


def lnc2(q, a, b, world):
    if sorted(a) == sorted(b):
        return 0
    for copies in range(2, 20):
        if sorted(a) == sorted(b * copies) != []:
            return copies - 1
        if sorted(b) == sorted(a * copies) != []:
            return 1 - copies
    return None


def tf_lnc(q, a, b, world):
    for term in sorted(set(q)):
        rest = all(a.count(w) == b.count(w) for w in set(q) - {term})
        if rest and len([w for w in a if w != term]) == len([w for w in b if w != term]):
            return a.count(term) - b.count(term)
    return None


def lb1(q, a, b, world):
    points = [(a.count(w) > 0) - (b.count(w) > 0) for w in sorted(set(q)) if near(a, b) and _no_change(set(q) - {w}, a, b)]
    points = [point for point in points if point]
    return sum(points) if points or all((w in a) == (w in b) for w in q) else None


def lb1_bm25(q, a, b, world):
    points = []
    for term in sorted(set(q)):
        rest = [w for w in q if w != term]
        low, high = sorted([world.bm25(rest, a), world.bm25(rest, b)])
        if (term in a) != (term in b) and high - low <= 0.1 * high:
            points.append((term in a) - (term in b))
    return sum(points) if points or all((w in a) == (w in b) for w in q) else None


def m_and(q, a, b, world):
    return len(set(q) & set(a)) - len(set(q) & set(b))


def and_(q, a, b, world):
    return int(set(q) <= set(a)) - int(set(q) <= set(b))


def reg(q, a, b, world):
    distinct = sorted(set(q))
    similar = np.array([[world.like(one, two) if one != two else 0 for two in distinct] for one in distinct])
    mean = similar.mean(axis=1)
    odd = [w for w, value in zip(distinct, mean, strict=True) if np.isclose(value, mean.min())]
    if len(odd) == len(distinct) or not near(a, b):
        return None
    steps = [a.count(w) - b.count(w) for w in odd]
    return 0 if min(steps) < 0 < max(steps) else sum(steps)


def div(q, a, b, world):
    return len(set(q) & set(b)) / len(set(q) | set(b)) - len(set(q) & set(a)) / len(set(q) | set(a))


def _prox(q, a, b, every, measure):
    shared = set(q) & set(a)
    if shared != set(q) & set(b) or len(shared) < 2 or (every and shared != set(q)):
        return None
    return next((y - x for x, y in zip(measure(sorted(shared), a), measure(sorted(shared), b), strict=True) if x != y), 0)


def prox1(q, a, b, world):
    def measure(shared, doc):
        pairs = list(combinations(shared, 2))
        gaps = [min(abs(i - j) - 1 for i, v in enumerate(doc) for j, w in enumerate(doc) if (v, w) == pair) for pair in pairs]
        return [sum(gaps) / len(pairs)]

    return _prox(q, a, b, False, measure)


def prox2(q, a, b, world):
    return _prox(q, a, b, False, lambda shared, doc: [sum(doc.index(w) for w in shared)])


def prox3(q, a, b, world):
    if _prox(q, a, b, False, lambda *_: []) is None:
        return None
    places = []
    for doc in (a, b):
        padded = f" {' '.join(doc)} "
        at = padded.find(f" {' '.join(q)} ")
        places.append(max(len(a), len(b)) if at < 0 else padded[:at].count(" "))
    return places[1] - places[0]


def _groups(shared, doc):
    groups = []
    for i, word in enumerate(doc):
        if word in shared:
            others = [[j for j, w in enumerate(doc) if w == other] for other in shared if other != word]
            groups.append([i, *(min(js, key=lambda j: (abs(i - j), j)) for js in others)])
    return groups


def prox4(q, a, b, world):
    def measure(shared, doc):
        fillers = [len([w for w in doc[min(g) : max(g) + 1] if w not in q]) for g in _groups(shared, doc)]
        return [min(fillers), -sum(f == min(fillers) for f in fillers)]

    return _prox(q, a, b, True, measure)


def prox5(q, a, b, world):
    return _prox(q, a, b, True, lambda shared, doc: [float(np.mean([np.ptp(g) for g in _groups(shared, doc)]))])


def stmc1(q, a, b, world):
    if not near(a, b) or not _no_change(q, a, b):
        return None
    means = []
    for doc in (a, b):
        likes = [max(world.like(term, w) for term in q) for w in doc if w not in q]
        means.append(float(np.mean(likes)) if likes else 0.0)
    return means[0] - means[1]


def stmc2(q, a, b, world):
    if _no_change(q, a, b):
        return 0
    changed = [w for w in sorted(set(q)) if a.count(w) != b.count(w)]
    if len(changed) > 1:
        return None
    term = changed[0]
    for direction, d1, d2 in ((1, a, b), (-1, b, a)):
        related1, related2 = (sum(w not in q and world.like(term, w) > 0 for w in doc) for doc in (d1, d2))
        if d1.count(term) > d2.count(term) and len(d1) <= len(d2) and related1 < related2:
            return direction * (d1.count(term) - d2.count(term))
    return None


PLAIN = {
    "TFC1": tfc1,
    "TFC2": tfc2,
    "TFC3": tfc3,
    "TDC": tdc,
    "LNC1": lnc1,
    "LNC2": lnc2,
    "TF_LNC": tf_lnc,
    "LB1": lb1,
    "AND": and_,
    "M_AND": m_and,
    "REG": reg,
    "DIV": div,
    "PROX1": prox1,
    "PROX2": prox2,
    "PROX3": prox3,
    "PROX4": prox4,
    "PROX5": prox5,
    "STMC1": stmc1,
    "STMC2": stmc2,
}
