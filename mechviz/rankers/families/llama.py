"""Llama (Touvron et al. 2023): pre-norm, rotary positions, gated MLP; the model of Qwen2, Qwen3 and Mistral too."""

from mechviz.rankers.families.family import ROTARY_SITES, Attention, Blocks, Family, Head, VocabularyHead

BLOCKS = Blocks(
    layers="layers",
    attentions=(
        Attention(
            stack="decoder",
            module="self_attn",
            out="self_attn.o_proj",
            sites=ROTARY_SITES,
            projections=("self_attn.q_proj", "self_attn.k_proj"),
        ),
    ),
    mlp=("mlp",),
    mlp_in="mlp.gate_proj",
    mlp_out="mlp.down_proj",
    mlp_norm="post_attention_layernorm",
    embed="embed_tokens",
    final="norm",
)


def family(model_type: str, name: str) -> Family:
    """Return a family whose classes are named like Llama's and built like them."""
    return Family(
        model_type=model_type,
        base=f"{name}Model",
        prefix="model",
        blocks=(BLOCKS,),
        heads={f"{name}ForSequenceClassification": Head(("score",), reads="last")},
        generative={f"{name}ForCausalLM": VocabularyHead("lm_head")},
        causal=True,
        unused_by_base=("lm_head.",),
    )


FAMILY = family("llama", "Llama")
