"""From the hidden states of a text to one vector."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def cls(hidden: Tensor, reads: Tensor) -> Tensor:
    """Return the first position."""
    return hidden[:, 0]


def mean(hidden: Tensor, reads: Tensor) -> Tensor:
    """Return the mean over the positions that are read."""
    weight = reads[..., None].to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1e-9)


def maximum(hidden: Tensor, reads: Tensor) -> Tensor:
    """Return the maximum of each dimension over the positions that are read."""
    return hidden.masked_fill(~reads[..., None].bool(), -torch.inf).amax(1)


def last(hidden: Tensor, reads: Tensor) -> Tensor:
    """Return the last position that is read."""
    positions = torch.arange(hidden.shape[1], device=hidden.device)
    at = torch.where(reads.bool(), positions, -1).amax(1).expand(hidden.shape[0])
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), at]


#: Each takes hidden states, dims (row, pos, d_model), and what is read, dims (row or 1, pos); gives dims (row, d_model).
POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"cls": cls, "mean": mean, "max": maximum, "last": last}
