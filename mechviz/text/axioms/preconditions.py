"""What several axioms ask before they speak, and of what they are given."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations
from math import isclose

import numpy as np

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text.axioms.base import Verdict
from mechviz.text.axioms.counted import Counted, differing, pick
from mechviz.text.perturb.rewrites import check_choice
from mechviz.text.statistics import TermStatistics
from mechviz.text.words import terms

#: Which query term a generator adds.
TERM_CHOICES = ("random", "rarest", "present")


def same_length(a: Counted, b: Counted, margin: float | None) -> str:
    """Ask that the numbers of words differ by at most ``margin`` times the larger one.

    One word is always allowed, unless ``margin`` is 0; None asks for nothing.
    """
    if margin is None:
        return ""
    longer = max(len(a), len(b))
    allowed = max(1.0, margin * longer) if margin else 0.0
    return "" if abs(len(a) - len(b)) <= allowed else "the lengths differ by more than the margin"


def same_counts(query: Counted, a: Counted, b: Counted, but: Collection[str] = ()) -> str:
    """Ask that every query term, apart from ``but``, occurs equally often."""
    found = differing((term for term in query.distinct if term not in but), a, b)
    return "the query terms do not occur equally often" if found else ""


def equally_rare(first: str, second: str, statistics: TermStatistics, margin: float) -> bool:
    """Return whether the IDFs of two terms differ by at most ``margin`` times the larger one."""
    one, other = statistics.idf(first), statistics.idf(second)
    return isclose(one, other, rel_tol=max(margin, 1e-12))


def equally_rare_pairs(query: Counted, statistics: TermStatistics, margin: float) -> list[tuple[str, str]]:
    """Return every two query terms whose IDFs are equal within the margin."""
    return [pair for pair in combinations(query.distinct, 2) if equally_rare(*pair, statistics=statistics, margin=margin)]


def exchanged(query: Counted, a: Counted, b: Counted, margin: float) -> tuple[str, str] | Verdict:
    """Return the two query terms in whose counts documents of equal length and equal totals differ; else the verdict."""
    if reason := same_length(a, b, margin):
        return Verdict(reason=reason)
    found = differing(query.distinct, a, b)
    if not found:
        return Verdict()
    if len(found) != 2 or sum(a.counts.get(term, 0) - b.counts.get(term, 0) for term in found) != 0:
        return Verdict(reason="the documents do not differ in exactly two query terms with the same total")
    return found[0], found[1]


def choose_term(
    choice: str, query: Counted, doc: Counted, statistics: TermStatistics | None, generator: np.random.Generator
) -> str | None:
    """Return a query term as ``term=`` says: any, the rarest, or one that the document has; None where it has none."""
    if choice == "rarest" and statistics is not None:
        return max(query.distinct, key=statistics.idf)
    found = [term for term in query.distinct if choice != "present" or term in doc.counts]
    return pick(found, generator) if found else None


def check_margin(name: str, value: object, optional: bool = False) -> None:
    """Refuse a margin that is no share from 0 to 1."""
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputTypeError(f"{name} must be a number, not {shown(value)}")
    if not 0 <= value <= 1:
        raise InputError(f"{name} is {value}; it is a share from 0 to 1")


def check_statistics(name: str, statistics: object, needed: str = "") -> TermStatistics | None:
    """Refuse what is no statistics of words; refuse None where ``needed`` says for what they are needed."""
    if statistics is None:
        if needed:
            raise InputError(f"{name} {needed}: give {name}(statistics=TermStatistics.of(texts)), counted on your collection")
        return None
    if not isinstance(statistics, TermStatistics):
        raise InputTypeError(f"{name}: statistics must be a TermStatistics, not {shown(statistics)}")
    if statistics.terms is not terms:
        raise InputError(f"{name}: the statistics were counted with other terms; axioms need TermStatistics.of(texts) as it is")
    return statistics


def check_term_choice(name: str, choice: object, statistics: TermStatistics | None) -> None:
    """Refuse a choice of query term that does not exist, or that needs statistics."""
    check_choice(f"{name}(term)", choice, TERM_CHOICES)
    if choice == "rarest":
        check_statistics(name, statistics, "with term='rarest' compares IDFs")
