"""From hidden states to logits, in float32 whatever the model computes in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mechviz.rankers.families import VocabularyHead


def apply_steps(model: nn.Module, steps: Sequence[str | Callable[[Any], Any]], hidden: Tensor) -> Tensor:
    """Apply module paths of ``model`` and functions one after the other, in float32."""
    hidden = hidden.float()
    for step in steps:
        hidden = step(hidden) if callable(step) else in_float32(model.get_submodule(step), hidden)
    return hidden


def in_float32(module: nn.Module, x: Tensor) -> Tensor:
    """Call a module as if its weights were float32; hooks on it fire."""
    if all(tensor.dtype == torch.float32 for tensor in module.parameters()):
        return module(x)  # type: ignore[no-any-return]
    weights = {name: tensor.float() for name, tensor in module.named_parameters()}
    return torch.func.functional_call(module, weights, (x,))  # type: ignore[no-any-return]


class TermLogits:
    """Logits of chosen vocabulary terms from hidden states.

    Parameters
    ----------
    model : nn.Module
        The model with the head.
    head : VocabularyHead
    terms : Tensor of int or None
        Which terms; None for all.
    """

    def __init__(self, model: Any, head: VocabularyHead, terms: Tensor | None = None) -> None:
        self.model, self.head = model, head
        self.scale = head.scale(model.config)
        decoder = model.get_submodule(head.decoder)
        self.weight = decoder.weight.float() if terms is None else decoder.weight[terms].float()
        self.bias = None if decoder.bias is None else (decoder.bias if terms is None else decoder.bias[terms]).float()

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return logits, dims (..., term), for ``hidden``, dims (..., d_model)."""
        hidden = apply_steps(self.model, self.head.steps, hidden) * self.scale
        return nn.functional.linear(hidden, self.weight, self.bias)
