"""Products with a weight that stays: the same numbers as `torch.nn.functional.linear`, faster where oneDNN can do them.

PyTorch hands float32 products on a CPU to MKL with the weight as it lies. oneDNN, which comes with PyTorch too, packs the weight
once into the blocks that its kernel reads, adds the bias and applies GELU while a block is still in the cache. The operators
are those that `torch.compile` emits.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

_OPERATORS: Any = torch.ops.mkldnn

#: Rows that a weight is packed for; other numbers of them are right too.
_ROWS = 1536


class Product:
    """``x @ weight.T + bias``, and GELU of it if asked for.

    Parameters
    ----------
    weight : Tensor, dims (out, in)
    bias : Tensor, dims (out)
    gelu : bool
        Whether exact GELU follows.
    """

    def __init__(self, weight: Tensor, bias: Tensor, gelu: bool = False) -> None:
        self.weight, self.bias, self.gelu = weight.detach(), bias.detach(), gelu
        packs = weight.dtype == torch.float32 and weight.device.type == "cpu" and _packs()
        self.packed: Tensor | None = _pack(self.weight) if packs else None

    def __call__(self, x: Tensor) -> Tensor:
        """Return the product, dims (..., out), for ``x``, dims (..., in); no gradient passes."""
        if self.packed is not None:
            return _apply(x, self.packed, self.bias, self.gelu)
        return _plain(x, self.weight, self.bias, self.gelu)


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = _OPERATORS._reorder_linear_weight(weight, _ROWS)
    return packed


def _apply(x: Tensor, packed: Tensor, bias: Tensor, gelu: bool) -> Tensor:
    product: Tensor = _OPERATORS._linear_pointwise(x, packed, bias, "gelu" if gelu else "none", [], "none")
    return product


@cache
def _packs() -> bool:
    """Return whether this build of PyTorch has the operators, and they are right: tried once on a small product."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*shape, generator=generator) for shape in ((3, 5, 32), (48, 32), (48,)))
    try:
        with torch.no_grad():
            return all(
                torch.allclose(_apply(x, _pack(weight), bias, gelu), _plain(x, weight, bias, gelu), atol=1e-5)
                for gelu in (False, True)
            )
    except (AttributeError, RuntimeError, NotImplementedError):
        return False


def _plain(x: Tensor, weight: Tensor, bias: Tensor, gelu: bool) -> Tensor:
    out = F.linear(x, weight, bias)
    # The widest tensor of a layer: this form of GELU does not allocate it a second time.
    return cast(Tensor, torch.ops.aten.gelu_(out)) if gelu else out
