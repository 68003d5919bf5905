"""The bridge: TransformerLens's view of the same numbers, on a copy of the model."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens.factories.architecture_adapter_factory import ArchitectureAdapterFactory
from transformer_lens.model_bridge import TransformerBridge

from mechviz.errors import UnsupportedModelError
from mechviz.rankers import Ranker, bridge
from mechviz.rankers.families import FAMILIES
from mechviz.rankers.hooked import HookedModel
from tests.cases import CASES, Case
from tests.tiny.models import class_of

QUERY, DOC = "why are hot springs warm", "Hot springs are warm because water is heated by rock."


@pytest.fixture(scope="module")
def bridged(opened: Callable[[Case], Ranker]) -> Callable[[Case], TransformerBridge]:
    """Return the bridge of a case, made when it is first asked for."""
    made: dict[str, TransformerBridge] = {}

    def of(case: Case) -> TransformerBridge:
        if case.name not in made:
            made[case.name] = opened(case).bridge
        return made[case.name]

    return of


def inputs_of(ranker: Ranker) -> dict[str, Tensor]:
    """What the model gets for the document of the pair, or for both texts."""
    (texts,) = ranker.checked_inputs([(QUERY, DOC)])
    tokens = texts[ranker.text_of(ranker.stacks[-1])]
    arrays = {"input_ids": tokens.ids, "attention_mask": tokens.mask, "token_type_ids": tokens.types}
    inputs = {name: torch.tensor(array.astype(int), device=ranker.model.device)[None] for name, array in arrays.items()}
    if not ranker.hooked.family.types:
        del inputs["token_type_ids"]
    if "cross" in ranker.stacks:
        start = ranker.model.config.decoder_start_token_id
        inputs["decoder_input_ids"] = torch.full((1, 1), start, device=ranker.model.device)
    return inputs


def with_padding(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add a row that ends earlier and has a masked position inside, as a filler makes one."""
    rows = {name: tensor.repeat(2, 1) for name, tensor in inputs.items()}
    rows["attention_mask"][1, -4:] = 0
    rows["attention_mask"][1, 3] = 0
    return rows


@torch.no_grad()
def run(model: TransformerBridge, inputs: dict[str, Tensor], *hooks: tuple[str, Any]) -> Tensor:
    others = {name: tensor for name, tensor in inputs.items() if name != "input_ids"}
    return model.run_with_hooks(inputs["input_ids"], fwd_hooks=list(hooks), **others)


@torch.no_grad()
def cached(model: TransformerBridge, inputs: dict[str, Tensor]) -> Any:
    others = {name: tensor for name, tensor in inputs.items() if name != "input_ids"}
    return model.run_with_cache(inputs["input_ids"], **others)[1]


def test_it_computes_what_the_plain_model_computes(case, checkpoint, opened, bridged):
    ranker = opened(case)
    plain = class_of(case.class_name).from_pretrained(checkpoint(case), attn_implementation="eager").eval()
    inputs = with_padding(inputs_of(ranker))
    with torch.no_grad():
        output = plain.to(ranker.model.device)(**inputs)
    expected = output.logits if "logits" in output else output.last_hidden_state
    torch.testing.assert_close(run(bridged(case), inputs), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_its_cache_is_that_of_the_ranker(case, opened, bridged):
    """Under the same names, except that TransformerLens has no q and k before rotation where one product makes both."""
    ranker = opened(case)
    _, ours = ranker.run_with_cache(QUERY, DOC)
    theirs = cached(bridged(case), inputs_of(ranker))
    assert {name.rpartition("hook_")[2] for name in ours} >= {"z", "pattern", "resid_pre", "resid_mid", "resid_post", "attn_out"}
    for name, value in ours.items():
        if case.family == "modernbert" and name.endswith(("hook_q", "hook_k")):
            continue
        torch.testing.assert_close(theirs[name], value, rtol=1e-5, atol=1e-5 * float(value.abs().max()), msg=name)


@pytest.mark.parametrize("site", ["attn_scores", "pattern", "z", "attn_out", "resid_mid", "mlp_out", "resid_pre"])
def test_an_edit_does_what_it_does_in_the_ranker(case, site, opened, bridged):
    ranker = opened(case)
    if not ranker.hooked.main.offers(site):
        return
    inputs, hook = inputs_of(ranker), ranker.hooked.main.hook(1, site)

    def edit(value: Tensor, hook: Any) -> Tensor:
        return value * torch.linspace(0, 2, value.shape[-1], device=value.device)

    with ranker.hooks([(hook, edit)]), ranker.hooked.running(), torch.no_grad():
        output = ranker.model(**inputs)
    expected = output.logits if "logits" in output else output.last_hidden_state
    edited, plain = run(bridged(case), inputs, (hook, edit)), run(bridged(case), inputs)
    scale = float(plain.abs().max())
    assert float((edited - plain).abs().max()) > 1e-3 * scale
    if site == "resid_mid" and not ranker.hooked.main.attention.after_path:
        # In pre-norm layers TransformerLens's edit reaches the MLP only; the ranker's changes the residual stream.
        assert float((edited - expected).abs().max()) > 1e-3 * scale
        return
    torch.testing.assert_close(edited, expected, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.kind != "Generative"])  # not our adapter
def test_every_hook_fires_once(name, opened, bridged):
    model, inputs, fired = bridged(CASES[name]), inputs_of(opened(CASES[name])), Counter()
    model.set_use_hook_mlp_in(True)
    # TransformerLens's own: the first never fires, the second is behind a switch that this attention refuses.
    points = {n: p for n, p in model.hook_dict.items() if not n.endswith(("hook_hidden_states", "hook_result"))}
    run(model, inputs, (lambda name: name in points, lambda value, hook: fired.update([id(hook)])))
    model.set_use_hook_mlp_in(False)
    times = {name: fired[id(point)] for name, point in points.items()}
    assert set(times.values()) == {1}, {name: count for name, count in times.items() if count != 1}


@pytest.mark.filterwarnings("ignore:A forward hook edited")
def test_norms_can_be_edited(case, opened, bridged):
    """TransformerLens then computes the norm itself: of the same kind as the model's."""
    model, inputs = bridged(case), inputs_of(opened(case))
    expected = run(model, inputs)
    same = run(model, inputs, (lambda name: name.endswith("hook_normalized"), lambda value, hook: value.clone()))
    torch.testing.assert_close(same, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["Dot bert mean", "Cat deberta-v2", "Splade modernbert", "Cat gpt2"])
def test_layers_can_be_entered_and_left(name, opened, bridged):
    model, inputs = bridged(CASES[name]), inputs_of(opened(CASES[name]))
    mask = {"attention_mask": inputs["attention_mask"]}
    with torch.no_grad():
        whole, cache = model.run_with_cache(inputs["input_ids"], **mask)
        middle = cache["blocks.1.hook_in"]
        torch.testing.assert_close(model(inputs["input_ids"], stop_at_layer=1, **mask), middle)
        torch.testing.assert_close(model(middle, start_at_layer=1, **mask), whole)


def test_the_model_is_left_as_it_was(case, opened):
    ranker = opened(case)
    before = {name: tensor.clone() for name, tensor in ranker.model.state_dict().items()}
    modules, score = dict(ranker.model.named_modules()), ranker.score(QUERY, DOC)
    configured = ranker.model.config.to_dict(), ranker.model.config._attn_implementation
    adapters = dict(ArchitectureAdapterFactory._adapters)
    run(ranker.bridge, inputs_of(ranker), (lambda name: name.endswith("hook_pattern"), lambda value, hook: value * 0))
    after = ranker.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert dict(ranker.model.named_modules()) == modules
    for module in modules.values():
        assert "_mechviz_points" not in module.__dict__
        assert "forward" not in module.__dict__
        assert not module._forward_pre_hooks
    assert (ranker.model.config.to_dict(), ranker.model.config._attn_implementation) == configured
    assert ranker.score(QUERY, DOC) == score
    assert ArchitectureAdapterFactory._adapters == adapters


@pytest.mark.parametrize("name", ["Dot bert mean", "Cat mpnet", "MonoT5 t5, gated ('true', 'false')", "Cat llama"])
def test_a_copy_of_a_bridge_has_hooks_of_its_own(name, opened, bridged):
    model, inputs = bridged(CASES[name]), inputs_of(opened(CASES[name]))
    other, plain = copy.deepcopy(model), run(model, inputs)
    edited = run(other, inputs, (lambda name: name.endswith("hook_pattern"), lambda value, hook: value * 0))
    assert not torch.allclose(edited, plain)
    assert torch.equal(run(model, inputs), plain)
    assert torch.equal(run(other, inputs), plain)


def test_weights_have_their_names(opened, bridged):
    case = CASES["Dot t5, gated mean"]
    model, layer = bridged(case), opened(case).model.encoder.block[1].layer
    block = model.encoder_blocks[1]
    assert torch.equal(block.attn.W_Q, layer[0].SelfAttention.q.weight.unflatten(0, (4, 8)).mT)
    assert torch.equal(block.mlp.W_gate, layer[1].DenseReluDense.wi_0.weight.T)
    assert torch.equal(block.mlp.W_in, layer[1].DenseReluDense.wi_1.weight.T)
    assert torch.equal(model.W_E, opened(case).model.shared.weight)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions(opened, dtype):
    model = copy.deepcopy(opened(CASES["Dot mpnet mean"]).model).to(dtype)
    assert bridge.make_bridge(HookedModel(model)).cfg.dtype == dtype


def test_training_mode_and_attention_of_the_model_do_not_matter(opened):
    model = copy.deepcopy(opened(CASES["Cat bert"]).model).train()
    model.set_attn_implementation("sdpa")
    made = bridge.make_bridge(HookedModel(model))
    assert model.training
    assert not any(module.training for module in made.modules())
    assert model.config._attn_implementation == "sdpa"


def test_a_model_without_a_padding_token(opened):
    model = copy.deepcopy(opened(CASES["Cat qwen2"]).model)
    model.config.pad_token_id = None
    assert isinstance(bridge.make_bridge(HookedModel(model)), TransformerBridge)


@pytest.mark.parametrize("factor", [1.001, float("nan")])
def test_what_computes_something_else_is_refused(opened, monkeypatch, factor):
    forward = bridge.Block.forward
    monkeypatch.setattr(bridge.Block, "forward", lambda self, *args, **kwargs: forward(self, *args, **kwargs) * factor)
    with pytest.raises(UnsupportedModelError, match=r"BertForSequenceClassification does not compute .* off by .*run_with_cache"):
        _ = opened(CASES["Cat bert"]).bridge


def test_what_cannot_be_built_is_refused(opened, monkeypatch):
    monkeypatch.setattr(bridge, "_block", lambda *args: bridge.Block("encoder.layers"))
    with pytest.raises(UnsupportedModelError, match=r"on BertModel \(AttributeError: .*run_with_cache work without it"):
        _ = opened(CASES["Dot bert mean"]).bridge


def test_what_would_be_wrong_is_refused(bridged):
    """Processed weights, which are for language models, and generation, which counts positions as the bridge does not."""
    with pytest.raises(RuntimeError, match="compatibility mode"):
        bridged(CASES["Cat bert"]).enable_compatibility_mode()
    case = next(case for case in CASES.values() if case.kind == "Generative")
    with pytest.raises(NotImplementedError, match="generat"):
        bridged(case).generate(torch.tensor([[3, 4]]), max_new_tokens=1)


def test_every_class_that_mechviz_opens_is_tried():
    assert {cls for family in FAMILIES.values() for cls in family.classes} <= {case.class_name for case in CASES.values()}
