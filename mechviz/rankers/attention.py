"""The one attention function: `transformers` calls it in place of its own while a ranker runs.

It computes what eager attention computes, and shows q, k, v, the scores, the pattern and z to the hook points of
the attention module, in TransformerLens's shapes. Where nobody looks at scores or pattern it uses the fused kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

IMPLEMENTATION = "mechviz"

#: Key in the attention module's ``__dict__`` (so that torch does not register it) of the points that have hooks.
POINTS = "_mechviz_points"


def hooked_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend, with hook points.

    Parameters
    ----------
    module : nn.Module
        The attention module; its ``__dict__[POINTS]`` maps site to hook point.
    query, key, value : Tensor, dims (row, head, pos, d_head)
    attention_mask : Tensor or None
        Boolean (True may be seen) or additive, broadcast to (row, head, query_pos, key_pos).

    Returns
    -------
    tuple
        Output, dims (row, pos, head, d_head), and the pattern where it was computed.
    """
    points: Mapping[str, nn.Module] = module.__dict__.get(POINTS, {})
    query, key, value = (
        points[site](x.transpose(1, 2)).transpose(1, 2) if site in points else x
        for site, x in (("q", query), ("k", key), ("v", value))
    )
    scale = query.size(-1) ** -0.5 if scaling is None else scaling
    pattern = None
    if "attn_scores" in points or "pattern" in points:
        scores = (query @ key.transpose(2, 3)) * scale
        if attention_mask is not None:
            scores = scores + additive(attention_mask, scores.dtype)
        scores = points["attn_scores"](scores) if "attn_scores" in points else scores
        pattern = torch.softmax(scores, dim=-1)
        pattern = points["pattern"](pattern) if "pattern" in points else pattern
        z = pattern @ value
    else:
        z = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scale)
    z = z.transpose(1, 2).contiguous()
    return (points["z"](z) if "z" in points else z), pattern


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask that is added to scores: 0 where a position may be seen, the lowest number elsewhere."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)


AttentionInterface.register(IMPLEMENTATION, hooked_attention)
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
