"""How much heads read what earlier heads write, by their weights alone: Q-, K- and V-composition."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.probes.held import Held
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.rankers.stack import Stack, find

if TYPE_CHECKING:
    from mechviz.views import View

WAYS = ("q", "k", "v")


@dataclass(frozen=True, eq=False)
class Composition:
    """Composition of every pair of heads in different layers.

    Attributes
    ----------
    ratios : DataArray, dims (way, from_layer, from_head, to_layer, to_head)
        ``way`` is ``"q"``, ``"k"`` or ``"v"``: by which input the later head reads; NaN where it is not later.
    baseline : float
        What two heads have that are turned against each other at random: 1 / sqrt(d_model).
    folded : bool
        Whether norms between the heads are folded in.
    """

    ratios: xr.DataArray
    baseline: float
    folded: bool
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def corrected(self) -> xr.DataArray:
        """The ratios less the baseline, dims as they have; 0 is chance."""
        return (self.ratios - self.baseline).rename("composition above chance")

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a way and pair of heads, the largest first: the dimensions, ``ratio`` and ``corrected``."""
        frame = self.ratios.rename("ratio").to_dataframe().reset_index().dropna(subset="ratio")
        frame["corrected"] = frame["ratio"] - self.baseline
        return frame.sort_values("ratio", ascending=False, kind="stable").reset_index(drop=True)

    def top(self, n: int = 10) -> pd.DataFrame:
        """Return the largest ``n`` rows of `to_dataframe`."""
        return self.to_dataframe().head(n)

    def show(self, theme: str = "auto") -> View:
        """Return the corrected ratios in the tensor browser."""
        from mechviz import views

        return views.tensor(self.corrected, title="Composition of heads, above chance", theme=theme)

    def __repr__(self) -> str:
        n = self.ratios.sizes
        norms = "folded in" if self.folded else "left out"
        return f"Composition({n['from_layer']} layers x {n['from_head']} heads, norms {norms}, chance {self.baseline:.3f})"


def composition(ranker: Ranker, stack: str | None = None, fold_norms: bool = True) -> Composition:
    """Measure how much of what a head writes a later head's query, key and value can read.

    ``||W_OV^1 M|| / (||W_OV^1|| ||M||)`` in Frobenius norms, where M is W_QK of the later head (``q``), its transpose (``k``), or
    its W_OV (``v``) (Elhage et al. 2021). Turning one of the two matrices by a random rotation, whatever their spectra, gives
    1 / sqrt(d_model) (exactly so in the mean of squares), which is the baseline. Rotary positions are left out: weights say
    nothing of distance.

    Parameters
    ----------
    ranker : Ranker
    stack : str, optional
        Default that of the document.
    fold_norms : bool
        Whether the centring and the gains of the norms between the two heads belong to M: of the norm before attention in
        pre-norm layers, and of all norms that the stream passes on the way in post-norm layers (BERT).

    Returns
    -------
    Composition

    Raises
    ------
    InputError, InputTypeError
        A stack whose heads read another stream (T5's decoder at its one step, and its cross attention); one layer.

    References
    ----------
    Elhage et al., "A mathematical framework for transformer circuits", Transformer Circuits Thread, 2021.
    """
    check_ranker(ranker)
    if not isinstance(fold_norms, bool):
        raise InputTypeError(f"fold_norms must be True or False, not {shown(fold_norms)}")
    stack = ranker.stack_of("doc") if stack is None else stack
    ranker.check_stack(stack)
    part = ranker.stack(stack)
    if ranker.text_of(stack) != stack:
        raise InputError(f"the heads of stack={stack!r} read one step or another stream; give {ranker.text_of(stack)!r}")
    if part.n_layers < 2:
        raise InputError("one layer: no head reads what another wrote")
    read = _read_weights(ranker, stack, fold_norms)
    written = [part.w_o(layer).detach().double().cpu() for layer in range(part.n_layers)]
    found = np.full((len(WAYS), *(part.n_layers, part.n_heads) * 2), np.nan)
    for to in range(1, part.n_layers):
        q, k, v = read[to]
        sides = {"q": (q, _gram(k)), "k": (k, _gram(q)), "v": (v, _gram(written[to].mT))}
        for number, way in enumerate(WAYS):
            reads, after = sides[way]
            for origin in range(to - 1, -1, -1):
                if fold_norms:
                    reads = _through_norms(part, origin, reads)
                found[number, origin, :, to, :] = _ratios(read[origin][2], written[origin], reads, after).numpy()
    dims = ("way", "from_layer", "from_head", "to_layer", "to_head")
    layers, heads = np.arange(part.n_layers), np.arange(part.n_heads)
    coords = {"way": list(WAYS), "from_layer": layers, "from_head": heads, "to_layer": layers, "to_head": heads}
    ratios = xr.DataArray(found, dims=dims, coords=coords, name="composition")
    return Composition(ratios, part.d_model**-0.5, fold_norms, {**provenance_of(ranker), "stack": stack})


def _ratios(v: Tensor, o: Tensor, reads: Tensor, after: Tensor) -> Tensor:
    """Return the ratios of all heads of one layer to all of another, dims (from_head, to_head).

    ``v`` and ``reads`` have dims (head, d_model, d_head), ``o`` (head, d_head, d_model); ``after``, (head, d_head, d_head), is
    the gram matrix of what follows ``reads`` in the later head. With it no array of (d_model, d_model) is made.
    """
    before = _gram(v)
    between = torch.einsum("ard,bde->abre", o, reads)
    numerator = torch.einsum("ars,abse,bef,abrf->ab", before, between, after, between)
    first = torch.einsum("ars,asd,ard->a", before, o, o)
    second = torch.einsum("bef,bef->b", _gram(reads), after)
    return (numerator / (first[:, None] * second)).clamp_min(0).sqrt()


def _gram(x: Tensor) -> Tensor:
    return x.mT @ x


def _through_norms(part: Stack, layer: int, reads: Tensor) -> Tensor:
    """Return what reads the stream at a layer's attention, given what reads it after the layer, dims (head, d_model, d_head)."""
    if not part.blocks.attn_norm:
        return reads
    for path in (part.blocks.mlp_norm, part.blocks.attn_norm):  # backwards
        norm = find(part.layers[layer], path, optional=True)
        if norm is not None:
            reads = reads if norm.weight is None else reads * norm.weight.detach().double().cpu()[:, None]
            reads = reads - reads.mean(dim=-2, keepdim=True)
    return reads


def _read_weights(ranker: Ranker, stack: str, fold_norms: bool) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return W_Q, W_K and W_V of every layer, dims (head, d_model, d_head), float64.

    They are the derivatives of q, k and v at one position by what enters there, so that no family has to say where its weights
    are, and how they lie. Before attention a norm divides by a number, which cancels in a ratio.
    """
    part, tower = ranker.stack(stack), ranker.towers[stack]
    (inputs,) = ranker.checked_inputs([("query", "document")])
    leaves: dict[int, Tensor] = {}
    made: dict[str, Tensor] = {}

    def enter(layer: int) -> Callable[[Tensor], Tensor]:
        def leaf(value: Tensor) -> Tensor:
            leaves[layer] = value.detach().requires_grad_()
            return leaves[layer]

        return leaf

    def keep(value: Tensor, hook: Any) -> None:
        made[hook.name] = value

    names = [part.hook(layer, site) for layer in range(part.n_layers) for site in WAYS]
    hooks: list[Any] = [(name, keep) for name in names]
    with ExitStack() as opened:
        opened.enter_context(torch.enable_grad())
        for layer in range(part.n_layers):
            entered = enter(layer)
            if fold_norms:
                hooks.append((part.hook(layer, "resid_pre"), lambda value, hook, entered=entered: entered(value)))
            else:
                opened.callback(_at_input(part.module(layer, part.attention.module), entered).remove)
        opened.enter_context(tower.hooks(hooks))
        opened.enter_context(Held({}))
        ranker.encode([inputs], stack)
    found = []
    for layer in range(part.n_layers):
        weights = [_derivative(made[part.hook(layer, site)], leaves[layer]) for site in WAYS]
        repeated = [one.repeat_interleave(part.n_heads // len(one), dim=0) for one in weights]
        found.append((repeated[0], repeated[1], repeated[2]))
    return found


def _at_input(module: Any, entered: Callable[[Tensor], Tensor]) -> Any:
    """Lead what enters an attention module through a function."""

    def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (entered(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": entered(kwargs["hidden_states"])}

    return module.register_forward_pre_hook(before, with_kwargs=True)


def _derivative(made: Tensor, leaf: Tensor) -> Tensor:
    """Return the derivative of q, k or v, dims (1, pos, head, d_head), at position 0 by what enters there."""
    heads, width = made.shape[2:]
    out = made[0, 0].flatten()
    eye = torch.eye(len(out), dtype=out.dtype, device=out.device)
    (found,) = torch.autograd.grad(out, leaf, eye, is_grads_batched=True, retain_graph=True)
    return found[:, 0, 0].reshape(heads, width, -1).mT.double().cpu()
