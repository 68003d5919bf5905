"""What is not linear in a model, held as it is in one run, and every constant a summand of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

#: Below this a curve's slope is taken here instead: at 0 there is no line through 0 and the point.
_NEAR = 1e-4


@dataclass(frozen=True, eq=False)
class Written:
    """What a component writes, or a constant of the model: one summand.

    Attributes
    ----------
    kind : ``"embed"``, ``"head"`` (all of one layer), ``"mlp"``, ``"bias"`` or ``"rest"``
    stack : str
    layer : int
        -1 of what is in no layer.
    leaf : Tensor
        Dims (1, pos, ...); of a constant, the parameter's.
    name : str
        Of a constant: what it is.
    """

    kind: str
    stack: str
    layer: int
    leaf: Tensor
    name: str = ""


class Held(TorchFunctionMode):
    """Replaces what is not linear by the line of this run, and makes every constant a summand."""

    def __init__(self, known: Mapping[int, tuple[str, int, str]]) -> None:
        super().__init__()
        self.known, self.constants, self.curves = known, list[Written](), False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what torch would, or what is said for it here."""
        kwargs = kwargs or {}
        if (held := _HELD.get(func)) is not None:
            return held(self, *args, **kwargs)
        if self.curves and func in _CURVES:
            return _line(func, *args, **kwargs)
        return func(*args, **kwargs)

    def constant(self, parameter: Tensor | None) -> Tensor | None:
        """Return a bias as a summand of its own."""
        if parameter is None:
            return None
        stack, layer, name = self.known.get(id(parameter), ("", -1, "readout"))
        leaf = parameter.detach().clone().requires_grad_()
        self.constants.append(Written("bias", stack, layer, leaf, name))
        return leaf

    def offset(self, value: float, like: Tensor, name: str) -> Tensor:
        """Return a number, which the readout adds, as a summand of its own."""
        leaf = torch.full((), value, dtype=like.dtype, device=like.device, requires_grad=True)
        self.constants.append(Written("rest", "", -1, leaf, name))
        return leaf


# -- the lines -------------------------------------------------------------------------------------------------------


def _layer_norm(
    held: Held, x: Tensor, shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    dims = tuple(range(-len(shape), 0))
    centred = x.float() - x.float().mean(dims, keepdim=True)
    scale = (centred.square().mean(dims, keepdim=True) + eps).rsqrt().detach()
    normed = centred * scale
    normed = normed if weight is None else normed * weight
    constant = held.constant(bias)
    return (normed if constant is None else normed + constant).to(x.dtype)


def _rms_norm(held: Held, x: Tensor, shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    dims = tuple(range(-len(shape), 0))
    least = torch.finfo(x.dtype).eps if eps is None else eps
    normed = x.float() * (x.float().square().mean(dims, keepdim=True) + least).rsqrt().detach()
    return (normed if weight is None else normed * weight).to(x.dtype)


def _linear(held: Held, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    constant = held.constant(bias)
    product = F.linear(x, weight)
    return product if constant is None else product + constant


def _addmm(held: Held, bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    constant = held.constant(bias)
    assert constant is not None
    return x @ weight + constant


def _normalize(held: Held, x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(x, p, dim, keepdim=True)
    return x / length.clamp_min(eps).detach()


def _scale(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Hold what an RMSNorm multiplies by."""

    def detached(held: Held, *args: Any, **kwargs: Any) -> Tensor:
        return function(*args, **kwargs).detach()

    return detached


def _log_softmax(held: Held, x: Tensor, dim: int = -1, **kwargs: Any) -> Tensor:
    """Two logits: log(1/2), where they are equal, and a line in their difference."""
    value = torch.log_softmax(x, dim, **kwargs)
    if not held.curves or x.shape[dim] != 2:
        return value
    difference = x - x.flip(dim)
    return held.offset(-math.log(2), x, "log(1/2)") + _line(lambda d: F.logsigmoid(d) + math.log(2), difference)


def _line(function: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Return a curve through 0 as the line through 0 and the point where it is."""
    given = x.detach()
    away = torch.where(given.abs() < _NEAR, torch.copysign(torch.full_like(given, _NEAR), given), given)
    slope: Tensor = function(away, *args, **kwargs) / away
    return x * slope


_HELD: dict[Any, Callable[..., Tensor]] = {
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.linear: _linear,
    torch.addmm: _addmm,
    F.normalize: _normalize,
    torch.rsqrt: _scale(torch.rsqrt),
    Tensor.rsqrt: _scale(Tensor.rsqrt),
    torch.log_softmax: _log_softmax,
    F.log_softmax: _log_softmax,
}

_CURVES = {torch.tanh, Tensor.tanh, F.tanh, torch.relu, F.relu, Tensor.relu, F.gelu, F.silu, F.elu, F.leaky_relu}
_CURVES |= {F.softsign, torch.log1p, Tensor.log1p, nn.functional.mish}
