import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.errors import InputError
from mechviz.rankers.tokenize import tokenize
from mechviz.text import Tokens
from mechviz.text.tokens import spread

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def same(a: Tokens, b: Tokens) -> bool:
    return json.dumps(a.to_dict()) == json.dumps(b.to_dict())


@given(TEXT, TEXT)
def test_offsets_lead_back_to_the_characters(dot, query, doc):
    tokens = tokenize(dot.tokenizer, ("query", query), ("doc", doc))
    for label, (start, end), segment in zip(tokens.labels, tokens.offsets, tokens.segments, strict=True):
        if start >= 0:
            assert {"query": query, "doc": doc}[segment][start:end] == label
    assert same(tokens, Tokens.from_dict(json.loads(json.dumps(tokens.to_dict()))))


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
    for index, row in ((at_end, n - 1), (after_sep, 3)):
        filled = spread(tokens, index, [7], ["x"], masked=True)
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
