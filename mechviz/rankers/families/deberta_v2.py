"""DeBERTa-v2 and v3 (He et al. 2021): attention scores with terms between content and relative position."""

from dataclasses import replace
from typing import Any

from mechviz.rankers.families import bert
from mechviz.rankers.families.family import Family, Head


def _refuse(config: Any) -> str:
    if getattr(config, "conv_kernel_size", 0) > 0:
        return "it has a convolution between its layers (conv_kernel_size), which entering at a layer would leave out"
    return ""


FAMILY = Family(
    model_type="deberta-v2",
    base="DebertaV2Model",
    prefix="deberta",
    blocks=(replace(bert.BLOCKS, fused=None),),
    heads={"DebertaV2ForSequenceClassification": Head(("pooler", "classifier"), picks=True)},
    types=True,
    unused=("lm_predictions.", "mask_predictions.", "cls.", "embeddings.position_ids", "embeddings.position_embeddings."),
    refuse=_refuse,
)
