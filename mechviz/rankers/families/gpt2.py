"""GPT-2 (Radford et al. 2019): pre-norm, learned positions, q, k and v in one product."""

from mechviz.rankers.families.family import Attention, Blocks, Family, Head, VocabularyHead

FAMILY = Family(
    model_type="gpt2",
    base="GPT2Model",
    prefix="transformer",
    blocks=(
        Blocks(
            layers="h",
            attentions=(Attention(stack="decoder", module="attn", out="attn.c_proj"),),
            mlp=("mlp",),
            mlp_in="mlp.c_fc",
            mlp_out="mlp.c_proj",
            mlp_norm="ln_2",
            embed="wte",
            final="ln_f",
        ),
    ),
    heads={"GPT2ForSequenceClassification": Head(("score",), reads="last")},
    generative={"GPT2LMHeadModel": VocabularyHead("lm_head")},
    causal=True,
    unused_by_base=("lm_head.",),
)
