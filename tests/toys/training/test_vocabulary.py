import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.errors import InputError
from mechviz.toys.passages import PASSAGES
from mechviz.toys.training.vocabulary import SPECIAL, build_vocabulary, make_tokenizer


def test_frequent_words_are_tokens_and_rare_ones_are_spelt():
    texts = ["the cat sat on the mat"] * 5 + ["the catapult"]
    tokens = build_vocabulary(texts, 50)
    assert tokens[: len(SPECIAL)] == list(SPECIAL.values())
    assert {"the", "cat", "sat"} <= set(tokens)
    made = make_tokenizer(tokens, "Cat")
    assert "[UNK]" not in made.tokenize("tap a cat")


def test_order_of_texts_changes_nothing():
    assert build_vocabulary(PASSAGES, 600) == build_vocabulary(PASSAGES[::-1], 600)


def test_words_of_examples_are_tokens():
    tokens = build_vocabulary(PASSAGES, 800, ("A zymurgist, perhaps", "true false"))
    assert {"true", "false", "zymurgist", "perhaps", ","} <= set(tokens)


@pytest.mark.parametrize("size", [60, 200, 1000])
def test_no_more_tokens_than_asked_for_and_none_twice(size):
    tokens = build_vocabulary(PASSAGES, 600)
    assert len(tokens) <= 600
    assert len(set(tokens)) == len(tokens)


@given(st.text(st.sampled_from("abcdefgh xyz.'"), min_size=1, max_size=60))
def test_offsets_of_pieces_spell_the_text(text):
    made = make_tokenizer(build_vocabulary(["abcdefgh xyz . '", "abc def"], 60), "Cat")
    found = made(text, return_offsets_mapping=True, add_special_tokens=False)
    assert made.unk_token_id not in found["input_ids"]
    assert "".join(text[start:end] for start, end in found["offset_mapping"]) == text.replace(" ", "")


def test_frames():
    tokens = build_vocabulary(PASSAGES, 800, ("true false",))
    cat, t5 = (make_tokenizer(tokens, kind) for kind in ("Cat", "MonoT5"))
    both = cat("lava", "water")
    assert both["token_type_ids"] == [0, 0, 0, 1, 1]
    assert cat.convert_ids_to_tokens(both["input_ids"])[::2] == ["[CLS]", "[SEP]", "[SEP]"]
    assert t5.convert_ids_to_tokens(t5("lava")["input_ids"]) == ["lava", "[SEP]"]
    assert t5.eos_token_id == t5.convert_tokens_to_ids("[SEP]")


def test_texts_without_words_and_sizes_that_are_too_small_are_refused():
    with pytest.raises(InputError, match="no text"):
        build_vocabulary([" "], 100)
    with pytest.raises(InputError, match="characters"):
        build_vocabulary(PASSAGES, 20)
