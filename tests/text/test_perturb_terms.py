"""Perturbations that work with the query's terms, and synonyms."""

import itertools
import pickle
import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz.errors import InputError, MechvizError
from mechviz.text import perturb
from mechviz.text.perturb import on_query, synonym, term_distance, terms_apart, terms_together, wordnet
from mechviz.text.perturb.query_terms import _longest_ascending

WORD = st.sampled_from(["hot", "Springs,", "hot-springs", "volcano.", "mud", "and", "the", "grey", "old"])
DOC = st.lists(WORD, min_size=2, max_size=30).map(" ".join)
QUERY = "the hot springs of a volcano"


def distance(doc, terms=("hot", "springs", "volcano")):
    """The mean of the closest distances once more, by trying all pairs of words."""
    words = doc.lower().replace(".", "").replace(",", "").split()
    places = {term: [at for at, word in enumerate(words) if term in word.split("-")] for term in terms}
    pairs = [(places[one], places[other]) for one, other in itertools.combinations(terms, 2) if places[one] and places[other]]
    if not pairs:
        return None
    return sum(min(abs(i - j) for i in one for j in other) for one, other in pairs) / len(pairs)


@settings(deadline=None)
@given(DOC)
def test_the_distance_is_that_of_tao_and_zhai(doc):
    expected = distance(doc)
    if expected is None:
        with pytest.raises(InputError, match="two different ones are needed"):
            term_distance(doc, QUERY)
    else:
        assert term_distance(doc, QUERY) == pytest.approx(expected)


@settings(deadline=None)
@given(DOC)
def test_together_lowers_the_distance_and_apart_raises_it(doc):
    assume(distance(doc) is not None)
    for kind, sign in ((terms_together(), -1), (terms_apart(), 1)):
        try:
            changed = kind.apply(QUERY, doc)
        except InputError as error:
            if "nothing to gain" not in str(error):
                raise
            continue
        assert sign * (distance(changed) - distance(doc)) > 0
        assert sorted(changed.split()) == sorted(doc.split())


@settings(deadline=None)
@given(st.permutations(["hot", "springs", "volcano", *"abcdefghij"]))
def test_single_terms_are_moved_as_far_as_they_go(words):
    doc = " ".join(words)
    others = [word for word in words if len(word) == 1]
    if distance(doc) > 4 / 3:
        together = terms_together().apply(QUERY, doc)
        assert distance(together) == pytest.approx(4 / 3)  # three neighbours: 1, 1 and 2
        assert [word for word in together.split() if len(word) == 1] == others
    if distance(doc) < 8:
        apart = terms_apart().apply(QUERY, doc).split()
        assert [at for at, word in enumerate(apart) if len(word) > 1] == [0, 6, 12]
        assert [word for word in apart if len(word) == 1] == others


def test_together_and_apart_by_hand():
    doc = "Some hot mud,\nsome grey springs  and a hot old pool."
    assert terms_together().apply("hot springs", doc) == "Some mud,\nsome grey hot springs  hot and a old pool."
    assert terms_apart().apply("hot springs", doc) == "hot hot Some mud,\nsome grey and a old pool. springs"


def test_stop_words_stay_unless_they_are_asked_for():
    doc = "the mud and grey stones of hot old springs"
    assert terms_together().apply("the hot springs", doc) == "the mud and grey stones of old hot springs"
    assert terms_together(ignore=["Hot"]).apply("the hot springs", doc).count("the springs") == 1
    with pytest.raises(InputError, match="nothing to gain"):
        terms_together().apply("hot springs", "see hot springs here")
    with pytest.raises(InputError, match="nothing to gain"):
        terms_apart().apply("hot springs", "hot mud springs")


@settings(deadline=None)
@given(st.permutations(range(7)))
def test_as_few_words_move_as_can_be(order):
    found = _longest_ascending(list(order))
    rows = [row for n in range(8) for row in itertools.combinations(order, n) if list(row) == sorted(row)]
    assert tuple(found) in rows
    assert len(found) == max(map(len, rows))


def test_the_query_terms_that_are_appended():
    statistics = mv.TermStatistics.of(["hot springs", "hot mud", "springs", "hot", "the a"])
    query = "What are the Hot SPRINGS of a volcano?"
    last = {which: perturb.append_query_term(which).apply(query, "mud").split()[1] for which in (0, 3, -1)}
    assert last == {0: "What", 3: "Hot", -1: "volcano"}
    assert perturb.append_query_term("rarest", statistics).apply(query, "mud") == "mud volcano"
    assert (
        perturb.append_query_term("rarest", statistics, ignore=["volcano", "of", "what", "are"]).apply(query, "mud") == "mud the"
    )
    drawn = {perturb.append_query_term(seed=seed).apply(query, "mud") for seed in range(40)}
    assert drawn == {"mud Hot", "mud SPRINGS", "mud volcano"}
    often = [perturb.append_query_term(seed=seed).apply("hot hot hot hot hot hot hot cold", "mud") for seed in range(100)]
    assert 30 < often.count("mud cold") < 70  # each word once, however often the query has it


TABLE = {"hot": ["warm", "heated"], "Hot Springs": "geysers", "mud": "mire"}


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        ("Hot springs!", {"Geysers!"}),
        ("HOT SPRINGS", {"GEYSERS"}),
        ("hot, springs", {"warm, springs", "heated, springs"}),  # a phrase has white space alone inside
        ("hot hot springs", {"warm geysers", "heated geysers"}),
        ("shot mud", {"shot mire"}),
        ("hot and hot", {"warm and warm", "heated and heated"}),  # equal words stay equal
    ],
)
def test_synonyms_by_hand(doc, expected):
    assert {synonym(TABLE, seed=seed).apply("q", doc) for seed in range(20)} == expected


def test_which_terms_get_a_synonym():
    doc = "Hot springs of hot mud"
    assert {synonym(TABLE, "query", seed=seed).apply("hot", doc) for seed in range(20)} == {
        "Warm springs of warm mud",
        "Heated springs of heated mud",
    }
    assert synonym(TABLE, "query").apply("springs, hot", "Hot springs of mud") == "Geysers of mud"
    one = {synonym({"hot": "warm", "mud": "mire"}, "random", seed=seed).apply("q", doc) for seed in range(20)}
    assert one == {"Warm springs of warm mud", "Hot springs of hot mire"}


def test_a_synonym_that_is_the_word_itself_is_none():
    with pytest.raises(InputError, match="no term"):
        synonym({"hot": ["HOT", "hot!"]}).apply("q", "hot mud")


def twice(term):
    return [term * 2] if term == "hot" else ()


def mire(term):
    return "mire" if term == "mud" else []


def test_a_function_can_be_the_table():
    kind = synonym(twice)
    assert repr(kind) == "synonym(twice, 'all', seed=0)"
    assert pickle.loads(pickle.dumps(kind)).apply("q", "Hot mud") == "Hothot mud"
    assert synonym(mire).apply("q", "Hot mud") == "Hot mire"


LEXICON = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.0.dtd">
<LexicalResource xmlns:dc="http://purl.org/dc/elements/1.1/">
  <Lexicon id="tiny" label="Tiny" language="en" email="nobody@example.com" license="https://example.com" version="1">
    <LexicalEntry id="tiny-hot-a"><Lemma writtenForm="hot" partOfSpeech="a"/>
      <Sense id="tiny-hot-1" synset="tiny-s1"/><Sense id="tiny-hot-2" synset="tiny-s2"/></LexicalEntry>
    <LexicalEntry id="tiny-warm-a"><Lemma writtenForm="warm" partOfSpeech="a"/>
      <Sense id="tiny-warm-1" synset="tiny-s1"/></LexicalEntry>
    <LexicalEntry id="tiny-spicy-a"><Lemma writtenForm="spicy" partOfSpeech="a"/>
      <Sense id="tiny-spicy-1" synset="tiny-s2"/></LexicalEntry>
    <LexicalEntry id="tiny-spring-n"><Lemma writtenForm="spring" partOfSpeech="n"/>
      <Sense id="tiny-spring-1" synset="tiny-s3"/></LexicalEntry>
    <LexicalEntry id="tiny-source-n"><Lemma writtenForm="water source" partOfSpeech="n"/>
      <Sense id="tiny-source-1" synset="tiny-s3"/></LexicalEntry>
    <Synset id="tiny-s1" ili="" partOfSpeech="a"/>
    <Synset id="tiny-s2" ili="" partOfSpeech="a"/>
    <Synset id="tiny-s3" ili="" partOfSpeech="n"/>
  </Lexicon>
</LexicalResource>
"""


@pytest.fixture
def lexicon(tmp_path, monkeypatch):
    wn = pytest.importorskip("wn", reason='the package wn is not installed: pip install "mechviz-ir[wordnet]"')
    monkeypatch.setattr(wn.config, "data_directory", tmp_path / "data")
    (tmp_path / "tiny.xml").write_text(LEXICON, encoding="utf-8")
    wn.add(tmp_path / "tiny.xml", progress_handler=None)
    return "tiny:1"


def test_a_wordnet_gives_synonyms(lexicon):
    assert wordnet(lexicon)("hot") == ("warm",)
    assert wordnet(lexicon, senses=None)("hot") == ("warm", "spicy")
    assert wordnet(lexicon, pos="n")("hot") == ()
    assert wordnet(lexicon)("volcano") == ()
    kind = synonym(wordnet(lexicon))
    assert kind.apply("q", "Hot spring in mud") == "Warm water source in mud"
    assert pickle.loads(pickle.dumps(kind)) == kind
    assert repr(kind) == "synonym(wordnet('tiny:1'), 'all', seed=0)"
    assert on_query(kind).apply("hot mud", "d") == "warm mud"


def test_a_lexicon_that_is_not_there_is_named_with_the_command(lexicon):
    with pytest.raises(MechvizError, match=r"'oewn:1900' is not in.*python -m wn download oewn:1900"):
        wordnet("oewn:1900")
    with pytest.raises(InputError, match="wordnet\\(pos\\)"):
        wordnet(lexicon, pos="noun")
    with pytest.raises(InputError, match="wordnet\\(senses\\) is 0"):
        wordnet(lexicon, senses=0)


def test_without_the_package_the_command_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "wn", None)
    with pytest.raises(MechvizError, match=r'pip install "mechviz-ir\[wordnet\]".*python -m wn download oewn:2024'):
        wordnet()
