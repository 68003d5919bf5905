"""Where the hook points of a layer sit, and how what is there is led through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from mechviz.rankers.families import Blocks
from mechviz.rankers.stack import find, mlp_out_of


@dataclass(frozen=True)
class Place:
    """Where a hook point sits.

    Attributes
    ----------
    module : nn.Module
    kind : str
        ``in`` or ``out``: its first input or its output; ``part``: a part of its output; ``sum``: the output plus the input
        of ``layer``; ``attention``: inside it, where the attention function shows ``site``.
    site : str
    part, parts, d_head : int
        For ``part``: which of how many equal parts side by side, and the width of a head if it is to be seen by heads.
    layer : nn.Module or None
    """

    module: nn.Module
    kind: str
    site: str = ""
    part: int = 0
    parts: int = 1
    d_head: int = 0
    layer: nn.Module | None = None


def places_of(layer: nn.Module, blocks: Blocks, d_head: int) -> Iterator[tuple[str, Place]]:
    """Yield the hooks of one layer, without its prefix, in the order in which they fire."""
    yield "hook_resid_pre", Place(layer, "in")
    for attention in blocks.attentions:
        module, out = find(layer, attention.module), find(layer, attention.out)
        fused = len(attention.projections) == 1
        for site in attention.sites:
            place = Place(module, "attention", site.removeprefix("rot_"))
            if attention.projections and site in ("q", "k"):
                which = ("q", "k").index(site)
                path = attention.projections[0 if fused else which]
                place = Place(find(layer, path), "part", "", which if fused else 0, 3 if fused else 1, d_head)
            yield f"{attention.name}.hook_{site}", place
        yield attention.attn_out, Place(out, "out")
        after = Place(find(layer, attention.after_path), "in") if attention.after_path else Place(out, "sum", layer=layer)
        yield attention.after, after
    mlp_out = mlp_out_of(layer, blocks)
    if mlp_out is not None:
        yield "mlp.hook_pre", Place(find(layer, blocks.mlp_in), "part", parts=2 if blocks.gated else 1)
        yield "mlp.hook_post", Place(mlp_out, "in")
        yield "hook_mlp_out", Place(mlp_out, "out")
    yield "hook_resid_post", Place(layer, "out")


def tap(place: Place, point: HookPoint) -> list[Any]:
    """Lead what is at a place, outside of attention, through a hook point."""
    if place.kind == "in":
        # Before any hook of the caller's: what is recorded here is fed in again, and passes theirs then.
        before = place.module.register_forward_pre_hook(
            lambda _, args, kwargs: ((point(args[0]), *args[1:]), kwargs), with_kwargs=True, prepend=True
        )
        return [before]
    if place.kind == "sum":
        assert place.layer is not None
        entered: list[Tensor] = []
        return [
            # After any other: this is what the layer adds to.
            place.layer.register_forward_pre_hook(lambda _, args: entered.__setitem__(slice(None), [args[0]])),
            place.module.register_forward_hook(lambda _, args, output: _led_with(entered[0], output, point)),
        ]
    return [place.module.register_forward_hook(lambda _, args, output: _led(place, output, point))]


def _led(place: Place, output: Any, point: HookPoint) -> Any:
    if isinstance(output, tuple):
        return (point(output[0]), *output[1:])
    if place.kind == "out":
        return point(output)
    pieces = list(output.chunk(place.parts, dim=-1))
    piece = pieces[place.part]
    pieces[place.part] = point(piece.unflatten(-1, (-1, place.d_head))).flatten(-2) if place.d_head else point(piece)
    return torch.cat(pieces, dim=-1) if place.parts > 1 else pieces[0]


def _led_with(entered: Tensor, output: Tensor, point: HookPoint) -> Tensor:
    """Return an output that makes its sum with what entered the layer into what the point returns."""
    total = entered + output
    seen: Tensor = point(total)
    value = output + (seen - total)
    if not torch.is_grad_enabled():
        return value
    # The gradient of `seen - entered`, with a value that no rounding touches where nothing was changed.
    return value.detach() + (seen - seen.detach()) - (entered - entered.detach())
