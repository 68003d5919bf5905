import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError

COLUMNS = {"query": ["a", "b"], "text": ["x", "y"], "other": ["v", "w"], "doc_id": [7, 8], "grade": [2, None]}


class OnlyArrow:
    """A table that speaks Arrow and nothing else."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class OnlyInterchange:
    """A table that speaks the dataframe interchange protocol and nothing else."""

    def __init__(self, table):
        self.table = table

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self.table.__dataframe__(allow_copy=allow_copy)


def tables():
    table = pa.table(COLUMNS)
    return [pd.DataFrame(COLUMNS), pl.DataFrame(COLUMNS), table, OnlyArrow(table), OnlyInterchange(table)]


@pytest.mark.parametrize("table", tables(), ids=lambda table: f"{type(table).__module__}.{type(table).__name__}")
def test_tables_of_every_kind(table):
    pairs = mv.Pairs.from_frame(table)
    expected = [TextPair("a", "x", doc_id="7", grade=2), TextPair("b", "y", doc_id="8")]
    assert list(pairs) == list(pairs) == expected
    assert len(pairs) == 2
    assert repr(pairs) == "Pairs('frame', 2 pairs)"


def test_columns_of_other_names():
    frame = pd.DataFrame(
        {"qid": [1.0, np.nan], "q": ["a", "b"], "d": ["x", "y"], "p": ["x!", "y!"], "s": [0.5, 2], "g": [1.0, 0.0]}
    )
    found = list(mv.Pairs.from_frame(frame, "q", "d", "p", query_id="qid", grade="g", run_score="s", name="mine"))
    assert found == [
        TextPair("a", "x", "x!", query_id="1", grade=1, run_score=0.5),
        TextPair("b", "y", "y!", grade=0, run_score=2.0),
    ]
    assert type(found[0].grade) is int


def test_a_large_id_beside_a_missing_one_keeps_its_digits():
    frame = pl.DataFrame({"query": ["a", "b"], "text": ["x", "y"], "doc_id": [2**53 + 1, None]})
    assert [p.doc_id for p in mv.Pairs.from_frame(frame)] == [str(2**53 + 1), ""]


@pytest.mark.parametrize(
    ("changes", "given", "words"),
    [
        ({}, {"query": "question"}, r"no column 'question' \(argument query\); it has query, text, other, doc_id, grade"),
        ({}, {"text": "body"}, r"no column 'body' \(argument text\)"),
        ({}, {"query_id": "qid"}, r"no column 'qid' \(argument query_id\)"),
        ({"query": ["a", None]}, {}, r"'query' has no text in row 1 \(the first is 0\)"),
        ({"text": [np.nan, np.nan]}, {}, r"'text' has no text in row 0 .* and 1 others.*dropna"),
        ({"grade": [1, 1.5]}, {}, r"row 1 \(the first is 0\): 1.5 is no whole number"),
        ({"grade": [1, "high"]}, {}, "row 1 .*'high' is no whole number"),
        ({"text": ["x", " "]}, {}, "row 1 .*: there is no doc text"),
        ({"text": ["x", ""]}, {}, "row 1 .*: there is no doc text"),
        ({"other": ["x", None]}, {"perturbed": "other"}, "row 1 .*: there is no perturbed text"),
        ({"side": ["doc", "title"]}, {"perturbed": "other"}, "row 1 .*side='title'"),
    ],
)
def test_what_is_missing_or_wrong_is_named(changes, given, words):
    with pytest.raises(InputError, match=words):
        list(mv.Pairs.from_frame(pd.DataFrame({**COLUMNS, **changes}), **given))


def test_what_is_no_text_is_named():
    with pytest.raises(InputTypeError, match=r"row 1 .*doc must be a string, but 3"):
        list(mv.Pairs.from_frame(pd.DataFrame({**COLUMNS, "text": ["x", 3]})))


def test_a_column_that_comes_twice():
    frame = pd.concat([pd.DataFrame(COLUMNS), pd.DataFrame({"text": ["p", "q"]})], axis=1)
    with pytest.raises(InputError, match="'text' more than once"):
        mv.Pairs.from_frame(frame)


@pytest.mark.parametrize("frame", [3, None, "x", [("a", "b")]])
def test_what_is_no_table(frame):
    with pytest.raises(InputTypeError, match="must be a table"):
        mv.Pairs.from_frame(frame)


def test_a_run_without_its_columns(files):
    frame = pd.DataFrame({"query_id": ["q1"], "docno": ["d01"], "score": [1.0]})
    with pytest.raises(InputError, match="query_id, doc_id, score or qid, docno, score; this one has query_id, docno, score"):
        mv.Pairs.from_trec(frame, None, files.docs, files.queries)
    frame = pd.DataFrame({"query_id": ["q1"], "doc_id": ["d01"], "score": [np.nan]})
    with pytest.raises(InputError, match="row without"):
        mv.Pairs.from_trec(frame, None, files.docs, files.queries)


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
text_pairs = st.builds(
    TextPair,
    words,
    words,
    side=st.sampled_from(["doc", "query"]),
    query_id=words | st.just(""),
    doc_id=words | st.just(""),
    grade=st.none() | st.integers(-2, 4),
    rank=st.none() | st.integers(1, 10**6),
    run_score=st.none() | st.floats(allow_nan=False),
)
perturbed_pairs = st.one_of(
    st.builds(TextPair.with_perturbed, text_pairs, words, words, st.sampled_from(["doc", "query"]), st.sampled_from([-1, 0, 1])),
    st.builds(TextPair.without_perturbed, text_pairs, words, words),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(perturbed_pairs, max_size=5))
def test_a_table_of_a_collection_gives_it_back(items):
    frame = mv.Pairs(items).to_frame()
    assert list(mv.Pairs.from_frame(frame, text="doc", perturbed="perturbed")) == items
    assert list(frame.columns) == list(TextPair.__dataclass_fields__)
    assert len(frame) == len(items)


def test_it_can_be_sent_to_a_worker():
    pairs = mv.Pairs.from_frame(pd.DataFrame(COLUMNS))
    assert list(pickle.loads(pickle.dumps(pairs))) == list(pairs)
