"""The one attention function: `transformers` calls it in place of its own while a ranker runs.

It computes what eager attention computes, and shows q, k, v, the scores, the pattern and z to the hook points of
the attention module, in TransformerLens's shapes. Where nobody looks at scores or pattern it uses the fused kernel.

Two architectures do not call an attention function: MPNet and DeBERTa compute attention inside their modules. While a
ranker with hooks there runs, `FORWARDS` takes the place of those modules' ``forward``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    position_bias: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend, with hook points.

    Parameters
    ----------
    module : nn.Module
        The attention module; its ``__dict__[POINTS]`` maps site to hook point.
    query : Tensor, dims (row, head, query_pos, d_head)
    key, value : Tensor, dims (row or 1, key head, key_pos, d_head)
        One key head may serve several heads (grouped-query attention).
    attention_mask : Tensor or None
        Boolean (True may be seen) or additive, broadcast to (row, head, query_pos, key_pos).
    position_bias : Tensor or None
        Added to the scores, broadcast likewise.

    Returns
    -------
    tuple
        Output, dims (row, query_pos, head, d_head), and the pattern where it was computed.
    """
    points: Mapping[str, nn.Module] = module.__dict__.get(POINTS, {})
    if len(key) != len(query):
        key, value = (x.expand(len(query), -1, -1, -1) for x in (key, value))
    if points:
        query, key, value = (_shown(points, site, x) for site, x in (("q", query), ("k", key), ("v", value)))
    scale = query.size(-1) ** -0.5 if scaling is None else scaling
    return attend(points, query, key, value, _joined(attention_mask, position_bias), scale)


def attend(
    points: Mapping[str, nn.Module],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float,
    blind: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attend with q, k and v that the hook points have seen, dims as in `hooked_attention`.

    ``blind`` says that a position may see nothing at all: a softmax over equal scores is even then, which torch's own attention
    on a GPU is not.
    """
    shared = query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = (x.repeat_interleave(shared, dim=1) for x in (key, value))
    pattern = None
    if blind or "attn_scores" in points or "pattern" in points:
        scores = (query @ key.transpose(2, 3)) * scale
        if mask is not None:
            scores = scores + additive(mask, scores.dtype)
        if "attn_scores" in points:
            vars(points["attn_scores"])["scale"] = scale  # for who explains a score: what position and mask add is the rest
            scores = points["attn_scores"](scores)
        pattern = torch.softmax(scores, dim=-1, dtype=torch.promote_types(torch.float32, query.dtype)).to(query.dtype)
        pattern = points["pattern"](pattern) if "pattern" in points else pattern
        z = pattern @ value
    else:
        z = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    z = z.transpose(1, 2).contiguous()
    return (points["z"](z) if "z" in points else z), pattern


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask that is added to scores: 0 where a position may be seen, the lowest number elsewhere."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)


def _shown(points: Mapping[str, nn.Module], site: str, x: Tensor) -> Tensor:
    """Lead q, k or v, dims (row, head, pos, d_head), through its hook point, which sees (row, pos, head, d_head)."""
    if site not in points:
        return x
    seen: Tensor = points[site](x.transpose(1, 2))
    return seen.transpose(1, 2)


def _joined(mask: Tensor | None, bias: Tensor | None) -> Tensor | None:
    if bias is None:
        return mask
    if mask is None:
        return bias
    return torch.where(mask, bias, torch.finfo(bias.dtype).min) if mask.dtype == torch.bool else bias + mask


def _mask(*args: Any, **kwargs: Any) -> Tensor | None:
    # Without a mask `transformers` would rely on the causality of its own attention function.
    return sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False})


def _mpnet(
    module: Any, hidden: Tensor, attention_mask: Tensor, position_bias: Tensor, output_attentions: bool = False, **kwargs: Any
) -> tuple[Tensor, ...]:
    """Do what ``MPNetSelfAttention.forward`` does."""
    shape = (*hidden.shape[:-1], -1, module.attention_head_size)
    q, k, v = (project(hidden).view(shape).transpose(1, 2) for project in (module.q, module.k, module.v))
    z, pattern = hooked_attention(module, q, k, v, attention_mask, position_bias=position_bias)
    out = module.o(z.flatten(2))
    return (out, pattern) if output_attentions and pattern is not None else (out,)


def _deberta(
    module: Any,
    hidden: Tensor,
    attention_mask: Tensor,
    output_attentions: bool = False,
    query_states: Tensor | None = None,
    relative_pos: Tensor | None = None,
    rel_embeddings: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Do what ``DisentangledSelfAttention.forward`` does; an edit of q or k reaches the terms of relative position too."""
    points: Mapping[str, nn.Module] = module.__dict__.get(POINTS, {})
    heads = module.num_attention_heads

    def project(site: str, linear: nn.Module, x: Tensor) -> Tensor:
        return _shown(points, site, linear(x).unflatten(-1, (heads, -1)).transpose(1, 2))

    q = project("q", module.query_proj, hidden if query_states is None else query_states)
    k, v = project("k", module.key_proj, hidden), project("v", module.value_proj, hidden)
    terms = 1 + ("c2p" in module.pos_att_type) + ("p2c" in module.pos_att_type)
    bias = torch.zeros((), dtype=q.dtype, device=q.device)
    if module.relative_attention and terms > 1:
        bias = module.disentangled_attention_bias(q.flatten(0, 1), k.flatten(0, 1), relative_pos, rel_embeddings, terms)
        bias = bias.unflatten(0, (-1, heads))
    # A row of padding may look nowhere; as in the original it gets the lowest score everywhere, not a NaN.
    mask = _joined(attention_mask.bool(), bias)
    z, pattern = attend(points, q, k, v, mask, (q.shape[-1] * terms) ** -0.5, blind=True)
    return z.flatten(2), pattern if output_attentions else None


#: Class of an attention module that calls no attention function -> what computes the same with hook points.
FORWARDS: dict[str, Callable[..., Any]] = {"MPNetSelfAttention": _mpnet, "DisentangledSelfAttention": _deberta}

AttentionInterface.register(IMPLEMENTATION, hooked_attention)
AttentionMaskInterface.register(IMPLEMENTATION, _mask)
