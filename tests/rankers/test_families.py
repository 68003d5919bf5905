"""Every family as every kind: hooks fire, carry TransformerLens's shapes, and edits count."""

import pickle

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.rankers.families import FAMILIES
from mechviz.rankers.hooked import family_of, site_of
from mechviz.rankers.load import KINDS
from tests.cases import CASES
from tests.noise import hooks_that_count
from tests.plain import OUTPUTS, Plain, close
from tests.tiny.models import TINY, save

QUERY, DOC = "why are hot springs warm", "Hot springs are warm because water is heated by rock."


def test_every_family_has_tiny_models():
    assert {name.partition(",")[0] for name in TINY} == set(FAMILIES)
    opened = {(case.family.partition(",")[0], case.class_name) for case in CASES.values()}
    assert opened == {(name, cls) for name, family in FAMILIES.items() for cls in family.classes}


def test_every_hook_fires_with_gradient(case, any_ranker):
    """One activation at each hook that is offered, and the score's gradient reaches it."""
    stack = any_ranker.stacks[-1]
    tower = any_ranker.towers[stack]
    kept = {}

    def keep(value, hook):
        value.retain_grad()
        kept[hook.name] = value

    (inputs,) = any_ranker.checked_inputs([(QUERY, DOC)])
    readout = any_ranker.readout(stack, inputs)
    with torch.enable_grad(), tower.hooks([(lambda name: True, keep)]):
        readout(*any_ranker.encode([inputs], stack))[0].backward()
    any_ranker.model.zero_grad(set_to_none=True)
    assert set(kept) == set(tower.names(None))
    assert all(value.grad is not None and bool((value.grad != 0).any()) for value in kept.values())


def test_shapes_are_transformer_lens_s(any_ranker):
    _, cache = any_ranker.run_with_cache(QUERY, DOC)
    (inputs,) = any_ranker.checked_inputs([(QUERY, DOC)])
    for name in any_ranker.stacks:
        stack, keys = any_ranker.stack(name), len(inputs[any_ranker.text_of(name)])
        if any_ranker.stacks == ("query", "doc") and name == "query":
            continue  # the document's run is the one that is cached
        queries = 1 if stack.blocks.name == "decoder_blocks" else keys
        keys = 1 if name == "decoder" and queries == 1 else keys
        for layer in range(stack.n_layers):
            assert cache[stack.hook(layer, "z")].shape == (1, queries, stack.n_heads, stack.d_head)
            assert cache[stack.hook(layer, "pattern")].shape == (1, stack.n_heads, queries, keys)
            assert cache[stack.hook(layer, "resid_pre")].shape == (1, queries, stack.d_model)
            if stack.d_mlp:
                assert cache[f"{stack.blocks.name}.{layer}.mlp.hook_post"].shape == (1, queries, stack.d_mlp)
            v = cache[f"{stack.blocks.name}.{layer}.{stack.attention.name}.hook_v"]
            assert v.shape[1] == keys
            assert v.shape[3] == stack.d_head
            assert stack.n_heads % v.shape[2] == 0


def test_attention_adds_up(any_ranker):
    """After = before + attn_out, attn_out = z through W_O, z = pattern @ v, and pattern = softmax(scores)."""
    _, cache = any_ranker.run_with_cache(QUERY, DOC)
    for name in any_ranker.stacks[-1:] if any_ranker.stacks == ("query", "doc") else any_ranker.stacks:
        stack = any_ranker.stack(name)
        for layer in range(stack.n_layers):
            before, after, out = (cache[stack.hook(layer, site)] for site in ("before", "after", "attn_out"))
            torch.testing.assert_close(after, before + out, rtol=1e-4, atol=1e-5)
            z, pattern = cache[stack.hook(layer, "z")], cache[stack.hook(layer, "pattern")]
            projection = stack.module(layer, stack.attention.out)
            heads = torch.einsum("rphd,hdm->rpm", z, stack.w_o(layer))
            bias = 0 if projection.bias is None else projection.bias
            torch.testing.assert_close(heads + bias, out, rtol=1e-4, atol=1e-4)
            v = cache[f"{stack.blocks.name}.{layer}.{stack.attention.name}.hook_v"]
            v = v.repeat_interleave(stack.n_heads // v.shape[2], dim=2)
            torch.testing.assert_close(torch.einsum("rhqk,rkhd->rqhd", pattern, v), z, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(pattern.sum(-1), torch.ones_like(pattern[..., 0]))
            if "attn_scores" in stack.attention.sites:
                scores = cache[stack.hook(layer, "attn_scores")]
                torch.testing.assert_close(scores.softmax(-1), pattern, rtol=1e-5, atol=1e-6)


def test_the_pattern_is_what_eager_attention_gives(case, any_ranker, checkpoint):
    """Against output_attentions of plain transformers, where the class can give them."""
    stack = any_ranker.stack(any_ranker.stacks[0] if case.kind == "MonoT5" else any_ranker.stacks[-1])
    text = any_ranker.text_of(any_ranker.stacks[-1])
    (inputs,) = any_ranker.checked_inputs([(QUERY, DOC)])
    tokens = inputs[text]
    _, cache = any_ranker.run_with_cache(QUERY, DOC, "pattern")
    plain = Plain(case, checkpoint(case))
    base = plain.model.encoder if case.family.startswith(("t5", "mt5")) else plain.model.base_model
    batch = {"input_ids": torch.tensor(tokens.ids.copy())[None], "attention_mask": torch.tensor(tokens.mask.astype(int))[None]}
    if plain.types:
        batch["token_type_ids"] = torch.tensor(tokens.types.copy())[None]
    with torch.no_grad():
        attentions = base(**batch, output_attentions=True).attentions
    assert len(attentions) == stack.n_layers
    seen = torch.tensor(tokens.mask.copy())
    for layer, expected in enumerate(attentions):
        ours = cache[stack.hook(layer, "pattern")]
        torch.testing.assert_close(ours[:, :, seen], expected[:, :, seen], rtol=1e-5, atol=1e-6)


def test_identity_edits_change_nothing(any_ranker):
    """Every site at once, handed back as it came."""
    expected = any_ranker.score(QUERY, DOC)[0]
    with any_ranker.hooks([(lambda name: True, lambda value, hook: value.clone())]):
        assert abs(any_ranker.score(QUERY, DOC)[0] - expected) <= close(expected)


def test_a_hook_by_site_reaches_every_layer(any_ranker):
    stack = any_ranker.stacks[-1]
    names = any_ranker.towers[stack].names("z")
    assert [name for name in any_ranker.towers[stack].points if site_of(name) == "z"] == names
    seen = []
    with any_ranker.hooks([("z", lambda z, hook: seen.append(hook.name))], stack=stack if len(any_ranker.towers) == 2 else None):
        any_ranker.score(QUERY, DOC)
    assert set(seen) == set(names)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FAMILIES)
def test_what_the_table_calls_refused_is_refused(name, kind, checkpoint):
    """A family's class without a head, opened as every kind that it cannot be."""
    if any(case.kind == kind and case.family.partition(",")[0] == name for case in CASES.values()):
        return
    base = next(case for case in CASES.values() if case.family == name and case.kind == "Dot")
    with pytest.raises(mv.UnsupportedModelError):
        getattr(mv, kind)(str(checkpoint(base)))


def test_decoder_sites_that_cannot_count_are_not_offered(opened):
    """At step 0 the decoder's self-attention sees one position: q, k and the scores move nothing."""
    ranker = opened(CASES["MonoT5 t5 ('true', 'false')"])
    sites = {site_of(name) for name in ranker.hooked.points if ".self_attn." in name}
    assert sites == {"v", "pattern", "z"}
    with pytest.raises(mv.InputError, match=r"is no hook.*resid_mid2.*'encoder_blocks\.1\.attn\.hook_z'"):
        ranker.run_with_cache(QUERY, DOC, "decoder_blocks.0.self_attn.hook_q")


def test_the_caches_methods(opened):
    """TransformerLens's own methods of `ActivationCache`, where they mean something for an encoder."""
    ranker = opened(CASES["Dot bert mean"])
    _, cache = ranker.run_with_cache(QUERY, DOC)
    assert cache["z", -1].shape == cache["z", 1].shape
    assert cache.stack_activation("z").shape[0] == 2
    heads = cache.stack_head_results(layer=2)
    total = sum(cache[f"blocks.{i}.hook_attn_out"] - ranker.hooked.main.module(i, "attention.output.dense").bias for i in (0, 1))
    torch.testing.assert_close(heads.sum(0), total.detach(), rtol=1e-4, atol=1e-4)
    stacked, labels = cache.accumulated_resid(layer=1, return_labels=True)
    assert len(labels) == len(stacked) == 2
    assert cache.to("cpu").remove_batch_dim()["z", 0].ndim == 3


def test_deberta_without_terms_of_position(tmp_path):
    ranker = mv.Dot(str(save(tmp_path / "deberta", "deberta-v2", "DebertaV2Model", pos_att_type=[])), pooling="mean")
    assert all(hooks_that_count(ranker).values())


def test_vocabularies_of_two_models_must_be_one(checkpoint):
    bert, roberta = (str(checkpoint(CASES[name])) for name in ("Splade bert", "Splade roberta"))
    with pytest.raises(mv.InputError, match="different vocabularies"):
        mv.Splade(bert, query_name=roberta)


def test_rankers_are_pickled_and_copied(any_ranker):
    """For studies over processes."""
    twin = pickle.loads(pickle.dumps(any_ranker))
    assert twin.score(QUERY, DOC) == pytest.approx(any_ranker.score(QUERY, DOC), abs=1e-5)
    assert repr(twin) == repr(any_ranker)


def test_a_class_that_cannot_be_hooked_says_why(tmp_path):
    folder = save(tmp_path / "deberta", "deberta-v2", "DebertaV2Model", conv_kernel_size=3)
    with pytest.raises(mv.UnsupportedModelError, match="DebertaV2Model cannot be hooked: it has a convolution"):
        mv.Dot(str(folder), pooling="mean")


def test_the_callers_model_is_left_as_it_was(case, any_ranker):
    """Also where attention is computed inside the module, whose forward is replaced while hooks are set."""
    model = any_ranker.model

    def state():
        own = [name for name, module in model.named_modules() if "forward" in module.__dict__]
        hooks = [(list(module._forward_hooks), list(module._forward_pre_hooks)) for module in model.modules()]
        implementations = [getattr(module, "config", model.config)._attn_implementation for module in model.modules()]
        return own, hooks, implementations, [module.training for module in model.modules()]

    before = state()
    any_ranker.run_with_cache(QUERY, DOC)
    mv.patch(any_ranker, QUERY, DOC, mv.perturb.append("lava"))
    with pytest.raises(RuntimeError, match="of the caller"), any_ranker.hooks([("pattern", _raise)]):
        any_ranker.score(QUERY, DOC)
    assert state() == before
    assert not any("_mechviz_points" in module.__dict__ for module in model.modules())


def _raise(value, hook):
    raise RuntimeError("of the caller")


def test_family_files_are_data():
    """No family file defines a class or anything longer than a line of arithmetic."""
    import ast
    from pathlib import Path

    import mechviz.rankers.families as families

    for path in Path(families.__file__).parent.glob("*.py"):
        if path.name == "family.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.For, ast.While, ast.Try))], path


def test_the_oracle_knows_every_family():
    assert {name for name, _ in OUTPUTS} == set(FAMILIES)
    model = TINY["bert"]
    assert model.settings["num_hidden_layers"] == 2
    assert np.isfinite(model.std)
    with pytest.raises(mv.UnsupportedModelError, match="Linear is not supported"):
        family_of(torch.nn.Linear(1, 1))
