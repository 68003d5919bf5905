import numpy as np
import pytest

from mechviz.errors import InputError, InputTypeError
from mechviz.text import bind_filler


@pytest.fixture(scope="module")
def tokenizer(dot):
    return dot.tokenizer


@pytest.mark.parametrize(("name", "masked"), [("a", False), ("[MASK]", False), ("[PAD]", True)])
def test_ready_policies(tokenizer, name, masked):
    filler = bind_filler(name, tokenizer)
    assert (filler.name, filler.masked) == (name, masked)
    ids, strings = filler.fill(("lava", "##s"))
    assert tokenizer.convert_ids_to_tokens(ids) == strings == [name, name]


def test_a_function_sees_the_gap_and_fills_it(tokenizer):
    seen = []

    def echo(gap):
        seen.append(gap)
        return ["moon"] * len(gap)

    ids, strings = bind_filler(echo, tokenizer).fill(("lava", "tea"))
    assert seen == [("lava", "tea")]
    assert strings == ["moon", "moon"]
    assert np.unique(ids).tolist() == [tokenizer.get_vocab()["moon"]]


@pytest.mark.parametrize("word", ["moon tea", "zzzz", "火"])
def test_a_word_that_is_not_one_token_is_refused(tokenizer, word):
    with pytest.raises(InputError, match="must be one token"):
        bind_filler(word, tokenizer)


@pytest.mark.parametrize("returned", [["moon"], ["moon", "nosuchtoken"]])
def test_a_function_that_returns_the_wrong_thing_is_named(tokenizer, returned):
    def wrong(gap):
        return returned

    with pytest.raises(InputError, match=r"'wrong' got the 2 tokens.*must return as many"):
        bind_filler(wrong, tokenizer).fill(("lava", "tea"))


def test_another_type_is_refused(tokenizer):
    with pytest.raises(InputTypeError, match="filler must be"):
        bind_filler(3, tokenizer)


def test_a_tokenizer_without_the_special_token(dot_folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(dot_folder)
    tokenizer.mask_token = None
    with pytest.raises(InputError, match="has no such token"):
        bind_filler("[MASK]", tokenizer)
