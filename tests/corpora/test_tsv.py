import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError
from tests.corpora.test_frames import perturbed_pairs
from tests.corpora.test_irds import data

TEXT = "qid\tquery\tdocno\ttext\trelevance\nq1\thot \"springs\td1\tthey're warm\t2\n\nq2\tlava\td2\tmolten\t\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text(TEXT)
    return path


def test_a_file_with_a_header(path):
    pairs = mv.Pairs.from_tsv(path, query_id="qid", doc_id="docno", grade="relevance")
    expected = [
        TextPair('hot "springs', "they're warm", query_id="q1", doc_id="d1", grade=2),
        TextPair("lava", "molten", query_id="q2", doc_id="d2"),
    ]
    assert list(pairs) == list(pairs) == expected
    assert pairs.name == "pairs.tsv"


def test_a_file_without_one(tmp_path):
    path = tmp_path / "triples.tsv"
    path.write_text("hot springs\tthey are warm\tlava is hot\n")
    pairs = mv.Pairs.from_tsv(str(path), columns=["query", "positive", "negative"], text="negative")
    assert list(pairs) == [TextPair("hot springs", "lava is hot")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("q3\tash\td3\tgrey", r"pairs.tsv, line 5: 4 columns, and not 5 \(qid, query, docno, text, relevance\)"),
        ("q3\tash\td3\tgrey\t1\t", "line 5: 6 columns"),
        ("q3\tash\td3\t\t1", "line 5: there is no doc text"),
        ("q3\t \td3\tgrey\t1", "line 5: there is no query text"),
        ("q3\tash\td3\tgrey\t1.0", r"line 5: '1\.0' is no whole number"),
    ],
)
def test_a_line_that_is_wrong_is_named_and_not_reached_before_it_is_read(path, line, words):
    path.write_text(TEXT + line + "\n")
    pairs = mv.Pairs.from_tsv(path, grade="relevance")
    assert len(list(pairs.limit(2))) == 2
    with pytest.raises(InputError, match=words):
        list(pairs)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"query": "question"}, InputError, r"pairs.tsv has no column 'question' \(argument query\); it has qid, query, docno"),
        ({"columns": ["query", "text"], "grade": "g"}, InputError, "no column 'g'"),
        ({"columns": "query text"}, InputTypeError, "list of names"),
        ({"columns": ["query", "text", "text"]}, InputError, "more than once"),
        ({"encoding": "utf-9"}, InputError, "not known"),
    ],
)
def test_what_is_not_given_right(path, given, error, words):
    with pytest.raises(error, match=words):
        mv.Pairs.from_tsv(path, **given)


def test_a_file_that_is_empty_or_not_there(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        mv.Pairs.from_tsv(tmp_path / "nowhere")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InputError, match="empty is empty"):
        mv.Pairs.from_tsv(tmp_path / "empty")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(perturbed_pairs, max_size=4))
def test_a_file_of_a_collection_gives_it_back(tmp_path, items):
    pairs, path = mv.Pairs(items), tmp_path / "written.tsv"
    breaks = any(character in str(value) for pair in items for value in vars(pair).values() for character in "\t\n\r")
    if breaks:
        with pytest.raises(InputError, match=r"tab or a line break.*on_break='space'"):
            pairs.to_tsv(path)
        assert not list(tmp_path.glob(".written*"))
        assert pairs.to_tsv(path, on_break="space") == path
        assert len(list(mv.Pairs.from_tsv(path, text="doc", columns=None))) == len(items)
    else:
        pairs.to_tsv(path)
        assert list(mv.Pairs.from_tsv(path, text="doc", perturbed="perturbed")) == items


def test_what_a_line_cannot_hold_becomes_a_space(tmp_path):
    path = mv.Pairs([("a\tb", "c\r\n\n d")]).to_tsv(tmp_path / "x.tsv", on_break="space")
    assert [(p.query, p.doc) for p in mv.Pairs.from_tsv(path, text="doc")] == [("a b", "c  d")]
    with pytest.raises(InputError, match="'raise', 'space'"):
        mv.Pairs([("a", "b")]).to_tsv(path, on_break="drop")


def test_it_can_be_sent_to_a_worker(path):
    pairs = mv.Pairs.from_tsv(path).limit(1)
    assert list(pickle.loads(pickle.dumps(pairs))) == list(pairs)


def test_real_pairs():
    (path,) = data("trecdl/pairs.tsv")
    pairs = mv.Pairs.from_tsv(path, query_id="qid", doc_id="docno", grade="relevance")
    found = [(pair.query_id, pair.grade) for pair in pairs]
    assert (len(found), len({query_id for query_id, _ in found})) == (7403, 97)
    assert {grade for _, grade in found} == {0, 1, 2, 3}
