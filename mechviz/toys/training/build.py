"""A toy before its training: sizes, and what its first weights encourage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, BertModel, T5Config, T5ForConditionalGeneration

from mechviz.rankers import Dot
from mechviz.toys.encoder import ToyConfig, ToyForSequenceClassification, ToyModel
from mechviz.toys.training.lessons import vectors
from mechviz.toys.training.vocabulary import INSIDE, SPECIAL

WIDTH, HEADS, MLP = 128, 4, 512
#: Logits of a token with its copy, and of any token with the word that T5's prompt sets before the document.
_MATCH, _SEGMENT = 9.0, 10.0
#: What T5's relative positions begin with: what lies right of a token is not seen by head 0, and itself less by the others.
_RIGHT, _SELF = -14.0, -2.0
#: What every token of a T5 toy has in common, beside its own vector of length 1: what a head without biases can ask by.
_COMMON = 0.7

ENCOURAGED = {
    "tokens": "Embeddings of tokens begin as the teacher's vectors of single tokens, cut to their 128 main directions.",
    "match": (
        "Queries and keys of all heads of layer 0 begin as the same random projection, so that a token looks for its own copies."
    ),
    "segment": (
        "Head 0 of encoder layer 0 begins as one that looks left for the word `document`, so that words of the document can be "
        "told from those of the query; every token begins with a part that all have in common."
    ),
    "match in T5": (
        "Queries and keys of heads 1 to 3 of encoder layer 1 begin as the same random projection, so that a token looks for its "
        "own copies; its relative position to itself begins at -2."
    ),
}


def build(
    kind: str, layers: int, activation: str, vocabulary: Sequence[str], teacher: Dot | None, cache: Path | None = None
) -> tuple[Any, list[str]]:
    """Return a model with its first weights, drawn from torch's random state, and what they encourage, in words."""
    tokens = None if teacher is None else token_vectors(vocabulary, teacher, cache)
    if kind == "MonoT5":
        return _t5(layers, activation, vocabulary, tokens)
    settings: dict[str, Any] = {
        "vocab_size": len(vocabulary),
        "hidden_size": WIDTH,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "intermediate_size": MLP,
        "max_position_embeddings": 512,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": 0,
        "num_labels": 1,
    }
    plain = activation == "gelu"  # BERT itself, which other tools know too
    config: Any = BertConfig(**settings) if plain else ToyConfig(**settings, activation=activation)
    with_head, base = (BertForSequenceClassification, BertModel) if plain else (ToyForSequenceClassification, ToyModel)
    model: Any = with_head(config) if kind == "Cat" else base(config, add_pooling_layer=False)
    encoder = model.bert if kind == "Cat" else model
    encouraged = []
    with torch.no_grad():
        if tokens is not None:
            encoder.embeddings.word_embeddings.weight.copy_(tokens)
            encouraged.append(ENCOURAGED["tokens"])
        if kind == "Cat":
            attention = encoder.encoder.layer[0].attention.self
            _match(attention.query, attention.key, range(HEADS), norm=WIDTH, scaled=True)
            encouraged.append(ENCOURAGED["match"])
    return model, encouraged


def _t5(layers: int, activation: str, vocabulary: Sequence[str], tokens: Tensor | None) -> tuple[Any, list[str]]:
    numbers = {token: number for number, token in enumerate(vocabulary)}
    config = T5Config(
        vocab_size=len(vocabulary),
        d_model=WIDTH,
        d_kv=WIDTH // HEADS,
        d_ff=MLP,
        num_layers=layers,
        num_decoder_layers=1,
        num_heads=HEADS,
        feed_forward_proj=activation,
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=numbers[SPECIAL["sep_token"]],
    )
    config.decoder_start_token_id = 0
    model: Any = T5ForConditionalGeneration(config)
    encouraged = [ENCOURAGED["segment"], ENCOURAGED["match in T5"]]
    with torch.no_grad():
        own = nn.functional.normalize(torch.randn(len(vocabulary), WIDTH), dim=-1) if tokens is None else tokens
        if tokens is not None:
            encouraged.insert(0, ENCOURAGED["tokens"])
        common = torch.zeros(WIDTH)
        common[-1] = 1.0
        own = own.clone()
        own[:, -1] = 0
        model.shared.weight.copy_(WIDTH**0.5 * (own + _COMMON * common))
        first, second = (model.encoder.block[layer].layer[0].SelfAttention for layer in (0, min(1, layers - 1)))
        bias = first.relative_attention_bias.weight
        bias.zero_()
        bias[bias.shape[0] // 2 :, 0] = _RIGHT
        bias[0, 1:] = _SELF
        word = nn.functional.normalize(own[numbers["document"]], dim=-1)
        size, share = WIDTH // HEADS, 1 / (1 + _COMMON**2)  # of a token's squared length, what is its own
        for linear in (first.q, first.k):
            linear.weight[:size] = 0
        first.q.weight[0] = common
        first.k.weight[0] = word * _SEGMENT / (WIDTH * share * _COMMON)
        first.v.weight[0] = word
        first.o.weight[:, 0] = nn.functional.normalize(torch.randn(WIDTH), dim=0)
        _match(second.q, second.k, range(1, HEADS), norm=WIDTH * share, scaled=False)
    return model, encouraged


def _match(query: nn.Linear, key: nn.Linear, heads: Sequence[int] | range, norm: float, scaled: bool) -> None:
    """Make some heads look for a token's own copies.

    ``norm`` is the squared length of what enters; ``scaled`` says whether logits are divided by the root of a head's width.
    """
    size = query.weight.shape[0] // HEADS
    share = norm * size / WIDTH / (size**0.5 if scaled else 1)
    gain = (_MATCH / share) ** 0.5
    for head in heads:
        drawn = torch.empty(size, WIDTH)
        nn.init.orthogonal_(drawn, gain)
        for linear in (query, key):
            linear.weight[head * size : (head + 1) * size] = drawn


def token_vectors(vocabulary: Sequence[str], teacher: Dot, cache: Path | None) -> Tensor:
    """Return the teacher's vectors of single tokens along their main directions, of mean length 1, dims (token, dim)."""
    texts = [token.removeprefix(INSIDE) for token in vocabulary]
    found = torch.tensor(vectors(teacher, "doc", [text if text.isalnum() else "." for text in texts], cache))
    centred = found - found.mean(0)
    _, _, directions = torch.linalg.svd(centred.T @ centred)
    kept = centred @ directions[:WIDTH].T
    kept[: len(SPECIAL)] = 0.02 * torch.randn(len(SPECIAL), WIDTH)
    scaled: Tensor = kept / kept[len(SPECIAL) :].norm(dim=-1).mean()
    return scaled
