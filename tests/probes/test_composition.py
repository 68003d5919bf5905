"""Composition of heads against dense products of the weights of plain `transformers` models."""

import numpy as np
import pytest
from transformers import BertModel, GPT2Model, LlamaModel

from mechviz import views
from mechviz.errors import InputError, InputTypeError
from mechviz.probes.composition import composition
from tests.cases import CASES


def weights_of(linear, head, width, transposed=False):
    weight = linear.weight.detach().double().numpy()
    return (weight if transposed else weight.T)[:, head * width : (head + 1) * width]


def norm_line(norm):
    n = len(norm.weight)
    return (np.eye(n) - 1 / n) @ np.diag(norm.weight.detach().double().numpy())


def ratio(a, b):
    return np.linalg.norm(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b))


def dense(heads, line, layers, n):
    """Return all ratios by d_model x d_model products; ``line(origin, to)`` is what norms do between two layers' attention."""
    found = np.full((3, layers, n, layers, n), np.nan)
    for to in range(layers):
        for origin in range(to):
            for h1 in range(n):
                for h2 in range(n):
                    _, _, v1, o1 = heads(origin, h1)
                    q2, k2, v2, o2 = heads(to, h2)
                    between = line(origin, to)
                    for way, read in enumerate((between @ q2 @ k2.T, between @ k2 @ q2.T, between @ v2 @ o2)):
                        found[way, origin, h1, to, h2] = ratio(v1 @ o1, read)
    return found


@pytest.mark.parametrize("fold", [True, False])
def test_post_norm_layers(opened, checkpoint, fold):
    model = BertModel.from_pretrained(checkpoint(CASES["Dot bert mean"]), add_pooling_layer=False)

    def heads(layer, head):
        at = model.encoder.layer[layer].attention
        read = [weights_of(linear, head, 8) for linear in (at.self.query, at.self.key, at.self.value)]
        return *read, at.output.dense.weight.detach().double().numpy()[:, head * 8 : head * 8 + 8].T

    def line(origin, to):
        found = np.eye(32)
        for layer in range(origin, to):
            block = model.encoder.layer[layer]
            found = found @ norm_line(block.attention.output.LayerNorm) @ norm_line(block.output.LayerNorm)
        return found if fold else np.eye(32)

    found = composition(opened(CASES["Dot bert mean"]), fold_norms=fold)
    assert found.ratios.dims == ("way", "from_layer", "from_head", "to_layer", "to_head")
    np.testing.assert_allclose(found.ratios.values, dense(heads, line, 2, 4), rtol=1e-4)


@pytest.mark.parametrize("fold", [True, False])
def test_pre_norm_layers_with_one_product_for_q_k_and_v(opened, checkpoint, fold):
    model = GPT2Model.from_pretrained(checkpoint(CASES["Dot gpt2 last"]))

    def heads(layer, head):
        block = model.h[layer]
        weight = block.attn.c_attn.weight.detach().double().numpy()
        gain = norm_line(block.ln_1) if fold else np.eye(32)
        read = [gain @ weight[:, part * 32 + head * 8 : part * 32 + head * 8 + 8] for part in range(3)]
        return *read, block.attn.c_proj.weight.detach().double().numpy()[head * 8 : head * 8 + 8]

    found = composition(opened(CASES["Dot gpt2 last"]), fold_norms=fold)
    np.testing.assert_allclose(found.ratios.values, dense(heads, lambda origin, to: np.eye(32), 2, 4), rtol=1e-4)


def test_heads_that_share_a_key(opened, checkpoint):
    model = LlamaModel.from_pretrained(checkpoint(CASES["Dot llama last"]))

    def heads(layer, head):
        at = model.layers[layer].self_attn
        gain = np.diag(model.layers[layer].input_layernorm.weight.detach().double().numpy())
        read = [weights_of(at.q_proj, head, 8), weights_of(at.k_proj, head // 2, 8), weights_of(at.v_proj, head // 2, 8)]
        return *(gain @ one for one in read), at.o_proj.weight.detach().double().numpy()[:, head * 8 : head * 8 + 8].T

    found = composition(opened(CASES["Dot llama last"]))
    np.testing.assert_allclose(found.ratios.values, dense(heads, lambda origin, to: np.eye(32), 2, 4), rtol=1e-4)


def test_the_baseline_is_that_of_random_rotations():
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((32, 4)) @ np.diag([9, 3, 1, 0.1]) @ rng.standard_normal((4, 32)) for _ in range(2))
    squares = [ratio(a @ np.linalg.qr(rng.standard_normal((32, 32)))[0], b) ** 2 for _ in range(4000)]
    assert np.sqrt(np.mean(squares)) == pytest.approx(32**-0.5, rel=0.02)


def test_the_model_is_left_as_it_was_and_the_table_is_in_order(cat, monkeypatch):
    before = cat.score("a train", "the train leaves")
    found = composition(cat, fold_norms=False)
    assert (cat.score("a train", "the train leaves") == before).all()
    assert not any(module._forward_pre_hooks for module in cat.model.modules())
    assert found.baseline == pytest.approx(32**-0.5)
    table = found.to_dataframe()
    assert len(table) == 3 * 3 * 16
    assert table["ratio"].is_monotonic_decreasing
    assert (table["from_layer"] < table["to_layer"]).all()
    assert found.top(3)["corrected"].tolist() == pytest.approx((table["ratio"][:3] - found.baseline).tolist())
    drawn = []
    monkeypatch.setattr(views, "tensor", lambda array, title, theme: drawn.append(array), raising=False)
    found.show()
    assert drawn[0].equals(found.corrected)


def test_refusals(opened, cat):
    t5 = opened(next(case for key, case in CASES.items() if key.startswith("MonoT5 t5 (")))
    assert composition(t5).ratios.sizes["to_layer"] == 2
    with pytest.raises(InputError, match="another stream"):
        composition(t5, stack="cross")
    with pytest.raises(InputTypeError, match="fold_norms"):
        composition(cat, fold_norms="yes")
