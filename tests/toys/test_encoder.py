"""The toys' encoder against BERT's and against formulas written out here, and what a ranker without MLPs says of itself."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification, BertModel

import mechviz as mv
from mechviz.corpora import TextPair
from mechviz.errors import InputError, UnsupportedModelError
from mechviz.patching import Session, patch_pairs
from mechviz.rankers.hooked import HookedModel, site_of
from mechviz.toys.encoder import ACTIVATIONS, SoLU, ToyConfig, ToyForSequenceClassification, ToyModel
from tests.cases import CASES
from tests.noise import DOC, QUERY
from tests.tiny.models import randomise, save

CHANGE = mv.perturb.append("volcano lava")
SIZES = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 48, "vocab_size": 60}
SIZES |= {"max_position_embeddings": 20, "num_labels": 1}
HEADS = 4


def made(activation: str, model_class: type = ToyForSequenceClassification) -> torch.nn.Module:
    model = model_class(ToyConfig(**SIZES, activation=activation)).eval()
    randomise(model, 0.35)
    return model


def inputs() -> dict[str, torch.Tensor]:
    """Two rows, one with padding and a masked position inside."""
    ids = torch.randint(60, (2, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 6:] = mask[1, 2] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids % 2}


class ByHand:
    """The whole model from its raw weights, in float64."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        self.weights = {name: weight.double() for name, weight in weights.items()}

    def logits(self, input_ids, attention_mask, token_type_ids):
        w = self.weights
        x = w["bert.embeddings.word_embeddings.weight"][input_ids]
        x = x + w["bert.embeddings.token_type_embeddings.weight"][token_type_ids]
        x = x + w["bert.embeddings.position_embeddings.weight"][: input_ids.shape[1]]
        x = self.norm("bert.embeddings.LayerNorm", x)
        for layer in range(SIZES["num_hidden_layers"]):
            x = self.layer(f"bert.encoder.layer.{layer}", x, attention_mask.bool())
        return self.linear("classifier", torch.tanh(self.linear("bert.pooler.dense", x[:, 0])))

    def layer(self, name, x, mask):
        q, k, v = (
            self.linear(f"{name}.attention.self.{part}", x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask[:, None, None], -torch.inf)
        attention = self.linear(f"{name}.attention.output.dense", (scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        x = self.norm(f"{name}.attention.output.LayerNorm", x + attention)
        if f"{name}.output.dense.weight" not in self.weights:
            return x
        neurons = self.linear(f"{name}.intermediate.dense", x)
        exponentials = torch.exp(neurons)
        neurons = neurons * exponentials / exponentials.sum(-1, keepdim=True)
        neurons = self.norm(f"{name}.intermediate.intermediate_act_fn.norm", neurons)
        return self.norm(f"{name}.output.LayerNorm", x + self.linear(f"{name}.output.dense", neurons))

    def linear(self, name, x):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, name, x):
        centred = x - x.mean(-1, keepdim=True)
        spread = torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-12)
        return centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


@pytest.mark.parametrize("activation", ["none", "solu"])
def test_attention_only_and_solu_are_their_formulas(activation):
    model = made(activation)
    expected = ByHand(model.state_dict()).logits(**inputs())
    with torch.no_grad():
        found = model.double()(**inputs()).logits
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert float(expected.std()) > 1e-3


@pytest.mark.parametrize(("toy", "bert"), [(ToyForSequenceClassification, BertForSequenceClassification), (ToyModel, BertModel)])
def test_gelu_is_bert(toy, bert):
    model, plain = made("gelu", toy), bert(BertConfig(**SIZES)).eval()
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        ours, theirs = model(**inputs())[0], plain(**inputs())[0]
    assert torch.equal(ours, theirs)


def test_solu_of_a_vector():
    """One large neuron leaves the others little; the norm keeps the size."""
    solu = SoLU(3, 1e-12)
    x = torch.tensor([4.0, 0.0, -1.0])
    share = np.exp([4, 0, -1]) / np.exp([4, 0, -1]).sum()
    expected = np.array([4, 0, -1]) * share
    expected = (expected - expected.mean()) / expected.std()
    np.testing.assert_allclose(solu(x).detach(), expected, rtol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_weights_are_initialised_as_bert_s(activation):
    config = ToyConfig(**{**SIZES, "hidden_size": 128, "intermediate_size": 256}, activation=activation)
    for name, weight in ToyForSequenceClassification(config).state_dict().items():
        if "norm" in name.lower():
            assert bool((weight == float(name.endswith("weight"))).all()), name
        elif name.endswith("bias"):
            assert not weight.any(), name
        elif weight.numel() > 1000:
            assert float(weight.std()) == pytest.approx(0.02, rel=0.1), name


def test_an_attention_only_model_has_no_weights_for_mlps():
    names = list(made("none").state_dict())
    assert not [name for name in names if "intermediate" in name or ".output.dense" in name.replace("attention.output", "")]
    assert all(weight.numel() for weight in made("none").parameters())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"activation": "relu"}, "activation='relu'; it is one of 'none', 'gelu', 'solu'"),
        ({"activation": None}, "activation=None"),
        ({"hidden_act": "relu"}, "hidden_act='relu': a toy's non-linearity is said by activation="),
    ],
)
def test_what_is_no_configuration(settings, said):
    with pytest.raises(InputError, match=said):
        ToyConfig(**settings)


def test_a_configuration_goes_to_a_file_and_back(tmp_path):
    assert ToyConfig().activation == "gelu"
    ToyConfig(**SIZES, activation="solu").save_pretrained(tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    assert (said["model_type"], said["activation"]) == ("toy_encoder", "solu")
    assert ToyConfig.from_pretrained(tmp_path).to_dict() == ToyConfig(**SIZES, activation="solu").to_dict() | {
        "transformers_version": said["transformers_version"]
    }


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_half_precision_file_opens_in_single_precision(activation, tmp_path):
    model = made(activation)
    model.half().save_pretrained(tmp_path)
    assert set(load_file(tmp_path / "model.safetensors")) == set(model.state_dict())
    loaded, info = ToyForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True, dtype=torch.float32)
    assert not any(info.values())
    assert loaded.dtype == torch.float32
    for name, weight in model.float().state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name


@pytest.mark.parametrize("kind", [AutoModel, AutoModelForSequenceClassification])
def test_transformers_opens_it_by_its_model_type(kind, checkpoint):
    model = kind.from_pretrained(checkpoint(CASES["Cat toy_encoder"]))
    assert isinstance(model, ToyModel if kind is AutoModel else ToyForSequenceClassification)
    assert model.config.activation == "none"


def test_load_tells_what_it_is(checkpoint):
    assert isinstance(mv.load(str(checkpoint(CASES["Cat toy_encoder"]))), mv.Cat)
    assert isinstance(mv.Cat(str(checkpoint(CASES["Cat toy_encoder, solu"]))).model, ToyForSequenceClassification)


# -- a ranker without MLPs says so ---------------------------------------------------------------------------------------


@pytest.fixture
def bare(opened):
    return opened(CASES["Cat toy_encoder"])


def test_no_hook_of_an_mlp_is_offered(bare):
    assert bare.hooked.main.d_mlp == 0
    _, cache = bare.run_with_cache(QUERY, DOC)
    assert not [name for name in cache if "mlp" in name]
    assert {site_of(name) for name in cache} >= {"resid_pre", "resid_mid", "resid_post", "attn_out", "z"}
    assert bare.hooked.cfg.attn_only
    with pytest.raises(InputError, match="'mlp_out' is no hook of this ranker"):
        bare.run_with_cache(QUERY, DOC, "mlp_out")


def test_the_residual_stream_is_made_of_heads_alone(bare):
    """TransformerLens's own decomposition does not ask for MLPs."""
    _, cache = bare.run_with_cache(QUERY, DOC)
    parts, labels = cache.decompose_resid(return_labels=True)
    assert not [label for label in labels if "mlp" in label]
    assert len(parts) == len(labels)


def test_the_neurons_of_solu_are_after_the_norm(opened):
    ranker = opened(CASES["Cat toy_encoder, solu"])
    _, cache = ranker.run_with_cache(QUERY, DOC)
    for layer, module in enumerate(ranker.model.bert.encoder.layer):
        x, norm = cache[f"blocks.{layer}.mlp.hook_pre"], module.intermediate.intermediate_act_fn.norm
        expected = norm(x * torch.softmax(x, -1)).detach()
        torch.testing.assert_close(cache[f"blocks.{layer}.mlp.hook_post"], expected)
    assert not ranker.hooked.cfg.attn_only


@pytest.mark.parametrize("method", ["exact", "attribution", "integrated", "hybrid"])
@pytest.mark.parametrize("grid", ["mlps", "neurons"])
def test_grids_of_mlps_are_refused(grid, method, bare):
    there = "'heads', 'blocks', 'head_positions', 'head_inputs'"
    with pytest.raises(InputError, match=f"grid='{grid}': the layers of this ranker have no MLPs; it has {there}$"):
        mv.patch(bare, QUERY, DOC, CHANGE, grid=grid, method=method)


@pytest.mark.parametrize("method", ["exact", "attribution", "integrated", "hybrid"])
def test_blocks_have_two_sites(method, bare):
    result = mv.patch(bare, QUERY, DOC, CHANGE, grid="blocks", method=method)
    assert list(result.effects["site"].values) == ["resid_pre", "attn_out"]
    assert np.isfinite(result.effects).all()
    with pytest.raises(InputError, match=r"sites=\['mlp_out'\]; grid='blocks' has 'resid_pre', 'attn_out'$"):
        mv.patch(bare, QUERY, DOC, CHANGE, grid="blocks", sites=["mlp_out"], method=method)


def test_paths_have_no_mlps(bare):
    result = mv.path_patch(bare, QUERY, DOC, CHANGE)
    assert list(result.effects["sender"].values) == ["embed", *(f"{layer}.{head}" for layer in (0, 1) for head in range(4))]
    assert result.grid == "paths"
    for chosen in ({"sender": "mlp.0"}, {"receiver": "mlp.1"}):
        with pytest.raises(InputError, match=r"mlp\.\d does not exist: the layers of this ranker have no MLPs"):
            mv.path_patch(bare, QUERY, DOC, CHANGE, **chosen)


def test_a_circuit_has_no_mlps(bare):
    found = mv.circuit(bare, QUERY, DOC, CHANGE, threshold=0.05)
    assert set(found.vertices["kind"]) == {"embed", "head", "score"}


def test_the_view_shows_no_mlps(bare, tmp_path):
    view = mv.show_patching(bare, QUERY, DOC, CHANGE, wait=True, exact=("heads", "mlps", "blocks"))
    assert list(view.results) == ["encoder.heads", "encoder.blocks"]
    for panel in view.spec["panels"]:
        if panel != "lines":
            assert "MLP" not in view.to_svg(tmp_path / f"{panel}.svg", panel=panel).read_text(encoding="utf-8"), panel
    view.to_html(tmp_path / "view.html")
    mv.show_attention(bare, QUERY, DOC).to_html(tmp_path / "attention.html")


def test_a_study_of_many_pairs(bare):
    pairs = [TextPair(QUERY, DOC, f"{DOC} {word}") for word in ("volcano", "lava")]
    (first, _) = sorted(patch_pairs(bare, pairs, {"grid": "blocks"}), key=lambda one: one.index)
    assert list(first.patched["site"].values) == ["resid_pre", "attn_out"]
    (first, _) = patch_pairs(bare, pairs, {"grid": "mlps"})
    assert "no MLPs" in first.reason
    with pytest.raises(InputError, match="grid='mlps': the layers of this ranker have no MLPs"):
        mv.study(bare, pairs, grid="mlps")
    study = mv.study(bare, pairs, grid="blocks")
    assert list(study.effects["site"].values) == ["resid_pre", "attn_out"]


def test_another_family_that_is_built_otherwise_is_still_refused():
    """Only where a family may lack its MLPs does a missing module mean that there are none."""
    model = BertModel(BertConfig(**SIZES))
    for layer in model.encoder.layer:
        del layer.output
    with pytest.raises(UnsupportedModelError, match=r"has no module output\.dense"):
        HookedModel(model)


def test_a_session_of_its_own_knows_the_rows_of_a_batch(bare):
    assert Session(bare, QUERY, DOC, CHANGE).rows > 0


def test_neurons_of_a_bi_encoder(tmp_path):
    """A bi-encoder of SoLU layers, saved and opened like any other."""
    ranker = mv.Dot(str(save(tmp_path / "dot", "toy_encoder, solu", "ToyModel")), pooling="mean")
    assert np.isfinite(mv.patch(ranker, QUERY, DOC, CHANGE, grid="neurons", method="attribution").effects).all()
