import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.errors import InputError, InputTypeError
from mechviz.text.bm25 import bm25
from mechviz.text.statistics import TermStatistics

texts = st.lists(st.sampled_from("abcd"), max_size=6).map(" ".join)
collections = st.lists(texts, min_size=1, max_size=6).filter(any)


def matrix_bm25(query, doc, collection, k1, b):
    """Robertson's form as a table of terms by documents, less its constant factor k1 + 1."""
    vocabulary = sorted(set(" ".join([query, doc, *collection]).split()))
    counts = np.array([[text.split().count(term) for text in collection] for term in vocabulary], dtype=float)
    weights = np.log(1 + (len(collection) - (counts > 0).sum(1) + 0.5) / ((counts > 0).sum(1) + 0.5))
    tf = np.array([doc.split().count(term) for term in vocabulary], dtype=float)
    norm = (1 - b) + b * tf.sum() / counts.sum(0).mean()
    with np.errstate(invalid="ignore"):
        saturated = np.where(tf > 0, tf * (k1 + 1) / (tf + k1 * norm), 0.0)
    in_query = np.array([query.split().count(term) for term in vocabulary])
    return float(in_query @ (weights * saturated)) / (k1 + 1)


@given(texts, texts, collections, st.floats(0, 3), st.floats(0, 1))
def test_the_formula(query, doc, collection, k1, b):
    expected = matrix_bm25(query, doc, collection, k1, b)
    assert bm25(query, doc, TermStatistics.of(collection), k1, b) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_by_hand():
    statistics = TermStatistics.of(["hot lava", "hot water", "cold water"])
    weight = math.log(1 + (3 - 1 + 0.5) / 1.5)
    assert bm25("lava", "lava lava rock", statistics) == pytest.approx(weight * 2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2)))


@given(texts, texts, collections)
def test_it_is_a_score(query, doc, collection):
    statistics = TermStatistics.of(collection)
    score = bm25(query, doc, statistics)
    assert (score > 0) == bool(set(query.split()) & set(doc.split()))
    assert bm25(f"{query} {query}", doc, statistics) == pytest.approx(2 * score)
    assert bm25(query, doc.upper(), statistics) == score


def test_it_agrees_with_the_package():
    bm25s = pytest.importorskip("bm25s")
    collection = ["hot lava flows", "hot water", "cold water is cold", "lava"]
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index([text.split() for text in collection], show_progress=False)
    found = index.get_scores(["hot", "lava"])
    statistics = TermStatistics.of(collection)
    assert [bm25("hot lava", text, statistics) for text in collection] == pytest.approx(found.tolist(), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "words"), [({"k1": -1}, "k1"), ({"k1": math.inf}, "k1"), ({"b": 2}, "b=2"), ({"b": math.nan}, "b=nan")]
)
def test_parameters_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        bm25("a", "a", TermStatistics.of(["a"]), **options)


def test_it_needs_statistics():
    with pytest.raises(InputTypeError, match="TermStatistics"):
        bm25("a", "a", {"a": 1})
