"""A tiny model of every family: few layers, weights large enough that attention is not uniform and scores differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedTokenizerBase

import mechviz.toys.encoder
from tests.tiny.tokenizers import bytelevel, metaspace, wordpiece

ENCODER = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 48}
ENCODER |= {"max_position_embeddings": 130}
DECODER = {**ENCODER, "num_key_value_heads": 2, "head_dim": 8}


@dataclass(frozen=True)
class Tiny:
    """How a tiny model of one family is made: its configuration class, settings and tokenizer."""

    config: str
    settings: dict[str, Any]
    tokenizer: Callable[[], PreTrainedTokenizerBase]
    std: float = 0.35


T5 = {"d_model": 32, "d_kv": 8, "num_heads": 4, "num_layers": 2, "num_decoder_layers": 3, "d_ff": 48}
T5 |= {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 16, "decoder_start_token_id": 0}
DEBERTA = {**ENCODER, "type_vocab_size": 2, "relative_attention": True, "position_buckets": 8, "max_relative_positions": 32}
DEBERTA |= {
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "pooler_hidden_size": 32,
    "position_biased_input": False,
}

TINY: dict[str, Tiny] = {
    "bert": Tiny("BertConfig", ENCODER, wordpiece),
    "distilbert": Tiny(
        "DistilBertConfig",
        {"dim": 32, "n_heads": 4, "n_layers": 2, "hidden_dim": 48, "max_position_embeddings": 130},
        wordpiece,
    ),
    "electra": Tiny("ElectraConfig", {**ENCODER, "embedding_size": 16}, wordpiece),
    "roberta": Tiny("RobertaConfig", {**ENCODER, "pad_token_id": 1}, bytelevel),
    "xlm-roberta": Tiny("XLMRobertaConfig", {**ENCODER, "pad_token_id": 1}, lambda: metaspace("xlmr")),
    "mpnet": Tiny("MPNetConfig", ENCODER, bytelevel),
    "deberta-v2": Tiny("DebertaV2Config", {**DEBERTA, "share_att_key": True}, wordpiece),
    "deberta-v2, own position keys": Tiny("DebertaV2Config", {**DEBERTA, "share_att_key": False}, wordpiece),
    "modernbert": Tiny(
        "ModernBertConfig",
        {**ENCODER, "num_hidden_layers": 3, "local_attention": 8, "global_attn_every_n_layers": 2, "pad_token_id": 1},
        bytelevel,
        std=0.5,
    ),
    "t5": Tiny("T5Config", {**T5, "tie_word_embeddings": True}, metaspace, std=0.3),
    "t5, gated": Tiny("T5Config", {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, metaspace, std=0.3),
    "mt5": Tiny("MT5Config", {**T5, "tie_word_embeddings": False}, metaspace, std=0.3),
    "gpt2": Tiny(
        "GPT2Config", {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 130, "n_inner": 48}, lambda: bytelevel("decoder")
    ),
    "llama": Tiny("LlamaConfig", DECODER, lambda: metaspace("llama")),
    "qwen2": Tiny("Qwen2Config", DECODER, lambda: bytelevel("decoder")),
    "qwen3": Tiny("Qwen3Config", {**DECODER, "head_dim": 12}, lambda: bytelevel("embedder")),
    "mistral": Tiny("MistralConfig", {**DECODER, "sliding_window": 8}, lambda: bytelevel("decoder")),
    "toy_encoder": Tiny("ToyConfig", {**ENCODER, "activation": "none"}, wordpiece),
    "toy_encoder, solu": Tiny("ToyConfig", {**ENCODER, "activation": "solu"}, wordpiece, std=0.25),
}


def class_of(name: str) -> Any:
    """Return a class of models or configurations by its name: of transformers, or of the toys."""
    return getattr(transformers, name, None) or getattr(mechviz.toys.encoder, name)


def save(folder: Path, family: str, class_name: str, **changes: Any) -> Path:
    """Save a tiny model of a family, and its tokenizer, as `save_pretrained` does."""
    tiny = TINY[family]
    tokenizer = tiny.tokenizer()
    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    settings = {**special, "vocab_size": len(tokenizer), **tiny.settings, **changes}
    config = class_of(tiny.config)(**settings)
    if config.pad_token_id is None:
        config.pad_token_id = 0  # classification classes of decoders want one
    model = class_of(class_name)(config)
    randomise(model, tiny.std)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def randomise(model: torch.nn.Module, std: float, seed: int = 3) -> None:
    """Fill every weight, norms and biases too, so that a part which is left out is missed."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise * std)
            else:
                parameter.copy_(noise * 0.1 + (1.0 if name.endswith("weight") else 0.0))
