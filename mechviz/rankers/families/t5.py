"""T5 (Raffel et al. 2020), scored at the decoder's first step, whose self-attention sees one position only."""

from mechviz.rankers.families.family import Attention, Blocks, Family, VocabularyHead

ENCODER = Blocks(
    name="encoder_blocks",
    runner="encoder",
    layers="encoder.block",
    attentions=(Attention(stack="encoder", module="layer.0.SelfAttention", out="layer.0.SelfAttention.o", after_path="layer.1"),),
    mlp=("layer.1.DenseReluDense",),
    mlp_in=("layer.1.DenseReluDense.wi", "layer.1.DenseReluDense.wi_0"),
    mlp_out="layer.1.DenseReluDense.wo",
    mlp_norm="layer.1.layer_norm",
    embed="encoder.embed_tokens",
    final="encoder.final_layer_norm",
)

DECODER = Blocks(
    name="decoder_blocks",
    runner="decoder",
    layers="decoder.block",
    attentions=(
        Attention(
            stack="decoder",
            name="self_attn",
            module="layer.0.SelfAttention",
            out="layer.0.SelfAttention.o",
            after_path="layer.1",
            # Of one position, the pattern is 1 whatever q, k and the scores are: they cannot have an effect.
            sites=("v", "pattern", "z"),
        ),
        Attention(
            stack="cross",
            name="cross_attn",
            module="layer.1.EncDecAttention",
            out="layer.1.EncDecAttention.o",
            before="hook_resid_mid",
            after="hook_resid_mid2",
            after_path="layer.2",
            attn_out="hook_cross_attn_out",
        ),
    ),
    mlp=("layer.2.DenseReluDense",),
    mlp_in=("layer.2.DenseReluDense.wi", "layer.2.DenseReluDense.wi_0"),
    mlp_out="layer.2.DenseReluDense.wo",
    mlp_norm="layer.2.layer_norm",
    embed="decoder.embed_tokens",
    embed_name="hook_decoder_embed",
    final="decoder.final_layer_norm",
)

FAMILY = Family(
    model_type="t5",
    base="T5EncoderModel",
    prefix="",
    blocks=(ENCODER, DECODER),
    generative={
        "T5ForConditionalGeneration": VocabularyHead(
            "lm_head", scale=lambda config: config.d_model**-0.5 if config.scale_decoder_outputs else 1.0
        )
    },
    positions=lambda config: None,
    unused_by_base=("decoder.", "lm_head."),
)
