"""Attention rollout: what each position has gathered of each token of the input, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from mechviz.errors import InputError, shown
from mechviz.probes.places import read_rows
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import Passage, PassageGroup, Passages
from mechviz.text.tokens import Tokens

if TYPE_CHECKING:
    from mechviz.views import View

Weights = Literal["attention", "values"]


@dataclass(frozen=True, eq=False)
class Rollout:
    """What has flowed where.

    Attributes
    ----------
    flow : DataArray, dims (layer, query_pos, key_pos)
        After each layer, the share of the position ``query_pos`` that comes from the token ``key_pos``; rows sum to 1.
    reads : bool array, dims (pos)
        Positions that the score reads.
    tokens : Tokens
    weights : ``"attention"`` or ``"values"``
    """

    flow: xr.DataArray
    reads: NDArray[np.bool_]
    tokens: Tokens
    weights: Weights
    provenance: dict[str, Any] = field(default_factory=dict)

    def gathered(self, layer: int = -1) -> NDArray[np.float64]:
        """Return what the positions that the score reads have gathered, on average, from each token after a layer, dims (pos)."""
        found: NDArray[np.float64] = self.flow.values[layer][self.reads].mean(axis=0)
        return found

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a layer and token: ``layer``, ``pos``, ``token`` and what the score's positions gathered from it."""
        layers, n = self.flow.sizes["layer"], len(self.tokens)
        return pd.DataFrame(
            {
                "layer": np.repeat(np.arange(layers), n),
                "pos": np.tile(np.arange(n), layers),
                "token": list(self.tokens.labels) * layers,
                "gathered": np.concatenate([self.gathered(layer) for layer in range(layers)]),
            }
        )

    def passages(self) -> Passages:
        """Return the text with what the score's positions gathered, after the last layer and after each."""
        pieces, spaces = self.tokens.labels, self.tokens.spaces()
        layers = range(self.flow.sizes["layer"])
        found = [Passage.of(pieces, self.gathered(at), spaces, label=f"after layer {at}") for at in layers]
        said = "attention" if self.weights == "attention" else "attention times the length of what is read"
        return Passages(
            (PassageGroup("After the last layer", (found[-1],)), PassageGroup("Layer by layer", tuple(found))),
            "share gathered",
            title="Attention rollout",
            note=f"By {said}, half of each layer being the position itself. It says what could flow, not what the score uses.",
            provenance=self.provenance,
        )

    def show(self, theme: str = "auto") -> View:
        """Return the text with what the score's positions gathered, as a view."""
        from mechviz import views

        return views.passages(self.passages(), theme=theme)

    def __repr__(self) -> str:
        n = self.flow.sizes
        return f"Rollout({n['layer']} layers, {n['key_pos']} tokens, by {self.weights})"


def rollout(
    ranker: Ranker,
    query: str,
    doc: str,
    weights: Weights = "attention",
    stack: str | None = None,
    truncate: bool = False,
) -> Rollout:
    """Multiply the attention of all layers, so that it says which tokens each position could have gathered.

    ``flow[l] = (0.5 A_l + 0.5 I) flow[l-1]``, where A_l is the mean pattern of the heads (Abnar & Zuidema 2020), or, with
    ``"values"``, the length of what the heads together write at a position from each token, scaled to sum to 1 by row
    (Kobayashi et al. 2020). MLPs are passed over.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    weights : ``"attention"`` or ``"values"``
    stack : str, optional
        Default that of the document; of MonoT5 the encoder, whose positions the decoder reads all.
    truncate : bool
        Cut texts that are too long instead of raising.

    Returns
    -------
    Rollout

    Raises
    ------
    InputError, InputTypeError

    References
    ----------
    Abnar & Zuidema, "Quantifying attention flow in transformers", ACL 2020.
    Kobayashi et al., "Attention is not only a weight: analyzing transformers with vector norms", EMNLP 2020.
    """
    check_ranker(ranker)
    if weights not in ("attention", "values"):
        raise InputError(f"weights={shown(weights)}; it is 'attention' or 'values'")
    stack = ranker.stack_of("doc") if stack is None else stack
    ranker.check_stack(stack)
    if ranker.text_of(stack) != stack:
        raise InputError(f"stack={stack!r} has one position, so nothing to roll out; the text is in {ranker.text_of(stack)!r}")
    (inputs,) = ranker.checked_inputs([(query, doc)], truncate)
    part, tower = ranker.stack(stack), ranker.towers[stack]
    kept: dict[str, Tensor] = {}

    def keep(value: Tensor, hook: Any) -> None:
        kept[hook.name] = value.detach()

    sites = ("pattern",) if weights == "attention" else ("pattern", "v")
    names = [part.hook(layer, site) for layer in range(part.n_layers) for site in sites]
    with torch.no_grad(), tower.hooks([(name, keep) for name in names]):
        ranker.encode([inputs], stack)
    tokens = inputs[stack]
    flow, flows = np.eye(len(tokens)), []
    for layer in range(part.n_layers):
        pattern = kept[part.hook(layer, "pattern")][0]
        if weights == "values":
            mixed = _by_length(pattern, kept[part.hook(layer, "v")][0], part.w_o(layer).detach())
        else:
            mixed = pattern.double().mean(0)
        flow = (0.5 * mixed.cpu().numpy() + 0.5 * np.eye(len(tokens))) @ flow
        flows.append(flow)
    array = xr.DataArray(np.stack(flows), dims=("layer", "query_pos", "key_pos"))
    provenance = {**provenance_of(ranker), "stack": stack}
    return Rollout(array, read_rows(ranker, stack, tokens), tokens, weights, provenance)


def _by_length(pattern: Tensor, v: Tensor, w_o: Tensor) -> Tensor:
    """Return the length of what all heads write from each position, rows summing to 1, dims (query_pos, key_pos).

    ``pattern`` has dims (head, query_pos, key_pos), ``v`` (pos, key head, d_head), ``w_o`` (head, d_head, d_model).
    """
    v = v.repeat_interleave(len(pattern) // v.shape[1], dim=1).double()
    written = torch.einsum("khd,hdm->hkm", v, w_o.double())
    # |sum over heads of a_h x_h|^2 = sum over pairs of heads of a_h a_g <x_h, x_g>: no array of (query_pos, key_pos, d_model).
    products = torch.einsum("hkm,gkm->hgk", written, written)
    attended = pattern.double()
    squares = (torch.einsum("hqk,hgk->gqk", attended, products) * attended).sum(0)
    lengths = squares.clamp_min(0).sqrt()
    return lengths / lengths.sum(-1, keepdim=True)
