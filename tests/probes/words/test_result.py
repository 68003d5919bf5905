import numpy as np
import pytest

import mechviz as mv
from mechviz.probes.words import leave_one_term, occlusion
from tests.interventions.hand import QUERY

DOC = "Hot water (very hot!)  rises. It's warm."


@pytest.mark.parametrize("unit", ["word", "term", "sentence"])
@pytest.mark.parametrize("side", ["doc", "query"])
def test_a_passage_is_the_text(cat, unit, side):
    found = occlusion(cat, QUERY, DOC, unit=unit, side=side, masker="a")
    passage = found.passage()
    text = DOC if side == "doc" else QUERY
    whole = "".join((" " if space else "") + piece for piece, space in zip(passage.pieces, passage.spaces, strict=True))
    assert whole == " ".join(text.split()) if unit != "sentence" else whole.split() == text.split()
    values = found.values.values
    shown = passage.values[np.isfinite(passage.values)]
    repeated = [value for word, value in zip(found.words, values, strict=True) for _ in word.spans]
    np.testing.assert_allclose(sorted(shown), sorted(np.float32(repeated)))
    assert passage.value == pytest.approx(found.full)


def test_punctuation_has_no_value(cat):
    passage = occlusion(cat, QUERY, DOC).passage()
    valued = dict(zip(passage.pieces, np.isfinite(passage.values), strict=True))
    assert valued["("] is np.False_
    assert valued["!)"] is np.False_
    assert valued["rises"] is np.True_


def test_a_terms_value_is_at_each_occurrence(cat):
    passage = leave_one_term(cat, QUERY, DOC).passage()
    at = [number for number, piece in enumerate(passage.pieces) if piece.lower() == "hot"]
    assert len(at) == 2
    assert passage.values[at[0]] == passage.values[at[1]]


def test_what_is_said():
    ranker = mv.load("toy/cat")
    found = occlusion(ranker, QUERY, DOC)
    assert repr(found).startswith("WordExplanation(occlusion, 8 words of the doc, score ")
    assert [abs(word.value) for word in found.top(3)] == sorted(abs(found.values.values))[::-1][:3]
    passages = found.passages()
    assert passages.unit == "effect of the word on the score"
    assert passages.provenance["ranker_kind"] == "Cat"
    assert passages.warning == ""
    frame = found.to_dataframe()
    assert [DOC[start:end] for start, end in zip(frame["start"], frame["end"], strict=True)] == frame["word"].tolist()
    assert found.values["text"].values.tolist() == frame["word"].tolist()
    assert found.foretold(np.ones((1, 8), dtype=bool))[0] == pytest.approx(found.full)
