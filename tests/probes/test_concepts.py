import numpy as np
import pytest

import mechviz as mv
from mechviz.errors import InputError, InputTypeError, PerturbError
from mechviz.probes import concepts
from mechviz.probes.concepts import Concept, as_concept, with_spans
from mechviz.probes.reading import inputs_of


def marked(concept, text):
    ran, spans = concept.ask(text)
    doc = ran[1] if isinstance(ran, tuple) else ran
    return [doc[start:end] for start, end in spans]


def test_query_terms_are_words_of_the_query_but_stopwords():
    pair = ("why is the Volcano hot", "The volcano is hot; volcanoes are, and why not.")
    assert marked(concepts.query_term(), pair) == ["volcano", "hot"]
    assert marked(concepts.query_term(stopwords=True), pair) == ["The", "volcano", "is", "hot", "why"]
    with pytest.raises(InputError, match="give pairs"):
        concepts.query_term().ask("a text alone")


def test_numbers_and_years():
    doc = "In 1987 it had 3.5 km, 12,000 men, 10987 cows, and by 2024, 999 or 2199."
    assert marked(concepts.number(), doc) == ["1987", "3.5", "12,000", "10987", "2024", "999", "2199"]
    assert marked(concepts.year(), doc) == ["1987", "2024"]
    assert marked(concepts.year(), "2024. 1.1999 x1999") == ["2024", "1999"]


def test_rare_terms_are_those_with_a_high_idf():
    statistics = mv.TermStatistics.of(["hot lava"] * 99 + ["cold ash"] * 1 + ["hot ash"] * 100)
    assert marked(concepts.rare_term(statistics), "cold ash, hot lava") == ["cold"]
    assert marked(concepts.rare_term(statistics, least=statistics.idf("ash")), "cold ash, hot lava") == ["cold", "ash", "lava"]
    assert marked(concepts.rare_term(statistics), "unseen hot") == ["unseen"]
    with pytest.raises(InputError, match="no places in a text"):
        concepts.rare_term(mv.TermStatistics.of(["a b"], terms=str.split))
    with pytest.raises(InputTypeError, match="TermStatistics"):
        concepts.rare_term(["hot lava"])
    with pytest.raises(InputError, match="least="):
        concepts.rare_term(statistics, least=float("nan"))


def test_injected_terms_are_what_a_perturbation_adds():
    concept = concepts.injected(mv.perturb.append("lava ash"))
    assert [word.strip() for word in marked(concept, ("q", "hot rock"))] == ["lava ash"]
    assert concept.ask(("q", "hot rock"))[0] == ("q", "hot rock lava ash")
    own = concepts.injected(lambda doc: doc.replace("hot", "cold"))
    assert marked(own, "a hot rock, a hot day") == ["cold", "cold"]
    assert own.ask("nothing to change") == ("nothing to change", None)
    with pytest.raises(InputError, match="changes the query"):
        concepts.injected(mv.perturb.on_query(lambda query: query + " x"))
    with pytest.raises(PerturbError):
        concepts.injected(lambda doc: 1 / 0).ask("a text")


def test_relevance_is_of_pairs_and_unknown_ones_are_left_out():
    concept = concepts.relevance({("q", "a"): 2, ("q", "b"): 1, ("q", "c"): np.nan}, least=2)
    assert [concept.ask(("q", doc))[1] for doc in "abcd"] == [True, False, None, None]
    with pytest.raises(InputTypeError, match="map"):
        concepts.relevance([1, 0])


def test_a_function_is_a_concept_and_labels_are_of_tokens():
    dot = mv.load("toy/dot")

    def capital(doc, query):
        return [(at, at + 1) for at, letter in enumerate(doc) if letter.isupper()]

    concept = as_concept(capital)
    assert concept.name == "capital"
    text = "the Volcano throws Lava"
    _, (inputs,) = inputs_of(dot, [text])
    (tokens,) = inputs.values()
    labels = concept.labels(text, tokens)
    words = {int(tokens.words[at]) for at in np.flatnonzero(labels)}
    assert words == {1, 3}
    whole = Concept("long", lambda doc, query: len(doc) > 3).labels(text, tokens)
    assert whole.tolist() == [segment == "doc" for segment in tokens.segments]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ("yes", InputTypeError, "return"),
        (3, InputTypeError, "return"),
        ([(2, 9)], InputError, "4 characters"),
        ([(1, 1)], InputError, "span"),
    ],
)
def test_answers_that_cannot_be_are_refused(answer, error, message):
    with pytest.raises(error, match=message):
        Concept("mine", lambda doc, query: answer).ask("text")


def test_texts_given_by_hand():
    given = ["one", ("q", "two"), ("three", [(0, 2)]), (("q", "four"), [])]
    assert with_spans("positive", given) == [
        ("one", None),
        (("q", "two"), None),
        ("three", ((0, 2),)),
        (("q", "four"), ()),
    ]
    with pytest.raises(InputTypeError, match="positive must be a list"):
        with_spans("positive", "one")
    with pytest.raises(InputError, match="negative is empty"):
        with_spans("negative", [])
    with pytest.raises(InputError, match="3 characters"):
        with_spans("negative", [("one", [(0, 9)])])
    with pytest.raises(InputTypeError, match="concept must be"):
        as_concept("number")
