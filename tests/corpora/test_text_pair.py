import pytest

from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"query": ""}, InputError, "query is empty"),
        ({"doc": None}, InputTypeError, "doc must be a string"),
        ({"perturbed": ""}, InputError, "perturbed is empty"),
        ({"doc": "a\ud800"}, InputError, "surrogate"),
        ({"side": "title"}, InputError, "'doc', 'query'"),
    ],
)
def test_what_is_no_pair_is_refused(fields, error, words):
    with pytest.raises(error, match=words):
        TextPair(**{"query": "q", "doc": "d", **fields})


def test_the_original_is_the_text_of_the_side():
    pair = TextPair("q", "d", query_id="1", grade=2)
    assert (pair.original, pair.with_perturbed("e", side="query").original) == ("d", "q")


def test_a_perturbed_pair_keeps_what_is_known_of_it():
    pair = TextPair("q", "d", query_id="1", doc_id="2", grade=3, rank=4, run_score=0.5)
    made = pair.without_perturbed("no term", "TFC1").with_perturbed("e", "TFC2", preferred=-1, doc="f")
    assert made == TextPair("q", "f", "e", "doc", "1", "2", 3, 4, 0.5, "TFC2", -1, "")
    assert made.without_perturbed("no term", "TFC1") == TextPair(
        "q", "f", None, "doc", "1", "2", 3, 4, 0.5, "TFC1", -1, "no term"
    )
