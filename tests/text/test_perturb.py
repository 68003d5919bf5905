import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz.errors import InputError, InputTypeError, PerturbError
from mechviz.text.perturb import append, as_perturbation, delete, insert, on_query, perturbation, prepend, replace


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (append("lava"), "hot springs are warm lava"),
        (prepend("lava"), "lava hot springs are warm"),
        (insert("lava", at=1), "hot lava springs are warm"),
        (insert("lava", at=-1), "hot springs are lava warm"),
        (insert("lava", at=0), "lava hot springs are warm"),
        (insert("lava", at=4), "hot springs are warm lava"),
        (replace("springs", "stoves"), "hot stoves are warm"),
        (delete("springs"), "hot are warm"),
        (delete("hot"), "springs are warm"),
        (delete(" are warm"), "hot springs"),
    ],
)
def test_the_ready_ones_do_what_they_say(change, expected):
    assert change("hot springs are warm") == expected


@pytest.mark.parametrize("change", [replace("lava", "rock"), delete("lava"), insert("lava", at=9)])
def test_what_cannot_be_done_is_said(change):
    with pytest.raises(InputError, match=r"lava|9"):
        change.apply("q", "hot springs")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda doc: doc + "!", "d!"),
        (lambda doc, query: doc + query, "dq"),
        (lambda doc, query="x": doc + query, "dq"),
        (lambda doc, strength=2: doc * strength, "dd"),
        (lambda text, other: text + other, "dq"),
        (str.upper, "D"),
    ],
)
def test_the_query_is_passed_where_it_is_asked_for(function, expected):
    assert perturbation(function).apply("q", "d") == expected


def test_the_decorator_keeps_the_name():
    @mv.perturbation
    def shout(doc):
        return doc.upper()

    assert repr(shout) == "shout"
    assert shout("hot") == "HOT"
    assert perturbation(shout) is shout


def test_the_query_can_be_changed_instead():
    change = on_query(lambda query, doc: f"{query} {doc}")
    assert change.side == "query"
    assert change.apply("q", "d") == "q d"


def test_the_perturbed_text_itself():
    assert as_perturbation("other").apply("q", "d") == "other"


def test_an_exception_is_chained_and_names_the_pair():
    def broken(doc):
        raise KeyError("table")

    with pytest.raises(PerturbError, match=r"broken raised KeyError.*'hot query'.*'hot doc'") as caught:
        perturbation(broken).apply("hot query", "hot doc")
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("returned", "error", "words"),
    [
        (None, InputTypeError, "NoneType"),
        (3, InputTypeError, "int"),
        ("", InputError, "empty"),
        ("d", InputError, "nothing to patch"),
    ],
)
def test_what_comes_back_is_checked(returned, error, words):
    with pytest.raises(error, match=words):
        perturbation(lambda doc: returned).apply("q", "d")


@pytest.mark.parametrize("given_value", [3, None, ["a"]])
def test_what_is_no_perturbation_is_refused(given_value):
    with pytest.raises(InputTypeError, match=re.escape(repr(given_value))):
        as_perturbation(given_value)


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_append_and_prepend_keep_the_text(text, added):
    for change in (append, prepend):
        try:
            made = change(added)
        except InputError:
            continue  # lone surrogates
        assert text in made(text)
        assert added in made(text)


class Rule:
    """Like an axiom: an object that is called with both texts and has a name of its own."""

    @property
    def __name__(self):
        return "RULE1"

    def __call__(self, doc, query):
        return f"{doc} {query}"


def test_an_object_with_a_name_is_a_perturbation():
    kind = as_perturbation(Rule())
    assert repr(kind) == "RULE1"
    assert kind.apply("q", "d") == "d q"
    assert kind.change("q", "d").added == ((1, 3),)
