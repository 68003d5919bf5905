import numpy as np
import pytest

import mechviz as mv
from mechviz.text.classes import TOKEN_CLASSES
from tests.cases import CASES

QUERY, DOC = "hot springs near a volcano", "Springs, warmed by a hot volcano's rock, rise again near Springs."


def classes_of(ranker, change, query=QUERY):
    pair = mv.make_pair(ranker, query, DOC, change)
    found = {}
    for name, label in zip(pair.classes(), pair.source.labels, strict=True):
        found.setdefault(name, []).append(label.strip())
    return {name: "".join(labels) for name, labels in found.items()}


@pytest.mark.parametrize("name", ["Dot bert mean", "Cat bert", "Cat roberta", "Splade xlm-roberta", "Cat llama"])
def test_classes_are_those_of_whole_words_whatever_the_tokenizer(name, opened):
    ranker = opened(CASES[name])
    found = classes_of(ranker, mv.perturb.append("springs moon"))
    assert found["injected"] == "springsmoon"
    said = found["injected_term"].replace(",", "").replace(".", "")  # some tokenizers have punctuation in their words
    assert said == "SpringsSprings", "the query's term that was injected, where the document had it"
    assert {"hot", "near", "volcano"} <= set(words_in(found["query_term"]))
    assert "rock" in found["other"]
    assert ("query" in found) == (name.startswith("Cat"))
    assert set(found) <= set(TOKEN_CLASSES)


def words_in(text):
    return [word for word in ("hot", "near", "volcano", "rock") if word in text]


def test_a_changed_query_has_no_other_terms(dot):
    found = classes_of(dot, mv.perturb.on_query(mv.perturb.append("moon")))
    assert found["injected"] == "moon"
    assert "volcano" in found["query"]


def test_a_word_that_is_taken_away_is_injected_too(dot):
    pair = mv.make_pair(dot, QUERY, DOC, mv.perturb.delete("warmed"))
    assert (np.array(pair.classes()) == "injected").sum() == len(pair.alignment.changed())
