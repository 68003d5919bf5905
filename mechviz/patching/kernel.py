"""The layers above a patched attention, as the engine runs them.

Attention of the patched layer is not computed again: its output is linear in z. `Upper` adds the change to the residual
stream, runs that layer's MLP and then the model's own layers; `mechviz.patching.fused` does the same for plain post-norm
layers with fewer, larger products. Equality with the model's own hooked layers is a test, for every family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from mechviz.patching.runs import HasCalls, Run, through
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.stack import Stack


@dataclass(frozen=True)
class Change:
    """What is added to z of some heads of a layer: ``z`` has dims (pos, head * d_head); ``run`` is the base run's number."""

    layer: int
    heads: Sequence[int]
    z: Tensor
    run: int = 0


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
        self.resid_after = run.resid_after
        self.part = ranker.stack(run.stack)
        self.w_o = [self.part.w_o(layer) for layer in range(self.part.n_layers)]

    def finish(self, changes: Sequence[Change]) -> Tensor:
        """Run the stack from the attention of the changed layers up, once for each change of z.

        Rows of lower layers are under way when those of a higher one join them, so that batches are large.

        Parameters
        ----------
        changes : sequence of Change, one a row
            Those of higher layers first.

        Returns
        -------
        Tensor, dims (row, pos, d_model)
            The last hidden state.
        """
        with self.ranker.running(self.run.stack):
            hidden: Tensor | None = None
            under_way: list[Change] = []
            for layer in range(changes[-1].layer, self.part.n_layers):
                if hidden is not None:
                    hidden = self._through(layer, hidden, [change.run for change in under_way])
                new = [change for change in changes if change.layer == layer]
                if new:
                    rows = self._above_changes(layer, new)
                    hidden = rows if hidden is None else torch.cat([rows, hidden])
                    under_way = new + under_way
            assert hidden is not None, "the lowest layer has a change"
            return final(self.part, hidden)

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
            for above in range(layer, self.part.n_layers):
                hidden = self._through(above, hidden, [0] * len(hidden))
            return final(self.part, hidden)

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
        base = self.resid_after[layer][0, list(positions)]
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
        """Return what leaves a layer, dims (..., d_model), from its residual stream after attention."""
        if not self.part.d_mlp:
            return self._middle(layer, resid_mid)
        return self.joined(layer, resid_mid, self.mlp(layer, resid_mid))

    def _through(self, layer: int, hidden: Tensor, runs: Sequence[int]) -> Tensor:
        """Return what leaves a layer, from what enters it; ``runs`` says of which base run each row is a change."""
        return through(self.part, self.run, layer, hidden)

    def _above_changes(self, layer: int, changes: Sequence[Change]) -> Tensor:
        """Return what leaves a layer with each change of its z, dims (row, pos, d_model)."""
        return self.after_mlp(layer, added(self.resid_after[layer], changes, self._outs(layer, changes)))

    def _middle(self, layer: int, resid_mid: Tensor) -> Tensor:
        """Return what the MLP reads; a post-norm layer adds the MLP's output to that, if there is one, and no more."""
        blocks = self.part.blocks
        return cast(Tensor, self.part.module(layer, blocks.attn_norm or blocks.mlp_norm)(resid_mid))

    def _outs(self, layer: int, changes: Sequence[Change]) -> list[Tensor]:
        """Return the rows of W_O that each change goes through, dims (head * d_head, d_model)."""
        return [self.w_o[layer][change.heads].flatten(0, 1) for change in changes]

    def _replaced(self, layer: int, positions: Sequence[int], vectors: Tensor) -> Tensor:
        hidden = self.run.entering(layer).repeat(len(positions), 1, 1)
        hidden[torch.arange(len(positions)), list(positions)] = vectors.to(hidden.dtype)
        return hidden


def added(bases: Tensor, changes: Sequence[Change], outs: Sequence[Tensor]) -> Tensor:
    """Return each change led through its ``outs``, dims (head * d_head, dim), and added to its base, dims (row, pos, dim).

    ``bases`` has dims (run, pos, dim).
    """
    z = [change.z.to(bases.dtype) for change in changes]  # T5 in float16 keeps its residual stream in float32
    if len({len(out) for out in outs}) == 1:
        rows = bases.expand(len(z), -1, -1) if len(bases) == 1 else bases[[change.run for change in changes]]
        return torch.baddbmm(rows, torch.stack(z), torch.stack(list(outs)).to(bases.dtype))
    own = [bases[change.run] for change in changes]
    return torch.stack([torch.addmm(row, one, out.to(bases.dtype)) for row, one, out in zip(own, z, outs, strict=True)])


def run_layers(part: Stack, run: HasCalls, layer: int, hidden: Tensor) -> Tensor:
    """Run the model's own layers from ``layer`` up and the norm after them, with the arguments that they got in ``run``."""
    for above in range(layer, part.n_layers):
        hidden = through(part, run, above, hidden)
    return final(part, hidden)


def final(part: Stack, hidden: Tensor) -> Tensor:
    """Apply the norm after the last layer, where there is one."""
    return hidden if part.final is None else cast(Tensor, part.final(hidden))
