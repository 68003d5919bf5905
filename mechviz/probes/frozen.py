"""A run of one pair in which a score is a sum: norms keep the scale, and heads the pattern, that they had in this run.

What is not linear in a ranker is held at the value that it has for this pair. A norm divides by the same number, whatever
enters it; a head mixes values by the same pattern; a curve of the readout (tanh, relu, gelu, the log-softmax of two labels) is
the straight line through 0 and the point where it is, so that its value stays what it was. What heads, MLPs and embeddings
write then adds up to the score exactly, each by the path from there to the readout (Elhage et al. 2021). Derivatives of this
run are the factors of that sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mechviz.probes.held import Held, Written
from mechviz.rankers.checks import Inputs
from mechviz.rankers.hooked import site_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.rankers.stack import Stack
from mechviz.text.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Share:
    """What one `Written` adds to a number.

    Attributes
    ----------
    of : Written
    factor : Tensor
        What it is multiplied by, dims as its leaf.
    values : float64 array, dims (pos) or (pos, head); () of a constant
    """

    of: Written
    factor: Tensor
    values: NDArray[np.float64]


@dataclass(eq=False)
class Reading:
    """How the heads of one attention read.

    Attributes
    ----------
    stack : str
    layer : int
    made : dict of str to Tensor
        ``q``, ``k``, ``v``, dims (1, pos, head, d_head), and ``z``, with the way back to what earlier components wrote (``z`` to
        ``v``); ``q`` and ``k`` are missing where they have no effect.
    leaves : dict of str to Tensor
        ``q`` and ``k`` again, from which ``attn_scores`` is made.
    pattern : Tensor, dims (head, query_pos, key_pos)
    scores : Tensor or None, dims (1, head, query_pos, key_pos)
    """

    stack: str
    layer: int
    made: dict[str, Tensor]
    leaves: dict[str, Tensor]
    pattern: Tensor
    scores: Tensor | None = None


class FrozenRun:
    """A run of one pair, with all that is not linear held.

    Parameters
    ----------
    ranker : Ranker
    inputs : Inputs
    stack : str
        Whose run: where two texts are read apart, the other's vector is held too.
    through_cross : bool
        Whether what the decoder's attention to the encoder reads counts for what was written in the encoder, instead of for
        those heads (MonoT5).

    Attributes
    ----------
    tokens : Tokens
    score : float
        The ranker's own score.
    written : list of Written
    readings : dict of (str, int) to Reading
        By stack and layer.
    neurons : dict of (str, int) to (Tensor, Tensor)
        By stack and layer: the activations of the neurons, dims (1, pos, neuron), and the MLP's output made from them.
    """

    def __init__(self, ranker: Ranker, inputs: Inputs, stack: str, through_cross: bool = False) -> None:
        self.ranker, self.stack = ranker, stack
        self.tokens: Tokens = inputs[ranker.text_of(stack)]
        self.tower = ranker.towers[stack]
        self.names = {name: stack if len(self.tower.stacks) == 1 else name for name in self.tower.stacks}
        self.written: list[Written] = []
        self.readings: dict[tuple[str, int], Reading] = {}
        self.neurons: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}
        last = ranker.stacks[-1] if stack in self.tower.stacks else stack  # T5's encoder is read by its decoder
        with torch.no_grad():
            self.score = float(ranker.score_inputs([inputs])[0])
            readout = ranker.readout(last, inputs)  # runs the other text, so before there are hooks
        if not math.isfinite(self.score):
            with torch.no_grad():
                raise ranker.first_non_finite(lambda: ranker.score_inputs([inputs]))
        held = Held(self._constants())
        with torch.enable_grad(), held:
            with self.tower.hooks(self._hooks(through_cross)):
                hidden, reads = ranker.encode([inputs], last)
            held.curves = True
            self.out = readout(hidden, reads)[0]
        self.written += held.constants

    def shares(self, number: Tensor | None = None, along: Tensor | None = None) -> list[Share]:
        """Return what everything that was written adds to a number of this run; default the score.

        Parameters
        ----------
        number : Tensor, optional
            A tensor of the run.
        along : Tensor, optional
            What each entry of it is multiplied by.

        Returns
        -------
        list of Share
            Of what has a path there. They sum to the number.
        """
        leaves = [one.leaf for one in self.written]
        number = self.out if number is None else number
        factors = torch.autograd.grad(number, leaves, along, retain_graph=True, allow_unused=True)
        return [
            Share(one, factor, _product(one, factor))
            for one, factor in zip(self.written, factors, strict=True)
            if factor is not None
        ]

    def pull(self, number: Tensor, sources: Sequence[Tensor], along: Tensor) -> list[Tensor]:
        """Return the factors of some tensors of the run in a number, zeros where there is no path."""
        found = torch.autograd.grad(number, list(sources), along, retain_graph=True, allow_unused=True)
        return [torch.zeros_like(source) if one is None else one for source, one in zip(sources, found, strict=True)]

    # -- the run -------------------------------------------------------------------------------------------------

    def _hooks(self, through_cross: bool) -> list[tuple[str, Callable[..., Tensor | None]]]:
        hooks: list[tuple[str, Callable[..., Tensor | None]]] = []
        for name, part in self.tower.stacks.items():
            owner = part.attention is part.blocks.attentions[0]
            if owner:
                hooks.append((part.hook(0, "resid_pre"), self._leaf("embed", self.names[name], -1)))
            for layer in range(part.n_layers):
                reading = Reading(self.names[name], layer, {}, {}, torch.empty(0))
                self.readings[reading.stack, layer] = reading
                offered = part.attention.sites
                sites = [site for site in ("q", "k", "attn_scores", "v", "pattern") if site in offered]
                hooks += [(part.hook(layer, site), _reader(reading)) for site in sites]
                if not (through_cross and name == "cross"):
                    hooks.append((part.hook(layer, "z"), self._leaf("head", self.names[name], layer, reading)))
                if owner and part.d_mlp:
                    hooks += self._mlp(part, self.names[name], layer)
        return hooks

    def _leaf(self, kind: str, stack: str, layer: int, reading: Reading | None = None) -> Callable[..., Tensor]:
        def cut(value: Tensor, hook: Any) -> Tensor:
            if reading is not None:
                reading.made["z"] = value
            leaf = value.detach().requires_grad_()
            self.written.append(Written(kind, stack, layer, leaf))
            return leaf

        return cut

    def _mlp(self, part: Stack, stack: str, layer: int) -> list[tuple[str, Callable[..., Tensor]]]:
        post: list[Tensor] = []

        def neurons(value: Tensor, hook: Any) -> Tensor:
            post[:] = [value.detach().requires_grad_()]
            return post[0]

        def out(value: Tensor, hook: Any) -> Tensor:
            self.neurons[stack, layer] = post[0], value
            leaf = value.detach().requires_grad_()
            self.written.append(Written("mlp", stack, layer, leaf))
            return leaf

        return [(part.hook(layer, "mlp_post"), neurons), (part.hook(layer, "mlp_out"), out)]

    def _constants(self) -> dict[int, tuple[str, int, str]]:
        """Return stack, layer and name of the parameters in layers and final norms, by identity."""
        found: dict[int, tuple[str, int, str]] = {}
        for name, part in reversed(self.tower.stacks.items()):
            for layer, module in enumerate(part.layers):
                found |= {id(parameter): (self.names[name], layer, path) for path, parameter in module.named_parameters()}
            if part.final is not None:
                found |= {id(one): (self.names[name], -1, f"final norm {path}") for path, one in part.final.named_parameters()}
        return found


def frozen_run(ranker: Ranker, query: str, doc: str, stack: str | None = None, truncate: bool = False) -> FrozenRun:
    """Check and run a pair; ``stack`` as in `score_contributions`.

    Raises
    ------
    InputError, InputTypeError
        No ranker, no such stack, a text that cannot be scored.
    """
    check_ranker(ranker)
    stack = ranker.stacks[-1] if stack is None else stack
    ranker.check_stack(stack)
    (inputs,) = ranker.checked_inputs([(query, doc)], truncate)
    return FrozenRun(ranker, inputs, stack, through_cross=stack == "encoder" and "cross" in ranker.stacks)


def by_source(pattern: Tensor, v: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Return what one head reads from each source position, and the factor of the value there.

    Parameters
    ----------
    pattern : Tensor, dims (query_pos, key_pos)
    v, factor : Tensor, dims (key_pos, d_head) and (query_pos, d_head)
        The head's values, and the factor of its output in some number.

    Returns
    -------
    tuple of Tensor
        Dims (key_pos), which sum to what the head adds to the number, and (key_pos, d_head); float64.
    """
    of_value = pattern.double().T @ factor.double()
    return (of_value * v.detach().double()).sum(-1), of_value


def _reader(reading: Reading) -> Callable[..., Tensor | None]:
    def keep(value: Tensor, hook: Any) -> Tensor | None:
        site = site_of(hook.name)
        if site == "pattern":
            reading.pattern = value.detach()[0]
            return value.detach()
        if site == "attn_scores":
            reading.scores = value
            return None
        reading.made[site] = value
        if site == "v":
            return None
        reading.leaves[site] = value.detach().requires_grad_()
        return reading.leaves[site]

    return keep


def _product(one: Written, factor: Tensor) -> NDArray[np.float64]:
    product = one.leaf.detach().double() * factor.double()
    if one.kind in ("bias", "rest"):
        return np.asarray(product.sum().item())
    summed: NDArray[np.float64] = product[0].sum(-1).cpu().numpy()
    return summed
