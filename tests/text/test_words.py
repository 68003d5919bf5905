import re
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechviz.text.words import STOPWORDS, terms, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hot springs, don't they?", "hot springs don t they"),
        ("3.5 m in_2 H2O", "3 5 m in 2 h2o"),
        ("Straße ÉTÉ e\u0301te\u0301", "strasse été été"),
        ("हिन्दी में", "हिन्दी में"),  # vowel signs are marks, inside one word
        ("火山は熱い lava", "火 山 は 熱 い lava"),
        ("lava火カルデラ", "lava 火 カルデラ"),
        ("か\u3099 火\U000e0100", "が 火\U000e0100"),  # a mark and a variation selector stay with their character
        ("١٢ 𝟙", "١٢ 𝟙"),
        ("... \u0301 -", ""),
    ],
)
def test_terms_by_hand(text, expected):
    assert terms(text) == expected.split()


def by_character(text):
    """The rule once more, as a machine that reads one character after the other."""
    spans, start, was_alone = [], None, False
    for at, character in enumerate([*text, ""]):
        name = unicodedata.name(character, "") if character else ""
        alone = name.startswith(("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA LETTER"))
        letter, mark = character.isalnum(), bool(character) and unicodedata.category(character).startswith("M")
        if start is not None and (alone or not (letter or mark) or (letter and was_alone)):
            spans.append((start, at))
            start = None
        if letter and start is None:
            start, was_alone = at, alone
    return spans


LETTERS = st.sampled_from("aB9 .,'_\u0301é火カかß\U00020000\u093f\u0939\n1٣")


@settings(deadline=None)
@given(st.text(LETTERS, max_size=20))
def test_words_are_those_of_the_rule(text):
    assert words(text) == by_character(text)


@settings(deadline=None)
@given(st.text())
def test_words_hold_all_letters_and_digits_of_any_text(text):
    spans = words(text)
    assert all(start < end for start, end in spans)
    assert spans == sorted(spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    outside = re.sub(".", "x", text, flags=re.DOTALL)
    for start, end in spans:
        outside = outside[:start] + " " * (end - start) + outside[end:]
    assert not any(character.isalnum() for character, kept in zip(text, outside, strict=True) if kept == "x")
    assert len(terms(text)) == len(spans)


@settings(deadline=None)
@given(st.text())
def test_case_and_the_encoding_of_accents_do_not_matter(text):
    decomposed = unicodedata.normalize("NFD", text)
    if words(text) == words(unicodedata.normalize("NFC", decomposed)):  # a few characters normalise to more than one letter
        composed = unicodedata.normalize("NFC", text)
        assert terms(decomposed) == terms(composed)


def test_stop_words_are_terms():
    assert all(terms(word) == [word] for word in STOPWORDS)
    assert "volcano" not in STOPWORDS
