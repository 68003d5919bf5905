import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mechviz as mv
from mechviz.errors import InputError, InputTypeError, MechvizError
from tests.conftest import save_cat, save_dot

QUERY, DOC = "what is a caldera", "A caldera is a large basin."


def test_one_string_broadcasts(ranker):
    docs = [DOC, "Bread rises."]
    np.testing.assert_allclose(ranker.score(QUERY, docs), ranker.score([QUERY] * 2, docs), atol=1e-6)
    assert ranker.score([QUERY, "tea"], DOC).shape == (2,)
    assert ranker.score(QUERY, []).shape == (0,)


def test_ranks_keep_the_given_order_on_ties(ranker):
    ranking = ranker.rank(QUERY, [DOC, "Bread rises.", DOC])
    first, third = ranking.ranks()[[0, 2]]
    assert third == first + 1
    assert sorted(ranking.order.tolist()) == [0, 1, 2]
    assert (np.diff(ranking.scores[ranking.order]) <= 0).all()


@pytest.mark.parametrize(
    ("queries", "docs", "error", "words"),
    [
        (QUERY, [DOC, ""], InputError, "doc is empty"),
        ("", DOC, InputError, "query is empty"),
        (QUERY, [DOC, 3], InputTypeError, "doc must be a string"),
        (QUERY, 3, InputTypeError, "docs must be a string or a list"),
        ([QUERY, QUERY], [DOC] * 3, InputError, "2 queries and 3 docs"),
        (QUERY, " \t\n", InputError, "doc has no token of its own"),
        ("\u200b", DOC, InputError, "query has no token of its own"),
        (QUERY, "\udc00", InputError, "surrogate"),
    ],
)
def test_what_cannot_be_scored_is_refused(ranker, queries, docs, error, words):
    with pytest.raises(error, match=words):
        ranker.score(queries, docs)


def test_one_string_is_no_list_to_rank(ranker):
    with pytest.raises(InputTypeError, match="docs must be a list"):
        ranker.rank(QUERY, DOC)


def test_a_batch_needs_a_pair(ranker):
    with pytest.raises(InputError, match="batch_size=0"):
        ranker.score(QUERY, DOC, batch_size=0)


def test_a_long_document_is_refused_or_cut(ranker):
    long = "basin " * 200
    with pytest.raises(InputError, match=r"has 20\d tokens.*takes 128.*truncate=True"):
        ranker.score(QUERY, long)
    cut = ranker.score(QUERY, long, truncate=True)
    kept = ranker.checked_inputs([(QUERY, long)], truncate=True)[0][ranker.stack_of("doc")]
    assert len(kept) == 128
    assert kept.segments[-1] == "sep"
    assert np.isfinite(cut).all()


def test_a_query_that_fills_the_limit_is_refused(cat):
    with pytest.raises(InputError, match="shorten the query"):
        cat.score("basin " * 200, DOC, truncate=True)


def test_the_callers_model_is_left_as_it_was(ranker):
    model = ranker.model
    model.train()
    before = (model.config._attn_implementation, torch.is_grad_enabled(), torch.get_float32_matmul_precision())
    hooks = _torch_hooks(model)
    ranker.run_with_cache(QUERY, DOC)
    with pytest.raises(RuntimeError, match="of the caller"), ranker.hooks([("z", _raise)]):
        ranker.score(QUERY, DOC)
    try:
        assert (model.config._attn_implementation, torch.is_grad_enabled(), torch.get_float32_matmul_precision()) == before
        assert all(module.training for module in model.modules())
        assert not ranker.hooked.active()
        assert _torch_hooks(model) == hooks
        assert not any("_mechviz_points" in module.__dict__ for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())
    finally:
        model.eval()


def _torch_hooks(model):
    return [(list(module._forward_hooks), list(module._forward_pre_hooks)) for module in model.modules()]


def _raise(value, hook):
    raise RuntimeError("of the caller")


@pytest.mark.parametrize("kind", ["dot", "cat"])
def test_dropout_does_not_touch_a_model_in_training_mode(tmp_path, kind):
    save = {"dot": save_dot, "cat": save_cat}[kind]
    ranker = mv.load(str(save(tmp_path / kind, hidden_dropout_prob=0.5)))
    expected = ranker.score(QUERY, DOC)
    ranker.model.train()
    np.testing.assert_array_equal(ranker.score(QUERY, DOC), expected)


def test_a_hook_of_the_users_own_stays(ranker):
    seen = []
    handle = ranker.hooked.main.layers[0].register_forward_hook(lambda *_: seen.append(1))
    try:
        ranker.score(QUERY, DOC)
        ranker.run_with_cache(QUERY, DOC)
        assert seen
        assert handle.id in ranker.hooked.main.layers[0]._forward_hooks
    finally:
        handle.remove()


def test_lowered_matrix_precision_is_refused(ranker):
    torch.set_float32_matmul_precision("medium")
    try:
        with pytest.raises(MechvizError, match="set_float32_matmul_precision"):
            ranker.score(QUERY, DOC)
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("layer", [0, 2])
def test_nan_in_the_weights_is_traced_to_layer_and_site(tmp_path, layer):
    ranker = mv.Dot(str(save_dot(tmp_path / "dot")))
    with torch.no_grad():
        ranker.hooked.main.module(layer, "intermediate.dense").weight[0, 0] = float("nan")
    with pytest.raises(mv.MechvizError, match=rf"first at blocks\.{layer}\.mlp\.hook_pre"):
        ranker.score(QUERY, DOC)
    with pytest.raises(mv.MechvizError, match=rf"first at blocks\.{layer}\.mlp\.hook_pre"):
        mv.patch(ranker, QUERY, DOC, mv.perturb.append("lava"))


def test_the_cache_has_transformer_lens_names(ranker):
    score, cache = ranker.run_with_cache(QUERY, DOC, names=["z", "blocks.1.attn.hook_pattern"])
    assert score == pytest.approx(float(ranker.score(QUERY, DOC)[0]), abs=1e-5 * max(1, abs(score)))
    assert set(cache.keys()) == {
        "blocks.0.attn.hook_z",
        "blocks.1.attn.hook_z",
        "blocks.2.attn.hook_z",
        "blocks.1.attn.hook_pattern",
    }
    n = len(ranker.tokenize(QUERY, DOC)[ranker.stack_of("doc")])
    assert cache["z", 1].shape == (1, n, 4, 8)
    assert cache["pattern", 1].shape == (1, 4, n, n)
    torch.testing.assert_close(cache["pattern", 1].sum(-1), torch.ones(1, 4, n))


def test_a_dot_ranker_caches_either_tower(dot):
    _, cache = dot.run_with_cache(QUERY, DOC, "resid_pre", stack="query")
    assert cache["blocks.0.hook_resid_pre"].shape[1] == len(dot.tokenize(QUERY, DOC)["query"])
    with pytest.raises(InputError, match="'query', 'doc'"):
        dot.run_with_cache(QUERY, DOC, stack="encoder")


def test_an_unknown_hook_lists_the_sites(ranker):
    with pytest.raises(InputError, match=r"'hook_y' is no hook.*resid_pre.*pattern"):
        ranker.run_with_cache(QUERY, DOC, "hook_y")


def test_gradients_reach_every_hook(ranker):
    kept = {}
    names = ranker.hooked.names(None)

    def keep(value, hook):
        value.retain_grad()
        kept.setdefault(hook.name, value)

    stack = ranker.stack_of("doc")
    (inputs,) = ranker.checked_inputs([(QUERY, DOC)])
    readout = ranker.readout(stack, inputs)
    with torch.enable_grad(), ranker.hooks([(lambda name: True, keep)]):
        readout(*ranker.encode([inputs], stack))[0].backward()
    ranker.model.zero_grad(set_to_none=True)
    assert set(kept) == set(names)
    assert all(value.grad is not None and bool((value.grad != 0).any()) for value in kept.values())


def test_backward_hooks_see_the_gradient(ranker):
    seen = {}
    with (
        torch.enable_grad(),
        ranker.hooks(bwd_hooks=[("blocks.1.attn.hook_z", lambda g, hook: seen.update({hook.name: g.clone()}))]),
    ):
        ranker.score_inputs(ranker.checked_inputs([(QUERY, DOC)]))[0].backward()
    ranker.model.zero_grad(set_to_none=True)
    assert bool((seen["blocks.1.attn.hook_z"] != 0).any())


def test_the_hash_follows_the_weights(tmp_path):
    ranker = mv.Dot(str(save_dot(tmp_path / "dot")))
    before = ranker.weight_hash()
    assert before == mv.Dot(str(tmp_path / "dot")).weight_hash()
    with torch.no_grad():
        ranker.hooked.main.module(0, "attention.self.query").bias[0] += 1
    changed = ranker.weight_hash()
    assert changed != before
    ranker.hooked.main.module(1, "attention.self.query").weight.data.mul_(2)  # torch does not count this as a change
    assert ranker.weight_hash() != changed


def test_a_hook_may_score(dot):
    """A run inside a run: the outer hooks still see every layer once."""
    seen = []

    def look(z, hook):
        if hook.name not in seen:
            seen.append(hook.name)
            dot.score("tea", "tea")

    with dot.hooks([("z", look)]):
        dot.score(QUERY, DOC)
    assert seen == [f"blocks.{layer}.attn.hook_z" for layer in range(3)]
    assert not any("_mechviz_points" in module.__dict__ for module in dot.model.modules())


def test_autocast_is_refused(dot):
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(MechvizError, match="autocast"):
        dot.score(QUERY, DOC)


@pytest.mark.parametrize("limit", [0, -1, 2.5, "12", True])
def test_a_limit_that_is_none(dot_folder, limit):
    with pytest.raises(InputError, match="max_length="):
        mv.Dot(str(dot_folder), max_length=limit)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=60))
def test_any_text_is_scored_or_refused_by_us(cat, query, doc):
    try:
        score = cat.score(query, doc)
    except MechvizError:
        return
    assert np.isfinite(score).all()
