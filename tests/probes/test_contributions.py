"""Direct score attribution against BERT taken apart by hand, and its sums."""

import numpy as np
import pandas as pd
import pytest

import mechviz as mv
from mechviz import views
from mechviz.errors import InputError
from mechviz.probes.contributions import score_contributions
from tests.cases import CASES
from tests.noise import DOC, QUERY
from tests.probes.byhand import Apart


@pytest.fixture(scope="module")
def apart(checkpoint):
    return Apart(checkpoint(CASES["Cat bert"]), QUERY, DOC)


@pytest.fixture
def bert(opened):
    return opened(CASES["Cat bert"])


def test_the_parts_of_bert_are_those_by_hand(bert, apart):
    assert sum(apart.values.values()) == pytest.approx(apart.score, abs=1e-9)  # the oracle's own law
    found = score_contributions(bert, QUERY, DOC)
    heads = found.heads()
    for (kind, layer, head), value in apart.values.items():
        if kind == "head":
            assert float(heads.sel(layer=layer, head=head)) == pytest.approx(value, abs=2e-5)
    rows = found.parts
    for kind in ("embed", "mlp"):
        assert rows[rows["kind"] == kind]["value"].to_numpy() == pytest.approx(apart.of(kind), abs=2e-5)
    assert rows[rows["kind"] == "bias"]["value"].sum() == pytest.approx(apart.of("bias").sum(), abs=2e-5)
    assert abs(found.error) < 1e-5


def test_a_head_by_its_sources_is_that_by_hand(bert, apart):
    rows = score_contributions(bert, QUERY, DOC, by="source").parts
    heads = rows[rows["kind"] == "head"]
    found = heads.set_index([heads["layer"] * 4 + heads["head"], "pos"])["value"]
    expected = pd.Series(apart.from_source)
    assert len(found) == len(expected)
    assert found.loc[expected.index].to_numpy() == pytest.approx(expected.to_numpy(), abs=2e-5)


@pytest.mark.parametrize(
    "name", ["Dot bert mean", "Cat deberta-v2", "MonoT5 t5 (", "Generative llama", "Splade bert", "ColBERT bert"]
)
def test_positions_and_sources_are_the_same_parts_divided(opened, name):
    ranker = opened(next(case for key, case in CASES.items() if key.startswith(name)))
    keys = ["stack", "kind", "layer", "head", "label"]
    whole = score_contributions(ranker, QUERY, DOC).parts.groupby(keys)["value"].sum()
    for by in ("position", "source"):
        divided = score_contributions(ranker, QUERY, DOC, by=by)
        parts = divided.parts.groupby(keys)["value"].sum()
        pd.testing.assert_series_equal(parts, whole, atol=1e-4, rtol=1e-4)
        assert divided.parts["pos"].max() == len(divided.tokens) - 1 or ranker.kind == "MonoT5"


def test_t5s_encoder_takes_the_place_of_cross_attention(opened):
    ranker = opened(next(case for key, case in CASES.items() if key.startswith("MonoT5 t5 (")))
    direct = score_contributions(ranker, QUERY, DOC)
    through = score_contributions(ranker, QUERY, DOC, stack="encoder")
    assert set(direct.parts["stack"]) == {"decoder", "cross", ""}
    assert set(through.parts["stack"]) == {"encoder", "decoder", ""}
    crossed = direct.parts[direct.parts["stack"] == "cross"]["value"].sum()
    encoded = through.parts[through.parts["stack"] == "encoder"]["value"].sum()
    assert encoded == pytest.approx(crossed, abs=1e-4)
    constant = direct.parts[direct.parts["kind"] == "rest"]
    assert constant["value"].tolist() == pytest.approx([-np.log(2)])
    with pytest.raises(InputError, match="say which"):
        direct.heads()
    assert direct.heads("cross").dims == ("layer", "head")


def test_a_logit_of_t5_has_no_constant(opened, checkpoint):
    case = next(case for key, case in CASES.items() if key.startswith("MonoT5 t5 ("))
    ranker = mv.MonoT5(str(checkpoint(case)), labels=("true", "false"), score="difference")
    found = score_contributions(ranker, QUERY, DOC)
    assert abs(found.error) < 1e-4
    assert "rest" not in set(found.parts["kind"])


def test_an_attention_only_toy_is_heads_embeddings_and_biases():
    found = score_contributions(mv.load("toy/cat-attn-only"), QUERY, DOC)
    assert set(found.parts["kind"]) == {"embed", "head", "bias"}
    assert abs(found.error) < 1e-5


def test_a_score_that_is_no_line_says_so(checkpoint):
    ranker = mv.Cat(str(checkpoint(CASES["Cat bert"])), score=lambda logits: (logits[:, 0] - 7).square())
    found = score_contributions(ranker, QUERY, DOC)
    assert abs(found.error) > 1e-2
    assert "not a linear function of the logits" in found.tree().note


def test_tables_tree_and_passages(bert):
    found = score_contributions(bert, QUERY, DOC)
    table = found.to_dataframe()
    assert table["value"].abs().is_monotonic_decreasing
    tree = found.tree()
    assert tree.children(0)["value"].sum() == pytest.approx(found.score, abs=1e-5)
    placed = score_contributions(bert, QUERY, DOC, by="source")
    (group,) = placed.passages().groups
    parts = placed.parts
    assert group.passages[0].values.sum() == pytest.approx(parts[parts["pos"] >= 0]["value"].sum(), abs=1e-4)
    assert group.passages[0].pieces == placed.tokens.labels
    assert "error" in repr(found)


def test_what_is_drawn(bert, monkeypatch):
    drawn = []
    for name in ("tree", "passages"):
        monkeypatch.setattr(views, name, lambda shown, theme, name=name: drawn.append((name, shown, theme)), raising=False)
    score_contributions(bert, QUERY, DOC).show("dark")
    score_contributions(bert, QUERY, DOC, by="position").show()
    assert [(name, theme) for name, _, theme in drawn] == [("tree", "dark"), ("passages", "auto")]


def test_refusals(bert):
    with pytest.raises(InputError, match="by='layer'"):
        score_contributions(bert, QUERY, DOC, by="layer")
    with pytest.raises(InputError, match="no positions"):
        score_contributions(bert, QUERY, DOC).passages()
    with pytest.raises(InputError, match="stack='cross'"):
        score_contributions(bert, QUERY, DOC).heads("cross")
