"""BM25, the classical lexical score, from the same term statistics that axioms use."""

from __future__ import annotations

from collections import Counter
from math import fsum, inf

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text.statistics import TermStatistics


def bm25(query: str, doc: str, statistics: TermStatistics, k1: float = 1.2, b: float = 0.75) -> float:
    """Return the BM25 score of a document, in the form that Lucene computes since version 8.

    ``sum over the query's terms t of idf(t) * c(t, D) / (c(t, D) + k1 * (1 - b + b * |D| / mean |D|))``

    with ``c`` the count in the document, ``|D|`` its length in terms and `TermStatistics.idf`. A term that the query has
    twice counts twice. Robertson's form has the further factor ``k1 + 1``, which changes no order. See Robertson and
    Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, Foundations and Trends in IR 3(4), 2009. Lengths are
    exact here, where Lucene's index rounds them.

    Parameters
    ----------
    query, doc : str
        Split by ``statistics.terms``. A text without terms scores 0.
    statistics : TermStatistics
    k1 : float, at least 0
        How slowly repetitions saturate; 0 counts presence only.
    b : float from 0 to 1
        How far the length counts.

    Raises
    ------
    InputError, InputTypeError
        Parameters out of range; no term statistics.

    Examples
    --------
    >>> statistics = TermStatistics.of(["hot springs", "hot lava", "cold water"])
    >>> bm25("lava", "hot lava", statistics) > bm25("hot", "hot lava", statistics) > 0
    True
    """
    if not isinstance(statistics, TermStatistics):
        raise InputTypeError(f"statistics must be a TermStatistics, not {shown(statistics)}; TermStatistics.of(texts) makes one")
    if not 0 <= k1 < inf:
        raise InputError(f"k1={shown(k1)}; it is a number from 0 up")
    if not 0 <= b <= 1:
        raise InputError(f"b={shown(b)}; it is from 0 to 1")
    counts = Counter(statistics.terms(doc))
    room = k1 * (1 - b + b * counts.total() / statistics.mean_length)
    found = (term for term in statistics.terms(query) if counts[term])
    return fsum(statistics.idf(term) * counts[term] / (counts[term] + room) for term in found)
