"""What a plan shall give, by hand: torch hooks on the plain `transformers` model, eager attention, one text at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification

import mechviz as mv
from mechviz.text import Tokens

QUERY = "why are hot springs warm"
DOCS = (
    "Hot springs are warm because water is heated by rock and rises again through cracks.",
    "Bread and tea.",
    "The moon makes tides: water rises and falls twice a day.",
    "Water is warm.",
)
#: Ragged: texts of different lengths, with words added, taken away and replaced.
PAIRS = [
    (QUERY, DOCS[0], DOCS[0] + " volcano lava"),
    (QUERY, DOCS[1], "hot bread and tea"),
    ("what makes tides", DOCS[2], "The moon makes tides."),
    (QUERY, DOCS[3], "Water is cold."),
]

Change = Callable[[Tensor], Tensor]
#: Site, layer, and what becomes of the activation there, dims (pos, feature).
Edit = tuple[str, int, Change]


class Hand:
    """A tiny BERT cross-encoder."""

    def __init__(self, folder: Path) -> None:
        self.model = BertForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()

    def place(self, site: str, layer: int) -> tuple[nn.Module, bool]:
        """Return a module, and whether the site is its input."""
        block: Any = self.model.bert.encoder.layer[layer]
        return {
            "hook_resid_pre": (block, True),
            "hook_resid_post": (block, False),
            "attn.hook_q": (block.attention.self.query, False),
            "attn.hook_k": (block.attention.self.key, False),
            "attn.hook_v": (block.attention.self.value, False),
            "attn.hook_z": (block.attention.output.dense, True),
            "hook_attn_out": (block.attention.output.dense, False),
            "mlp.hook_post": (block.output.dense, True),
            "hook_mlp_out": (block.output.dense, False),
        }[site]

    @torch.no_grad()
    def score(self, tokens: Tokens, edits: Sequence[Edit] = (), seen: dict[tuple[str, int], Tensor] | None = None) -> float:
        """Score a text with edits; put what is at the sites in ``seen`` there, dims (pos, feature)."""
        handles = [self._hook(site, layer, change) for site, layer, change in edits]
        for site, layer in seen or {}:
            handles.append(self._hook(site, layer, self._keep(seen, (site, layer))))
        batch = {"input_ids": tokens.ids, "attention_mask": tokens.mask, "token_type_ids": tokens.types}
        try:
            logits = self.model(**{name: torch.tensor(array.astype(np.int64))[None] for name, array in batch.items()}).logits
        finally:
            for handle in handles:
                handle.remove()
        return float(logits[0, 0])

    def at(self, tokens: Tokens, site: str, layer: int, edits: Sequence[Edit] = ()) -> Tensor:
        """Return what is at a site, dims (pos, feature)."""
        seen = {(site, layer): torch.empty(0)}
        self.score(tokens, edits, seen)
        return seen[site, layer]

    def _keep(self, seen: dict[tuple[str, int], Tensor], key: tuple[str, int]) -> Change:
        def keep(value: Tensor) -> Tensor:
            seen[key] = value.clone()
            return value

        return keep

    def _hook(self, site: str, layer: int, change: Change) -> Any:
        module, enters = self.place(site, layer)
        if enters:
            return module.register_forward_pre_hook(lambda _, args: (change(args[0][0])[None], *args[1:]))

        def leaving(_: nn.Module, args: Any, output: Any) -> Any:
            whole = output[0] if isinstance(output, tuple) else output
            new = change(whole[0])[None]
            return (new, *output[1:]) if isinstance(output, tuple) else new

        return module.register_forward_hook(leaving)


def runs(ranker: Any, pair: tuple[str, str, str]) -> tuple[Tokens, Tokens]:
    """Return the base and source tokens of a pair, of one length."""
    made = mv.make_pair(ranker, pair[0], pair[1], pair[2])
    return made.base, made.source


def full(site: str, layer: int) -> str:
    return f"blocks.{layer}.{site}"


def put(rows: Sequence[int] | slice, columns: Sequence[int] | slice, change: Change) -> Change:
    """Return a change of some positions and features only."""

    def whole(value: Tensor) -> Tensor:
        index = (rows, columns) if isinstance(rows, slice) or isinstance(columns, slice) else np.ix_(rows, columns)
        new = value.clone()
        new[index] = change(value)[index]
        return new

    return whole


def noise(tokens: Tokens, seed: int, shape: tuple[int, ...]) -> Tensor:
    drawn = np.random.default_rng([seed, crc32(tokens.ids.tobytes())]).standard_normal(shape)
    return torch.tensor(drawn, dtype=torch.float32)
