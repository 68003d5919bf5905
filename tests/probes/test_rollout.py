"""Attention rollout against a loop over plain `transformers`' attentions."""

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from mechviz import views
from mechviz.errors import InputError
from mechviz.probes.rollout import rollout
from tests.cases import CASES
from tests.noise import DOC, QUERY


@pytest.fixture(scope="module")
def plain(checkpoint):
    folder = checkpoint(CASES["Cat bert"])
    model = BertForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    seen = []
    for layer in model.bert.encoder.layer:
        layer.attention.self.value.register_forward_hook(lambda _, args, out: seen.append(out[0].detach().double().numpy()))
    with torch.no_grad():
        output = model(**AutoTokenizer.from_pretrained(folder)(QUERY, DOC, return_tensors="pt"), output_attentions=True)
    return model, [attention[0].double().numpy() for attention in output.attentions], seen


def rolled(mixed):
    n = len(mixed[0])
    flows, flow = [], np.eye(n)
    for one in mixed:
        new = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                new[i, j] = 0.5 * flow[i, j] + 0.5 * sum(one[i, k] * flow[k, j] for k in range(n))
        flow = new
        flows.append(flow)
    return np.stack(flows)


def test_by_attention(opened, plain):
    _, attentions, _ = plain
    found = rollout(opened(CASES["Cat bert"]), QUERY, DOC)
    assert found.flow.dims == ("layer", "query_pos", "key_pos")
    assert found.flow.values == pytest.approx(rolled([one.mean(0) for one in attentions]), abs=1e-6)
    assert found.flow.sum("key_pos").values == pytest.approx(1, abs=1e-6)
    assert found.reads.nonzero()[0].tolist() == [0]
    assert found.gathered() == pytest.approx(found.flow.values[-1, 0])


def test_by_the_length_of_what_is_read(opened, plain):
    model, attentions, values = plain
    mixed = []
    for layer, attention, v in zip(model.bert.encoder.layer, attentions, values, strict=True):
        w = layer.attention.output.dense.weight.detach().double().numpy()
        n = len(v)
        lengths = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                written = sum(attention[h, i, j] * w[:, 8 * h : 8 * h + 8] @ v[j, 8 * h : 8 * h + 8] for h in range(4))
                lengths[i, j] = np.linalg.norm(written)
        mixed.append(lengths / lengths.sum(-1, keepdims=True))
    found = rollout(opened(CASES["Cat bert"]), QUERY, DOC, weights="values")
    assert found.flow.values == pytest.approx(rolled(mixed), abs=1e-5)


@pytest.mark.parametrize("name", ["Generative llama", "MonoT5 t5 (", "Dot bert mean"])
def test_other_rankers(opened, name):
    ranker = opened(next(case for key, case in CASES.items() if key.startswith(name)))
    for weights in ("attention", "values"):
        found = rollout(ranker, QUERY, DOC, weights=weights)
        assert found.flow.sum("key_pos").values == pytest.approx(1, abs=1e-5)
        if name == "Generative llama":  # nothing flows back in a causal model, and the last position is read
            assert np.triu(found.flow.values, 1).max() == 0
            assert found.reads.nonzero()[0].tolist() == [len(found.tokens) - 1]
        else:
            assert found.reads.all()


def test_tables_and_passages(opened, monkeypatch):
    found = rollout(opened(CASES["Cat bert"]), QUERY, DOC)
    table = found.to_dataframe()
    assert table.groupby("layer")["gathered"].sum().to_numpy() == pytest.approx([1, 1], abs=1e-6)
    last, each = found.passages().groups
    assert last.passages[0].values == pytest.approx(found.gathered(1).astype(np.float32))
    assert len(each.passages) == 2
    drawn = []
    monkeypatch.setattr(views, "passages", lambda shown, theme: drawn.append(shown), raising=False)
    found.show()
    assert drawn[0].unit == "share gathered"


def test_refusals(opened, cat):
    with pytest.raises(InputError, match="weights='norm'"):
        rollout(cat, QUERY, DOC, weights="norm")
    t5 = opened(next(case for key, case in CASES.items() if key.startswith("MonoT5 t5 (")))
    with pytest.raises(InputError, match="one position"):
        rollout(t5, QUERY, DOC, stack="cross")
