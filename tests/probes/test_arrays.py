import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import mechviz as mv
from mechviz.errors import InputError
from mechviz.probes.arrays import DIMS, array
from tests.tiny.models import save

TEXT = ("volcano eruption", "lava flows from the volcano")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("bert"), "bert", "BertForSequenceClassification", num_labels=1)


@pytest.fixture(scope="module")
def cat(folder):
    return mv.Cat(str(folder))


@pytest.fixture(scope="module")
def plain(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    encoded = AutoTokenizer.from_pretrained(folder)(*TEXT, return_tensors="pt")
    with torch.no_grad():
        return model, model(**encoded, output_attentions=True, output_hidden_states=True)


def test_patterns_are_those_of_plain_transformers(cat, plain):
    found = array(cat, "pattern", TEXT)
    assert found.dims == ("layer", "head", "query_pos", "key_pos")
    np.testing.assert_allclose(found, torch.stack(plain[1].attentions)[:, 0], atol=1e-6)


def test_the_residual_stream_is_that_of_plain_transformers(cat, plain):
    np.testing.assert_allclose(array(cat, "resid_post", TEXT), torch.stack(plain[1].hidden_states[1:])[:, 0], atol=1e-5)
    np.testing.assert_allclose(array(cat, "resid_pre", TEXT), torch.stack(plain[1].hidden_states[:-1])[:, 0], atol=1e-5)


def test_what_heads_add_sums_to_the_output_of_attention_without_its_bias(cat, plain):
    biases = [layer.attention.output.dense.bias.detach().numpy() for layer in plain[0].bert.encoder.layer]
    whole = array(cat, "head_out", TEXT).sum("head") + np.stack(biases)[:, None]
    np.testing.assert_allclose(whole, array(cat, "attn_out", TEXT), atol=1e-5)


def test_weighted_attention_is_attention_times_the_length_of_what_is_moved(cat):
    pattern, v = array(cat, "pattern", TEXT).values, array(cat, "v", TEXT).values
    found = array(cat, "weighted_pattern", TEXT).values
    for layer, head, query, key in ((0, 1, 2, 3), (1, 3, 0, 4)):
        moved = v[layer, key, head] @ cat.stack("encoder").w_o(layer)[head].detach().numpy()
        assert found[layer, head, query, key] == pytest.approx(pattern[layer, head, query, key] * np.linalg.norm(moved), rel=1e-5)


@pytest.mark.parametrize("what", DIMS)
@pytest.mark.parametrize("name", ["toy/dot", "toy/monot5"])
def test_every_site_has_the_dims_that_are_said(name, what):
    found = array(mv.load(name), what, TEXT)
    assert found.dims == ("layer", *DIMS[what])
    positions = [dim for dim in found.dims if dim.endswith("pos")]
    assert all(any("volcano" in label for label in found[dim].values) for dim in positions)


def test_heads_that_share_values(tmp_path):
    llama = mv.Generative(str(save(tmp_path / "llama", "llama", "LlamaForCausalLM")), prompt="{query} {doc}", labels=(5, 6))
    assert array(llama, "weighted_pattern", TEXT).sizes["head"] == 4
    assert array(llama, "v", TEXT).sizes["head"] == 2


def test_what_is_not_there_is_named(cat):
    with pytest.raises(InputError, match="weighted_pattern"):
        array(cat, "attention", TEXT)
    with pytest.raises(InputError, match="no mlp_post"):
        array(mv.load("toy/cat-attn-only"), "mlp_post", TEXT)
