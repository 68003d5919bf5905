"""Where a perturbation changed a text: one law for all kinds and any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechviz.errors import InputError, PerturbError
from mechviz.text import perturb
from mechviz.text.perturb import Change, Perturbation, on_query, perturbation
from mechviz.text.perturb.changes import Replacement, change_of, difference
from mechviz.text.statistics import TermStatistics

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
# texts in which every kind finds something, and whose white space and punctuation are odd
PIECES = """hot|Springs,|lava|volcano|e.g.|3.5|1990|12|10km|don't|火山|e\u0301|\u0301|.|It was.|So?|Yes!|甲。|乙| |  |\n\n|\t"""
PIECE = st.sampled_from(PIECES.split("|"))
JOINED = [st.lists(PIECE, min_size=1, max_size=25).map("".join), st.lists(PIECE, min_size=2, max_size=25).map(" ".join)]
DOC = st.one_of(TEXT, *JOINED)
QUERY = st.sampled_from(["hot springs of a volcano", "what is lava", "火 12", "the", "don't"])
STATISTICS = TermStatistics.of(["hot lava", "hot springs", "a volcano"])

KINDS = [
    perturb.append("lava"),
    perturb.prepend("lava"),
    perturb.insert("lava", at=1),
    perturb.replace("hot", "hotter"),
    perturb.replace(" ", "  "),
    perturb.delete("hot"),
    perturb.delete(" "),
    perturb.repeat("lava", 3),
    perturb.repeat("lava", 2, where="start"),
    perturb.repeat("lava", 3, where="random", seed=1),
    perturb.concatenate(3),
    perturb.shuffle_words(seed=1),
    perturb.shuffle_sentences(seed=1),
    perturb.add_sentences(["Cats purr.", "Dogs bark.", "Fish swim."], 2),
    perturb.add_sentences(["Cats purr.", "Dogs bark.", "Fish swim."], 3, where="random", seed=2),
    perturb.synonym({"hot": ["warm", "heated"], "hot springs": "geysers", "火": "lava"}),
    perturb.synonym({"hot": ["warm", "heated"], "lava": "molten rock"}, which="random", seed=3),
    perturb.synonym({"hot": ["warm", "heated"], "lava": "molten rock"}, which="query"),
    perturb.swap_numbers(),
    perturb.swap_numbers("others", seed=4),
    perturb.append_query_term(),
    perturb.append_query_term("rarest", STATISTICS),
    perturb.append_query_term(-1),
    perturb.terms_together(),
    perturb.terms_apart(),
    perturb.terms_apart(ignore=()),
]
OF_A_PERSON = [
    perturbation(str.upper),
    perturbation(lambda doc: doc[::-1]),
    perturbation(lambda doc: " ".join(doc.split()[::-1])),
    perturbation(lambda doc, query: f"{query} {doc[3:]} {query}"),
    perturbation(lambda doc: f"{doc}!".replace("hot", "cold")),
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=repr)


def without(text, spans):
    """Cut spans out, one character after the other."""
    return "".join(character for at, character in enumerate(text) if not any(start <= at < end for start, end in spans))


def check_law(original, change):
    for text, spans in ((original, change.removed), (change.text, change.added)):
        bounds = [bound for span in spans for bound in span]
        assert bounds == sorted(set(bounds))  # ascending, none empty, no two touching
        assert all(0 <= bound <= len(text) for bound in bounds)
    assert without(original, change.removed) == without(change.text, change.added)
    assert (change.removed or change.added) or change.text == original


@every_kind
@settings(max_examples=60, deadline=None)
@given(doc=DOC, query=QUERY)
def test_outside_the_spans_the_texts_are_equal(kind, doc, query):
    try:
        change = kind.change(query, doc)
    except InputError:
        with pytest.raises(InputError):
            kind.apply(query, doc)
        return
    check_law(doc, change)
    assert change.text == kind.apply(query, doc) == kind(doc, query)


@pytest.mark.parametrize("kind", OF_A_PERSON)
@settings(deadline=None)
@given(doc=DOC, query=QUERY)
def test_the_law_holds_for_anybodys_function(kind, doc, query):
    if kind(doc, query) in ("", doc):
        return
    change = kind.change(query, doc)
    check_law(doc, change)
    assert change.text == kind.apply(query, doc)


@settings(deadline=None)
@given(DOC, DOC)
def test_any_two_texts_have_a_difference(original, text):
    change = difference(original, text)
    check_law(original, change)
    assert change.text == text


@every_kind
def test_every_kind_applies_to_a_plain_text(kind):
    doc = "Hot water, hot springs. A volcano has lava in 1990, or 12 lava e.g. 火 of hot mud. Yes!"
    change = kind.change("hot springs of lava", doc)
    check_law(doc, change)
    assert change.text != doc


@pytest.mark.parametrize(
    ("kind", "removed", "added"),
    [
        (perturb.append("lava"), [], [" lava"]),
        (perturb.prepend("lava"), [], ["lava "]),
        (perturb.insert("lava", at=2), [], ["lava "]),
        (perturb.replace("hot", "hotter"), ["hot"], ["hotter"]),
        (perturb.delete("springs"), ["springs "], []),
        (perturb.concatenate(2), [], [" The hot springs are warm."]),
        (perturb.synonym({"warm": "tepid"}), ["warm"], ["tepid"]),
        (perturbation(lambda doc: doc.replace("hot", "hotter")), ["hot"], ["hotter"]),
        (perturbation(lambda doc: doc.replace("hot springs are warm", "springs are tepid")), ["hot ", "warm"], ["tepid"]),
        (perturbation(lambda doc: doc.removesuffix(".")), ["."], []),
        (perturbation(lambda doc: doc.replace("warm.", "warm!")), ["."], ["!"]),
    ],
)
def test_spans_by_hand(kind, removed, added):
    doc = "The hot springs are warm."
    change = kind.change("q", doc)
    assert [doc[start:end] for start, end in change.removed] == removed
    assert [change.text[start:end] for start, end in change.added] == added


@pytest.mark.parametrize(
    ("deleted", "doc", "expected"),
    [
        (" ", "  hot mud", Change("hotmud", ((0, 2), (5, 6)), ())),
        (" a", " a a b", Change("b", ((0, 5),), ())),
        ("a", "hot a a mud", Change("hot mud", ((4, 8),), ())),
        ("a ", "a a  b", Change("b", ((0, 5),), ())),
    ],
)
def test_deleted_texts_that_touch(deleted, doc, expected):
    assert perturb.delete(deleted).change("q", doc) == expected


def test_a_moved_word_is_removed_in_one_place_and_added_in_the_other():
    doc = "Hot mud and old grey springs here."
    change = perturb.terms_together().change("hot springs", doc)
    assert change == Change("mud and old grey Hot springs here.", ((0, 4),), ((17, 21),))


def test_words_that_a_shuffle_leaves_in_place_are_no_change():
    change = perturb.shuffle_words().change("q", "hot hot cold")
    assert change.text in ("hot cold hot", "cold hot hot")
    assert sum(end - start for start, end in change.removed) in (len("hotcold"), len("hot") + len("cold"))
    unchanged = change_of("hot", [Replacement(0, 3, "hot"), Replacement(3, 3, "")])
    assert unchanged == Change("hot", (), ())


def test_the_query_side_has_its_own_spans():
    change = on_query(perturb.append("lava")).change("hot", "a doc")
    assert change == Change("hot lava", (), ((3, 8),))
    assert on_query(perturb.append_query_term(0)).change("hot", "mud here").text == "hot mud"


def test_what_comes_back_is_checked_as_in_apply():
    with pytest.raises(InputError, match="nothing to patch"):
        perturb.replace("hot", "hot").change("q", "hot mud")
    with pytest.raises(InputError, match="empty"):
        perturb.delete("hot").change("q", "hot")
    broken = perturb.synonym(lambda term: 1 / 0)
    for method in (broken.change, broken.apply):
        with pytest.raises(PerturbError, match="ZeroDivisionError"):
            method("q", "hot mud")


def test_a_long_text_is_compared_in_good_time():
    doc = " ".join(f"word{number % 97}" for number in range(6000))
    shifted = Perturbation(lambda text: f"x{text[7:-7]}y", "shift")
    check = shifted.change("q", doc)
    assert len(check.text) == len(doc) - 12
    assert len(check.removed) <= 2
