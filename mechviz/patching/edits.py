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
from mechviz.patching.kernel import Change, Kernel
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

    @property
    def layer(self) -> int:
        """The layer that the hook lies in, -1 for the embedding."""
        return int(self.hook.split(".")[1]) if self.hook.startswith("blocks.") else -1

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
    encoder = ranker.encoder
    for edit in (edit for cell in cells for edit in cell):
        encoder.names(edit.hook)
    with encoder.lock:  # or another thread's taps would look like hooks of the caller's
        fits = Kernel.fits(encoder)
    groups: dict[tuple[int, bool], list[int]] = {}
    for index, cell in enumerate(cells):
        layer = min((edit.layer for edit in cell), default=0)
        groups.setdefault((layer, fits and _z_of_one_layer(cell)), []).append(index)
    mask = torch.as_tensor(run.tokens.mask.copy(), device=encoder.device)[None]
    kernel = Kernel(encoder, mask, run.readout.position) if any(fast for _, fast in groups) else None
    for (layer, fast), members in sorted(groups.items(), reverse=True):
        done = 0
        while done < len(members):
            chosen = members[done : done + even_rows(len(members) - done, max_rows)]
            rows = [cells[index] for index in chosen]
            try:
                # The lock keeps another thread's hooks out of the modules that a batch runs through.
                with encoder.lock, torch.no_grad():
                    hidden = _z_rows(kernel, run, layer, rows) if fast and kernel else _any_rows(ranker, run, layer, rows)
                    scores = run.readout(hidden, mask).cpu().numpy()
            except Exception as error:
                if not _out_of_memory(error) or len(chosen) == 1:
                    raise
                max_rows = len(chosen) // 2
                continue
            done += len(chosen)
            yield chosen, scores


def _z_of_one_layer(cell: Cell) -> bool:
    return bool(cell) and all(edit.hook == f"blocks.{cell[0].layer}.attn.hook_z" for edit in cell)


def _z_rows(kernel: Kernel, run: Run, layer: int, cells: Sequence[Cell]) -> Tensor:
    """Run what is above z of one layer, each cell's edits applied to it."""
    z = run.z[layer][0]
    changes = []
    for cell in cells:
        new = z
        for edit in cell:
            new = edit.apply(new)
        heads = sorted({head for edit in cell for head in (range(z.shape[1]) if edit.heads is None else edit.heads)})
        changes.append(Change(heads, (new[:, heads] - z[:, heads]).flatten(1)))
    return kernel.finish(layer, run.resid_pre[layer], run.attn_out[layer], changes)


def _any_rows(ranker: Ranker, run: Run, layer: int, cells: Sequence[Cell]) -> Tensor:
    """Run the model's own layers from ``layer`` up with every cell's edits hooked in, one cell a row."""
    rows_of: dict[str, list[tuple[int, Edit]]] = {}
    for row, cell in enumerate(cells):
        for edit in cell:
            rows_of.setdefault(edit.hook, []).append((row, edit))

    def edit_rows(activation: Tensor, hook: Any) -> Tensor:
        activation = activation.clone()
        for row, edit in rows_of[hook.name]:
            activation[row] = edit.apply(activation[row])
        return activation

    encoder = ranker.encoder
    with encoder.hooks([(name, edit_rows) for name in rows_of]):
        if layer < 0:
            return ranker.encode([run.tokens] * len(cells))[0]
        with encoder.running():
            hidden = run.resid_pre[layer].expand(len(cells), -1, -1)
            for block, (args, kwargs) in zip(encoder.layers[layer:], run.calls[layer:], strict=True):
                output = block(hidden, *args, **kwargs)
                hidden = output[0] if isinstance(output, tuple) else output
    return hidden


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
