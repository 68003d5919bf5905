"""A `transformers` encoder with TransformerLens's hook points, on the model itself and leaving no trace in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint
from transformers import PreTrainedModel

from mechviz.errors import InputError, MechvizError, NonFiniteError, UnsupportedModelError
from mechviz.rankers.attention import IMPLEMENTATION, POINTS
from mechviz.rankers.families import FAMILIES, Family

HookFunction = Callable[..., Tensor | None]
#: A hook name, or a function that chooses names, with the function to call there.
Hook = tuple[str | Callable[[str], bool], HookFunction]

# Sites of one block: TransformerLens's suffix -> (part of the family, input or output of it).
_TAPS: dict[str, tuple[str, Literal["in", "out"]]] = {
    "hook_resid_pre": ("", "in"),
    "hook_attn_out": ("attn_out", "out"),
    "hook_resid_mid": ("attn_norm", "in"),
    "mlp.hook_pre": ("mlp_in", "out"),
    "mlp.hook_post": ("mlp_out", "in"),
    "hook_mlp_out": ("mlp_out", "out"),
    "hook_resid_post": ("", "out"),
}
_ATTENTION = ("q", "k", "v", "attn_scores", "pattern", "z")

# One lock a base model, whoever wraps it: two rankers that share layers must not switch attention under each other.
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


@dataclass(frozen=True)
class Parts:
    """The modules of one layer, named as in `Family`."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attn_out: nn.Linear
    attn_norm: nn.LayerNorm
    mlp_in: nn.Linear
    mlp_act: nn.Module
    mlp_out: nn.Linear
    mlp_norm: nn.LayerNorm


class Encoder:
    """The layers of one `transformers` model, read through its family file.

    Parameters
    ----------
    model : PreTrainedModel
        The base class of a supported family, or one with a head; it is returned as it was after every run.

    Attributes
    ----------
    points : dict of str to HookPoint
        Every hook by its TransformerLens name.
    n_layers, n_heads, d_head, d_model : int
    """

    def __init__(self, model: PreTrainedModel) -> None:
        family = family_of(model)
        self.model = model
        self.family = family
        self.base = model if type(model).__name__ == family.base else model.get_submodule(family.prefix)
        self.layers = list(cast(nn.ModuleList, self.base.get_submodule(family.layers)))
        self.n_layers = len(self.layers)
        self.n_heads = int(model.config.num_attention_heads)
        self.d_model = int(model.config.hidden_size)
        self.d_head = self.d_model // self.n_heads
        self.lock = _LOCKS.setdefault(self.base, threading.RLock())
        self._connected: set[str] = set()
        suffixes = (*_TAPS, *(f"attn.hook_{site}" for site in _ATTENTION))
        names = ["hook_embed", *(f"blocks.{layer}.{suffix}" for layer in range(self.n_layers) for suffix in suffixes)]
        self.points: dict[str, HookPoint] = {name: _point(name) for name in names}

    def __reduce__(self) -> tuple[Any, ...]:
        return Encoder, (self.model,)  # the lock stays here: a copy is another model

    @property
    def device(self) -> torch.device:
        """The device of the model's weights."""
        return self.model.device

    def parts(self, layer: int) -> Parts:
        """Return the modules of one layer."""
        paths = {name: getattr(self.family, name) for name in Parts.__dataclass_fields__}
        return Parts(**{name: cast(Any, self.layers[layer].get_submodule(path)) for name, path in paths.items()})

    def w_o(self, layer: int) -> Tensor:
        """Return the output projection of each head, dims (head, d_head, d_model)."""
        weight = self.parts(layer).attn_out.weight
        return weight.T.reshape(self.n_heads, self.d_head, self.d_model)

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
            matching = [name for name in self.points if name == wanted or name.rpartition(".")[2] == f"hook_{wanted}"]
            if not matching:
                sites = dict.fromkeys(name.rpartition(".")[2].removeprefix("hook_") for name in self.points)
                raise InputError(
                    f"{wanted!r} is no hook of this ranker; give a site ({', '.join(sites)}) or a full name such as "
                    f"'blocks.{self.n_layers - 1}.attn.hook_z' (layers 0 to {self.n_layers - 1})"
                )
            found += matching
        return list(dict.fromkeys(found))

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

    def hooked(self) -> list[str]:
        """Return the names of the points that have hooks now."""
        return [name for name, point in self.points.items() if point._forward_hooks or point._backward_hooks]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Switch the model to hooked attention and connect the points that have hooks; restore all of it after."""
        require_exact_products(self.model.dtype)
        with self.lock, ExitStack() as stack:
            config = self.model.config
            before = config._attn_implementation
            if before != IMPLEMENTATION:
                self.model.set_attn_implementation(IMPLEMENTATION)
                stack.callback(self.model.set_attn_implementation, before)
            for module in self.model.modules():
                if module.training:  # dropout would make every run another one
                    stack.callback(setattr, module, "training", True)
                    module.training = False
            for name in self.hooked():
                if name not in self._connected:  # a hook that scores runs inside a run: what it needs is connected
                    self._connect(name, stack)
                    self._connected.add(name)
                    stack.callback(self._connected.discard, name)
            yield

    def _connect(self, name: str, stack: ExitStack) -> None:
        point = self.points[name]
        if name == "hook_embed":
            stack.callback(_tap(self.base.get_submodule(self.family.embeddings), "out", point).remove)
            return
        _, layer, suffix = name.split(".", 2)
        block = self.layers[int(layer)]
        if suffix in _TAPS:
            part, side = _TAPS[suffix]
            module = block.get_submodule(getattr(self.family, part)) if part else block
            stack.callback(_tap(module, side, point).remove)
        else:
            module = block.get_submodule(self.family.attention)
            site = suffix.removeprefix("attn.hook_")
            module.__dict__.setdefault(POINTS, {})[site] = point
            stack.callback(_disconnect, module, site)

    def refuse_open_hooks(self) -> None:
        """Raise if this thread has hooks set; another thread's are waited for.

        Raises
        ------
        InputError
        """
        with self.lock:
            if self.hooked():
                raise InputError(
                    "this ranker has hooks set (a with ranker.hooks(...) block is open), which would mix with the patches; "
                    "leave the block first"
                )

    def refuse_hooks_around_layers(self) -> None:
        """Raise if something is wrapped around the layers that entering the model at a layer would leave out.

        Raises
        ------
        InputError
            A hook of the caller's, or a replaced ``forward``, on the base model or the container of the layers; or
            hooks that torch calls for every module.
        """
        path = self.family.layers.split(".")
        around = [self.base, *(self.base.get_submodule(".".join(path[:depth])) for depth in range(1, len(path)))]
        everywhere = [torch.nn.modules.module._global_forward_hooks, torch.nn.modules.module._global_forward_pre_hooks]
        with self.lock:
            if any(everywhere) or any(changed_by_caller(module) for module in around):
                raise InputError(
                    f"{type(self.base).__name__} has forward hooks or a replaced forward around its layers, or torch has "
                    "global module hooks; patching enters the model above them and would leave them out: remove them, or "
                    "set hooks inside the layers"
                )

    def first_non_finite(self, run: Callable[[], object]) -> NonFiniteError:
        """Run again with a look at every site and return the error that names the first bad one."""
        found: list[str] = []

        def look(value: Tensor, hook: HookPoint) -> None:
            bad = ~torch.isfinite(value.detach())
            if hook.name is not None and hook.name.endswith("attn_scores"):
                bad &= torch.isnan(value.detach())  # a masked score is -inf by design in some families
            if not found and bool(bad.any()):
                found.append(str(hook.name))

        with self.hooks([(lambda name: True, look)]):
            run()
        place = f"first at {found[0]}" if found else "in the score head only"
        return NonFiniteError(f"NaN or inf in the activations, {place}; check the weights and the dtype ({self.model.dtype})")


def family_of(model: nn.Module) -> Family:
    """Return the family of a model.

    Raises
    ------
    UnsupportedModelError
        With the classes that are supported.
    """
    name = type(model).__name__
    for family in FAMILIES.values():
        if name == family.base or name in family.heads:
            config = cast(Any, model).config
            if config.is_decoder or config.add_cross_attention:
                raise UnsupportedModelError(
                    f"this {name} is configured as a decoder (is_decoder); mechviz reads it as an encoder"
                )
            return family
    raise UnsupportedModelError(f"{name} is not supported; mechviz opens {', '.join(supported())}")


def supported() -> list[str]:
    """Return the names of the model classes that have a family file."""
    return [name for family in FAMILIES.values() for name in (family.base, *family.heads)]


def require_exact_products(dtype: torch.dtype) -> None:
    """Refuse to compute float32 results with a lowered matrix precision, or under autocast."""
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        raise MechvizError("torch.autocast is on, and effects are small differences of scores: leave its block")
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError as error:  # the newer per-backend settings are in use and disagree
        raise MechvizError(f"torch's float32 precision settings are mixed ({error}); set them all to 'ieee'") from error
    if dtype == torch.float32 and precision != "highest":
        raise MechvizError(
            f"torch.get_float32_matmul_precision() is {precision!r}, and effects are small differences of scores: "
            "call torch.set_float32_matmul_precision('highest')"
        )


def changed_by_caller(module: nn.Module) -> bool:
    """Return whether a module has forward hooks of somebody else's, or a ``forward`` that its class does not have."""
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    # transformers leaves hooks of its own, which collect outputs and change nothing.
    foreign = any(not getattr(hook, "__module__", "").startswith("transformers.") for hook in hooks)
    return foreign or "forward" in module.__dict__


def _disconnect(module: nn.Module, site: str) -> None:
    points = module.__dict__[POINTS]
    del points[site]
    if not points:
        del module.__dict__[POINTS]


def _point(name: str) -> HookPoint:
    point = cast(Callable[[], HookPoint], HookPoint)()  # its constructor carries no types
    point.name = name
    return point


def _remove(point: HookPoint, handle: Any) -> None:
    handle.hook.remove()
    for handles in (point.fwd_hooks, point.bwd_hooks):
        if handle in handles:
            handles.remove(handle)


def _tap(module: nn.Module, side: Literal["in", "out"], point: HookPoint) -> Any:
    """Lead the first input or the output of a module through a hook point."""
    if side == "in":
        # Before any hook of the caller's: what is recorded here is fed in again, and passes theirs then.
        return module.register_forward_pre_hook(
            lambda _, args, kwargs: ((point(args[0]), *args[1:]), kwargs), with_kwargs=True, prepend=True
        )
    return module.register_forward_hook(
        lambda _, args, output: (point(output[0]), *output[1:]) if isinstance(output, tuple) else point(output)
    )
