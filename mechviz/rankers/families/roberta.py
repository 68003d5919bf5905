"""RoBERTa (Liu et al. 2019): BERT's layers; positions are counted from the padding index."""

from torch.nn.functional import gelu

from mechviz.rankers.families import bert
from mechviz.rankers.families.family import Family, Head, VocabularyHead

FAMILY = Family(
    model_type="roberta",
    base="RobertaModel",
    prefix="roberta",
    blocks=(bert.BLOCKS,),
    heads={"RobertaForSequenceClassification": Head(("classifier",), picks=True)},
    masked={"RobertaForMaskedLM": VocabularyHead("lm_head.decoder", ("lm_head.dense", gelu, "lm_head.layer_norm"))},
    types=True,
    base_options={"add_pooling_layer": False},
    positions=lambda config: int(config.max_position_embeddings - config.pad_token_id - 1),
    unused=("pooler.", "lm_head.", "embeddings.position_ids"),
)
