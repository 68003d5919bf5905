import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.errors import InputError
from mechviz.rankers import tokenize as ranker_tokenize
from mechviz.text import Tokens
from mechviz.text.tokens import spread
from tests.tiny.tokenizers import bytelevel, metaspace, wordpiece

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


TOKENIZERS = {
    "wordpiece": wordpiece(),
    "bytelevel": bytelevel(),
    "bytelevel, no special tokens": bytelevel("decoder"),
    **{f"metaspace {kind}": metaspace(kind) for kind in ("t5", "xlmr", "llama")},
}


def tokenize(tokenizer, *parts: tuple[str, str]) -> Tokens:
    return ranker_tokenize.tokenize(tokenizer, [[[part] for part in parts]])[0]


def same(a: Tokens, b: Tokens) -> bool:
    return json.dumps(a.to_dict()) == json.dumps(b.to_dict())


@given(TEXT, TEXT, st.sampled_from(list(TOKENIZERS)))
def test_offsets_lead_back_to_the_characters(query, doc, kind):
    tokens = tokenize(TOKENIZERS[kind], ("query", query), ("doc", doc))
    for label, (start, end), segment in zip(tokens.labels, tokens.offsets, tokens.segments, strict=True):
        if end > start:
            assert {"query": query, "doc": doc}[segment][start:end] == label
    assert same(tokens, Tokens.from_dict(json.loads(json.dumps(tokens.to_dict()))))


@given(TEXT, TEXT, st.sampled_from(list(TOKENIZERS)))
def test_a_prompt_keeps_every_text_apart(query, doc, kind):
    """Whatever stands around them, the characters of query and document are theirs, in order, and none is doubled or lost."""
    parts = [("prompt", "Query: "), ("query", query), ("prompt", "\nDocument:"), ("doc", doc), ("prompt", " Relevant:")]
    (tokens,) = ranker_tokenize.tokenize(TOKENIZERS[kind], [[parts]])
    for segment, text in (("query", query), ("doc", doc)):
        spans = [tuple(tokens.offsets[i]) for i in tokens.positions(segment) if tokens.offsets[i, 1] > tokens.offsets[i, 0]]
        assert spans == sorted(spans)
        assert all(0 <= start < end <= len(text) for start, end in spans)
        assert [tokens.labels[i] for i in tokens.positions(segment) if tokens.offsets[i, 1] > tokens.offsets[i, 0]] == [
            text[start:end] for start, end in spans
        ]
    alone = tokenize(TOKENIZERS[kind], ("doc", doc))
    assert {c for i in alone.positions("doc") for c in range(*alone.offsets[i])} <= {
        c for i in tokens.positions("doc") for c in range(*tokens.offsets[i])
    }


@pytest.mark.parametrize("kind", list(TOKENIZERS))
def test_words_and_spaces(kind):
    """However a tokenizer writes the space before a word, the words are the user's, and so are the spaces."""
    tokens = tokenize(TOKENIZERS[kind], ("doc", "hot springs, a lava"))
    own = tokens.positions("doc")
    words = tokens.words[own].tolist()
    assert words[0] == 0
    assert words == sorted(words)
    text = ""
    for i in own:
        if tokens.offsets[i, 1] > tokens.offsets[i, 0]:
            text += " " * int(tokens.offsets[i, 0] > len(text)) + tokens.labels[i]
    assert text == "hot springs, a lava"
    start = {tokens.labels[i]: bool(tokens.spaces()[i]) for i in own}
    assert not start[","], "a comma stands beside its word"


def test_the_space_that_is_a_token_of_its_own_shows_no_letter_twice(t5_tokenizer):
    """T5 writes `a` as two tokens over the same character."""
    tokens = tokenize(t5_tokenizer, ("doc", "is a basin"))
    assert tokens.strings[:3] == ("▁is", "▁", "a")
    assert tokens.labels[:3] == ("is", " ", "a")
    assert tokens.offsets[1].tolist() == [3, 3]
    assert tokens.spaces()[:3].tolist() == [True, True, False]


def test_a_pair_in_its_segments(cat):
    tokens = tokenize(cat.tokenizer, ("query", "hot springs"), ("doc", "Lava"))
    assert tokens.strings[:3] == ("[CLS]", "hot", "spring")
    assert tokens.segments[0] == "cls"
    assert tokens.segments[-1] == "sep"
    assert [tokens.labels[i] for i in tokens.positions("doc")] == ["Lava"]
    assert tokens.types[tokens.positions("doc")].tolist() == [1]
    words = tokens.words[tokens.positions("query")]
    assert words.tolist() == [0, 1, 1]
    assert tokens.word_starts()[tokens.positions("query")].tolist() == [True, True, False]


def test_words_of_two_segments_do_not_run_together(cat):
    tokens = tokenize(cat.tokenizer, ("query", "tea"), ("doc", "tea"))
    assert tokens.word_starts().all()


def test_a_filler_belongs_to_the_text_beside_it(cat):
    tokens = tokenize(cat.tokenizer, ("query", "tea"), ("doc", "hot tea"))
    n = len(tokens)
    at_end = np.array([*range(n - 1), -1, n - 1])
    after_sep = np.array([0, 1, 2, -1, *range(3, n)])
    first = np.array([-1, *range(n)])
    for index, row in ((at_end, n - 1), (after_sep, 3), (first, 0)):
        filled = spread(tokens, index, [7], ["x"], masked=True, segment="doc")
        assert filled.segments[row] == "doc"
        assert filled.types[row] == 1
        assert (filled.strings[row], filled.labels[row], int(filled.ids[row])) == ("x", "x", 7)
        assert filled.fillers.tolist() == (index < 0).tolist()
        assert filled.mask.tolist() == (index >= 0).tolist()
        assert same(filled.pick(np.flatnonzero(index >= 0)), tokens)


def test_arrays_of_other_lengths_are_refused(dot):
    plain = tokenize(dot.tokenizer, ("doc", "tea")).to_dict()
    with pytest.raises(InputError, match=r"Tokens\.ids has 2 entries for 3"):
        Tokens.from_dict({**plain, "ids": [1, 2]})
    with pytest.raises(InputError, match=r"Tokens\.labels has 1"):
        Tokens.from_dict({**plain, "labels": ["x"]})
    with pytest.raises(InputError, match="unknown segments"):
        Tokens.from_dict({**plain, "segments": ["cls", "text", "sep"]})
