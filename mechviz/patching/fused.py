"""`Upper` for plain post-norm layers, by the same formulas with fewer, larger matrix products.

q, k and v are one product, sums are made in place, the first matrix of a patched layer's MLP uses that rows differ by one head
only, an edit at one position makes q, k and v anew there alone, and where the score reads one position the last layer
computes only that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import GELUActivation
from transformers.pytorch_utils import Conv1D

from mechviz.patching.kernel import Change, Upper, added
from mechviz.patching.products import Product
from mechviz.patching.runs import Run, Stacked
from mechviz.rankers.families.family import Path
from mechviz.rankers.guards import changed_by_caller
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.stack import Stack


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


@dataclass(frozen=True)
class Parts:
    """The modules of one plain post-norm layer."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attn_out: nn.Linear
    attn_norm: nn.LayerNorm


@dataclass(frozen=True)
class MlpParts:
    """The modules of such a layer's MLP."""

    mlp_in: nn.Linear
    mlp_act: nn.Module
    mlp_out: nn.Linear
    mlp_norm: nn.LayerNorm


def parts_of(part: Stack, layer: int) -> tuple[Parts, MlpParts | None]:
    """Return the modules of one layer of a family that has `Fused` paths; None for those of an MLP that is not there."""
    blocks, fused = part.blocks, part.blocks.fused
    assert fused is not None
    paths = {"attn_out": part.attention.out, "attn_norm": blocks.attn_norm}
    paths |= {name: getattr(fused, name) for name in ("query", "key", "value")}
    mlp_paths = {"mlp_in": blocks.mlp_in, "mlp_act": fused.mlp_act, "mlp_out": blocks.mlp_out, "mlp_norm": blocks.mlp_norm}

    def modules(paths: Mapping[str, Path]) -> dict[str, Any]:
        return {name: part.module(layer, path) for name, path in paths.items()}

    return Parts(**modules(paths)), MlpParts(**modules(mlp_paths)) if part.d_mlp else None


class Mlp:
    """The products and the norm of one layer's MLP."""

    def __init__(self, parts: MlpParts) -> None:
        self.parts = parts
        self.gelu = type(parts.mlp_act) is GELUActivation
        self.mlp_in = Product(parts.mlp_in.weight, parts.mlp_in.bias, self.gelu)
        self.mlp_out = Product(parts.mlp_out.weight, parts.mlp_out.bias)

    def __call__(self, middle: Tensor) -> Tensor:
        """Return what leaves the layer from what its MLP reads, dims (row, pos, d_model)."""
        widened = self.mlp_in(middle)
        return self.joined(middle, widened if self.gelu else self.parts.mlp_act(widened))

    def activate(self, widened: Tensor) -> Tensor:
        """Apply the MLP's non-linearity, in place where that is possible."""
        return cast(Tensor, torch.ops.aten.gelu_(widened) if self.gelu else self.parts.mlp_act(widened))

    def joined(self, middle: Tensor, active: Tensor) -> Tensor:
        """Return what leaves the layer from what its MLP reads and its neurons."""
        return cast(Tensor, self.parts.mlp_norm(self.mlp_out(active).add_(middle)))


class Layer:
    """The products and norms of one plain post-norm layer.

    Parameters
    ----------
    parts : Parts
    mlp : MlpParts or None
    one_query : bool
        Whether one position's query is all that is wanted: q is a product of its own then.
    """

    def __init__(self, parts: Parts, mlp: MlpParts | None, one_query: bool) -> None:
        self.parts = parts
        self.mlp = None if mlp is None else Mlp(mlp)
        inputs = [parts.query, parts.key, parts.value]
        self.query = Product(parts.query.weight, parts.query.bias) if one_query else None
        self.read = _side_by_side(inputs[1:] if one_query else inputs)
        self.attn_out = Product(parts.attn_out.weight, parts.attn_out.bias)

    def above(self, middle: Tensor) -> Tensor:
        """Return what leaves the layer from what leaves the norm after its attention, dims (row, pos, d_model)."""
        return middle if self.mlp is None else self.mlp(middle)


def _side_by_side(linears: Sequence[nn.Linear]) -> Product:
    return Product(torch.cat([x.weight for x in linears]), torch.cat([x.bias for x in linears]))


class Fused(Upper):
    """`Upper` for plain post-norm layers; where the score reads one position, the last layer computes only that.

    Parameters
    ----------
    ranker : Ranker
    run : Run
        The base run; of several, which must read the same position, the first.
    stacked : Stacked, optional
        All base runs, where changes of several pairs run together.
    """

    def __init__(self, ranker: Ranker, run: Run, stacked: Stacked | None = None) -> None:
        super().__init__(ranker, run)
        mask = run.mask
        if stacked is not None:
            self.resid_after, mask = stacked.resid_after, stacked.mask
        self.mask = None if bool(mask.all()) else mask[:, None, None, :]
        self.position = run.readout.position
        self._layers: dict[int, Layer] = {}
        self._kept: tuple[int, list[Tensor]] | None = None

    @staticmethod
    def fits(part: Stack) -> bool:
        """Return whether all layers are plain: no adapter, no quantised projection."""
        if part.blocks.fused is None:
            return False
        for layer in range(part.n_layers):
            parts, mlp = parts_of(part, layer)
            linears, norms = [parts.query, parts.key, parts.value, parts.attn_out], [parts.attn_norm]
            if mlp is not None:
                linears += [mlp.mlp_in, mlp.mlp_out]
                norms += [mlp.mlp_norm]
            if any(type(linear) is not nn.Linear or linear.bias is None for linear in linears):
                return False
            if any(type(norm) is not nn.LayerNorm or norm.weight is None or norm.bias is None for norm in norms):
                return False
        return True

    def layer(self, layer: int) -> Layer:
        """Return the products of a layer, made when they are first needed."""
        if layer not in self._layers:
            self._layers[layer] = Layer(*parts_of(self.part, layer), self._reads_one(layer))
        return self._layers[layer]

    def enter(self, layer: int, positions: Sequence[int], vectors: Tensor) -> Tensor:
        """Run from a layer up as `Upper.enter` does; q, k and v are made anew at the replaced position alone."""
        hidden = self._replaced(layer, positions, vectors)
        if layer == self.part.n_layers:
            return hidden if self.position is None else hidden[:, self.position : self.position + 1]
        rows = torch.arange(len(positions))
        q, k, v = (base.repeat(len(positions), 1, 1, 1) for base in self._base_projections(layer))
        for whole, new in zip((q, k, v), self._projections(layer, vectors[:, None], vectors[:, None]), strict=True):
            whole[rows, list(positions)] = new[:, 0]
        z = self._attend(self._read(layer, q), k, v, [0] * len(q))
        return self.above(layer + 1, self._after_z(layer, hidden, z))

    def _through(self, layer: int, hidden: Tensor, runs: Sequence[int]) -> Tensor:
        q, k, v = self._projections(layer, self._read(layer, hidden), hidden)
        z = self._attend(q, k, v, runs)
        return self._after_z(layer, hidden, z)

    def _after_z(self, layer: int, hidden: Tensor, z: Tensor) -> Tensor:
        """Return what leaves a layer from what entered it and its z, dims (row, pos, head * d_head)."""
        made = self.layer(layer)
        return made.above(made.parts.attn_norm(made.attn_out(z).add_(self._read(layer, hidden))))

    def _reads_one(self, layer: int) -> bool:
        return self.position is not None and layer == self.part.n_layers - 1

    def _read(self, layer: int, x: Tensor) -> Tensor:
        """Keep only the position that is read, in the last layer."""
        if self.position is None or not self._reads_one(layer) or x.shape[1] == 1:
            return x
        return x[:, self.position : self.position + 1]

    def _projections(self, layer: int, reading: Tensor, hidden: Tensor) -> list[Tensor]:
        """Return q of the positions that read, and k and v, dims (row, pos, head, d_head)."""
        made = self.layer(layer)
        pieces = made.read(hidden).chunk(2 if made.query else 3, dim=-1)
        if made.query:
            pieces = (made.query(reading), *pieces)
        return [piece.view(*piece.shape[:2], self.part.n_heads, self.part.d_head) for piece in pieces]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, runs: Sequence[int]) -> Tensor:
        """Return z, dims (row, pos, head * d_head)."""
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        mask = self.mask if self.mask is None or len(self.mask) == 1 else self.mask[list(runs)]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)

    def _base_projections(self, layer: int) -> list[Tensor]:
        """Return q, k and v of the base run, dims (1, pos, head, d_head); kept for one layer, since cells come by layers."""
        if self._kept is None or self._kept[0] != layer:
            hidden = self.run.resid_pre[layer]
            self._kept = layer, self._projections(layer, hidden, hidden)
        return self._kept[1]

    def _above_changes(self, layer: int, changes: Sequence[Change]) -> Tensor:
        made, outs = self.layer(layer), self._outs(layer, changes)
        runs = sorted({change.run for change in changes})
        base = self._read(layer, self.resid_after[layer])[runs]
        changes = [
            Change(layer, change.heads, self._read(layer, change.z[None])[0], runs.index(change.run)) for change in changes
        ]
        norm, mlp = made.parts.attn_norm, made.mlp
        resid_mid = added(base, changes, outs)
        middle, _, rstd = torch.native_layer_norm(resid_mid, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        if mlp is None or not _low_rank_pays(base.shape[1], base.shape[2], max(map(len, outs)), len(changes) / len(runs)):
            return made.above(middle)
        mlp_in = mlp.parts.mlp_in
        # mlp_in of a layer norm is linear but for the norm's scale, and rows differ by one head's few dimensions:
        #   mlp_in(norm(x)) = rstd(x) * (x @ centred) + shift, and x = base + z @ W_O[head].
        # So the product with `base` is taken once for all rows, and each row adds a product of d_head columns.
        weighted = mlp_in.weight * norm.weight
        centred = (weighted - weighted.mean(1, keepdim=True)).T
        shift = F.linear(norm.bias, mlp_in.weight, mlp_in.bias)
        heads = sorted({head for change in changes for head in change.heads})
        through_w_o = (self.w_o[layer][heads].flatten(0, 1) @ centred).view(len(heads), self.part.d_head, -1)
        rows = [[heads.index(head) for head in change.heads] for change in changes]
        widened = added(base @ centred, changes, [through_w_o[row].flatten(0, 1) for row in rows])
        return mlp.joined(middle, mlp.activate(torch.addcmul(shift, widened, rstd, out=widened)))


def _low_rank_pays(positions: int, d_model: int, rank: int, rows: float) -> bool:
    """Return whether one full product a base run and low-rank ones cost fewer multiplications than a full one a row."""
    return positions * rank + rank * d_model + positions * d_model / rows < positions * d_model
