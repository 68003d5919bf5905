"""The layers of a model that a grid of heads is made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from torch import Tensor, nn
from transformers import PreTrainedModel

from mechviz.errors import UnsupportedModelError
from mechviz.rankers.families import Attention, Blocks
from mechviz.rankers.families.family import ROTARY_SITES, Path


class Stack:
    """One attention of every layer in a list of blocks: what a grid of heads is made of.

    Attributes
    ----------
    name : str
        ``encoder``, ``decoder`` or ``cross``.
    blocks : Blocks
    attention : Attention
    runner : nn.Module
        What runs the layers, from token ids to the last hidden state.
    layers : list of nn.Module
    final : nn.Module or None
        The norm after the last layer.
    first : int
        Number of stacks whose layers run before these: 1 for the decoder of T5, 0 otherwise.
    n_layers, n_heads, d_head, d_model, d_mlp : int
        ``d_mlp`` is 0 where the layers have no MLP.
    """

    def __init__(
        self, model: PreTrainedModel, base: nn.Module, layers: nn.ModuleList, blocks: Blocks, attention: Attention, first: int
    ) -> None:
        self.name, self.blocks, self.attention, self.first = attention.stack, blocks, attention, first
        self.runner = base.get_submodule(blocks.runner)
        self.final = base.get_submodule(blocks.final) if blocks.final else None
        self.layers = list(layers)
        self.n_layers = len(self.layers)
        self.n_heads = int(model.config.num_attention_heads)
        self.d_model = int(model.config.hidden_size)
        self.d_head = _input_size(self.module(0, attention.out)) // self.n_heads
        mlp_out = mlp_out_of(self.layers[0], blocks)
        self.d_mlp = 0 if mlp_out is None else _input_size(mlp_out)

    def module(self, layer: int, path: Path) -> Any:
        """Return a module of one layer by its path, the first of several that exists."""
        return find(self.layers[layer], path)

    def hook(self, layer: int, site: str) -> str:
        """Return the full name of a site: one of this attention, ``before``, ``after`` or ``attn_out`` of it, or of the block."""
        if site in ("before", "after", "attn_out"):
            suffix = getattr(self.attention, site)
        elif site in self.attention.sites:
            suffix = f"{self.attention.name}.hook_{site}"
        elif site in ("mlp_pre", "mlp_post"):
            suffix = f"mlp.hook_{site.removeprefix('mlp_')}"
        else:
            suffix = f"hook_{site}"
        return f"{self.blocks.name}.{layer}.{suffix}"

    def places(self, sites: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Return the hooks of sites in every layer, as name -> (site, layer); sites that are not offered are passed over."""
        offered = [site for site in sites if self.offers(site)]
        return {self.hook(layer, site): (site, layer) for site in offered for layer in range(self.n_layers)}

    def offers(self, site: str) -> bool:
        """Return whether a site of an attention is one of this one, and of an MLP, whether there is one; others are there."""
        if site.startswith("mlp"):
            return self.d_mlp > 0
        return site in self.attention.sites or site not in ROTARY_SITES

    def w_o(self, layer: int) -> Tensor:
        """Return the output projection of each head, dims (head, d_head, d_model)."""
        out = self.module(layer, self.attention.out)
        weight = out.weight.T if isinstance(out, nn.Linear) else out.weight  # GPT-2 stores the transpose
        return cast(Tensor, weight.reshape(self.n_heads, self.d_head, self.d_model))


def mlp_out_of(layer: nn.Module, blocks: Blocks) -> Any:
    """Return the last product of a layer's MLP, None where the layer has no MLP.

    Raises
    ------
    UnsupportedModelError
        There is none, in a family whose layers all have one.
    """
    return find(layer, blocks.mlp_out, optional=blocks.may_lack_mlp)


def find(root: nn.Module, path: Path, optional: bool = False) -> Any:
    """Return the submodule at a path, the first of several that exists.

    Raises
    ------
    UnsupportedModelError
        There is none, and it is not ``optional``.
    """
    for one in [path] if isinstance(path, str) else path:
        try:
            return root.get_submodule(one)
        except AttributeError:
            continue
    if optional:
        return None
    raise UnsupportedModelError(
        f"{type(root).__name__} has no module {path}; this version of transformers builds it otherwise than mechviz knows"
    )


def _input_size(linear: Any) -> int:
    return int(linear.in_features if isinstance(linear, nn.Linear) else linear.weight.shape[0])
