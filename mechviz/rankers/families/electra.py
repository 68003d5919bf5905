"""ELECTRA (Clark et al. 2020): BERT's layers behind embeddings that may be narrower."""

from dataclasses import replace

from mechviz.rankers.families import bert
from mechviz.rankers.families.family import Family, Head

FAMILY = Family(
    model_type="electra",
    base="ElectraModel",
    prefix="electra",
    blocks=(replace(bert.BLOCKS, embed=("embeddings_project", "embeddings")),),
    heads={"ElectraForSequenceClassification": Head(("classifier",), picks=True)},
    types=True,
    unused=("discriminator_predictions.", "generator_predictions.", "generator_lm_head.", "embeddings.position_ids"),
)
