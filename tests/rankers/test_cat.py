"""Cat: what a score is made of."""

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.errors import InputError, InputTypeError, UnsupportedModelError
from tests.conftest import save_cat

QUERY, DOC = "what is a caldera", "A caldera is a large basin."


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return str(save_cat(tmp_path_factory.mktemp("three"), labels=3))


def logits(ranker):
    with torch.no_grad():
        return ranker.model(**ranker.tokenizer(QUERY, DOC, return_tensors="pt")).logits[0].numpy()


def test_three_labels_are_refused_with_the_way_out(three):
    with pytest.raises(UnsupportedModelError, match=r"has 3 labels.*score=2 for the logit of label 2, or score=lambda logits"):
        mv.Cat(three)


def test_a_label_or_a_function_says_the_score(three):
    ranker = mv.Cat(three, score=2)
    expected = logits(ranker)
    assert ranker.score(QUERY, DOC)[0] == pytest.approx(expected[2], abs=1e-5)
    assert "score=logit[2]" in repr(ranker)
    assert "score=logit[1]" in repr(mv.Cat(three, score=np.int64(1)))
    loaded = mv.load(three, score=lambda logits: logits[:, 2] - logits[:, 0])
    assert loaded.score(QUERY, DOC)[0] == pytest.approx(expected[2] - expected[0], abs=1e-5)

    def entailment(logits):
        return logits.softmax(-1)[:, 1]

    named = mv.Cat(three, score=entailment)
    assert "score=entailment" in repr(named)
    assert named.score(QUERY, DOC)[0] == pytest.approx(np.exp(expected[1]) / np.exp(expected).sum(), abs=1e-5)
    result = mv.patch(named, QUERY, DOC, mv.perturb.append("lava"))
    assert np.isfinite(result.patched).all()


@pytest.mark.parametrize(
    ("score", "error", "words"),
    [
        (3, InputError, "score=3: .* has the labels 0 to 2"),
        ("two", InputTypeError, "number of a label or a function"),
        (True, InputTypeError, "number of a label"),
    ],
)
def test_a_score_that_cannot_be(three, score, error, words):
    with pytest.raises(error, match=words):
        mv.Cat(three, score=score)


def test_a_function_that_returns_something_else(three):
    """Found when the ranker is opened, not when it has scored for an hour."""
    wrong = {
        r"score= returned \(2, 3\) for logits of shape \(2, 3\)": lambda logits: logits,
        "score= returned float": lambda logits: 1.0,
        "score= raised IndexError: .* for logits of shape": lambda logits: logits[:, 7],
        "another score when a second one is beside it": lambda logits: (logits - logits.mean())[:, 0],
        "what has no gradient": lambda logits: logits.argmax(1),
    }
    for words, function in wrong.items():
        with pytest.raises(InputError, match=words):
            mv.Cat(three, score=function)


def test_a_prompt_instead_of_a_pair(cat_folder):
    ranker = mv.Cat(str(cat_folder), prompt="query: {query} document: {doc}")
    with torch.no_grad():
        text = f"query: {QUERY} document: {DOC}"
        expected = ranker.model(**ranker.tokenizer(text, return_tensors="pt")).logits[0, 0]
    assert ranker.score(QUERY, DOC)[0] == pytest.approx(float(expected), abs=1e-5)
    assert "prompt='query: {query} document: {doc}'" in repr(ranker)
    tokens = ranker.tokenize(QUERY, DOC)["encoder"]
    assert set(tokens.segments) == {"cls", "prompt", "query", "doc", "sep"}
    with pytest.raises(InputError, match="must hold"):
        mv.Cat(str(cat_folder), prompt="{query}")
