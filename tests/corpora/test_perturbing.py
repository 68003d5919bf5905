import pickle
import re
from dataclasses import dataclass

import pytest

import mechviz as mv
from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError, PerturbError
from mechviz.text.perturb import append, on_query, replace

PAIRS = [TextPair("hot lava", "springs are warm", query_id="1", grade=2), TextPair("ash", "lava is hot", query_id="2")]


@dataclass(frozen=True)
class Made:
    """What an axiom returns."""

    query: str
    doc: str
    perturbed: str
    preferred: int


class NoPairError(InputError):
    """What an axiom raises."""

    reason = "the document has no lava"


class Repeat:
    """An axiom that needs a document with the word lava, and chooses the original too."""

    def make(self, query, doc, seed):
        """Return both texts."""
        if "lava" not in doc:
            raise NoPairError(f"no lava in {doc!r}")
        return Made(query, f"{doc}.", f"{doc} lava {seed}", -1)


class Broken:
    """An axiom with a fault in it."""

    def make(self, query, doc, seed):
        """Raise."""
        raise KeyError("table")


def shout(doc):
    return doc.upper()


def whisper(doc, query):
    return f"{doc} {query.upper()}"


@pytest.mark.parametrize(
    ("perturb", "side", "name", "texts"),
    [
        (shout, "doc", "shout", ["SPRINGS ARE WARM", "LAVA IS HOT"]),
        (whisper, "doc", "whisper", ["springs are warm HOT LAVA", "lava is hot ASH"]),
        (mv.perturbation(shout), "doc", "shout", ["SPRINGS ARE WARM", "LAVA IS HOT"]),
        (append("x"), "doc", "append('x')", ["springs are warm x", "lava is hot x"]),
        (on_query(append("x")), "query", "on_query(append('x'))", ["hot lava x", "ash x"]),
        ("other", "doc", "the given text", ["other", "other"]),
    ],
)
def test_whatever_a_person_hands_over(perturb, side, name, texts):
    found = list(mv.Pairs(PAIRS).perturb(perturb))
    assert [p.perturbed for p in found] == texts
    assert {(p.side, p.perturbation, p.preferred, p.reason) for p in found} == {(side, name, 0, "")}
    assert [(p.query, p.doc, p.query_id, p.grade) for p in found] == [(p.query, p.doc, p.query_id, p.grade) for p in PAIRS]


def test_an_axiom_chooses_the_texts_and_says_which_it_prefers():
    first, second = mv.Pairs(PAIRS).perturb(Repeat(), seed=3)
    assert second == TextPair("ash", "lava is hot.", "lava is hot lava 3", query_id="2", perturbation="Repeat", preferred=-1)
    assert first == TextPair(
        "hot lava", "springs are warm", query_id="1", grade=2, perturbation="Repeat", reason="the document has no lava"
    )


def made_by(axiom, pair, seed):
    try:
        made = axiom.make(pair.query, pair.doc, seed)
    except InputError as error:
        return pair.doc, None, 0, error.reason
    return made.doc, made.perturbed, made.preferred, ""


@pytest.mark.parametrize("axiom", [mv.axioms.TFC1(), mv.axioms.TFC1(term="present"), mv.axioms.TFC1(where="replace")], ids=repr)
@pytest.mark.parametrize("seed", [0, 5])
def test_the_axioms_of_the_package(axiom, seed):
    pairs = [*PAIRS, TextPair("hot lava", "lava is a rock")]
    found = [(p.doc, p.perturbed, p.preferred, p.reason) for p in mv.Pairs(pairs).perturb(axiom, seed=seed)]
    assert found == [made_by(axiom, pair, seed) for pair in pairs]
    assert 1 in {preferred for _, _, preferred, _ in found}
    assert {p.perturbation for p in mv.Pairs(pairs).perturb(axiom)} == {"TFC1"}


def test_several_in_turn():
    pairs = mv.Pairs(PAIRS, "mine").perturb([shout, Repeat(), append("x")])
    assert [(p.query_id, p.perturbation) for p in pairs] == [
        (query, name) for query in ("1", "2") for name in ("shout", "Repeat", "append('x')")
    ]
    assert pairs.name == "mine, shout and Repeat and append('x')"


@pytest.mark.parametrize(
    ("perturb", "reason"),
    [
        (replace("lava", "ash"), r"replace: 'lava' does not occur in the doc"),
        (lambda doc: doc, r"left the doc as it was \(the doc\)"),
        (lambda doc: {}["table"], r"^the perturbation raises KeyError$"),
        (lambda doc: None, r"returned must be a string"),
        (lambda doc: "", r"returned is empty"),
        (Broken(), r"^the perturbation raises KeyError$"),
    ],
)
def test_why_there_is_no_copy_is_said_in_words_that_can_be_counted(perturb, reason):
    docs = ["warm", "hot"]
    found = list(mv.Pairs([("q", doc) for doc in docs]).perturb(perturb))
    assert [(p.doc, p.perturbed) for p in found] == [("warm", None), ("hot", None)]
    assert len({p.reason for p in found}) == 1
    assert re.search(reason, found[0].reason)


@pytest.mark.parametrize(
    ("perturb", "error"),
    [(replace("ash", "x"), InputError), (Repeat(), NoPairError), (Broken(), PerturbError), (len, InputTypeError)],
)
def test_or_it_is_raised(perturb, error):
    with pytest.raises(error):
        list(mv.Pairs(PAIRS[:1]).perturb(perturb, on_error="raise"))


def test_what_an_axiom_raises_is_chained_and_names_the_pair():
    with pytest.raises(PerturbError, match=r"Broken raised KeyError: 'table' \(query 'hot lava', doc 'springs") as caught:
        list(mv.Pairs(PAIRS).perturb(Broken(), on_error="raise"))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("perturb", "error", "words"),
    [
        ([], InputError, "empty list"),
        (3, InputTypeError, "not 3"),
        ([shout, None], InputTypeError, "not None"),
        (Repeat, InputTypeError, r"make one of it: Repeat\(\)"),
    ],
)
def test_what_perturbs_nothing(perturb, error, words):
    with pytest.raises(error, match=words):
        mv.Pairs(PAIRS).perturb(perturb)
    with pytest.raises(InputError, match="'record', 'raise'"):
        mv.Pairs(PAIRS).perturb(shout, on_error="skip")


@pytest.mark.parametrize("first", [shout, replace("ash", "x")])
def test_pairs_that_have_been_perturbed_already(first):
    with pytest.raises(InputError, match=r"has been perturbed already.*with a list"):
        list(mv.Pairs(PAIRS).perturb(first).perturb(append("x")))


def test_it_can_be_sent_to_a_worker():
    pairs = mv.Pairs(PAIRS).perturb([shout, Repeat()])
    assert list(pickle.loads(pickle.dumps(pairs))) == list(pairs)
