import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechviz.figures import texts_svg
from mechviz.figures.words import width_of
from mechviz.figures.wrap import aligned_rows, lines, pieces, text_positions
from tests import golden
from tests.figures import made


def drawn(original, perturbed, theme="light", **fields):
    return made.parsed(texts_svg(made.result([[0.5]], of=made.pair(original, perturbed, **fields)), theme))


def halves(root):
    """Words at the left and at the right of the page, below the heads of the columns."""
    middle = float(root.get("width")) / 2
    top = next(float(one.get("y")) for one in made.find(root, "text") if len(one) and one[0].text == "perturbed")
    body = [one for one in made.find(root, "text") if float(one.get("y")) > top + 1]
    return [[one.text for one in body if (float(one.get("x")) < middle) == left] for left in (True, False)]


def test_an_insertion_has_a_box_and_a_plus_and_the_other_side_a_filler():
    root = drawn(["the", "hot", "sea"], ["the", "hot", "red", "sea"])
    (box,) = made.find(root, "rect", data_kind="insert")
    (filler,) = made.find(root, "rect", data_kind="filler")
    assert filler.get("stroke-dasharray")
    assert halves(root) == [["the hot", "a", "sea"], ["the hot", "red", "sea"]]
    x, y, right, bottom = made.box(box)
    (word,) = [one for one in made.find(root, "text") if one.text == "red"]
    assert x < float(word.get("x")) < float(word.get("x")) + float(word.get("textLength")) < right
    assert y < float(word.get("y")) < bottom
    plus = [one for one in made.find(root, "path") if "v" in one.get("d")]
    assert len(plus) == 1
    assert x < made.numbers(plus[0].get("d"))[0] < float(word.get("x"))


def test_a_deletion_is_struck_out_after_a_minus():
    root = drawn(["the", "hot", "red", "sea"], ["the", "hot", "sea"])
    (strike,) = made.find(root, "line", data_kind="delete")
    (word,) = [one for one in made.find(root, "text") if one.text == "red"]
    assert float(strike.get("x2")) - float(strike.get("x1")) == pytest.approx(float(word.get("textLength")), abs=0.02)
    assert float(word.get("y")) - 8 < float(strike.get("y1")) < float(word.get("y"))
    minus = [one for one in made.find(root, "path") if "h6.5" in one.get("d")]
    assert len(minus) == 1
    assert made.numbers(minus[0].get("d"))[0] < float(word.get("x"))


def test_a_replacement_is_bold_and_underlined_on_both_sides():
    root = drawn(["the", "hot", "sea"], ["the", "cold", "sea"])
    assert len(made.find(root, "line", data_kind="replace")) == 2
    bold = {one.text for one in made.find(root, "text", font_weight="bold", font_size=14)}
    assert bold == {"hot", "cold"}
    assert not made.find(root, "rect", data_kind="filler")


def test_pieces_of_one_inserted_word_share_a_box():
    root = drawn(["the", "sea"], ["the", "hot", "##spring", "sea"])
    assert len(made.find(root, "rect", data_kind="insert")) == 1
    assert "hotspring" in made.words(root)


def test_the_other_direction_changes_which_run_is_which_text_and_nothing_that_is_seen():
    one = made.pair(["the", "hot", "sea"], ["the", "hot", "red", "sea"])
    other = made.pair(["the", "hot", "sea"], ["the", "hot", "red", "sea"], direction="original->perturbed",
                      base=one.source, source=one.base)  # fmt: skip
    roots = [made.parsed(texts_svg(made.result([[0.5]], of=pair))) for pair in (one, other)]
    assert halves(roots[0]) == halves(roots[1])


def test_scores_ranks_and_competitors():
    result = golden.golden_result()
    root = made.parsed(texts_svg(result))
    shown = made.words(root)
    assert {"0.5312 →", "1.0000", "+0.4688", "rank 2 → 1 of 3 (up 1)"} <= set(shown)
    (circle, dot) = made.find(root, "circle")
    ticks = made.find(root, "line", data_competitor=...)
    low, high = float(ticks[1].get("x1")), float(dot.get("cx"))  # 0.25 and 1.0 are the ends of the axis
    for mark, score in ((float(circle.get("cx")), 0.53125), (float(ticks[0].get("x1")), 0.75)):
        assert mark == pytest.approx(low + (score - 0.25) / 0.75 * (high - low), abs=0.02)


def test_long_equal_stretches_are_folded():
    words = [f"w{i}" for i in range(510)]
    root = drawn(["[CLS]", *words, "[SEP]"], ["[CLS]", *words[:250], "lava", *words[250:], "[SEP]"])
    folds = [int(word.split()[1]) for word in made.words(root) if word.endswith("equal tokens")]
    assert folds == [250 - 2 * 12, 260 - 2 * 12]
    assert float(root.get("height")) < 600
    pair = made.pair(words, [*words[:250], "lava", *words[250:]])
    rows = aligned_rows(text_positions(pair), pair.alignment.kinds, (pair.base, pair.source))
    assert [pos for row in rows for pos in row.positions] == list(range(511))


@pytest.mark.parametrize("words", [["hot"], ["W" * 500], ["##" + "W" * 90] * 9, ["漢", *["##字"] * 200], ["."], ["", "a"]])
def test_odd_texts_fit_the_page(words):
    drawn(words, [*words, "lava"])
    drawn(words, ["lava", *words], "dark")


@pytest.mark.parametrize("words", made.HOSTILE)
def test_hostile_texts(words):
    root = drawn(["hot", words, "sea"], ["hot", words, words + "!", "sea"], query=words, perturbation=words)
    assert len(made.find(root, "rect", data_kind="insert")) == 1


def test_right_to_left_texts_run_from_the_right():
    root = drawn(["שלום", "עולם", "זה"], ["שלום", "עולם", "חדש", "זה"])
    at = {one.text: float(one.get("x")) for one in made.find(root, "text", direction="rtl")}
    assert at["שלום עולם"] > at["חדש"] > at["זה"]


WORDS = st.lists(st.text(st.characters(exclude_categories=()), min_size=1, max_size=12), min_size=1, max_size=30)


@settings(max_examples=60)
@given(WORDS, WORDS)
def test_any_texts_keep_all_their_words_in_their_places(original, perturbed):
    pair = made.pair(original, perturbed)
    root = made.parsed(texts_svg(made.result([[0.5]], of=pair)))
    width = float(root.get("width"))
    for one in made.find(root, "text", textLength=...):
        left = float(one.get("x")) - (float(one.get("textLength")) / 2 if one.get("text-anchor") == "middle" else 0)
        assert 0 <= left <= left + float(one.get("textLength")) <= width


@given(WORDS, WORDS, st.floats(60, 500))
def test_pieces_do_not_overlap_and_fit_the_line(original, perturbed, room):
    pair = made.pair(original, perturbed)
    rows = aligned_rows(text_positions(pair), pair.alignment.kinds, (pair.base, pair.source))
    for tokens, own in ((pair.base, "delete"), (pair.source, "insert")):
        kept = ""
        for row in rows:
            placed = lines(pieces(row.positions, tokens, pair.alignment.kinds, own, room), room)
            for line in placed:
                end = 0.0
                for start, piece in line:
                    assert start >= end - 1e-6
                    end = start + piece.width
                    kept += piece.words
                assert end <= room + 1e-6
        if "…" not in kept:
            both = zip(tokens.labels, tokens.strings, strict=True)
            labels = "".join("".join((label or string).split()) for label, string in both)
            assert "".join(kept.replace("␣", "").split()) == labels.replace("␣", "")


def test_letters_fill_the_place_that_was_kept_for_them():
    root = drawn(["hot", "sea"], ["hot", "sea", "lava"])
    (word,) = [one for one in made.find(root, "text") if one.text == "lava"]
    assert float(word.get("textLength")) == pytest.approx(width_of("lava", 14, bold=True), abs=0.01)
    assert word.get("lengthAdjust") == "spacingAndGlyphs"
    assert np.isclose(float(word.get("font-size")), 14)
