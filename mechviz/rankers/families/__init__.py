"""The model families that mechviz opens, by the ``model_type`` of their configuration."""

from mechviz.rankers.families import (
    bert,
    deberta_v2,
    distilbert,
    electra,
    gpt2,
    llama,
    mistral,
    modernbert,
    mpnet,
    mt5,
    qwen2,
    qwen3,
    roberta,
    t5,
    toy_encoder,
    xlm_roberta,
)
from mechviz.rankers.families.family import Attention, Blocks, Family, Head, VocabularyHead

_MODULES = (
    *(bert, distilbert, electra, roberta, xlm_roberta, mpnet, deberta_v2, modernbert),
    *(t5, mt5, gpt2, llama, qwen2, qwen3, mistral, toy_encoder),
)
FAMILIES: dict[str, Family] = {module.FAMILY.model_type: module.FAMILY for module in _MODULES}

__all__ = ["FAMILIES", "Attention", "Blocks", "Family", "Head", "VocabularyHead"]
