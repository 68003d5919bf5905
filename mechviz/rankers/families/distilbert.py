"""DistilBERT (Sanh et al. 2019): BERT with half of the layers and no token types."""

import torch

from mechviz.rankers.families.family import Attention, Blocks, Family, Fused, Head, VocabularyHead

FAMILY = Family(
    model_type="distilbert",
    base="DistilBertModel",
    prefix="distilbert",
    blocks=(
        Blocks(
            layers="transformer.layer",
            attentions=(
                Attention(
                    stack="encoder",
                    module="attention",
                    out="attention.out_lin",
                    after_path="sa_layer_norm",
                ),
            ),
            attn_norm="sa_layer_norm",
            mlp=("ffn",),
            mlp_in="ffn.lin1",
            mlp_out="ffn.lin2",
            mlp_norm="output_layer_norm",
            embed="embeddings",
            fused=Fused(query="attention.q_lin", key="attention.k_lin", value="attention.v_lin", mlp_act="ffn.activation"),
        ),
    ),
    heads={"DistilBertForSequenceClassification": Head(("pre_classifier", torch.relu, "classifier"))},
    masked={"DistilBertForMaskedLM": VocabularyHead("vocab_projector", ("vocab_transform", "activation", "vocab_layer_norm"))},
    unused=("vocab_", "embeddings.position_ids"),
)
