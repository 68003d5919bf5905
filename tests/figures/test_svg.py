from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.figures import svg
from tests.figures import made


def drawn(words: str, description: str = "said") -> ElementTree.Element:
    return ElementTree.fromstring(svg.document(10, 20, words, description, "#fff", "#000", [svg.text(1, 2, words)]).encode())


def readable(words: str) -> str:
    """What XML 1.0 can hold of a text, by its own definition, character by character."""
    return "".join(
        char
        if char in "\t\n\r" or 0x20 <= ord(char) <= 0xD7FF or 0xE000 <= ord(char) <= 0xFFFD or ord(char) >= 0x10000
        else "\ufffd"
        for char in words
    )


@given(st.text(st.characters(exclude_categories=()), min_size=1))
def test_any_text_stays_text(words):
    root = drawn(words)
    assert [one.tag.removeprefix(made.SPACE) for one in root.iter()] == ["svg", "title", "desc", "rect", "text"]
    assert root[0].text == readable(words)
    assert root[3].text == readable(words).replace("\t", " ").replace("\n", " ").replace("\r", " ")


@pytest.mark.parametrize("words", made.HOSTILE)
def test_hostile_text_stays_text(words):
    assert drawn(words)[0].text == readable(words)


@given(st.text(st.characters(exclude_categories=())))
def test_attributes_are_read_back(words):
    one = ElementTree.fromstring(str(svg.Element("g", {"data_word": words})).encode())
    assert one.get("data-word") == readable(words)


def test_a_document_is_framed():
    written = svg.document(10.5, 20, "a name", "a description", "#fefefe", "#010101", [])
    root = ElementTree.fromstring(written)
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("10.5", "20", "0 0 10.5 20")
    assert (root[0].text, root[1].text) == ("a name", "a description")
    assert root[2].attrib == {"x": "0", "y": "0", "width": "10.5", "height": "20", "fill": "#fefefe"}
    assert "sans-serif" in root.get("font-family")


@pytest.mark.parametrize(("value", "text"), [(1 / 3, "0.33"), (-0.001, "0"), (100.0, "100"), (12, "12"), (-1.5, "-1.5")])
def test_numbers_are_short(value, text):
    assert svg.rect(value, 0, 1, 1).__str__() == f'<rect x="{text}" y="0" width="1" height="1"/>'


def test_parts_of_a_phrase_follow_each_other():
    one = svg.phrase(1, 2, [("a", {"fill": "red"}), ("b", {})], 8)
    assert str(one) == '<text x="1" y="2" xml:space="preserve"><tspan fill="red">a</tspan><tspan dx="8">b</tspan></text>'


def test_what_is_none_is_left_out():
    assert str(svg.group([svg.title("here")], opacity=None, data_kind="it")) == '<g data-kind="it"><title>here</title></g>'
