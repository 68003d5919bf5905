"""Every axiom as a maker of minimal pairs and as a perturbation."""

import doctest
import importlib
import pickle
import pkgutil
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.text import axioms
from mechviz.text.axioms import ALL, LNC1, LNC2, STMC1, STMC2, TDC, TF_LNC, TFC1, TFC2, TFC3, NoPairError, named
from mechviz.text.perturb import as_perturbation
from mechviz.text.statistics import TermStatistics
from mechviz.text.words import STOPWORDS, terms
from tests.texts import docs, judged_pairs, real_pairs

COLLECTION = ["hot lava", "lava hot", "lava hot flows", "springs", "springs of the sea", "springs again", "old springs"]
STATISTICS = TermStatistics.of(COLLECTION)
TABLE = {"lava": {"magma": 1.0, "rock": 0.5}, "springs": {"wells": 0.7}, "hot": {"warm": 0.9, "lava": 0.1}}
names = pytest.mark.parametrize("name", ALL)


def axiom_of(name, **options):
    return named(name, statistics=STATISTICS, similarity=TABLE, **options)


def counts_of(text):
    return Counter(terms(text))


words = st.sampled_from(["hot", "Lava", "springs", "hot", "lava", "the", "rock", "sea", "flows", "MAGMA", "down"])
separators = st.sampled_from([" ", ", ", ". ", " (", ") ", "\n", "-"])


@st.composite
def sentences(draw, least=1, most=12):
    chosen = draw(st.lists(words, min_size=least, max_size=most))
    return "".join(f"{word}{draw(separators)}" for word in chosen).rstrip("( ") + draw(st.sampled_from(["", ".", "!"]))


queries = st.one_of(
    st.sampled_from(["hot lava", "hot lava springs", "hot springs of lava"]),
    st.lists(st.sampled_from(["hot", "lava", "springs", "the", "of", "Sea"]), min_size=1, max_size=4).map(" ".join),
)
anything = st.text(st.sampled_from("ab Q12.,-'éßİ京都ひカ\u0301\u200d\n"), min_size=1, max_size=30)


def without(text, spans):
    kept, done = "", 0
    for start, end in spans:
        assert done <= start < end <= len(text)
        kept += text[done:start]
        done = end
    return kept + text[done:]


def check_pair(axiom, query, doc, pair):
    assert pair.query == query
    assert axiom.preference(query, pair.perturbed, pair.doc) == pair.preferred
    assert pair.preferred in (1, -1)
    assert without(pair.doc, pair.removed) == without(pair.perturbed, pair.added)
    assert pair.removed or pair.added
    if axiom.keeps_document:
        assert pair.doc == doc
        assert axiom(doc, query) == axiom.make(query, doc).perturbed


@names
def test_the_axiom_itself_says_what_its_pair_says(name):
    axiom, made, reasons = axiom_of(name), [], set()

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(queries, sentences(least=4), st.integers(0, 3))
    def law(query, doc, seed):
        try:
            pair = axiom.make(query, doc, seed)
        except NoPairError as error:
            reasons.add(error.reason)
            return
        check_pair(axiom, query, doc, pair)
        assert axiom.make(query, doc, seed) == pair
        only_its_own(name, axiom, query, pair)
        made.append(pair)

    law()
    assert made, "no pair was made at all"
    assert not any(character.isdigit() for reason in reasons for character in reason), "reasons are to be counted"


@names
def test_any_text_gives_a_true_pair_or_a_reason(name):
    axiom = axiom_of(name)
    own = {"a": ["b"], "京": ["都"], "カ": "ひ"}
    tables = [axiom, named(name, TermStatistics.of(["a b 京 都"]), own)]

    @settings(max_examples=50, deadline=None)
    @given(anything, anything)
    def law(query, doc):
        for one in tables:
            try:
                pair = one.make(query, doc)
            except NoPairError:
                continue
            check_pair(one, query, doc, pair)

    law()


def only_its_own(name, axiom, query, pair):
    """What may change, by name; the rest of the texts is the same."""
    wanted = {term: 0 for term in terms(query) if term not in STOPWORDS}
    before, after = counts_of(pair.doc), counts_of(pair.perturbed)
    change = {term: after[term] - before[term] for term in wanted}
    total = sum(change.values())
    longer = sum(after.values()) - sum(before.values())
    if name in ("TFC1", "TF_LNC"):
        assert sorted(change.values())[-1] == total == longer == 1
    elif name in ("TFC2", "TDC"):
        assert (total, longer) == (0, 0)
        assert sorted(change.values())[0] == -1
        assert sorted(change.values())[-1] == 1
    elif name == "TFC3":
        assert (total, longer) == (0, 0)
        assert sum(value != 0 for value in change.values()) == 2
    elif name == "LNC1":
        assert not any(change.values())
        assert longer == axiom.count
        assert pair.perturbed.startswith(pair.doc)
    elif name == "LNC2":
        assert after == Counter({term: 2 * count for term, count in before.items()})
    elif name == "LB1":
        assert longer == 0
        assert sum(value != 0 for value in change.values()) == 1
    elif name == "REG":
        assert (total, longer) == (0, 0)
    elif name == "DIV":
        assert longer == 0
        assert not any(change.values())
    elif name.startswith("PROX"):
        assert before == after
    elif name == "STMC1":
        assert longer == 0
        assert not any(change.values())
    elif name == "STMC2":
        assert longer == 0
        assert abs(total) == 1
    else:
        assert name in ("AND", "M_AND")
        assert [after[term] > 0 for term in wanted] != [before[term] > 0 for term in wanted]


RICH_QUERY = "hot lava of the springs"
RICH_DOC = "Hot water rises: lava, deep below the hot springs, warms it. Lava cools to rock and the sea wears it down."


@names
def test_a_document_with_everything_gives_a_pair(name):
    axiom = axiom_of(name)
    query, doc = (RICH_QUERY, RICH_DOC) if name != "PROX3" else ("hot lava springs", RICH_DOC)
    pairs = [axiom.make(query, doc, seed) for seed in range(12)]
    for pair in pairs:
        check_pair(axiom, query, doc, pair)
    assert (len({pair.perturbed for pair in pairs}) > 1) != (name in ("LNC2", "PROX3", "TFC2", "TDC")), "what the seed chooses"


def test_the_pairs_that_are_made_of_judged_documents():
    """Of real text, every axiom makes a pair of most documents, or says why not in few words."""
    pairs = judged_pairs()
    statistics = TermStatistics.of(docs().values())
    for name in ALL:
        axiom = named(name, statistics, lambda one, other: float(one[:3] == other[:3]))
        reasons = Counter()
        for query, doc in pairs:
            try:
                check_pair(axiom, query, doc, axiom.make(query, doc))
            except NoPairError as error:
                reasons[error.reason] += 1
        assert len(reasons) <= 4, (name, reasons)


def test_pairs_of_real_passages():
    pairs = real_pairs(40)
    statistics = TermStatistics.of(text for pair in pairs for text in pair)
    for name in ALL:
        axiom, made = named(name, statistics, lambda one, other: float(one[:1] == other[:1])), 0
        for query, doc in pairs:
            try:
                check_pair(axiom, query, doc, axiom.make(query, doc))
                made += 1
            except NoPairError:
                continue
        assert made, name


@pytest.mark.parametrize(
    ("axiom", "query", "doc", "perturbed", "preferred"),
    [
        (TFC1(), "lava", "Hot rock.", "Hot rock. lava", 1),
        (TFC1(where="start"), "Lava", "Hot rock.", "Lava Hot rock.", 1),
        (TFC1(where="replace"), "lava", "lava, rock.", "lava, lava.", 1),
        (TFC1(term="rarest", statistics=STATISTICS), "springs lava", "Rock.", "Rock. lava", 1),
        (TFC1(term="present"), "springs lava hot", "Springs.", "Springs. springs", 1),
        (TFC1(ignore=["lava"]), "hot lava", "rock", "rock hot", 1),
        (TF_LNC(count=2, where="start"), "lava", "rock", "lava lava rock", 1),
        (TDC(statistics=STATISTICS), "springs lava", "Springs, lava, springs", None, 1),
        (TFC3(statistics=STATISTICS), "hot lava", "hot (hot) hot", None, 1),
        (LNC1(noise=("moon",), count=3), "lava", "Hot rock.", "Hot rock. moon moon moon", -1),
        (LNC2(copies=3), "lava", "Hot.", "Hot. Hot. Hot.", 1),
        (axioms.LB1(), "hot lava", "hot rock", "hot lava", 1),
        (axioms.LB1(), "hot lava", "hot lava rock", None, -1),
        (axioms.AND(), "hot lava springs", "rock", "rock hot lava springs", 1),
        (axioms.AND(where="replace"), "hot lava", "big sea", None, 1),
        (axioms.M_AND(), "hot lava", "lava", "lava hot", 1),
        (axioms.REG(similarity=TABLE), "lava magma sea", "lava rock", "sea rock", 1),
        (axioms.DIV(), "lava", "lava flows down", None, -1),
        (axioms.DIV(), "lava", "lava flows flows down", "lava flows flows flows", -1),
        (axioms.PROX1(), "hot lava", "hot rock lava", None, 1),
        (axioms.PROX1(), "hot lava", "hot lava rock", "hot rock lava", -1),
        (axioms.PROX2(), "hot lava", "rock lava hot", None, 1),
        (axioms.PROX3(), "hot lava", "lava on hot rock", "hot lava on rock", 1),
        (axioms.PROX3(), "lava on land", "land, sea; on lava", "lava, on; land sea", 1),
        (axioms.PROX4(), "hot lava", "hot rock lava", None, 1),
        (axioms.PROX5(), "hot lava", "hot rock lava", None, 1),
        (STMC1(similarity={"lava": "magma"}), "lava", "lava, water.", "lava, magma.", 1),
        (STMC1(similarity={"lava": "magma"}, where="end"), "lava", "lava, water.", "lava, water. magma", 1),
        (STMC1(similarity=lambda one, other: float(other == "magma")), "lava", "magma, water", "magma, magma", 1),
        (STMC2(similarity={"lava": "magma"}, count=3), "lava", "Lava!", "magma magma magma!", -1),
        (STMC2(similarity={"lava": "magma"}), "lava", "Magma!", "lava!", 1),
    ],
)
def test_by_hand(axiom, query, doc, perturbed, preferred):
    pair = axiom.make(query, doc)
    check_pair(axiom, query, doc, pair)
    assert pair.preferred == preferred
    assert perturbed is None or pair.perturbed == perturbed


def test_tdc_and_reg_leave_no_term_out_where_they_can():
    for seed in range(20):
        changed = TDC(statistics=STATISTICS).make("springs old lava", "sea: lava, springs, springs", seed).perturbed
        assert set(terms(changed)) == {"sea", "lava", "springs", "old"}
        changed = axioms.REG(similarity=TABLE).make("lava hot sea", "lava, hot lava", seed).perturbed
        assert set(terms(changed)) == {"sea", "lava", "hot"}


def test_words_that_touch_stay_words():
    made = {TFC1(where="replace").make("c", "a山b水火", seed).perturbed for seed in range(30)}
    assert made == {"c山b水火", "a c b水火", "a山c水火", "a山b c火", "a山b水c"}


@pytest.mark.parametrize(
    ("axiom", "query", "doc", "reason"),
    [
        (TDC(statistics=STATISTICS), "hot lava", "hot", "no two terms of different IDF"),
        (TDC(statistics=STATISTICS), "lava", "lava", "no two terms of different IDF"),
        (TDC(statistics=STATISTICS), "old springs", "old", "no query term but the rarest"),
        (TFC1(where="replace"), "lava", "lava", "no word that the query does not have"),
        (TFC1(term="present"), "lava", "rock", "no query term"),
        (TFC1(margin=0), "lava", "rock", "differ by more than the margin"),
        (TFC1(), "the", "rock", "no words but those to ignore"),
        (TFC2(statistics=STATISTICS), "springs lava", "lava", "no two terms of equal IDF"),
        (TFC3(statistics=STATISTICS), "hot lava", "hot rock", "one of them twice"),
        (LNC1(noise=("moon",)), "moon", "rock", "every noise word is a query term"),
        (LNC2(), "lava", "?!", "no words"),
        (axioms.REG(similarity=TABLE), "hot sea", "hot", "no query term is less similar"),
        (axioms.REG(similarity=TABLE), "lava magma sea", "sea", "no other query term"),
        (axioms.DIV(), "lava", "rock sea", "no query term"),
        (axioms.DIV(), "lava", "lava sea", "fewer than two words"),
        (axioms.PROX1(), "lava", "lava", "fewer than two terms"),
        (axioms.PROX1(), "hot lava", "lava rock", "fewer than two query terms"),
        (axioms.PROX4(), "hot lava sea", "hot lava", "do not have every query term"),
        (axioms.PROX2(), "hot lava", "lava hot", "no word that the query does not have"),
        (axioms.PROX3(), "hot hot lava", "lava hot", "all words of the query"),
        (STMC1(similarity=TABLE), "sea", "rock", "less like the query"),
        (STMC1(similarity=TABLE), "lava", "lava", "no word that the query does not have"),
        (STMC1(similarity=TABLE), "lava", "magma", "less like the query"),
        (STMC2(similarity=TABLE), "sea", "rock sea", "neither"),
        (axioms.AND(where="replace"), "hot lava sea", "sea rock", "too few words"),
        (axioms.AND(), "hot", "hot", "no word that the query does not have"),
    ],
)
def test_why_there_is_no_pair(axiom, query, doc, reason):
    with pytest.raises(NoPairError, match=reason) as caught:
        axiom.make(query, doc)
    assert repr(query) in str(caught.value)
    if axiom.keeps_document:
        with pytest.raises(NoPairError, match=reason):
            axiom(doc, query)


def test_tfc2_points_to_make():
    axiom = TFC2(statistics=STATISTICS)
    assert not axiom.keeps_document
    with pytest.raises(InputError, match=r"make\(query, doc\) returns both"):
        axiom("lava", "hot lava")
    pair = axiom.make("hot lava", "Hot rock.")
    assert pair.doc.startswith("Hot rock. ")
    counts = [sorted(counts_of(text)[term] for term in ("hot", "lava")) for text in (pair.doc, pair.perturbed)]
    assert counts == [[1, 3], [2, 2]]


@settings(max_examples=60, deadline=None)
@given(queries, sentences(), st.integers(3, 5), st.integers(0, 2))
def test_series_have_one_occurrence_more_each_time(query, doc, k, seed):
    try:
        series = TFC2().make_series(query, doc, k, seed)
    except NoPairError:
        return
    counted = [counts_of(text) for text in series.texts]
    term = terms(series.term)[0]
    assert [count[term] for count in counted] == list(series.counts) == list(range(series.counts[0], series.counts[0] + k))
    assert len({count.total() for count in counted}) == 1
    assert series.counts[0] >= 1
    if term in terms(doc):
        assert series.texts[0] == doc
    others = set(terms(query)) - STOPWORDS - {term}
    assert len({tuple(count[other] for other in sorted(others)) for count in counted}) == 1
    for earlier, later in zip(series.texts, series.texts[1:], strict=False):
        assert TFC1(margin=0).preference(series.term, later, earlier) == 1


def test_scores_of_a_series():
    series = TFC2().make_series("lava", RICH_DOC, 4)
    assert series.gains([0, 1, 1.5, 1.75]).tolist() == [1.0, 0.5, 0.25]
    assert series.diminishing([0, 1, 1.5, 1.75])
    assert not series.diminishing([0, 1, 2, 3])
    with pytest.raises(InputError, match="3 scores for 4 texts"):
        series.gains([1, 2, 3])
    with pytest.raises(InputError, match="k is 2"):
        TFC2().make_series("lava", RICH_DOC, 2)
    with pytest.raises(NoPairError, match="too few words"):
        TFC2().make_series("lava", "lava rock", 3)
    with pytest.raises(NoPairError, match="to ignore"):
        TFC2().make_series("the", RICH_DOC, 3)


def test_chances_are_even():
    added = Counter(TFC1().make("hot lava springs", "rock", seed).perturbed.split()[-1] for seed in range(300))
    assert min(added[word] for word in ("hot", "lava", "springs")) > 60


@names
def test_an_axiom_is_a_perturbation(name):
    axiom = axiom_of(name)
    change = as_perturbation(axiom)
    assert change.name == axiom.__name__ == type(axiom).__name__ == name
    if not axiom.keeps_document:
        return
    query = "hot lava springs"
    pair = axiom.make(query, RICH_DOC)
    assert change.apply(query, RICH_DOC) == pair.perturbed
    found = change.change(query, RICH_DOC)
    assert (found.text, found.removed, found.added) == (pair.perturbed, pair.removed, pair.added)


def test_a_ranker_is_patched_with_an_axiom(dot):
    pair = mv.make_pair(dot, "hot lava", "Lava flows down to the sea.", mv.axioms.TFC1(term="present"))
    assert "".join(pair.source.labels).endswith("lava[SEP]")
    assert pair.perturbation == "TFC1"


@names
def test_axioms_can_be_pickled_compared_and_read(name):
    axiom = axiom_of(name)
    again = pickle.loads(pickle.dumps(axiom))
    assert again == axiom
    assert hash(again) == hash(axiom)
    assert again.make(RICH_QUERY, RICH_DOC, 3) == axiom.make(RICH_QUERY, RICH_DOC, 3) if name != "PROX3" else True
    assert repr(axiom).startswith(f"{name}(")
    assert ("statistics=TermStatistics(7 documents" in repr(axiom)) == hasattr(axiom, "statistics")


def test_reprs_say_what_was_given():
    assert repr(TFC1()) == "TFC1()"
    assert repr(TFC1(margin=0.2, ignore=())) == "TFC1(ignore=[], margin=0.2)"
    assert repr(STMC1(similarity={"lava": "magma"})) == "STMC1(similarity=<table of 2 words>)"
    assert repr(STMC1(similarity=pow)) == "STMC1(similarity=pow)"


def test_axioms_by_name():
    assert list(ALL) == [name for name in ALL if getattr(axioms, name) is ALL[name]]
    assert set(ALL) <= set(axioms.__all__)
    assert named("tf-lnc") == TF_LNC()
    assert named("m-and", margin=0.1) == axioms.M_AND(margin=0.1)
    assert named("AND", statistics=STATISTICS, similarity=TABLE) == axioms.AND(), "what an axiom does not use is not passed on"
    with pytest.raises(InputError, match="no axiom 'TFC9'; there are TFC1, TFC2"):
        named("TFC9")
    with pytest.raises(InputError, match="no axiom 3"):
        named(3)
    with pytest.raises(InputError, match="no parameter 'speed'; it has ignore, "):
        named("AND", speed=3)
    with pytest.raises(InputError, match="statistics="):
        named("TDC")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: TFC1(margin=-1), InputError, r"TFC1\(margin\) is -1"),
        (lambda: TFC1(margin="wide"), InputTypeError, "'wide'"),
        (lambda: TFC1(margin=None), InputTypeError, "None"),
        (lambda: TFC1(term="best"), InputError, "'rarest'"),
        (lambda: TFC1(term="rarest"), InputError, "statistics="),
        (lambda: TFC1(where="middle"), InputError, "'replace'"),
        (lambda: TFC1(statistics=3), InputTypeError, "TermStatistics"),
        (lambda: TFC1(ignore="the"), InputTypeError, "list of texts"),
        (lambda: TF_LNC(where="replace"), InputError, "'start'"),
        (lambda: TF_LNC(count=0), InputError, "1 or more"),
        (lambda: LNC1(noise=("two words",)), InputError, "single words"),
        (lambda: LNC1(noise=()), InputError, "single words"),
        (lambda: LNC1(count=1.5), InputTypeError, "whole number"),
        (lambda: LNC2(copies=1), InputError, "2 or more"),
        (lambda: STMC2(similarity=TABLE, threshold=2), InputError, "threshold"),
        (lambda: axioms.AND(margin=2), InputError, r"AND\(margin\)"),
        (lambda: TFC1().make("lava", "rock", seed=0.5), InputTypeError, "seed"),
        (lambda: TFC1().make("", "rock"), InputError, "query is empty"),
        (lambda: TFC1().make("lava", None), InputTypeError, "doc must be"),
        (lambda: TFC1()("rock", None), InputError, "needs the query"),
    ],
)
def test_what_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("name", [one.name for one in pkgutil.iter_modules(axioms.__path__)])
def test_examples_in_docstrings(name):
    assert not doctest.testmod(importlib.import_module(f"mechviz.text.axioms.{name}")).failed


def test_every_axiom_has_an_example_a_source_and_a_margin():
    assert not doctest.testmod(axioms).failed
    assert not doctest.testmod(importlib.import_module("mechviz.text.statistics")).failed
    assert not doctest.testmod(importlib.import_module("mechviz.text.bm25")).failed
    for axiom in ALL.values():
        assert ">>>" in axiom.__doc__
        assert "margin" in axiom.__doc__
        assert any(venue in axiom.__doc__ for venue in ("SIGIR", "CIKM", "ECIR", "WWW", "ACM"))
