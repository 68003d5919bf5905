"""Places in a module of any kind: what enters or leaves a submodule, by its dotted path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from mechviz.errors import InputError, shown

ENDS = ("input", "output")

#: Takes an activation, and returns what shall stand there, or None to leave it.
Act = Callable[[Tensor], Tensor | None]


class Handle(Protocol):
    """What a hook is removed by."""

    def remove(self) -> None:
        """Remove it."""


class Call(NamedTuple):
    """What a module is called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Place:
    """What enters or leaves a module.

    Attributes
    ----------
    hook : str
        Its name, as given.
    module : Module
    end : ``"input"`` or ``"output"``
    """

    hook: str
    module: nn.Module
    end: str = "output"

    @property
    def width(self) -> int | None:
        """Number of features, where the module's class says it."""
        return _width(self.module, self.end)

    def listen(self, act: Act) -> Handle:
        """Let ``act`` see, and replace, every activation here until the handle is removed."""

        def entering(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            in_args = _slot(args) is not None
            new = self._acted(args if in_args else kwargs, act)
            return None if new is None else (new, kwargs) if in_args else (args, new)

        def leaving(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            return self._acted(output, act)

        if self.end == "input":
            return self.module.register_forward_pre_hook(entering, with_kwargs=True)
        return self.module.register_forward_hook(leaving)

    def _acted(self, value: Any, act: Act) -> Any:
        """Return a value with its first tensor replaced; None where it is left."""
        if isinstance(value, Tensor):
            return act(value)
        slot = _slot(value)
        if slot is None:
            raise InputError(f"the {self.end} at hook {self.hook!r} is {shown(value)}, in which no tensor comes first; hook "
                             "another module")  # fmt: skip
        new = act(value[slot])
        return None if new is None else _with(value, slot, new)


def place_of(root: nn.Module, hook: str) -> Place:
    """Return the place of a dotted path: a submodule (its output), or a submodule and ``.input`` or ``.output``.

    Raises
    ------
    InputError
        There is none, with those that are called alike.
    """
    modules = dict(root.named_modules(remove_duplicate=False))
    if hook in modules:
        return Place(hook, modules[hook])
    path, _, end = hook.rpartition(".")
    if end in ENDS and path in modules:
        return Place(hook, modules[path], end)
    given = path if end in ENDS else hook
    raise InputError(
        f"hook={hook!r}: {type(root).__name__} has no module {given!r}; {close(root, given)}. A hook is the path of a module, of "
        "which the output is meant, or a path and '.input' or '.output'"
    )


def close(root: nn.Module, path: str) -> str:
    """Say which modules have paths like this one."""
    paths = [one for one, _ in root.named_modules(remove_duplicate=False) if one and one != path]
    near = get_close_matches(path, paths, n=3, cutoff=0.5) or paths[:3]
    return f"modules with paths like it: {', '.join(map(repr, near))}" if near else "it has no modules inside"


def call_of(given: object) -> Call:
    """Return what a module is called with: of (args, kwargs), a tuple of arguments, a mapping of them by name, or one tensor.

    Raises
    ------
    InputError
        None of these.
    """
    if isinstance(given, Tensor):
        return Call((given,), {})
    if isinstance(given, Mapping):
        return Call((), dict(given))
    if isinstance(given, tuple):
        if len(given) == 2 and isinstance(given[0], (tuple, list)) and isinstance(given[1], Mapping):
            return Call(tuple(given[0]), dict(given[1]))
        return Call(given, {})
    raise InputError(f"give what the module is called with as (args, kwargs), a tuple, a dict or a tensor, not {shown(given)}")


def _slot(value: Any) -> Any:
    """Return where the first tensor of a tuple or mapping is; None where there is none, or something nested comes before."""
    if isinstance(value, PackedSequence):  # a tuple whose first tensor has no rows
        return None
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, (tuple, list)) else ()
    for slot, one in items:
        if isinstance(one, Tensor):
            return slot
        if isinstance(one, (tuple, list, Mapping)):
            return None
    return None


def _with(value: Any, slot: Any, new: Tensor) -> Any:
    if isinstance(value, Mapping):
        return type(value)(**{**value, slot: new})
    made: Sequence[Any] = [new if at == slot else one for at, one in enumerate(value)]
    return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)


def _width(module: nn.Module, end: str) -> int | None:
    match module:
        case nn.Linear():
            return module.in_features if end == "input" else module.out_features
        case nn.Embedding() if end == "output":
            return module.embedding_dim
        case nn.LayerNorm() | nn.RMSNorm():
            return int(module.normalized_shape[-1])
        case nn.RNNBase():
            leaving = (module.proj_size or module.hidden_size) * (2 if module.bidirectional else 1)
            return module.input_size if end == "input" else leaving
        case nn.Sequential() if len(module):
            return _width(module[0 if end == "input" else -1], end)
    return None
