"""What an intervention does with the coordinates of what is at its positions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.patching.edits import BatchEdit

#: The largest number that an activation may hold.
LARGEST = float(np.finfo(np.float32).max)
#: Site -> the site whose value stands there when the module is left out; "" where it then adds nothing.
SKIPPED = {"resid_post": "resid_pre", "attn_out": "", "mlp_out": ""}


@dataclass(frozen=True, eq=False)
class Seen:
    """What an op may look at besides the coordinates that it changes.

    Attributes
    ----------
    edit : BatchEdit
    activation : Tensor
        The whole activation of the batch, as the model has it.
    encode : callable
        Takes features and returns their coordinates.
    entered : Tensor or None, dims (row, unit, feature)
        What entered the layer at the positions, for `Skip`.
    mask : bool Tensor, dims (row, pos), or None
        Which positions are no padding; for ops that look at the whole text.
    seeds : sequence of int
        For these, one a row: a number made of the text, so that noise does not depend on what else is in the batch.
    """

    edit: BatchEdit
    activation: Tensor
    encode: Callable[[Tensor], Tensor]
    entered: Tensor | None = None
    mask: Tensor | None = None
    seeds: Sequence[int] = ()

    @cached_property
    def _everywhere(self) -> Tensor:
        return self.edit.features(self.activation).float()

    def mean(self) -> Tensor:
        """Return the mean coordinates over all attended positions of each row, dims (row, 1, coordinate)."""
        assert self.mask is not None
        coordinates = self.encode(self._everywhere)
        weights = self.mask[..., None].to(coordinates.dtype)
        return (coordinates * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)

    def deviation(self) -> Tensor:
        """Return the standard deviation of all entries at attended positions of each row, dims (row, 1, 1)."""
        assert self.mask is not None
        return torch.stack([row[kept].std(correction=0) for row, kept in zip(self._everywhere, self.mask, strict=True)])[
            :, None, None
        ]


@dataclass(frozen=True)
class Op(ABC):
    """What happens to coordinates.

    Attributes
    ----------
    name : str
        Its short name, as in config.json.
    needs_source : bool
        Whether it takes something from another run, or from a stored vector.
    writes : bool
        Whether it changes anything.
    whole : bool
        Whether it looks at the whole text, and so at which of it is padding.
    """

    name: ClassVar[str]
    needs_source: ClassVar[bool] = False
    writes: ClassVar[bool] = True
    whole: ClassVar[bool] = False

    @abstractmethod
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        """Return what the coordinates become, dims (row, unit, coordinate)."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return {"name": self.name, **{one.name: getattr(self, one.name) for one in fields(self)}}


class _FromSource(Op):
    needs_source = True


@dataclass(frozen=True)
class Swap(_FromSource):
    """Put the source's coordinates there: the interchange intervention (Geiger et al. 2021)."""

    name = "swap"

    @override
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        assert source is not None
        return source


@dataclass(frozen=True)
class Add(_FromSource):
    """Add ``scale`` times the source's: activation addition, or steering (Turner et al. 2023)."""

    name = "add"
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_finite("scale", self.scale)

    @override
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        assert source is not None
        return base + float(self.scale) * source


@dataclass(frozen=True)
class Subtract(Add):
    """Subtract ``scale`` times the source's."""

    name = "subtract"

    @override
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        assert source is not None
        return base - float(self.scale) * source


@dataclass(frozen=True)
class Zero(Op):
    """Put zeros there."""

    name = "zero"

    @override
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        return torch.zeros_like(base)


@dataclass(frozen=True)
class Mean(Op):
    """Put the mean over the attended positions of the same run there; for the mean of a collection, `Swap` in a stored one."""

    name = "mean"
    whole = True

    @override
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        return seen.mean().expand_as(base)


@dataclass(frozen=True)
class Noise(Op):
    """Add Gaussian noise: the corruption of causal tracing (Meng et al. 2022, ROME, which has 3 standard deviations).

    Attributes
    ----------
    deviations : float
        In standard deviations of the run's activations at the hook, over attended positions.
    seed : int
        With the text's token ids it settles the noise: the same text has the same noise in any batch.
    """

    name = "noise"
    whole = True
    deviations: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_finite("deviations", self.deviations)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"seed={shown(self.seed)}; give a whole number, at least 0")

    @override
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        drawn = [np.random.default_rng([self.seed, seed]).standard_normal(base.shape[1:]) for seed in seen.seeds]
        noise = torch.as_tensor(np.stack(drawn), dtype=base.dtype, device=base.device)
        return base + float(self.deviations) * seen.deviation() * noise


@dataclass(frozen=True)
class Scale(Op):
    """Multiply by a number."""

    name = "scale"
    by: float = 0.5

    def __post_init__(self) -> None:
        check_finite("by", self.by)

    @override
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        return base * float(self.by)


@dataclass(frozen=True)
class Clamp(Op):
    """Keep every coordinate within bounds; equal bounds set it to a value."""

    name = "clamp"
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if getattr(self, name) is not None:
                check_finite(name, getattr(self, name))
        if self.low is None and self.high is None:
            raise InputError("clamp has no bound; give low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise InputError(f"low={self.low:g} is above high={self.high:g}")

    @override
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        low, high = (None if bound is None else float(bound) for bound in (self.low, self.high))
        return base.clamp(low, high)


@dataclass(frozen=True)
class Collect(Op):
    """Change nothing; what is there comes back as ``collected``."""

    name = "collect"
    writes = False

    @override
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        return base


@dataclass(frozen=True)
class Skip(Op):
    """Leave a module out: at ``resid_post`` what entered the layer leaves it; ``attn_out`` and ``mlp_out`` add nothing."""

    name = "skip"

    @override
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        return torch.zeros_like(base) if seen.entered is None else seen.encode(seen.entered.float())


@dataclass(frozen=True)
class Fn(Op):
    """Any function of your own.

    Attributes
    ----------
    function : callable
        ``function(base)`` or, with ``from_source``, ``function(base, source)``: tensors of dims (row, unit, coordinate), and
        returns one of the same dims. It cannot be saved.
    from_source : bool
    """

    name = "fn"
    function: Callable[..., Tensor]
    from_source: bool = False

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InputTypeError(f"function must be callable, not {shown(self.function)}")
        object.__setattr__(self, "needs_source", bool(self.from_source))

    @override
    def new(self, base: Tensor, source: Tensor | None, seen: Seen) -> Tensor:
        found = self.function(base, source) if self.from_source else self.function(base)
        if not isinstance(found, Tensor) or found.shape != base.shape:
            got = tuple(found.shape) if isinstance(found, Tensor) else shown(found)
            raise InputError(f"{_called(self.function)} must return a tensor of dims {tuple(base.shape)} as it got, not {got}")
        return found

    @override
    def to_dict(self) -> dict[str, Any]:
        raise InputError(
            f"the op {_called(self.function)} is a function, which cannot be saved (only data is); use one of "
            f"{', '.join(repr(name) for name in OPS if name != 'fn')}, or keep the plan in code"
        )


#: Every op by its short name.
OPS: dict[str, type[Op]] = {op.name: op for op in (Swap, Add, Subtract, Zero, Mean, Noise, Scale, Clamp, Collect, Skip, Fn)}


def as_op(op: object) -> Op:
    """Return an op for itself, its short name, its `Op.to_dict`, or a function of the base's activation.

    Raises
    ------
    InputError, InputTypeError
        No such op, or options that it does not have.
    """
    if isinstance(op, Op):
        return op
    if isinstance(op, str):
        return as_op({"name": op})
    if isinstance(op, Mapping):
        options = dict(op)
        name = options.pop("name", None)
        if not isinstance(name, str) or name not in OPS or name == "fn":
            raise InputError(f"op={shown(name)}; there are {', '.join(map(repr, OPS))} (fn: hand over the function itself)")
        known = [one.name for one in fields(OPS[name])]
        if unknown := sorted(set(map(str, options)) - set(known)):
            raise InputError(f"the op {name!r} has no {', '.join(map(repr, unknown))}; it has {', '.join(known) or 'no options'}")
        return OPS[name](**options)
    if isinstance(op, type) and issubclass(op, Op):
        raise InputTypeError(f"op={op.__name__} is a class; give one of it, such as ops.{op.__name__}(), or its name")
    if callable(op):
        return Fn(op)
    raise InputTypeError(f"op must be a short name, an op such as ops.Noise(seed=1), or a function, not {shown(op)}")


def check_finite(name: str, value: object) -> None:
    """Refuse what is no finite number.

    Raises
    ------
    InputError
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
        raise InputError(f"{name}={shown(value)}; give a finite number")


def _called(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
