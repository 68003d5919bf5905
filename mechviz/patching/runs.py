"""One recorded run of a text through the stack that is patched: what the engine starts from again and again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mechviz.rankers.checks import Inputs
from mechviz.rankers.hooked import Hook
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.readout import Readout
from mechviz.rankers.stack import Stack
from mechviz.text import Tokens

#: Arguments of one layer besides the hidden state: masks, positions, whatever the architecture passes.
Call = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Run:
    """The activations of one run, each with a row dimension of 1; lists hold one entry a layer.

    Attributes
    ----------
    inputs : mapping of stack to Tokens
    stack : str
        The one that was recorded.
    tokens : Tokens
        The sequence that it reads.
    score : float
    readout : Readout
    hidden : Tensor, dims (1, pos, d_model)
        The last hidden state.
    reads : Tensor of bool, dims (1, pos)
        Which of its positions are read.
    resid_pre : list of Tensor, dims (1, pos, d_model)
        What enters each layer.
    resid_after : list of Tensor, dims (1, pos, d_model)
        The residual stream with the stack's attention added.
    attn_out : list of Tensor, dims (1, pos, d_model)
    z : list of Tensor, dims (1, pos, head, d_head)
    calls : list of Call
    z_gradient : list of Tensor or None
        Gradient of the score, dims as ``z``, where it was asked for.
    """

    inputs: Inputs
    stack: str
    tokens: Tokens
    score: float
    readout: Readout
    hidden: Tensor
    reads: Tensor
    resid_pre: list[Tensor]
    resid_after: list[Tensor]
    attn_out: list[Tensor]
    z: list[Tensor]
    calls: list[Call]
    z_gradient: list[Tensor] | None


def record(ranker: Ranker, inputs: Inputs, stack: str, readout: Readout, gradient: bool = False) -> Run:
    """Run one pair and keep what patching needs, with one backward pass if ``gradient``.

    Raises
    ------
    NonFiniteError
        NaN or inf in the score, with the layer and site where it first appears.
    """
    tower, part = ranker.towers[stack], ranker.stack(stack)
    kept: dict[str, list[Tensor]] = {"resid_pre": [], "after": [], "attn_out": [], "z": []}

    def keep(site: str) -> Hook:
        names = {part.hook(layer, site) for layer in range(part.n_layers)}

        def look(value: Tensor, hook: Any) -> Tensor:
            if gradient and site == "z" and not value.requires_grad:
                # The graph must not depend on whether the caller has frozen the weights.
                value = value.detach().requires_grad_()
            kept[site].append(value)
            return value

        return (names.__contains__, look)

    calls: list[Call] = []
    with torch.set_grad_enabled(gradient), tower.hooks([keep(site) for site in kept]), _calls_of(part, calls):
        hidden, reads = ranker.encode([inputs], stack)
        score = readout(hidden, reads)[0]
        if not torch.isfinite(score):
            with torch.no_grad():
                raise ranker.first_non_finite(lambda: ranker.score_inputs([inputs]))
        gradients = list(torch.autograd.grad(score, kept["z"])) if gradient else None
    still = {site: [value.detach() for value in values] for site, values in kept.items()}
    return Run(
        inputs=inputs,
        stack=stack,
        tokens=inputs[ranker.text_of(stack)],
        score=float(score.detach()),
        readout=readout,
        hidden=hidden.detach(),
        reads=reads,
        resid_pre=still["resid_pre"],
        resid_after=still["after"],
        attn_out=still["attn_out"],
        z=still["z"],
        calls=calls,
        z_gradient=gradients,
    )


@contextmanager
def _calls_of(part: Stack, calls: list[Call]) -> Iterator[None]:
    def note(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append((_detached(args[1:]), _detached(kwargs)))

    handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in part.layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, tuple):
        return tuple(_detached(item) for item in value)
    if isinstance(value, dict):
        return {key: _detached(item) for key, item in value.items()}
    return value
