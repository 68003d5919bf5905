"""The layers above a patched attention, as the engine runs them.

Attention of the patched layer is not computed again: its output is linear in z. `Upper` adds the change to the residual
stream, runs that layer's MLP and then the model's own layers. `Fused` computes plain post-norm layers by the same formulas
with fewer, larger matrix products: q, k and v are one product, sums are made in place, and the first matrix of the patched
layer's MLP uses that the rows differ by one head only. Equality with the model's own layers is a test, for every family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import GELUActivation
from transformers.pytorch_utils import Conv1D

from mechviz.patching.runs import Run
from mechviz.rankers.guards import changed_by_caller
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.stack import Stack


@dataclass(frozen=True)
class Change:
    """What is added to z of some heads: ``z`` has dims (pos, head * d_head)."""

    heads: Sequence[int]
    z: Tensor


def upper(ranker: Ranker, run: Run) -> Upper | None:
    """Return what runs the layers above a patched z, None where only the model's own layers are right.

    That is where something of the caller's is in the layers (a hook, an adapter, a quantised projection), and where
    more than the MLP follows the attention in its layer.
    """
    part = ranker.stack(run.stack)
    if any(changed_by_caller(module) for layer in part.layers for module in layer.modules()):
        return None
    if part.attention is not part.blocks.attentions[-1]:
        return None
    if any(type(part.module(layer, part.attention.out)) not in (nn.Linear, Conv1D) for layer in range(part.n_layers)):
        return None
    return Fused(ranker, run) if Fused.fits(part) else Upper(ranker, run)


class Upper:
    """The upper part of a stack, from the attention of one layer to the last hidden state.

    Parameters
    ----------
    ranker : Ranker
    run : Run
        The base run.
    """

    def __init__(self, ranker: Ranker, run: Run) -> None:
        self.ranker, self.run = ranker, run
        self.part = ranker.stack(run.stack)
        self.w_o = [self.part.w_o(layer) for layer in range(self.part.n_layers)]

    def finish(self, layer: int, changes: Sequence[Change]) -> Tensor:
        """Run the rest of the stack from one layer's attention, once for each change of its z.

        Parameters
        ----------
        layer : int
        changes : sequence of Change, one a row

        Returns
        -------
        Tensor, dims (row, pos, d_model)
            The last hidden state.
        """
        with self.ranker.running(self.run.stack):
            resid_mid = _changed(self.run.resid_after[layer], changes, self._outs(layer, changes))
            return self.above(layer + 1, self.after_mlp(layer, resid_mid))

    def enter(self, layer: int, positions: Sequence[int], vectors: Tensor) -> Tensor:
        """Run the stack from a layer up on the base run's input with one position of it replaced, once for each row.

        Parameters
        ----------
        layer : int
            ``n_layers`` is what comes after the last one.
        positions : sequence of int, one a row
        vectors : Tensor, dims (row, d_model)

        Returns
        -------
        Tensor, dims (row, pos, d_model)
            The last hidden state.
        """
        return self.above(layer, self._replaced(layer, positions, vectors))

    def above(self, layer: int, hidden: Tensor) -> Tensor:
        """Return the last hidden state, dims (row, pos, d_model), from what enters a layer."""
        with self.ranker.running(self.run.stack):
            return run_layers(self.part, self.run, layer, hidden)

    def leaving(self, layer: int, site: str, positions: Sequence[int], values: Tensor) -> Tensor:
        """Return what leaves a layer at one position where a site of it has another value there, dims (row, d_model).

        Parameters
        ----------
        layer : int
        site : ``"z"``, ``"attn_out"`` or ``"mlp_out"``
        positions : sequence of int, one a row
        values : Tensor, dims (row, ...)
            What the site has at that position: ``z`` has dims (row, head, d_head), the others (row, d_model).
        """
        base = self.run.resid_after[layer][0, list(positions)]
        with self.ranker.running(self.run.stack):
            if site == "mlp_out":
                return self.joined(layer, base, values)
            if site == "z":
                moved = (values - self.run.z[layer][0, list(positions)]).flatten(1) @ self.w_o[layer].flatten(0, 1)
            else:
                moved = values - self.run.values["attn_out"][layer][0, list(positions)]
            return self.after_mlp(layer, base + moved.to(base.dtype))

    def mlp(self, layer: int, resid_mid: Tensor) -> Tensor:
        """Return the output of a layer's MLP for the residual stream that it reads, dims (..., d_model)."""
        out = self._middle(layer, resid_mid)
        for path in self.part.blocks.mlp:
            out = self.part.module(layer, path)(out)
        return out

    def joined(self, layer: int, resid_mid: Tensor, mlp_out: Tensor) -> Tensor:
        """Return what leaves a layer, dims (..., d_model), from its residual stream before the MLP and the MLP's output."""
        if not self.part.blocks.attn_norm:
            return resid_mid + mlp_out
        return cast(Tensor, self.part.module(layer, self.part.blocks.mlp_norm)(mlp_out + self._middle(layer, resid_mid)))

    def after_mlp(self, layer: int, resid_mid: Tensor) -> Tensor:
        """Return what leaves a layer, dims (..., d_model), from its residual stream before the MLP."""
        return self.joined(layer, resid_mid, self.mlp(layer, resid_mid))

    def _middle(self, layer: int, resid_mid: Tensor) -> Tensor:
        """Return what the MLP reads; a post-norm layer adds the MLP's output to that."""
        blocks = self.part.blocks
        return cast(Tensor, self.part.module(layer, blocks.attn_norm or blocks.mlp_norm)(resid_mid))

    def _outs(self, layer: int, changes: Sequence[Change]) -> list[Tensor]:
        """Return the rows of W_O that each change goes through, dims (head * d_head, d_model)."""
        return [self.w_o[layer][change.heads].flatten(0, 1) for change in changes]

    def _replaced(self, layer: int, positions: Sequence[int], vectors: Tensor) -> Tensor:
        hidden = self.run.entering(layer).repeat(len(positions), 1, 1)
        hidden[torch.arange(len(positions)), list(positions)] = vectors.to(hidden.dtype)
        return hidden


def _changed(base: Tensor, changes: Sequence[Change], outs: Sequence[Tensor]) -> Tensor:
    """Return the residual stream ``base`` with each change added, one a row."""
    rows = base.repeat(len(changes), 1, 1)
    for row, change, out in zip(rows, changes, outs, strict=True):
        row.addmm_(change.z.to(row.dtype), out.to(row.dtype))  # T5 in float16 keeps its residual stream in float32
    return rows


def run_layers(part: Stack, run: Run, layer: int, hidden: Tensor) -> Tensor:
    """Run the model's own layers from ``layer`` up and the norm after them, with the arguments that they got in ``run``."""
    for block, (args, kwargs) in zip(part.layers[layer:], run.calls[layer:], strict=True):
        output = block(hidden, *args, **kwargs)
        hidden = output[0] if isinstance(output, tuple) else output
    return hidden if part.final is None else cast(Tensor, part.final(hidden))


@dataclass(frozen=True)
class Parts:
    """The modules of one plain post-norm layer."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attn_out: nn.Linear
    attn_norm: nn.LayerNorm
    mlp_in: nn.Linear
    mlp_act: nn.Module
    mlp_out: nn.Linear
    mlp_norm: nn.LayerNorm


def parts_of(part: Stack, layer: int) -> Parts:
    """Return the modules of one layer of a family that has `Fused` paths."""
    blocks, fused = part.blocks, part.blocks.fused
    assert fused is not None
    paths = {"attn_out": part.attention.out, "attn_norm": blocks.attn_norm, "mlp_in": blocks.mlp_in, "mlp_out": blocks.mlp_out}
    paths |= {"mlp_norm": blocks.mlp_norm, **{name: getattr(fused, name) for name in ("query", "key", "value", "mlp_act")}}
    return Parts(**{name: cast(Any, part.module(layer, path)) for name, path in paths.items()})


class Fused(Upper):
    """`Upper` for plain post-norm layers; where the score reads one position, the last layer computes only that."""

    def __init__(self, ranker: Ranker, run: Run) -> None:
        super().__init__(ranker, run)
        mask = torch.as_tensor(run.tokens.mask.copy(), device=run.hidden.device)[None]
        self.mask = None if bool(mask.all()) else mask[:, None, None, :]
        self.position = run.readout.position
        self.parts = [parts_of(self.part, layer) for layer in range(self.part.n_layers)]
        self._kept: tuple[int, list[Tensor]] | None = None

    @staticmethod
    def fits(part: Stack) -> bool:
        """Return whether all layers are plain: no adapter, no quantised projection."""
        if part.blocks.fused is None:
            return False
        for layer in range(part.n_layers):
            modules = parts_of(part, layer)
            linears = (modules.query, modules.key, modules.value, modules.attn_out, modules.mlp_in, modules.mlp_out)
            norms = (modules.attn_norm, modules.mlp_norm)
            if any(type(linear) is not nn.Linear or linear.bias is None for linear in linears):
                return False
            if any(type(norm) is not nn.LayerNorm or norm.weight is None or norm.bias is None for norm in norms):
                return False
        return True

    def finish(self, layer: int, changes: Sequence[Change]) -> Tensor:
        """Run the rest of the stack as `Upper.finish` does; one position only where `position` is set."""
        base = self._read(layer, self.run.resid_after[layer])
        changes = [Change(change.heads, self._read(layer, change.z[None])[0]) for change in changes]
        return self.above(layer + 1, self._above_changes(layer, base, changes))

    def enter(self, layer: int, positions: Sequence[int], vectors: Tensor) -> Tensor:
        """Run from a layer up as `Upper.enter` does; q, k and v are made anew at the replaced position alone."""
        hidden = self._replaced(layer, positions, vectors)
        if layer == self.part.n_layers:
            return hidden if self.position is None else hidden[:, self.position : self.position + 1]
        heads = (len(positions), 3, self.part.n_heads, self.part.d_head)
        new = F.linear(vectors, *self._projections[layer]).view(heads)
        rows = torch.arange(len(positions))
        q, k, v = (base.repeat(len(positions), 1, 1, 1) for base in self._base_projections(layer))
        for i, whole in enumerate((q, k, v)):
            whole[rows, list(positions)] = new[:, i]
        q, k, v = (x.transpose(1, 2) for x in (self._read(layer, q), k, v))
        z = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)
        return self.above(layer + 1, self._after_z(layer, hidden, z))

    def above(self, layer: int, hidden: Tensor) -> Tensor:
        """Run all layers from one up as `Upper.above` does."""
        for above in range(layer, self.part.n_layers):
            hidden = self._after_z(above, hidden, self._attention(above, hidden))
        return hidden

    def _after_z(self, layer: int, hidden: Tensor, z: Tensor) -> Tensor:
        """Return what leaves a layer from what entered it and its z, dims (row, head, pos, d_head)."""
        part = self.parts[layer]
        middle = part.attn_norm(part.attn_out(z.transpose(1, 2).flatten(2)).add_(self._read(layer, hidden)))
        return self._above_mlp_in(layer, middle, part.mlp_in(middle))

    def _read(self, layer: int, x: Tensor) -> Tensor:
        """Keep only the position that is read, in the last layer."""
        if self.position is None or layer < self.part.n_layers - 1 or x.shape[1] == 1:
            return x
        return x[:, self.position : self.position + 1]

    @cached_property
    def _projections(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of q, k and v together, one a layer."""
        linears = [(p.query, p.key, p.value) for p in self.parts]
        return [(torch.cat([x.weight for x in qkv]), torch.cat([x.bias for x in qkv])) for qkv in linears]

    def _attention(self, layer: int, hidden: Tensor) -> Tensor:
        """Return z of a layer, dims (row, head, pos, d_head)."""
        rows, positions, d_model = hidden.shape
        heads = (rows, positions, -1, self.part.n_heads, self.part.d_head)
        weight, bias = self._projections[layer]
        if self._read(layer, hidden) is hidden:
            q, k, v = F.linear(hidden, weight, bias).view(heads).unbind(2)
        else:
            q = self.parts[layer].query(self._read(layer, hidden)).view(rows, 1, *heads[3:])
            k, v = F.linear(hidden, weight[d_model:], bias[d_model:]).view(heads).unbind(2)
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)

    def _base_projections(self, layer: int) -> list[Tensor]:
        """Return q, k and v of the base run, dims (1, pos, head, d_head); kept for one layer, since cells come by layers."""
        if self._kept is None or self._kept[0] != layer:
            hidden = self.run.resid_pre[layer]
            qkv = F.linear(hidden, *self._projections[layer]).view(*hidden.shape[:2], 3, self.part.n_heads, self.part.d_head)
            self._kept = layer, list(qkv.unbind(2))
        return self._kept[1]

    def _above_changes(self, layer: int, base: Tensor, changes: Sequence[Change]) -> Tensor:
        """Run the layer's norm and MLP on ``base`` (its resid_mid) with each change added."""
        part = self.parts[layer]
        outs = self._outs(layer, changes)
        resid_mid = _changed(base, changes, outs)
        norm = part.attn_norm
        middle, _, rstd = torch.native_layer_norm(resid_mid, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        if not _low_rank_pays(base.shape[1], base.shape[2], max(map(len, outs)), len(changes)):
            return self._above_mlp_in(layer, middle, part.mlp_in(middle))
        # mlp_in of a layer norm is linear but for the norm's scale, and rows differ by one head's few dimensions:
        #   mlp_in(norm(x)) = rstd(x) * (x @ centred) + shift, and x = base + z @ W_O[head].
        # So the product with `base` is taken once for all rows, and each row adds a product of d_head columns.
        weighted = part.mlp_in.weight * norm.weight
        centred = (weighted - weighted.mean(1, keepdim=True)).T
        shift = F.linear(norm.bias, part.mlp_in.weight, part.mlp_in.bias)
        widened = (base @ centred).repeat(len(changes), 1, 1)
        for row, change, out in zip(widened, changes, outs, strict=True):
            row.addmm_(change.z, out @ centred)
        return self._above_mlp_in(layer, middle, widened.mul_(rstd).add_(shift))

    def _above_mlp_in(self, layer: int, middle: Tensor, widened: Tensor) -> Tensor:
        part = self.parts[layer]
        # The widest tensor of a layer: exact GELU has a form that does not allocate it a second time.
        active = torch.ops.aten.gelu_(widened) if type(part.mlp_act) is GELUActivation else part.mlp_act(widened)
        return cast(Tensor, part.mlp_norm(part.mlp_out(active).add_(middle)))


def _low_rank_pays(positions: int, d_model: int, rank: int, rows: int) -> bool:
    """Return whether one full product and low-rank ones cost fewer multiplications than a full one a row."""
    return positions * rank + rank * d_model + positions * d_model / rows < positions * d_model
