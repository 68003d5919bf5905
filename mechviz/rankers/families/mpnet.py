"""MPNet (Song et al. 2020): BERT's layers with a relative position bias on attention."""

from mechviz.rankers.families.family import Attention, Blocks, Family, Head

FAMILY = Family(
    model_type="mpnet",
    base="MPNetModel",
    prefix="mpnet",
    blocks=(
        Blocks(
            layers="encoder.layer",
            attentions=(
                Attention(
                    stack="encoder",
                    module="attention.attn",
                    out="attention.attn.o",
                    after_path="attention.LayerNorm",
                ),
            ),
            attn_norm="attention.LayerNorm",
            mlp=("intermediate", "output.dense"),
            mlp_in="intermediate.dense",
            mlp_out="output.dense",
            mlp_norm="output.LayerNorm",
            embed="embeddings",
        ),
    ),
    heads={"MPNetForSequenceClassification": Head(("classifier",), picks=True)},
    base_options={"add_pooling_layer": False},
    positions=lambda config: int(config.max_position_embeddings) - 2,  # they are counted from a fixed padding index
    unused=("pooler.", "lm_head.", "embeddings.position_ids"),
)
