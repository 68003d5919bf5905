"""Independent ways to the same numbers: plain transformers with eager attention, one cell at a time, torch hooks only.

Nothing here imports a ranker's own forward: tokens come from the tokenizer, scores from the formula in the docs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, BertForSequenceClassification, BertModel, PreTrainedModel

import mechviz as mv
from mechviz.text import Tokens


def plain_cat_scores(folder: Path, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Score pairs as one padded batch of a plain cross-encoder."""
    model = BertForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    batch = AutoTokenizer.from_pretrained(folder)([q for q, _ in pairs], [d for _, d in pairs], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**batch).logits
    return (logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]).numpy()


def plain_dot_scores(folder: Path, pairs: Sequence[tuple[str, str]], pooling: str, normalize: bool) -> np.ndarray:
    """Score pairs with a plain encoder and the formula of the pooling."""
    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vectors = []
    for texts in ([q for q, _ in pairs], [d for _, d in pairs]):
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**batch).last_hidden_state
        vectors.append(_pooled(hidden, batch["attention_mask"], pooling, normalize))
    return (vectors[0] * vectors[1]).sum(-1).numpy()


def _pooled(hidden: Tensor, mask: Tensor, pooling: str, normalize: bool) -> Tensor:
    if pooling == "cls":
        pooled = hidden[:, 0]
    else:
        pooled = torch.stack([row[seen.bool()].mean(0) for row, seen in zip(hidden, mask, strict=True)])
    return pooled / pooled.norm(dim=-1, keepdim=True) if normalize else pooled


def plain_scorer(ranker: mv.Dot | mv.Cat, folder: Path, query: str) -> tuple[PreTrainedModel, Callable[[Tokens], float]]:
    """Return a plain eager model and how it scores the token sequence of the document's stack."""
    if isinstance(ranker, mv.Cat):
        model = BertForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()

        def score(tokens: Tokens) -> float:
            logits = model(**_batch(tokens)).logits[0]
            return float(logits[0] if len(logits) == 1 else logits[1] - logits[0])

        return model, score
    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    encoded = AutoTokenizer.from_pretrained(folder)(query, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**encoded).last_hidden_state
    vector = _pooled(hidden, encoded["attention_mask"], ranker.pooling, ranker.normalize)[0]

    def score_dot(tokens: Tokens) -> float:
        batch = _batch(tokens)
        pooled = _pooled(model(**batch).last_hidden_state, batch["attention_mask"], ranker.pooling, ranker.normalize)
        return float(vector @ pooled[0])

    return model, score_dot


def patch_heads_one_at_a_time(
    model: PreTrainedModel, score: Callable[[Tokens], float], base: Tokens, source: Tokens
) -> np.ndarray:
    """Return the score after patching z of each head, dims (layer, head): one full forward pass a cell."""
    bert = model if isinstance(model, BertModel) else model.bert
    heads = model.config.num_attention_heads
    width = model.config.hidden_size // heads
    taken: list[Tensor] = []
    projections = [layer.attention.output.dense for layer in bert.encoder.layer]
    with torch.no_grad():
        handles = [p.register_forward_pre_hook(lambda _, args: taken.append(args[0])) for p in projections]
        score(source)
        for handle in handles:
            handle.remove()
        patched = np.empty((len(projections), heads), dtype=np.float64)
        for layer, projection in enumerate(projections):
            for head in range(heads):
                part = slice(head * width, (head + 1) * width)

                def swap(_: object, args: tuple[Tensor], part: slice = part, layer: int = layer) -> tuple[Tensor]:
                    z = args[0].clone()
                    z[..., part] = taken[layer][..., part]
                    return (z,)

                handle = projection.register_forward_pre_hook(swap)
                patched[layer, head] = score(base)
                handle.remove()
    return patched


def _batch(tokens: Tokens) -> dict[str, Tensor]:
    names = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}
    return {key: torch.tensor(getattr(tokens, name).astype(np.int64))[None] for key, name in names.items()}


def close(score: float) -> float:
    """The tolerance of the laws on raw scores."""
    return 1e-5 * max(1.0, abs(score))
