"""A `transformers` model with TransformerLens's hook points, on the model itself and leaving no trace in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint
from transformers import PreTrainedModel

from mechviz.errors import InputError, UnsupportedModelError
from mechviz.rankers.attention import FORWARDS, IMPLEMENTATION, POINTS
from mechviz.rankers.families import FAMILIES, Blocks, Family
from mechviz.rankers.guards import refuse_hooks_around, require_exact_products
from mechviz.rankers.places import Place, places_of, tap
from mechviz.rankers.stack import Stack, find

HookFunction = Callable[..., Tensor | None]
#: A hook name, or a function that chooses names, with the function to call there.
Hook = tuple[str | Callable[[str], bool], HookFunction]

# One lock a base model, whoever wraps it: two rankers that share layers must not switch attention under each other.
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


class HookedModel:
    """The layers of one `transformers` model, read through its family file.

    Parameters
    ----------
    model : PreTrainedModel
        A class of a supported family; it is returned as it was after every run.

    Attributes
    ----------
    family : Family
    base : nn.Module
        The part of ``model`` that makes hidden states.
    stacks : dict of str to Stack
        By name; a model with an encoder only, or a decoder only, has one.
    points : dict of str to HookPoint
        Every hook by its TransformerLens name.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        family = family_of(model)
        self.model = model
        self.family = family
        whole = type(model).__name__ == family.base
        self.base = model if whole else model.get_submodule(family.prefix)
        self.stacks: dict[str, Stack] = {}
        self.points: dict[str, HookPoint] = {}
        self._places: dict[str, Place] = {}
        for blocks in family.blocks:
            layers = find(self.base, blocks.layers, optional=True)
            if layers is not None:
                self._add(blocks, layers)
        self.main = next(iter(self.stacks.values()))
        self.lock = _LOCKS.setdefault(self.base, threading.RLock())
        self._connected: set[str] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        return HookedModel, (self.model,)  # the lock stays here: a copy is another model

    @property
    def device(self) -> torch.device:
        """The device of the model's weights."""
        return self.model.device

    @property
    def max_positions(self) -> int | None:
        """Positions that the model has, None where it has no limit of its own."""
        return self.family.positions(self.model.config)

    @property
    def cfg(self) -> SimpleNamespace:
        """What `transformer_lens.ActivationCache` asks of a model."""
        stack = self.main
        return SimpleNamespace(
            n_layers=stack.n_layers,
            n_heads=stack.n_heads,
            d_head=stack.d_head,
            d_model=stack.d_model,
            d_mlp=stack.d_mlp,
            attn_only=stack.d_mlp == 0,
        )

    @property
    def blocks(self) -> list[SimpleNamespace]:
        """The output projections of the main stack, where `transformer_lens.ActivationCache` looks for them."""
        stack = self.main
        return [SimpleNamespace(attn=SimpleNamespace(W_O=stack.w_o(layer))) for layer in range(stack.n_layers)]

    def names(self, chosen: str | Sequence[str] | Callable[[str], bool] | None) -> list[str]:
        """Return hook names for full names, sites (``"z"``), a function on names, or None for all.

        Raises
        ------
        InputError
            A name that is neither a hook nor a site; lists the sites.
        """
        if chosen is None:
            return list(self.points)
        if callable(chosen):
            return [name for name in self.points if chosen(name)]
        found: list[str] = []
        for wanted in [chosen] if isinstance(chosen, str) else chosen:
            matching = [name for name in self.points if wanted in (name, site_of(name))]
            if not matching:
                sites = dict.fromkeys(map(site_of, self.points))
                example = self.main.hook(self.main.n_layers - 1, "z")
                raise InputError(
                    f"{wanted!r} is no hook of this ranker; give a site ({', '.join(sites)}) or a full name such as "
                    f"{example!r} (layers 0 to {self.main.n_layers - 1})"
                )
            found += matching
        return list(dict.fromkeys(found))

    def layer_of(self, name: str, stack: Stack) -> int:
        """Return the layer at which a run of ``stack`` must be entered for a hook to take part.

        -1 is the whole model, ``stack.n_layers`` what comes after the stack.
        """
        blocks, _, rest = name.partition(".")
        owner = next((other for other in self.stacks.values() if other.blocks.name == blocks), None)
        if owner is None:  # an embedding: T5's decoder has its own
            blocks_of = {other.blocks.embed_name: other for other in self.stacks.values()}
            return stack.n_layers if blocks_of[name].first > stack.first else -1
        if owner.first != stack.first:
            return stack.n_layers if owner.first > stack.first else -1
        return int(rest.split(".")[0])

    @contextmanager
    def hooks(self, fwd_hooks: Sequence[Hook] = (), bwd_hooks: Sequence[Hook] = ()) -> Iterator[None]:
        """Add hooks for the time of a ``with`` block; only these are removed at its end, also after an exception."""
        with self.lock, ExitStack() as stack:
            for direction, hooks in (("fwd", fwd_hooks), ("bwd", bwd_hooks)):
                for chosen, function in hooks:
                    for name in self.names(chosen):
                        handle = self.points[name].add_hook(cast(Any, function), dir=cast(Any, direction))
                        stack.callback(_remove, self.points[name], handle)
            yield

    def active(self) -> list[str]:
        """Return the names of the points that have hooks now."""
        return [name for name, point in self.points.items() if point._forward_hooks or point._backward_hooks]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Switch the model to hooked attention and connect the points that have hooks; restore all of it after."""
        require_exact_products(self.model.dtype)
        with self.lock, ExitStack() as stack:
            if not self._own_forward:
                for config in self._configs:
                    if config._attn_implementation != IMPLEMENTATION:
                        stack.callback(setattr, config, "_attn_implementation", config._attn_implementation)
                        config._attn_implementation = IMPLEMENTATION
            for module in _training(self.model):  # dropout would make every run another one
                stack.callback(setattr, module, "training", True)
                module.training = False
            for name in self.active():
                if name not in self._connected:  # a hook that scores runs inside a run: what it needs is connected
                    self._connect(name, stack)
                    self._connected.add(name)
                    stack.callback(self._connected.discard, name)
            yield

    def refuse_open_hooks(self) -> None:
        """Raise if this thread has hooks set; another thread's are waited for.

        Raises
        ------
        InputError
        """
        with self.lock:
            if self.active():
                raise InputError(
                    "this ranker has hooks set (a with ranker.hooks(...) block is open), which would mix with the patches; "
                    "leave the block first"
                )

    def refuse_hooks_around_layers(self) -> None:
        """Raise if something is wrapped around the layers that entering the model at a layer would leave out."""
        around = [self.base]
        for stack in self.stacks.values():
            path = stack.blocks.layers.split(".")
            around += [self.base.get_submodule(".".join(path[:depth])) for depth in range(1, len(path))]
        with self.lock:
            refuse_hooks_around(around)

    def first_non_finite(self, run: Callable[[], object]) -> str | None:
        """Run with a look at every site and return the first one that holds NaN or inf, None where no site does."""
        found: list[str] = []

        def look(value: Tensor, hook: HookPoint) -> None:
            bad = ~torch.isfinite(value.detach())
            if hook.name is not None and hook.name.endswith("attn_scores"):
                bad &= torch.isnan(value.detach())  # a masked score is -inf by design in some families
            if not found and bool(bad.any()):
                found.append(str(hook.name))

        with self.hooks([(lambda name: True, look)]):
            run()
        return found[0] if found else None

    # -- where the points sit ------------------------------------------------------------------------------------

    def _add(self, blocks: Blocks, layers: nn.ModuleList) -> None:
        first = len({stack.blocks.name for stack in self.stacks.values()})
        for attention in blocks.attentions:
            self.stacks[attention.stack] = Stack(self.model, self.base, layers, blocks, attention, first)
        self._place(blocks.embed_name, Place(find(self.base, blocks.embed), "out"))
        for i, layer in enumerate(layers):
            for suffix, place in places_of(layer, blocks, self.stacks[blocks.attentions[0].stack].d_head):
                self._place(f"{blocks.name}.{i}.{suffix}", place)

    def _place(self, name: str, place: Place) -> None:
        point = cast(Callable[[], HookPoint], HookPoint)()  # its constructor carries no types
        point.name = name
        self.points[name], self._places[name] = point, place

    def _connect(self, name: str, stack: ExitStack) -> None:
        point, place = self.points[name], self._places[name]
        if place.kind != "attention":
            for handle in tap(place, point):
                stack.callback(handle.remove)
            return
        module = place.module
        module.__dict__.setdefault(POINTS, {})[place.site] = point
        forward = FORWARDS.get(type(module).__name__)
        if forward is not None:
            module.forward = partial(forward, module)
        stack.callback(_disconnect, module, place.site)

    @cached_property
    def _own_forward(self) -> bool:
        module = self.main.module(0, self.main.attention.module)
        return type(module).__name__ in FORWARDS

    @cached_property
    def _configs(self) -> list[Any]:
        models = [module for module in self.model.modules() if isinstance(module, PreTrainedModel)]
        return list({id(model.config): model.config for model in models}.values())


def family_of(model: nn.Module) -> Family:
    """Return the family of a model.

    Raises
    ------
    UnsupportedModelError
        With the classes that are supported, or why this one cannot be hooked.
    """
    name = type(model).__name__
    for family in FAMILIES.values():
        if name not in family.classes:
            continue
        config = cast(Any, model).config
        decodes = not family.causal and getattr(config, "is_decoder", False)
        if decodes or getattr(config, "add_cross_attention", False):
            raise UnsupportedModelError(f"this {name} is configured as a decoder (is_decoder); mechviz reads it as an encoder")
        kind = getattr(config, "position_embedding_type", None) or "absolute"
        reason = family.refuse(config) or ("" if kind == "absolute" else f"its position embeddings are {kind!r}, not absolute")
        if reason:
            raise UnsupportedModelError(f"this {name} cannot be hooked: {reason}")
        return family
    raise UnsupportedModelError(f"{name} is not supported; mechviz opens {', '.join(supported())}")


def supported() -> list[str]:
    """Return the names of the model classes that have a family file."""
    return [name for family in FAMILIES.values() for name in family.classes]


def site_of(name: str) -> str:
    """Return the site of a hook: ``z`` of ``blocks.3.attn.hook_z``, ``mlp_post`` of ``blocks.3.mlp.hook_post``."""
    owner, _, last = name.rpartition(".")
    site = last.removeprefix("hook_")
    return f"mlp_{site}" if owner.endswith(".mlp") else site


def _training(root: nn.Module) -> list[nn.Module]:
    """Return the modules in training mode; several times faster than ``modules()``, which names them."""
    found, left = [], [root]
    while left:
        module = left.pop()
        if module.training:
            found.append(module)
        left += [child for child in module._modules.values() if child is not None]
    return found


def _disconnect(module: nn.Module, site: str) -> None:
    points = module.__dict__[POINTS]
    del points[site]
    if not points:
        del module.__dict__[POINTS]
        if type(module).__name__ in FORWARDS:
            del module.forward


def _remove(point: HookPoint, handle: Any) -> None:
    handle.hook.remove()
    for handles in (point.fwd_hooks, point.bwd_hooks):
        if handle in handles:
            handles.remove(handle)
