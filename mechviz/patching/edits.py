"""The one primitive of every intervention, and the one runner that all grids use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mechviz.errors import InputError
from mechviz.patching.cells import even_rows
from mechviz.patching.kernel import Change, Upper, run_layers, upper
from mechviz.patching.runs import Run
from mechviz.rankers.ranker import Ranker

#: Sites whose activations have dims (row, head, query_pos, key_pos) instead of (row, pos, ...).
_HEAD_FIRST = ("hook_pattern", "hook_attn_scores")
_WITH_HEADS = ("hook_q", "hook_k", "hook_v", "hook_z", *_HEAD_FIRST)


@dataclass(frozen=True, eq=False)
class Edit:
    """Replace an activation at one hook of one run.

    Attributes
    ----------
    hook : str
        Full TransformerLens name.
    value : Tensor or callable
        The new activation without the row dimension (dims (pos, ...), or (head, query_pos, key_pos)), or a function
        of the old one that returns it.
    heads, positions : sequence of int, optional
        Where it applies; everywhere by default. ``positions`` are query positions at ``pattern`` and ``attn_scores``.
    """

    hook: str
    value: Tensor | Callable[[Tensor], Tensor]
    heads: Sequence[int] | None = None
    positions: Sequence[int] | None = None

    def apply(self, activation: Tensor) -> Tensor:
        """Return the edited activation of one row."""
        new = self.value(activation) if callable(self.value) else self.value
        if new.shape != activation.shape:
            raise InputError(f"the value for {self.hook} has shape {tuple(new.shape)}, the activation {tuple(activation.shape)}")
        where = torch.zeros(activation.shape, dtype=torch.bool, device=activation.device)
        where[self._index(activation.shape)] = True
        return torch.where(where, new.to(activation.dtype), activation)

    def _index(self, shape: torch.Size) -> tuple[Any, ...]:
        site = self.hook.rpartition(".")[2]
        head_axis, position_axis = (0, 1) if site in _HEAD_FIRST else (1, 0)
        chosen: list[Any] = [slice(None)] * len(shape)
        for axis, wanted, word in ((head_axis, self.heads, "heads"), (position_axis, self.positions, "positions")):
            if wanted is None:
                continue
            if word == "heads" and site not in _WITH_HEADS:
                raise InputError(f"{self.hook} has no head dimension; leave heads out")
            wrong = [int(index) for index in wanted if not 0 <= index < shape[axis]]
            if wrong:
                raise InputError(f"{word} {wrong} of {self.hook} do not exist; there are 0 to {shape[axis] - 1}")
            chosen[axis] = list(wanted)
        both = [axis for axis, index in enumerate(chosen) if isinstance(index, list)]
        if len(both) == 2:  # every chosen head at every chosen position, not pair by pair
            chosen[both[0]] = np.array(chosen[both[0]])[:, None]
        return tuple(chosen)


#: Edits that happen together in one run.
Cell = Sequence[Edit]


def run_cells(ranker: Ranker, run: Run, cells: Sequence[Cell], max_rows: int) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Score each cell's edits on top of a recorded base run.

    The model is entered again at the lowest layer that a cell edits; the layers below are not run. Cells of one
    layer are rows of one batch.

    Parameters
    ----------
    ranker : Ranker
    run : Run
        The base run.
    cells : sequence of Cell
    max_rows : int
        Rows of one batch at most; halved, for good, when memory runs out.

    Yields
    ------
    tuple
        Indices of some cells, and their scores, float32, dims (cell); the topmost layers first.
    """
    tower, part = ranker.towers[run.stack], ranker.stack(run.stack)
    for edit in (edit for cell in cells for edit in cell):
        tower.names(edit.hook)
    with tower.lock:  # or another thread's taps would look like hooks of the caller's
        fast = upper(ranker, run)
    groups: dict[tuple[int, bool], list[int]] = {}
    for index, cell in enumerate(cells):
        layer = min((tower.layer_of(edit.hook, part) for edit in cell), default=0)
        z_only = fast is not None and bool(cell) and all(edit.hook == part.hook(layer, "z") for edit in cell)
        groups.setdefault((layer, z_only), []).append(index)
    for (layer, z_only), members in sorted(groups.items(), reverse=True):
        done = 0
        while done < len(members):
            chosen = members[done : done + even_rows(len(members) - done, max_rows)]
            rows = [cells[index] for index in chosen]
            try:
                # The lock keeps another thread's hooks out of the modules that a batch runs through.
                with tower.lock, torch.no_grad():
                    scores = _z_rows(fast, run, layer, rows) if z_only and fast else _any_rows(ranker, run, layer, rows)
            except Exception as error:
                if not _out_of_memory(error) or len(chosen) == 1:
                    raise
                max_rows = len(chosen) // 2
                continue
            done += len(chosen)
            yield chosen, scores.cpu().numpy()


def _z_rows(fast: Upper, run: Run, layer: int, cells: Sequence[Cell]) -> Tensor:
    """Score what is above z of one layer, each cell's edits applied to it."""
    z = run.z[layer][0]
    changes = []
    for cell in cells:
        new = z
        for edit in cell:
            new = edit.apply(new)
        heads = sorted({head for edit in cell for head in (range(z.shape[1]) if edit.heads is None else edit.heads)})
        changes.append(Change(heads, (new[:, heads] - z[:, heads]).flatten(1)))
    return run.readout(fast.finish(layer, changes), run.reads)


def _any_rows(ranker: Ranker, run: Run, layer: int, cells: Sequence[Cell]) -> Tensor:
    """Score the model's own layers from ``layer`` up with every cell's edits hooked in, one cell a row."""
    rows_of: dict[str, list[tuple[int, Edit]]] = {}
    for row, cell in enumerate(cells):
        for edit in cell:
            rows_of.setdefault(edit.hook, []).append((row, edit))

    def edit_rows(activation: Tensor, hook: Any) -> Tensor:
        activation = activation.clone()
        for row, edit in rows_of[hook.name]:
            activation[row] = edit.apply(activation[row])
        return activation

    part = ranker.stack(run.stack)
    with ranker.towers[run.stack].hooks([(name, edit_rows) for name in rows_of]):
        if layer < 0:
            return run.readout(*ranker.encode([run.inputs] * len(cells), run.stack))
        with ranker.running(run.stack):
            if layer == part.n_layers:
                hidden = run.hidden.expand(len(cells), -1, -1)
            else:
                hidden = run_layers(part, run, layer, run.resid_pre[layer].expand(len(cells), -1, -1))
            return run.readout(hidden, run.reads)


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
