import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechviz.text.sentences import sentences


def split(text):
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["Lava cools, e.g. in water.", "It was 3.5 m deep!", "Was it?"],
        ["J. Smith of the U.S. Army saw Mt. Fuji (see Fig. 3).", "He wrote vol. 2, p. 5, of it."],
        ["I don't.", "So did I.", "No.", "No. 5 is best."],
        ['"Go."', "“Yes!”", "(Well...)", "And then... nothing came."],
        ["It was 3.5 m.", "Hot lava came c. 1850."],
        ["Lava, ash, etc.", "The end."],
        ["It is at example.com.", "Version 1.2.3 is new."],
        ["What?!", "Yes‽ and no."],
        ["Cooled vs. hot lava.", "Approx. 5 m."],
        ["क्या यह गर्म है।", "हाँ।"],
        ["هل هو حار؟", "نعم۔"],
        ["Это я.", "Она там."],
        ["A last one", "", "A title", "", "and text."],
    ],
)
@pytest.mark.parametrize("space", [" ", "\n", "  \t"])
def test_sentences_by_hand(parts, space):
    text = space.join(parts) if "" not in parts else "\n\n".join(part for part in parts if part)
    assert split(text) == [part for part in parts if part]


def test_full_width_marks_need_no_space():
    assert split("火山は熱い。溶岩「だ。」はい") == ["火山は熱い。", "溶岩「だ。」", "はい"]


def test_a_single_line_break_ends_nothing():
    assert split("Hot springs\nare warm.") == ["Hot springs\nare warm."]


def test_a_piece_without_words_goes_with_the_sentence_before():
    assert split("... Go … . ! Then.\n\n***\n\nEnd") == ["...", "Go … . !", "Then.\n\n***", "End"]


def test_a_text_of_white_space_has_none():
    assert sentences(" \n\n ") == []


PIECES = st.sampled_from(["Lava", "a", "U.S.", "e.g.", "3.5", ".", "!", "。", " ", "\n", "\n\n", "…", '"', ")", "É", "火"])


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_only_white_space_lies_outside(text):
    spans = sentences(text)
    ends = [0, *(bound for span in spans for bound in span), len(text)]
    assert ends == sorted(ends)
    assert not "".join(text[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)).strip()
    for start, end in spans:
        assert text[start:end] == text[start:end].strip() != ""


@settings(deadline=None)
@given(st.lists(st.sampled_from(["Lava is hot.", "Is it?", "Ash fell!", "“Go.”", "It was 3.5 m."]), min_size=1))
def test_sentences_that_are_joined_come_apart_again(parts):
    assert split(" ".join(parts)) == parts
