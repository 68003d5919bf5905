"""One recorded run of a text through the stack that is patched: what the engine starts from again and again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mechviz.rankers.encoder import Hook
from mechviz.rankers.ranker import Inputs, Ranker, Readout
from mechviz.text import Tokens

#: Arguments of one layer besides the hidden state: masks, positions, whatever the architecture passes.
Call = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Run:
    """The activations of one run, each with a row dimension of 1.

    Attributes
    ----------
    inputs : mapping of stack to Tokens
    stack : str
        The one that was recorded.
    score : float
    readout : Readout
    resid_pre, attn_out : lists of Tensor, one a layer, dims (row, pos, d_model)
    z : list of Tensor, one a layer, dims (row, pos, head, d_head)
    calls : list of Call, one a layer
    z_gradient : list of Tensor or None
        Gradient of the score, dims as ``z``, where it was asked for.
    """

    inputs: Inputs
    stack: str
    score: float
    readout: Readout
    resid_pre: list[Tensor]
    attn_out: list[Tensor]
    z: list[Tensor]
    calls: list[Call]
    z_gradient: list[Tensor] | None

    @property
    def tokens(self) -> Tokens:
        """The token sequence of the recorded stack."""
        return self.inputs[self.stack]


def record(ranker: Ranker, inputs: Inputs, stack: str, readout: Readout, gradient: bool = False) -> Run:
    """Run one pair and keep what patching needs, with one backward pass if ``gradient``.

    Raises
    ------
    NonFiniteError
        NaN or inf in the score, with the layer and site where it first appears.
    """
    encoder = ranker.encoder
    kept: dict[str, list[Tensor]] = {"hook_resid_pre": [], "hook_attn_out": [], "hook_z": []}

    def keep(value: Tensor, hook: Any) -> None:
        kept[hook.name.rpartition(".")[2]].append(value)

    def start_graph(value: Tensor, hook: Any) -> Tensor:
        # From here on the graph does not depend on whether the caller has frozen the weights.
        return value.detach().requires_grad_()

    hooks: list[Hook] = [(site, keep) for site in ("resid_pre", "attn_out", "z")]
    if gradient:
        hooks.append(("hook_embed", start_graph))
    calls: list[Call] = []
    with torch.set_grad_enabled(gradient), encoder.hooks(hooks), _calls_of(encoder.layers, calls):
        score = readout(*ranker.encode([inputs[stack]]))[0]
        if not torch.isfinite(score):
            with torch.no_grad():
                raise encoder.first_non_finite(lambda: ranker.encode([inputs[stack]]))
        gradients = list(torch.autograd.grad(score, kept["hook_z"])) if gradient else None
    resid_pre, attn_out, z = ([tensor.detach() for tensor in tensors] for tensors in kept.values())
    return Run(inputs, stack, float(score.detach()), readout, resid_pre, attn_out, z, calls, gradients)


@contextmanager
def _calls_of(layers: list[torch.nn.Module], calls: list[Call]) -> Iterator[None]:
    def note(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append((args[1:], kwargs))

    handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
