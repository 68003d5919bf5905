import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.figures.words import (
    cut,
    digits_for,
    is_rtl,
    letters,
    percent,
    plain,
    signed,
    visible,
    weight_text,
    width_of,
    wrapped,
)


@pytest.mark.parametrize(
    ("value", "digits", "as_plain", "as_signed"),
    [
        (0.5, 2, "0.50", "+0.50"),
        (-0.5, 2, "−0.50", "−0.50"),
        (0.001, 2, "0.00", "0.00"),
        (-0.001, 2, "0.00", "0.00"),
        (12345.678, 1, "12345.7", "+12345.7"),
        (math.nan, 2, "not defined", "not defined"),
    ],
)
def test_numbers_in_words(value, digits, as_plain, as_signed):
    assert plain(value, digits) == as_plain
    assert signed(value, digits) == as_signed


@pytest.mark.parametrize(("size", "digits"), [(5, 2), (0.5, 2), (0.05, 3), (0.00012, 5), (1e-12, 6), (0, 3), (math.nan, 3)])
def test_digits_show_two_significant_ones(size, digits):
    assert digits_for(size) == digits


def test_weights_and_shares():
    assert [weight_text(w) for w in (0.5, 0.004, 1.0)] == [".50", ".004", "1.00"]
    assert [percent(s) for s in (0, 0.001, 0.005, 0.7, 1)] == ["0%", "under 1%", "1%", "70%", "100%"]


@given(st.text(max_size=60), st.floats(0, 400), st.booleans())
def test_what_is_cut_fits_and_begins_the_same(text, room, bold):
    short = cut(text, room, 12, bold)
    if short != text:
        assert short.endswith("…")
        assert text.startswith(short[:-1])
        assert width_of(text, 12, bold) > room
        assert width_of(short, 12, bold) <= max(room, width_of("…", 12, bold)) + 1e-9
    else:
        assert width_of(text, 12, bold) <= room


def test_a_letter_is_not_cut_from_its_mark():
    text = "ab" + "e\u0301" * 3
    assert cut(text, width_of("abe", 12) + width_of("…", 12), 12) == "abe\u0301…"
    assert cut("👩\u200d👩\u200d👩 and more", 35, 12) == "👩…"


def test_widths_of_scripts():
    assert width_of("i", 10) < width_of("m", 10) < width_of("漢", 10) < width_of("👍", 10)
    assert width_of("é", 10) == width_of("e\u0301", 10) == width_of("e", 10)
    assert width_of("👩\u200d👩\u200d👧", 10) == width_of("👩", 10) == width_of("👍🏽", 10) == width_of("🇫🇷", 10)
    assert width_of("word", 10, bold=True) > width_of("word", 10)
    found = [letters(text) for text in ("naïve text, 3!", "e\u0301", "שלום", "漢", "a 👍", "👩\u200d👩")]
    assert found == ["latin", "latin", "other", "other", "emoji", "emoji"]


def test_direction_is_that_of_the_first_letter():
    assert is_rtl("12 שלום abc")
    assert is_rtl("مرحبا")
    assert not is_rtl("abc שלום")
    assert not is_rtl("123")


def test_space_is_seen():
    assert [visible(label) for label in ("", " ", "\n", " a")] == ["␣", "␣", "␣", " a"]


@given(st.text(max_size=80), st.floats(20, 200))
def test_wrapped_lines_fit_and_keep_the_words(text, room):
    lines = wrapped(text, room, 11)
    assert all(width_of(line, 11) <= room for line in lines)
    if all(width_of(word, 11) <= room for word in text.split()):
        assert " ".join(lines).split() == text.split()
