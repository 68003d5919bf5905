"""Texts as token ids, framed as each kind of ranker reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mechviz.rankers.monot5 import PROMPT

#: Tokens of a query and of a passage that are read.
QUERY_TOKENS, DOC_TOKENS = 24, 72
#: Tokens of one forward pass: with more, activations leave the caches.
_TOKENS = 6000

Ids = list[list[int]]


def token_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], limit: int) -> Ids:
    """Return the ids of texts without special tokens, cut at a limit."""
    found: Ids = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return [ids[:limit] for ids in found]


class Frames:
    """What a kind of ranker puts around a query and a passage."""

    def __init__(self, kind: str, tokenizer: Any) -> None:
        self.kind = kind
        self.cls, self.sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        before, between = PROMPT.split("{query}")
        pieces = (before, *between.split("{doc}"))
        self.prompt = token_ids(tokenizer, pieces, DOC_TOKENS)

    def pair(self, query: list[int], doc: list[int]) -> tuple[list[int], int]:
        """Return a pair as one sequence, and where its second part begins."""
        if self.kind == "MonoT5":
            before, between, after = self.prompt
            return [*before, *query, *between, *doc, *after, self.sep], 0
        return [self.cls, *query, self.sep, *doc, self.sep], len(query) + 2

    def single(self, text: list[int]) -> tuple[list[int], int]:
        """Return a text by itself."""
        return [self.cls, *text, self.sep], 0


def run(rows: Sequence[tuple[list[int], int]], device: torch.device, model: Callable[[dict[str, Tensor]], Tensor]) -> Tensor:
    """Return what a model makes of framed rows, dims (row, ...), run in batches of like length.

    The model gets ids, mask and types, dims (row, pos).
    """
    found, order = [], []
    for numbers, inputs in _batches(rows, device):
        found.append(model(inputs))
        order.append(numbers)
    places = np.argsort(np.concatenate(order))
    return torch.cat(found)[torch.tensor(places, device=device)]


def _batches(
    rows: Sequence[tuple[list[int], int]], device: torch.device
) -> Iterator[tuple[NDArray[np.int64], dict[str, Tensor]]]:
    """Yield rows of like length: their numbers, and ids, mask and types, dims (row, pos)."""
    by_length = sorted(range(len(rows)), key=lambda row: len(rows[row][0]))
    start = 0
    while start < len(by_length):
        end = start + 1
        while end < len(by_length) and (end - start + 1) * len(rows[by_length[end]][0]) <= _TOKENS:
            end += 1
        chosen = by_length[start:end]
        longest = len(rows[chosen[-1]][0])
        ids, mask, types = (np.zeros((len(chosen), longest), np.int64) for _ in range(3))
        for at, row in enumerate(chosen):
            tokens, second = rows[row]
            ids[at, : len(tokens)], mask[at, : len(tokens)] = tokens, 1
            if second:
                types[at, second : len(tokens)] = 1
        named = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        yield np.array(chosen), {name: torch.tensor(values, device=device) for name, values in named.items()}
        start = end
