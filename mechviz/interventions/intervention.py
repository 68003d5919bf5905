"""One intervention: at which hook, where in the text, on which coordinates, what is done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.interventions.checks import as_array, frozen
from mechviz.interventions.ops import SKIPPED, as_op
from mechviz.interventions.positions import Where, as_where
from mechviz.interventions.subspaces import as_subspace, rebuilt
from mechviz.patching.cells import numbers
from mechviz.patching.edits import HEAD_FIRST, WITH_HEADS
from mechviz.rankers.hooked import HookedModel, site_of
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.stack import Stack


@dataclass(frozen=True, eq=False)
class Intervention:
    """What is done at one hook.

    Parameters
    ----------
    hook : str
        Full TransformerLens name, such as ``"blocks.3.attn.hook_z"``; for `wrap`, the path of a module.
    op : str, Op or callable, default ``"swap"``
        ``swap``, ``add``, ``subtract``, ``zero``, ``mean``, ``noise``, ``scale``, ``clamp``, ``collect``, ``skip``, with options
        as `ops.Noise(deviations=3)`; or a function of the coordinates, dims (row, unit, coordinate).
    heads : sequence of int, optional
        All by default; at hooks that have heads.
    positions : optional
        Where: everywhere by default. Class names of `Pair.classes`, ``"doc"`` or ``"query_terms"`` (the document's words that
        the query has), whole numbers, ``slice`` or (start, end) spans, a list of these, or an int64 array, dims (pair, unit),
        -1 for none. At ``pattern`` and ``attn_scores`` they are query positions.
    subspace : optional
        On which coordinates: `subspaces.DAS(rank=2)`, ``"das"``, ``"boundless"``, ``"mask"``, a list of features, an array of
        directions, dims (feature, coordinate), or another of `subspaces`. All features by default; those of several heads
        stand side by side.
    source : int or array, default 0
        For ops that take something from elsewhere: the number of the source run (a pair may carry several perturbed texts),
        or a stored vector, dims (feature).
    source_positions : optional
        Where in the source, if not at ``positions``; as many.
    key : str
        Interventions of one key share what their subspace learns.

    Raises
    ------
    InputError, InputTypeError
        What cannot be whatever the ranker; the rest is checked by `check` when one is met.
    """

    hook: str
    op: Any = "swap"
    heads: Sequence[int] | None = None
    positions: Any = None
    subspace: Any = None
    source: Any = 0
    source_positions: Any = None
    key: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.hook, str) or not self.hook:
            raise InputError(f"hook={shown(self.hook)}; give a full name, such as 'blocks.3.attn.hook_z'")
        op, subspace = as_op(self.op), as_subspace(self.subspace)
        set_ = object.__setattr__
        set_(self, "op", op)
        set_(self, "subspace", subspace)
        set_(self, "positions", as_where("positions", self.positions))
        set_(self, "source_positions", as_where("source_positions", self.source_positions))
        if not isinstance(self.key, str):
            raise InputTypeError(f"key must be a string, not {shown(self.key)}")
        if not re.fullmatch(r"[\w -]*", self.key) or hasattr(nn.ModuleDict, self.key):
            raise InputError(f"key={self.key!r} names a module; give another word, of letters, digits, '_' and '-'")
        site = self.hook.rpartition(".")[2]
        if self.heads is not None:
            set_(self, "heads", tuple(dict.fromkeys(numbers("heads", self.heads, 10**6))))
            if site not in WITH_HEADS:
                raise InputError(f"{self.hook} has no head dimension; leave heads out")
        if subspace is not None and site in HEAD_FIRST:
            raise InputError(f"the features of {self.hook} are key positions, as many as the text has; leave subspace out")
        if op.name == "skip" and site.startswith("hook_"):
            _check_skip(self.hook, subspace is not None)
        set_(self, "source", _source(self.source))
        if not op.needs_source and (self.stored is not None or self.source_positions is not None):
            raise InputError(f"the op {op.name!r} takes nothing from a source; leave source and source_positions out")
        if self.source_positions is not None and (self.positions is None or self.stored is not None):
            raise InputError(
                "source_positions says where in a source run stands what goes to positions; give both, or leave it out"
            )
        if op.name == "noise" and site in HEAD_FIRST:
            raise InputError(f"noise at {self.hook} would depend on the length of the text; use a hook such as z or resid_pre")
        if self.key and (subspace is None or not subspace.trained):
            raise InputError(f"key={self.key!r} is for a subspace that is learned, such as 'das'; leave it out")

    @property
    def stored(self) -> NDArray[np.float32] | None:
        """The stored vector that is the source, if one is."""
        return self.source if isinstance(self.source, np.ndarray) else None

    @property
    def run(self) -> int | None:
        """The number of the source run that is read; None where none is."""
        return self.source if self.op.needs_source and self.stored is None else None

    @property
    def trained(self) -> bool:
        """Whether `Plan.fit` learns something of it."""
        return self.subspace is not None and self.subspace.trained

    def check(self, ranker: Ranker, stack: str) -> int:
        """Check against a ranker, and return how many features are changed.

        Raises
        ------
        InputError
            A hook, head or size that this ranker does not have.
        """
        tower, part = ranker.towers[stack], ranker.stack(stack)
        if self.hook not in tower.points:
            tower.names(self.hook)  # says which there are
            raise InputError(f"hook={self.hook!r} names a site; give a full name, such as {part.hook(0, self.hook)!r}")
        shape = shape_of(tower, part, self.hook)
        if self.heads is not None:
            numbers("heads", self.heads, shape[0])
        width = shape[-1] * (1 if len(shape) == 1 else shape[0] if self.heads is None else len(self.heads))
        head_first = self.hook.rpartition(".")[2] in HEAD_FIRST
        if self.stored is not None and not head_first and self.stored.shape[-1] not in (width, 1):
            raise InputError(f"the stored source has {self.stored.shape[-1]} features, and {self.hook} has {width} here")
        return width

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON; arrays are in `tensors`."""
        return {
            "hook": self.hook,
            "op": self.op.to_dict(),
            "heads": None if self.heads is None else list(self.heads),
            "positions": _plain(self.positions),
            "subspace": None if self.subspace is None else self.subspace.to_dict(),
            "source": "stored" if self.stored is not None else self.source,
            "source_positions": _plain(self.source_positions),
            "key": self.key,
        }

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays that it holds, by name."""
        found = {} if self.subspace is None else {f"subspace.{name}": one for name, one in self.subspace.tensors().items()}
        return found if self.stored is None else {**found, "source": self.stored}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]]) -> Intervention:
        """Rebuild from the values of `to_dict` and `tensors`."""
        known = {one.name for one in fields(cls)}
        if not isinstance(data, Mapping) or "hook" not in data:
            raise InputError(f"an intervention is a mapping with a 'hook', not {shown(data)}")
        if unknown := sorted(set(data) - known):
            raise InputError(f"an intervention has no {', '.join(map(repr, unknown))}; it has {', '.join(sorted(known))}")
        options = dict(data)
        arrays = {name.removeprefix("subspace."): one for name, one in tensors.items() if name.startswith("subspace.")}
        if options.get("subspace") is not None:
            options["subspace"] = rebuilt(options["subspace"], arrays)
        if isinstance(options.get("source"), str) and options["source"] == "stored":
            if "source" not in tensors:
                raise InputError(f"the stored source of {options.get('hook')!r} is missing from the tensors")
            options["source"] = tensors["source"]
        return cls(**options)

    def __repr__(self) -> str:
        more = "".join(
            f", {name}={shown(value)}"
            for name, value in (("heads", self.heads), ("positions", _plain(self.positions)), ("key", self.key))
            if value not in (None, "")
        )
        subspace = "" if self.subspace is None else f", subspace={self.subspace.name}"
        return f"Intervention({self.hook!r}, {self.op.name!r}{subspace}{more})"


def sources_of(interventions: Sequence[Intervention]) -> int:
    """Return how many source runs interventions take from."""
    return max((one.run + 1 for one in interventions if one.run is not None), default=0)


def shape_of(tower: HookedModel, part: Stack, hook: str) -> tuple[int, ...]:
    """Return the sizes of a hook's activation after row and position: (feature), or (head, feature).

    A pattern's features are key positions, whose number depends on the text: it is 0 here.
    """
    site = site_of(hook)
    if hook.rpartition(".")[2] in HEAD_FIRST:
        return part.n_heads, 0
    if site.removeprefix("rot_") in ("q", "z"):
        return part.n_heads, part.d_head
    if site.removeprefix("rot_") in ("k", "v"):
        heads = int(getattr(tower.model.config, "num_key_value_heads", None) or part.n_heads)
        return heads, part.d_head
    return (part.d_mlp if site in ("mlp_pre", "mlp_post") else part.d_model,)


def _check_skip(hook: str, within: bool) -> None:
    if site_of(hook) not in SKIPPED:
        raise InputError(f"skip leaves out a module; {hook} is none: use {', '.join(SKIPPED)}, or another op")
    if within and SKIPPED[site_of(hook)] == "":
        raise InputError(f"skip at {hook} puts zeros there; in a subspace that is the op 'zero'")


def _source(source: object) -> int | NDArray[np.float32]:
    if isinstance(source, bool):
        raise InputTypeError("source must be the number of a source run or a stored vector, not True or False")
    if isinstance(source, (int, np.integer)):
        if source < 0:
            raise InputError(f"source={source}; the source runs of a pair are numbered from 0")
        return int(source)
    array = as_array("source", source)
    if array.ndim != 1 or not array.size:
        raise InputError(f"source has shape {array.shape}; give the number of a source run, or a stored vector, dims (feature)")
    return frozen(array)


def _plain(where: Where | None) -> Any:
    return None if where is None else where.to_plain()
