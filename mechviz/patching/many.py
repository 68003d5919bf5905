"""Many pairs on one ranker: those of like length share their forward passes, where the ranker's layers allow it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mechviz.corpora import TextPair
from mechviz.errors import InputError, MechvizError
from mechviz.patching.cells import top_of
from mechviz.patching.chunks import Rows, in_chunks, out_of_memory
from mechviz.patching.edits import Edit, change_of
from mechviz.patching.engine import exact_scores
from mechviz.patching.fused import Fused, upper
from mechviz.patching.kernel import Change
from mechviz.patching.pairs import Prepared, pair_settings, prepare
from mechviz.patching.runs import Run, Stacked, readouts_of, record_all
from mechviz.patching.session import Session
from mechviz.patching.settings import Settings, complete
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import Pair
from mechviz.text.perturb import Perturbation

#: How much longer than the shortest the longest of the pairs that run together may be: padding is computed for nothing.
_STRETCH = 1.15

#: Pairs that run together on a CPU, where larger batches gain nothing.
_CPU_PAIRS = 16

#: Share of the memory that the recorded runs may take.
_RUNS_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class Patched:
    """What patching did to one of many pairs.

    Attributes
    ----------
    index : int
        Its number among those given.
    pair : Pair or None
        None if it could not be made.
    patched : DataArray, dims of the grid, or None
        The score with each cell patched, float32.
    error : MechvizError or None
        Why it could not be patched.
    """

    index: int
    pair: Pair | None = None
    patched: xr.DataArray | None = None
    error: MechvizError | None = None

    @property
    def reason(self) -> str:
        """The error in words; empty where there is none."""
        return "" if self.error is None else str(self.error)


def patch_pairs(ranker: Ranker, pairs: Sequence[TextPair], settings: Settings) -> Iterator[Patched]:
    """Patch a grid of cells in each of many pairs that carry their perturbed text.

    Heads of plain post-norm encoders (BERT's and DistilBERT's kind) share their forward passes among pairs of like length:
    the runs are recorded, and the cells patched, as rows of several pairs. Everything else goes pair by pair.

    Parameters
    ----------
    ranker : Ranker
    pairs : sequence of TextPair
    settings : Settings
        As `patch` takes them, without ``docs``.

    Yields
    ------
    Patched
        One for each pair, those of like length together, whatever the order given. A pair that cannot be patched has its
        error instead.
    """
    chosen = complete(settings)
    check_ranker(ranker)
    if chosen["docs"]:
        raise InputError("docs= are the competitors of one document; leave them out where many pairs are patched")
    if not _may_share(chosen):
        for index, text_pair in enumerate(pairs):
            yield _alone(ranker, index, text_pair, chosen)
        return
    how = pair_settings(chosen)
    ready: list[tuple[int, Prepared]] = []
    for index, text_pair in enumerate(pairs):
        try:
            ready.append((index, prepare(ranker, text_pair.query, text_pair.doc, _given(text_pair), how)))
        except MechvizError as error:
            yield Patched(index, error=error)
    for group in _groups(ranker, ready, chosen["memory"]):
        try:
            found = _together(ranker, group, chosen) if len(group) > 1 else None
        except Exception as error:
            if not isinstance(error, MechvizError) and not out_of_memory(error):
                raise
            found = None  # one by one, so that it is known which pair it was
        yield from found or (_alone(ranker, index, pairs[index], chosen) for index, _ in group)


def _may_share(chosen: Settings) -> bool:
    """Return whether all cells are changes of z at all positions."""
    return (
        chosen["grid"] == "heads"
        and all(chosen[name] is None for name in ("source", "positions"))
        and not top_of(chosen["heads"])
    )


def _given(pair: TextPair) -> Perturbation:
    """Return what makes the pair's perturbed text, under the name of what made it.

    Raises
    ------
    InputError
        It has none.
    """
    if pair.perturbed is None:
        raise InputError(pair.reason or "the pair has no perturbed text: give perturb=, or pairs that carry it")
    text = pair.perturbed
    return Perturbation(lambda _: text, pair.perturbation or "the given text", pair.side)


def _alone(ranker: Ranker, index: int, text_pair: TextPair, chosen: Settings) -> Patched:
    try:
        session = Session(ranker, text_pair.query, text_pair.doc, _given(text_pair), gradient=False, **chosen)
        patched = exact_scores(session)
    except MechvizError as error:
        return Patched(index, error=error)
    return Patched(index, session.pair, session.named(patched))


def _groups(ranker: Ranker, ready: Sequence[tuple[int, Prepared]], memory: float) -> Iterator[list[tuple[int, Prepared]]]:
    """Yield the pairs in groups of one stack and like length, as many as memory allows."""
    group: list[tuple[int, Prepared]] = []
    for index, prepared in sorted(ready, key=lambda one: (one[1].stack, _length(one[1]))):
        if group:
            first = group[0][1]
            stretched = _length(prepared) > _STRETCH * _length(first) + 2
            if prepared.stack != first.stack or stretched or len(group) >= _most(ranker, prepared, memory):
                yield group
                group = []
        group.append((index, prepared))
    if group:
        yield group


def _length(prepared: Prepared) -> int:
    return len(prepared.texts["original"])


def _most(ranker: Ranker, prepared: Prepared, memory: float) -> int:
    """Return how many pairs of a length may run together."""
    part = ranker.stack(prepared.stack)
    # Both runs keep a handful of activations in each layer, once as they were made and once padded.
    size = 4 * 2 * 6 * part.n_layers * _length(prepared) * part.d_model
    most = max(1, int(memory * _RUNS_SHARE * 2**30) // size)
    return min(most, _CPU_PAIRS) if ranker.model.device.type == "cpu" else most


def _together(ranker: Ranker, group: Sequence[tuple[int, Prepared]], chosen: Settings) -> list[Patched] | None:
    """Patch pairs of like length in shared forward passes; None where this ranker's layers cannot share them."""
    stack = group[0][1].stack
    if not Fused.fits(ranker.stack(stack)):
        return None
    tower = ranker.towers[stack]
    sessions = _recorded(ranker, [prepared for _, prepared in group], chosen)
    with tower.lock:
        if not isinstance(upper(ranker, sessions[0].base), Fused):
            return None
        bases = Stacked.of([session.base for session in sessions])
        fast = Fused(ranker, sessions[0].base, bases)
    patched = [np.full(tuple(session.shape.values()), np.nan, dtype=np.float32) for session in sessions]
    cells: list[tuple[int, int, int, Edit]] = []  # layer, session, flat index, edit
    for number, session in enumerate(sessions):
        same, flat, edits = session.plan()
        patched[number].flat[same] = session.pair.base_score
        cells += [(int(at) // session.shape["head"], number, int(at), edit) for at, edit in zip(flat, edits, strict=True)]
    cells.sort(key=lambda cell: -cell[0])
    length = bases.mask.shape[1]

    def work(members: Sequence[int]) -> Tensor:
        with tower.lock, torch.no_grad():
            rows = [cells[member] for member in members]
            changes = [_change(sessions[number].base, number, layer, edit, length) for layer, number, _, edit in rows]
            return _read(sessions, bases, [number for _, number, _, _ in rows], fast.finish(changes))

    for members, scores in in_chunks(range(len(cells)), Rows(min(session.rows for session in sessions)), work):
        for member, score in zip(members, scores.cpu().numpy(), strict=True):
            _, number, flat_index, _ = cells[member]
            patched[number].flat[flat_index] = score
    for session, values in zip(sessions, patched, strict=True):
        session.check_finite(np.flatnonzero(session.selection.cells), values[session.selection.cells])
    return [
        Patched(index, session.pair, session.named(values))
        for (index, _), session, values in zip(group, sessions, patched, strict=True)
    ]


def _recorded(ranker: Ranker, group: Sequence[Prepared], chosen: Settings) -> list[Session]:
    """Record both runs of every pair in one batch, and the scores of texts without their fillers in another."""
    stack = group[0].stack
    readouts = readouts_of(ranker, stack, [prepared.unchanged for prepared in group])
    names = ("base", "source")
    inputs = [prepared.inputs(name) for prepared in group for name in names]
    with torch.no_grad():
        runs = record_all(ranker, inputs, stack, [one for one in readouts for _ in names], group[0].settings.sites)
        scores: NDArray[np.float64] = np.array([run.score for run in runs])
        own = [(at, prepared.without_fillers(ranker, name)) for at, (prepared, name) in enumerate(_each(group, names))]
        filled = [(at, inputs) for at, inputs in own if inputs is not None]
        if filled:
            hidden, reads = ranker.encode([inputs for _, inputs in filled], stack)
            for row, (at, _) in enumerate(filled):
                scores[at] = float(readouts[at // 2](hidden[row : row + 1], reads[row : row + 1])[0])
    sessions = []
    for number, prepared in enumerate(group):
        both = dict(zip(names, runs[2 * number :], strict=False))
        own_scores = dict(zip(names, map(float, scores[2 * number :]), strict=False))
        pair = prepared.pair(ranker, both, own_scores)
        recorded = (pair, both["base"], both["source"])
        sessions.append(Session(ranker, pair.query, pair.doc, "", gradient=False, recorded=recorded, **chosen))
    return sessions


def _each(group: Sequence[Prepared], names: Sequence[str]) -> Iterator[tuple[Prepared, str]]:
    return ((prepared, name) for prepared in group for name in names)


def _change(base: Run, number: int, layer: int, edit: Edit, length: int) -> Change:
    """Return what an edit of z adds to it, padded to the length of all."""
    change = change_of(base, layer, [edit])
    return Change(layer, change.heads, F.pad(change.z, (0, 0, 0, length - len(change.z))), number)


def _read(sessions: Sequence[Session], bases: Stacked, numbers: Sequence[int], hidden: Tensor) -> Tensor:
    """Return the score of each row, read as its own pair is."""
    scores = hidden.new_empty(len(numbers), dtype=torch.float32)
    for number in dict.fromkeys(numbers):
        rows = [row for row, own in enumerate(numbers) if own == number]
        scores[rows] = sessions[number].base.readout(hidden[rows], bases.reads[number : number + 1])
    return scores
