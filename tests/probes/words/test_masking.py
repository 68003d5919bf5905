import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.errors import InputError, InputTypeError
from mechviz.probes.words.masking import check_masker, closeness, drawn, positions_of, units_of, written
from mechviz.text.words import terms, words


def test_units():
    text = "Hot water, hot rock. It rises."
    assert [unit.text for unit in units_of("doc", text)] == ["Hot", "water", "hot", "rock", "It", "rises"]
    by_term = units_of("doc", text, "term")
    assert [(unit.text, unit.spans) for unit in by_term][:2] == [("Hot", ((0, 3), (11, 14))), ("water", ((4, 9),))]
    assert [unit.text for unit in units_of("doc", text, "sentence")] == ["Hot water, hot rock.", "It rises."]


@pytest.mark.parametrize(
    ("text", "gone", "masker", "wanted"),
    [
        ("hot springs, warm", [1], "delete", "hot, warm"),
        ("hot springs, warm", [0], "delete", "springs, warm"),
        ("hot springs, warm", [0, 1, 2], "delete", ","),
        ("hot springs", [0, 1], "delete", ""),
        ("well-known fact", [1], "delete", "well- fact"),
        ("hot 火warm", [1], "delete", "hot warm"),
        ("hot springs, warm", [0, 2], "a", "a springs, a"),
        ("火山", [0, 1], "a", "a a"),
        ("don't", [0], "a", "a't"),
    ],
)
def test_written(text, gone, masker, wanted):
    units = units_of("doc", text)
    keep = [number not in gone for number in range(len(units))]
    assert written(text, units, keep, masker) == wanted


TEXTS = st.text(alphabet="ab火 .,-\n'", min_size=1, max_size=30).filter(words)


@given(TEXTS, st.data())
def test_what_is_kept_stays_and_what_goes_is_gone(text, data):
    units = units_of("doc", text)
    keep = data.draw(st.lists(st.booleans(), min_size=len(units), max_size=len(units)))
    kept = [unit.text for unit, there in zip(units, keep, strict=True) if there]
    assert terms(written(text, units, keep, "delete")) == kept
    filled = [unit.text if there else "zz" for unit, there in zip(units, keep, strict=True)]
    assert terms(written(text, units, keep, "zz")) == filled


def test_positions_of_pieces(cat):
    doc = "Unbelievable springs, unbelievable!"
    tokens = cat.tokenize("hot springs", doc)["encoder"]
    owner = positions_of(tokens, "doc", units_of("doc", doc, "term"))
    for position, unit in enumerate(owner):
        start, end = tokens.offsets[position]
        inside = tokens.segments[position] == "doc" and doc[start:end].isalpha()
        assert (unit >= 0) == inside
        if inside:
            assert unit == (1 if 13 <= start < 20 else 0)
    assert (owner == 0).sum() > 2  # several pieces and two occurrences


def test_draws():
    keep = drawn(6, 4000, np.random.default_rng(0))
    gone = np.bincount((~keep).sum(1), minlength=7)
    assert gone[0] == gone[6] == 0
    np.testing.assert_allclose(gone[1:6] / 4000, 0.2, atol=0.03)
    np.testing.assert_allclose(keep.mean(0), 0.5, atol=0.03)
    assert (keep == drawn(6, 4000, np.random.default_rng(0))).all()


def test_closeness_is_limes_kernel_and_elis_cosine():
    keep = np.array([[True] * 4, [True, False, False, False], [True, True, False, False]])
    cosine = (keep @ np.ones(4)) / (np.sqrt(keep.sum(1)) * 2)
    np.testing.assert_allclose(closeness(keep, None), cosine)
    np.testing.assert_allclose(closeness(keep, 0.25), np.sqrt(np.exp(-((100 * (1 - cosine)) ** 2) / 25**2)))


def test_what_cannot_be():
    with pytest.raises(InputError, match="unit='letter'; there are 'word'"):
        units_of("doc", "a b", "letter")
    with pytest.raises(InputError, match="has no word"):
        units_of("doc", "...")
    with pytest.raises(InputError, match="white space around"):
        check_masker(" a")
    with pytest.raises(InputTypeError, match="masker must be a string"):
        check_masker(3)
