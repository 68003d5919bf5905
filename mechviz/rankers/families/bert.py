"""BERT (Devlin et al. 2019), as `transformers` builds it."""

from mechviz.rankers.families.family import Family, Head

FAMILY = Family(
    model_type="bert",
    base="BertModel",
    prefix="bert",
    heads={"BertForSequenceClassification": Head(("bert.pooler", "classifier"), reads=0)},
    embeddings="embeddings",
    layers="encoder.layer",
    attention="attention.self",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attn_out="attention.output.dense",
    attn_norm="attention.output.LayerNorm",
    mlp_in="intermediate.dense",
    mlp_act="intermediate.intermediate_act_fn",
    mlp_out="output.dense",
    mlp_norm="output.LayerNorm",
    unused=("pooler.", "cls.", "embeddings.position_ids"),
)
