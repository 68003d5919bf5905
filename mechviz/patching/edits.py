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
from mechviz.patching.chunks import Rows, in_chunks
from mechviz.patching.fused import upper
from mechviz.patching.kernel import Change, Upper, run_layers
from mechviz.patching.runs import Run
from mechviz.rankers.hooked import HookedModel
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.stack import Stack

#: Sites whose activations have dims (row, head, query_pos, key_pos) instead of (row, pos, ...).
HEAD_FIRST = ("hook_pattern", "hook_attn_scores")
#: Sites where an edit at one position changes what enters the next layer (this one: ``resid_pre``) there and nowhere else.
_ONE_POSITION = ("resid_pre", "z", "attn_out", "mlp_out")
WITH_HEADS = ("hook_q", "hook_k", "hook_rot_q", "hook_rot_k", "hook_v", "hook_z", *HEAD_FIRST)


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
    heads, positions, neurons : sequence of int, optional
        Where it applies; everywhere by default. ``positions`` are query positions at ``pattern`` and ``attn_scores``;
        ``neurons`` are entries of the last dimension, of sites without heads.
    """

    hook: str
    value: Tensor | Callable[[Tensor], Tensor]
    heads: Sequence[int] | None = None
    positions: Sequence[int] | None = None
    neurons: Sequence[int] | None = None

    def apply(self, activation: Tensor) -> Tensor:
        """Return the edited activation of one row."""
        index, new = self._index(activation.shape), self._new(activation)
        edited = activation.clone()
        edited[index] = new[index].to(activation.dtype)
        return edited

    def at(self, activation: Tensor, position: int) -> Tensor:
        """Return one position of the edited activation, dims (...); the edit's only one, of a site with dims (pos, ...)."""
        index = self._index(activation.shape)[1:]
        edited = activation[position].clone()
        edited[index] = self._new(activation)[position][index].to(activation.dtype)
        return edited

    def _new(self, activation: Tensor) -> Tensor:
        new = self.value(activation) if callable(self.value) else self.value
        if new.shape != activation.shape:
            raise InputError(f"the value for {self.hook} has shape {tuple(new.shape)}, the activation {tuple(activation.shape)}")
        return new

    def _index(self, shape: torch.Size) -> tuple[Any, ...]:
        site = self.hook.rpartition(".")[2]
        head_first = site in HEAD_FIRST
        if self.heads is not None and site not in WITH_HEADS:
            raise InputError(f"{self.hook} has no head dimension; leave heads out")
        if self.neurons is not None and site in WITH_HEADS:
            raise InputError(f"{self.hook} has heads, not neurons; leave neurons out")
        axes = {"heads": 0 if head_first else 1, "positions": 1 if head_first else 0, "neurons": len(shape) - 1}
        chosen: list[Any] = [slice(None)] * len(shape)
        for word, axis in axes.items():
            wanted = getattr(self, word)
            if wanted is None:
                continue
            wrong = [int(index) for index in wanted if not 0 <= index < shape[axis]]
            if wrong:
                raise InputError(f"{word} {wrong} of {self.hook} do not exist; there are 0 to {shape[axis] - 1}")
            chosen[axis] = list(wanted)
        both = [axis for axis, index in enumerate(chosen) if isinstance(index, list)]
        if len(both) == 2:  # every chosen head at every chosen position, not pair by pair
            chosen[both[0]] = np.array(chosen[both[0]])[:, None]
        return tuple(chosen)


@dataclass(frozen=True, eq=False)
class BatchEdit:
    """The same for the rows of a batch, each with positions of its own: what is there is gathered, changed and put back.

    Attributes
    ----------
    hook : str
        Full TransformerLens name.
    change : callable
        Takes what is at the positions, dims (row, unit, feature), and the whole activation; returns what shall be there, dims
        (row, unit, feature), or None to leave it. Features are those of all chosen heads side by side; at ``pattern`` and
        ``attn_scores`` a unit is a query position and its features are the key positions.
    heads : sequence of int, optional
        All by default.
    positions : int64 Tensor, dims (row, unit), optional
        All by default.
    mask : bool Tensor, dims (row, unit), optional
        Which of ``positions`` are meant; the others only fill up.
    """

    hook: str
    change: Callable[[Tensor, Tensor], Tensor | None]
    heads: Sequence[int] | None = None
    positions: Tensor | None = None
    mask: Tensor | None = None

    def __call__(self, activation: Tensor, hook: Any = None) -> Tensor | None:
        """Return the changed activation, dims as it came; None where nothing is changed."""
        old = self.gather(activation)
        new = self.change(old, activation)
        if new is None:
            return None
        if new.shape != old.shape:
            raise InputError(f"the value for {self.hook} has shape {tuple(new.shape)}, what is there {tuple(old.shape)}")
        return self._put(activation, new.to(activation.dtype))

    def gather(self, activation: Tensor) -> Tensor:
        """Return what is at the positions, dims (row, unit, feature)."""
        features = self.features(activation)
        return features if self.positions is None else features[self._rows, self.positions]

    def features(self, activation: Tensor) -> Tensor:
        """Return an activation with the chosen heads side by side, dims (row, pos, feature)."""
        by_position = activation.transpose(1, 2) if self._head_first else activation
        chosen = by_position if self.heads is None else by_position[:, :, list(self.heads)]
        return chosen.flatten(2) if chosen.dim() > 3 else chosen

    def _put(self, activation: Tensor, new: Tensor) -> Tensor:
        by_position = activation.transpose(1, 2) if self._head_first else activation
        features = new
        if self.positions is not None:
            features = self.features(activation).clone()
            if self.mask is None:
                features[self._rows, self.positions] = new
            else:
                rows, units = self.mask.nonzero(as_tuple=True)
                features[rows, self.positions[rows, units]] = new[rows, units]
        if self.heads is None:
            whole = features.reshape(by_position.shape)
        else:
            whole = by_position.clone()
            whole[:, :, list(self.heads)] = features.reshape(*features.shape[:2], len(self.heads), -1)
        return whole.transpose(1, 2) if self._head_first else whole

    @property
    def _head_first(self) -> bool:
        return self.hook.rpartition(".")[2] in HEAD_FIRST

    @property
    def _rows(self) -> Tensor:
        assert self.positions is not None
        return torch.arange(len(self.positions), device=self.positions.device)[:, None]


#: Hook name -> (site, layer).
Places = dict[str, tuple[str, int]]

#: Edits that happen together in one run.
Cell = Sequence[Edit]


def run_cells(ranker: Ranker, run: Run, cells: Sequence[Cell], max_rows: int) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Score each cell's edits on top of a recorded base run.

    The model is entered again at the lowest layer that a cell edits; the layers below are not run. Cells that change z of
    one layer each are rows of one batch whatever the layer; of other cells, those of one layer are.

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
    groups: dict[tuple[int, str], list[int]] = {}
    places = part.places(site for site in _ONE_POSITION if site in run.values) if fast else {}
    ways = [_way(tower, part, places, cell) for cell in cells]
    for index in sorted(range(len(cells)), key=lambda index: -ways[index][0]):
        layer, way = ways[index]
        groups.setdefault((0, way) if way == "z" else (layer, way), []).append(index)  # z of all layers fits one batch
    fitting = Rows(max_rows)
    for (layer, way), members in sorted(groups.items(), reverse=True):

        def work(chosen: Sequence[int], layer: int = layer, way: str = way) -> Tensor:
            rows = [cells[index] for index in chosen]
            # The lock keeps another thread's hooks out of the modules that a batch runs through.
            with tower.lock, torch.no_grad():
                if fast is None or way == "own layers":
                    return _any_rows(ranker, run, layer, rows)
                hidden = _z_rows(fast, run, places, rows) if way == "z" else _position_rows(fast, run, places, layer, rows)
                return run.readout(hidden, run.reads)

        for chosen, scores in in_chunks(members, fitting, work):
            yield chosen, scores.cpu().numpy()


def score_cells(ranker: Ranker, run: Run, cells: Sequence[Cell], max_rows: int) -> NDArray[np.float32]:
    """Return the score of each cell, dims (cell); as `run_cells`, all at once."""
    scores = np.full(len(cells), np.nan, dtype=np.float32)
    for chosen, values in run_cells(ranker, run, cells, max_rows):
        scores[chosen] = values
    return scores


def _way(tower: HookedModel, part: Stack, places: Places, cell: Cell) -> tuple[int, str]:
    """Return the layer at which the stack is entered for a cell, and how: by ``z``, one ``position`` or its ``own layers``.

    ``places`` are the hooks above which something faster than the model's own layers runs.
    """
    changed = {places.get(edit.hook) for edit in cell}
    place = next(iter(changed)) if len(changed) == 1 else None
    if place is None:
        return min((tower.layer_of(edit.hook, part) for edit in cell), default=0), "own layers"
    site, layer = place
    positions = {None if edit.positions is None else tuple(edit.positions) for edit in cell}
    if len(positions) == 1 and len(next(iter(positions)) or ()) == 1:
        return layer + (site != "resid_pre"), "position"
    return layer, "z" if site == "z" else "own layers"


def _z_rows(fast: Upper, run: Run, places: Places, cells: Sequence[Cell]) -> Tensor:
    """Return the last hidden state for cells that change z of one layer each, those of higher layers first."""
    return fast.finish([change_of(run, places[cell[0].hook][1], cell) for cell in cells])


def change_of(run: Run, layer: int, cell: Cell) -> Change:
    """Return what a cell's edits of z in one layer add to it."""
    z = run.z[layer][0]
    heads = sorted({head for edit in cell for head in (range(z.shape[1]) if edit.heads is None else edit.heads)})
    new = z
    for edit in cell:
        new = edit.apply(new)
    return Change(layer, heads, (new[:, heads] - z[:, heads]).flatten(1))


def _position_rows(fast: Upper, run: Run, places: Places, layer: int, cells: Sequence[Cell]) -> Tensor:
    """Return the last hidden state for cells that change what enters a layer at one position, from that layer up."""
    rows_of: dict[tuple[str, int], list[int]] = {}
    for row, cell in enumerate(cells):
        rows_of.setdefault(places[cell[0].hook], []).append(row)
    positions = [next(iter(cell[0].positions or ())) for cell in cells]
    vectors = run.entering(layer)[0, positions]
    for (site, changed), rows in rows_of.items():
        base = run.values[site][changed][0]
        new = torch.stack([_edited_at(cells[row], base, positions[row]) for row in rows])
        vectors[rows] = new if site == "resid_pre" else fast.leaving(changed, site, [positions[row] for row in rows], new)
    return fast.enter(layer, positions, vectors)


def _edited_at(cell: Cell, activation: Tensor, position: int) -> Tensor:
    """Return one position of an activation with a cell's edits, all of which are there."""
    for edit in cell[:-1]:
        activation = edit.apply(activation)
    return cell[-1].at(activation, position)


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
