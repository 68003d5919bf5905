"""all-MiniLM by plain `transformers`: its score, and its heads patched one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, BertModel

from mechviz.text import Tokens
from tests import plain
from tests.cases import CASES


def plain_scores(folder: Path, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Score pairs with a plain encoder, mean pooling and a cosine."""
    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vectors = []
    for texts in ([q for q, _ in pairs], [d for _, d in pairs]):
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            vectors.append(_pooled(model(**batch).last_hidden_state, batch["attention_mask"]))
    return (vectors[0] * vectors[1]).sum(-1).numpy()


def plain_scorer(folder: Path, query: str) -> tuple[nn.Module, Callable[[Tokens], float]]:
    """Return a plain eager model and how it scores the token sequence of a document."""
    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    encoded = AutoTokenizer.from_pretrained(folder)(query, return_tensors="pt")
    with torch.no_grad():
        vector = _pooled(model(**encoded).last_hidden_state, encoded["attention_mask"])[0]

    def score(tokens: Tokens) -> float:
        names = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}
        batch = {key: torch.tensor(getattr(tokens, name).astype(np.int64))[None] for key, name in names.items()}
        return float(vector @ _pooled(model(**batch).last_hidden_state, batch["attention_mask"])[0])

    return model, score


def patch_heads_one_at_a_time(model: nn.Module, score: Callable[[Tokens], float], base: Tokens, source: Tokens) -> np.ndarray:
    """Return the score after patching z of each head, dims (layer, head): one full forward pass a cell."""
    return plain.patch_heads_one_at_a_time(model, plain.OUTPUTS[CASES["Dot bert mean"].family, ""], score, base, source)


def _pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    rows = torch.stack([row[seen.bool()].mean(0) for row, seen in zip(hidden, mask, strict=True)])
    return rows / rows.norm(dim=-1, keepdim=True)
