"""The toys' own encoder (`mechviz.toys.encoder`): BERT's, with other MLPs or none."""

from dataclasses import replace

from mechviz.rankers.families import bert
from mechviz.rankers.families.family import Family

FAMILY = Family(
    module="mechviz.toys.encoder",
    model_type="toy_encoder",
    base="ToyModel",
    prefix="bert",
    blocks=(replace(bert.BLOCKS, may_lack_mlp=True),),
    heads={"ToyForSequenceClassification": bert.FAMILY.heads["BertForSequenceClassification"]},
    types=True,
    base_options=bert.FAMILY.base_options,
    unused=("pooler.", "embeddings.position_ids"),
)
