"""BERT (Devlin et al. 2019), as `transformers` builds it."""

from mechviz.rankers.families.family import Attention, Blocks, Family, Fused, Head, VocabularyHead

BLOCKS = Blocks(
    layers="encoder.layer",
    attentions=(
        Attention(
            stack="encoder",
            module="attention.self",
            out="attention.output.dense",
            after_path="attention.output.LayerNorm",
        ),
    ),
    attn_norm="attention.output.LayerNorm",
    mlp=("intermediate", "output.dense"),
    mlp_in="intermediate.dense",
    mlp_out="output.dense",
    mlp_norm="output.LayerNorm",
    embed="embeddings",
    fused=Fused(
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        mlp_act="intermediate.intermediate_act_fn",
    ),
)

FAMILY = Family(
    model_type="bert",
    base="BertModel",
    prefix="bert",
    blocks=(BLOCKS,),
    heads={"BertForSequenceClassification": Head(("bert.pooler", "classifier"), picks=True)},
    masked={"BertForMaskedLM": VocabularyHead("cls.predictions.decoder", ("cls.predictions.transform",))},
    types=True,
    base_options={"add_pooling_layer": False},
    unused=("pooler.", "cls.", "embeddings.position_ids"),
)
