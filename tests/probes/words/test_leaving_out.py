"""Occlusion beside one plain score at a time."""

import numpy as np
import pytest

from mechviz.errors import InputError, InputTypeError
from mechviz.probes.words import leave_one_term, margin_to, occlusion, rank_among, top_k
from mechviz.text.words import words
from tests.cases import CASES
from tests.interventions.hand import DOCS, QUERY
from tests.plain import Plain

DOC = DOCS[2]
OTHERS = [DOCS[0], DOCS[1], DOCS[3]]


def without(text, span, filler):
    return f"{text[: span[0]]}{filler}{text[span[1] :]}"


KINDS = ["Cat bert", "Dot distilbert mean", "ColBERT bert stanford", "MonoT5 t5 ('true', 'false')"]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("side", ["doc", "query"])
def test_one_score_at_a_time(name, side, checkpoint, opened):
    case = CASES[name]
    plain = Plain(case, checkpoint(case))
    ranker = opened(case)
    text = DOC if side == "doc" else QUERY
    changed = [without(text, span, "the") for span in words(text)]
    pairs = [(QUERY, one) if side == "doc" else (one, DOC) for one in changed]
    found = occlusion(ranker, QUERY, DOC, masker="the", side=side, batch_size=4)
    full, *rest = (plain.scores([pair])[0] for pair in [(QUERY, DOC), *pairs])
    assert found.full == pytest.approx(full, abs=2e-4)
    np.testing.assert_allclose(found.values.values, full - np.array(rest), atol=3e-4)
    assert [text[slice(*word.spans[0])] for word in found.words] == [word.text for word in found.words]
    assert abs(found.values.values).max() > 1e-2


def test_deleting(cat):
    found = occlusion(cat, QUERY, "Water is warm.")
    scores = cat.score(QUERY, ["Water is warm.", "is warm.", "Water warm.", "Water is."])
    np.testing.assert_allclose(found.values.values, scores[0] - scores[1:], atol=1e-5)
    assert found.base == pytest.approx(cat.score(QUERY, "."), abs=1e-5)  # the full stop is left
    alone = occlusion(cat, QUERY, "Water")
    assert np.isnan(alone.base)
    assert np.isnan(alone.words[0].value)


def test_masking_keeps_every_position(cat):
    """Each piece of a word becomes a [MASK]; the sequence is made by hand here."""
    from dataclasses import replace

    doc = "unbelievable tides"
    inputs = cat.checked_inputs([(QUERY, doc)])[0]
    tokens = inputs["encoder"]
    pieces = [at for at in tokens.positions("doc") if tokens.offsets[at, 1] <= len("unbelievable")]
    assert len(pieces) > 1
    for masker, masked in (("[MASK]", True), ("[PAD]", False)):
        ids, mask = tokens.ids.copy(), tokens.mask.copy()
        ids[pieces] = cat.tokenizer.mask_token_id if masked else cat.tokenizer.pad_token_id
        mask[pieces] = masked
        wanted = cat.score_all([inputs, {"encoder": replace(tokens, ids=ids, mask=mask)}])
        found = occlusion(cat, QUERY, doc, masker=masker)
        assert found.words[0].value == pytest.approx(wanted[0] - wanted[1], abs=1e-5)


def test_a_term_goes_with_all_its_occurrences(cat):
    doc = "Hot water and hot rock"
    found = leave_one_term(cat, QUERY, doc)
    scores = cat.score(QUERY, [doc, "water and rock"])
    assert found.words[0].spans == ((0, 3), (14, 17))
    assert found.words[0].value == pytest.approx(scores[0] - scores[1], abs=1e-5)
    assert found.to_dataframe()["occurrences"].tolist() == [2, 1, 1, 1]


def rank_by_hand(ranker, query, doc, others):
    own, *theirs = ranker.score(query, [doc, *others])
    return 1 + sum(score > own for score in theirs)


@pytest.mark.parametrize("side", ["doc", "query"])
def test_targets_beside_other_documents(dot, side):
    text = DOC if side == "doc" else QUERY
    changed = [without(text, span, "the") for span in words(text)]
    pairs = [(QUERY, DOC), *((QUERY, one) if side == "doc" else (one, DOC) for one in changed)]
    ranks = np.array([rank_by_hand(dot, *pair, OTHERS) for pair in pairs])
    margins = np.array([np.subtract(*dot.score(query, [doc, OTHERS[0]])) for query, doc in pairs])
    wanted = {
        rank_among(OTHERS): -ranks,
        top_k(OTHERS, 2): (ranks <= 2).astype(float),
        margin_to(OTHERS[0]): margins,
    }
    for target, numbers in wanted.items():
        found = occlusion(dot, QUERY, DOC, target=target, masker="the", side=side)
        assert found.full == pytest.approx(numbers[0], abs=1e-6)
        np.testing.assert_allclose(found.values.values, numbers[0] - numbers[1:], atol=1e-6)
    assert len(set(ranks)) > 1  # some word moves the rank


def test_a_function_of_texts_is_a_target():
    import mechviz as mv

    ranker = mv.load("toy/dot")
    asked = []

    def length(queries, docs):
        asked.extend(docs)
        return [len(doc.split()) for doc in docs]

    found = occlusion(ranker, QUERY, "very very warm water", target=length)
    assert found.values.values.tolist() == [1, 1, 1, 1]
    assert found.target == "length"
    assert len(asked) == len(set(asked)) == 4  # the two that lack a "very" are one text


def test_no_copy_is_scored_twice(dot, monkeypatch):
    rows = []
    encode = type(dot).encode

    def counted(self, batch, stack):
        rows.append((stack, len(batch)))
        return encode(self, batch, stack)

    monkeypatch.setattr(type(dot), "encode", counted)
    found = occlusion(dot, QUERY, "very very very warm water", batch_size=2)
    # whole, without "very", "warm", "water"; nothing is left of the text without any word
    assert found.game.scored == 4
    assert sum(n for stack, n in rows if stack == "doc") == 4
    queries = [n for stack, n in rows if stack == "query"]
    assert sum(queries) <= 2  # once for the whole text, once for the others, whatever the batches


def test_a_document_that_is_too_long(cat):
    doc = "water " * 300
    with pytest.raises(InputError, match="truncate=True"):
        occlusion(cat, QUERY, doc)
    found = occlusion(cat, QUERY, doc, truncate=True, unit="term")
    assert 50 < len(found.words[0].spans) < 130
    assert found.full == pytest.approx(cat.score(QUERY, doc, truncate=True)[0], abs=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"target": "rank"}, InputError, r"rank_among\(docs\)"),
        ({"target": 3}, InputTypeError, "a target is 'score'"),
        ({"target": lambda queries, docs: [1.0]}, InputError, "return one finite number each"),
        ({"target": lambda queries: 1.0}, InputError, "failed on"),
        ({"target": lambda queries, docs: [1.0] * len(docs), "masker": "[MASK]"}, InputError, "a function of texts"),
        ({"masker": ""}, InputError, "masker is empty"),
        ({"side": "title"}, InputError, "give 'doc' or 'query'"),
        ({"unit": "token"}, InputError, "there are 'word'"),
        ({"batch_size": 0}, InputError, "batch_size=0"),
        ({"doc": "..."}, InputError, "has no word"),
        ({"doc": ""}, InputError, "doc is empty"),
        ({"ranker": "toy/cat"}, InputTypeError, "must be one that mv.load"),
    ],
)
def test_what_cannot_be(cat, change, error, said):
    with pytest.raises(error, match=said):
        occlusion(**{"ranker": cat, "query": QUERY, "doc": DOC, **change})


def test_competitors_that_cannot_be(cat):
    with pytest.raises(InputError, match="docs is empty"):
        rank_among([])
    with pytest.raises(InputTypeError, match="a list of documents"):
        rank_among(DOC)
    for k in (0, 4, True, 1.0):
        with pytest.raises(InputError, match="from 1 to 3"):
            top_k(OTHERS, k)
    with pytest.raises(InputTypeError, match="other must be a string"):
        margin_to(None)
    with pytest.raises(InputError, match="among the others"):
        occlusion(cat, QUERY, DOC, target=rank_among([DOC]))
