"""The models that figures are measured on, beside all-MiniLM."""

from __future__ import annotations

from transformers import BertConfig, BertModel

import mechviz as mv
from benchmarks.texts import all_minilm


def bert_base() -> mv.Dot:
    """Return a ranker of BERT-base's shape with random weights."""
    tokenizer = all_minilm().tokenizer
    model = BertModel(BertConfig(vocab_size=len(tokenizer)), add_pooling_layer=False).eval()
    return mv.Dot(model, pooling="mean", normalize=True, tokenizer=tokenizer)


def plain_copy(ranker: mv.Dot, attention: str) -> BertModel:
    """Return the plain model of a ranker, with one of `transformers`' own attention functions."""
    config = type(ranker.model.config).from_dict(ranker.model.config.to_dict())
    config._attn_implementation = attention
    model = BertModel(config, add_pooling_layer=False).eval()
    model.load_state_dict(ranker.model.state_dict())
    return model
