"""ModernBERT (Warner et al. 2024): pre-norm, rotary positions, local and global attention, q, k and v in one product."""

from mechviz.rankers.families.family import ROTARY_SITES, Attention, Blocks, Family, Head, VocabularyHead

FAMILY = Family(
    model_type="modernbert",
    base="ModernBertModel",
    prefix="model",
    blocks=(
        Blocks(
            layers="layers",
            attentions=(
                Attention(stack="encoder", module="attn", out="attn.Wo", sites=ROTARY_SITES, projections=("attn.Wqkv",)),
            ),
            mlp=("mlp",),
            mlp_in="mlp.Wi",
            mlp_out="mlp.Wo",
            mlp_norm="mlp_norm",
            gated=True,
            embed="embeddings",
            final="final_norm",
        ),
    ),
    heads={
        "ModernBertForSequenceClassification": Head(("head", "classifier"), reads=lambda config: str(config.classifier_pooling))
    },
    masked={"ModernBertForMaskedLM": VocabularyHead("decoder", ("head",))},
    unused_by_base=("head.", "decoder."),
)
