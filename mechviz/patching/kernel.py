"""The layers of an encoder as the engine runs them: the same formulas with fewer, larger matrix products.

`transformers` projects q, k and v by three products and allocates every sum anew. Here they are one product, sums are
made in place, and the first matrix of the patched layer's MLP uses that the rows differ by one head only. Equality with
the model's own layers is a test, for every family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import GELUActivation

from mechviz.rankers.encoder import Encoder, changed_by_caller


@dataclass(frozen=True)
class Change:
    """What is added to z of some heads: ``z`` has dims (pos, head * d_head)."""

    heads: Sequence[int]
    z: Tensor


class Kernel:
    """The upper part of an encoder, from the attention output of one layer to the last hidden state.

    Parameters
    ----------
    encoder : Encoder
    mask : Tensor
        Boolean, dims (1, key_pos), False where attention may not look.
    position : int or None
        The one position of the last layer that is read afterwards: only it is computed there.
    """

    def __init__(self, encoder: Encoder, mask: Tensor, position: int | None) -> None:
        self.encoder = encoder
        self.mask = None if bool(mask.all()) else mask[:, None, None, :]
        self.position = position
        self.parts = [encoder.parts(layer) for layer in range(encoder.n_layers)]
        self.w_o = [encoder.w_o(layer) for layer in range(encoder.n_layers)]
        self.weights = [torch.cat([p.query.weight, p.key.weight, p.value.weight]) for p in self.parts]
        self.biases = [torch.cat([p.query.bias, p.key.bias, p.value.bias]) for p in self.parts]

    @staticmethod
    def fits(encoder: Encoder) -> bool:
        """Return whether all layers are plain: nothing of the caller's in them, no adapter, no quantised projection."""
        if any(changed_by_caller(module) for layer in encoder.layers for module in layer.modules()):
            return False
        for layer in range(encoder.n_layers):
            part = encoder.parts(layer)
            linears = (part.query, part.key, part.value, part.attn_out, part.mlp_in, part.mlp_out)
            norms = (part.attn_norm, part.mlp_norm)
            if any(type(linear) is not nn.Linear or linear.bias is None for linear in linears):
                return False
            if any(type(norm) is not nn.LayerNorm or norm.weight is None or norm.bias is None for norm in norms):
                return False
        return True

    def finish(self, layer: int, resid_pre: Tensor, attn_out: Tensor, changes: Sequence[Change]) -> Tensor:
        """Run the rest of the model from one layer's attention, once for each change of its z.

        Attention of that layer is not computed again: its output is linear in z.

        Parameters
        ----------
        layer : int
        resid_pre, attn_out : Tensor, dims (1, pos, d_model)
            Of the base run.
        changes : sequence of Change, one a row

        Returns
        -------
        Tensor, dims (row, pos, d_model)
            The last hidden state; one position only where `position` is set.
        """
        base = self._read(layer, resid_pre + attn_out)
        changes = [Change(change.heads, self._read(layer, change.z[None])[0]) for change in changes]
        hidden = self._above_changes(layer, base, changes)
        for above in range(layer + 1, self.encoder.n_layers):
            resid_mid = self._attention(above, hidden).add_(self._read(above, hidden))
            middle = self.parts[above].attn_norm(resid_mid)
            hidden = self._above_mlp_in(above, middle, self.parts[above].mlp_in(middle))
        return hidden

    def _read(self, layer: int, x: Tensor) -> Tensor:
        """Keep only the position that is read, in the last layer."""
        if self.position is None or layer < self.encoder.n_layers - 1 or x.shape[1] == 1:
            return x
        return x[:, self.position : self.position + 1]

    def _attention(self, layer: int, hidden: Tensor) -> Tensor:
        rows, positions, d_model = hidden.shape
        heads = (rows, positions, -1, self.encoder.n_heads, self.encoder.d_head)
        weight, bias = self.weights[layer], self.biases[layer]
        if self._read(layer, hidden) is hidden:
            q, k, v = F.linear(hidden, weight, bias).view(heads).unbind(2)
        else:
            q = self.parts[layer].query(self._read(layer, hidden)).view(rows, 1, *heads[3:])
            k, v = F.linear(hidden, weight[d_model:], bias[d_model:]).view(heads).unbind(2)
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        z = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)
        return cast(Tensor, self.parts[layer].attn_out(z.transpose(1, 2).reshape(rows, -1, d_model)))

    def _above_changes(self, layer: int, base: Tensor, changes: Sequence[Change]) -> Tensor:
        """Run the layer's norm and MLP on ``base`` (its resid_mid) with each change added."""
        part = self.parts[layer]
        w_o = [self.w_o[layer][change.heads].flatten(0, 1) for change in changes]
        resid_mid = base.repeat(len(changes), 1, 1)
        for row, change, out in zip(resid_mid, changes, w_o, strict=True):
            row.addmm_(change.z, out)
        norm = part.attn_norm
        middle, _, rstd = torch.native_layer_norm(resid_mid, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        if not _low_rank_pays(base.shape[1], base.shape[2], max(len(out) for out in w_o), len(changes)):
            return self._above_mlp_in(layer, middle, part.mlp_in(middle))
        # mlp_in of a layer norm is linear but for the norm's scale, and rows differ by one head's few dimensions:
        #   mlp_in(norm(x)) = rstd(x) * (x @ centred) + shift, and x = base + z @ W_O[head].
        # So the product with `base` is taken once for all rows, and each row adds a product of d_head columns.
        weighted = part.mlp_in.weight * norm.weight
        centred = (weighted - weighted.mean(1, keepdim=True)).T
        shift = F.linear(norm.bias, part.mlp_in.weight, part.mlp_in.bias)
        widened = (base @ centred).repeat(len(changes), 1, 1)
        for row, change, out in zip(widened, changes, w_o, strict=True):
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
