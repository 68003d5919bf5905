"""What a score is made of: the parts are those of plain models, and sum to the score."""

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz import wire
from mechviz.rankers.parts import score_parts
from tests.cases import CASES

QUERY, DOC = "why are hot springs warm", "Hot springs are warm because water is heated by rock."
KINDS = {"Dot": "dimensions", "Splade": "terms", "ColBERT": "max_sim", "MonoT5": "labels", "Generative": "labels", "Cat": None}


def test_the_parts_make_the_score(any_ranker, case):
    found = score_parts(any_ranker, QUERY, DOC)
    score = float(any_ranker.score(QUERY, [DOC])[0])
    if KINDS[case.kind] is None:
        assert found is None
        return
    kind, parts = found
    assert kind == KINDS[case.kind]
    if kind in ("dimensions", "terms"):
        assert float(parts["score"].sum()) == pytest.approx(score, rel=1e-4, abs=1e-4)
        np.testing.assert_allclose(parts["score"], parts["query"] * parts["doc"], atol=1e-6)
    elif kind == "max_sim":
        assert float(parts.max("doc_pos").sum()) == pytest.approx(score, rel=1e-4, abs=1e-4)
    else:
        yes, no = parts["logit"]
        expected = {"log_softmax": yes - np.logaddexp(yes, no), "logit": yes, "difference": yes - no}
        assert expected[any_ranker.score_name] == pytest.approx(score, rel=1e-4, abs=1e-4)


def test_the_dimensions_are_those_of_the_plain_vectors(dot):
    """By hand: the model's own forward pass, the mean over its tokens."""
    _, parts = score_parts(dot, QUERY, DOC)
    for text, column in ((QUERY, "query"), (DOC, "doc")):
        encoded = dot.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            hidden = dot.model(**encoded).last_hidden_state[0].mean(0)
        expected = torch.nn.functional.normalize(hidden, dim=0) if dot.normalize else hidden
        np.testing.assert_allclose(parts[column], expected, atol=1e-5)


def test_packed_rows_come_by_how_much_they_changed_and_sum_to_the_scores(dot):
    changed = DOC + " volcano"
    tables = [score_parts(dot, QUERY, text)[1] for text in (DOC, changed)]
    packed = wire.pack_parts("dimensions", tables)
    rows = packed.entry["rows"]
    moved = [abs(after - before) for _, before, after in rows]
    assert moved == sorted(moved, reverse=True)
    for number, text in enumerate((DOC, changed)):
        total = float(dot.score(QUERY, [text])[0])
        assert packed.entry["totals"][number] == pytest.approx(total, abs=1e-4)
        kept = sum(row[1 + number] for row in rows)
        assert kept + packed.entry["rest"][number] == pytest.approx(total, abs=1e-4)


def test_terms_that_one_text_lacks_count_as_zero(splade_tiny):
    tables = [splade_tiny.terms(QUERY, text) for text in (DOC, "tea")]
    packed = wire.pack_parts("terms", tables)
    by_term = {row[0]: row[1:] for row in packed.entry["rows"]}
    lacking = set(tables[0]["term"]) - set(tables[1]["term"])
    assert all(by_term[term][1] == 0 for term in lacking & set(by_term))


def test_a_matrix_travels_whole(opened):
    ranker = opened(CASES["ColBERT bert stanford"])
    matrices = [ranker.max_sim_matrix(QUERY, text) for text in (DOC, DOC + " volcano")]
    packed = wire.pack_parts("max_sim", matrices)
    np.testing.assert_array_equal(packed.arrays["parts.source"], matrices[1].values)
    assert packed.entry["doc_tokens"][1] == matrices[1]["doc_token"].values.tolist()


def test_a_cut_text_has_no_parts_in_the_view(dot):
    view = mv.show_patching(dot, QUERY, "volcano " + "water " * 900, mv.perturb.prepend("lava"), truncate=True)
    assert "score" not in view.spec["panels"]
