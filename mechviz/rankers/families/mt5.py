"""mT5 (Xue et al. 2021): T5 over many languages, with a score head of its own."""

from dataclasses import replace

from mechviz.rankers.families import t5
from mechviz.rankers.families.family import VocabularyHead

FAMILY = replace(
    t5.FAMILY,
    model_type="mt5",
    base="MT5EncoderModel",
    generative={"MT5ForConditionalGeneration": VocabularyHead("lm_head")},
)
