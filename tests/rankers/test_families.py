"""Every family: hooks fire, carry TransformerLens's shapes, and edits count."""

import pytest
import torch

from mechviz.rankers.families import FAMILIES

QUERY, DOC = "why are hot springs warm", "Hot springs are warm because water is heated by rock."


def test_the_families():
    assert list(FAMILIES) == ["bert"]


def test_resid_mid_is_the_sum(ranker):
    _, cache = ranker.run_with_cache(QUERY, DOC)
    for layer in range(3):
        block = f"blocks.{layer}"
        total = cache[f"{block}.hook_resid_pre"] + cache[f"{block}.hook_attn_out"]
        torch.testing.assert_close(cache[f"{block}.hook_resid_mid"], total)


def test_attn_out_is_z_through_w_o(ranker):
    _, cache = ranker.run_with_cache(QUERY, DOC, ["z", "attn_out"])
    for layer in range(3):
        heads = torch.einsum("rphd,hdm->rpm", cache["z", layer], ranker.encoder.w_o(layer))
        out = heads + ranker.encoder.parts(layer).attn_out.bias
        torch.testing.assert_close(out.detach(), cache[f"blocks.{layer}.hook_attn_out"], rtol=1e-5, atol=1e-5)


def test_the_pattern_is_what_eager_attention_gives(ranker):
    """Against output_attentions of the same model, on the document's stack."""
    stack = ranker.stack_of("doc")
    tokens = ranker.tokenize(QUERY, DOC)[stack]
    _, cache = ranker.run_with_cache(QUERY, DOC, "pattern")
    model = ranker.model
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            ids, types = (torch.tensor(x.copy())[None] for x in (tokens.ids, tokens.types))
            attentions = ranker.encoder.base(input_ids=ids, token_type_ids=types, output_attentions=True).attentions
    finally:
        model.set_attn_implementation(before)
    for layer, plain in enumerate(attentions):
        torch.testing.assert_close(cache["pattern", layer], plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("site", ["q", "k", "v", "attn_scores", "pattern", "z"])
def test_identity_edits_change_nothing(ranker, site):
    expected = ranker.score(QUERY, DOC)[0]
    with ranker.hooks([(site, lambda value, hook: value.clone())]):
        assert abs(ranker.score(QUERY, DOC)[0] - expected) <= 1e-6 * max(1, abs(expected))
