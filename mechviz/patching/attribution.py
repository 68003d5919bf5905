"""The gradient approximation of patching: one backward pass for the whole grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mechviz.patching.cells import Grid, Selection
from mechviz.patching.runs import Run, keeping
from mechviz.patching.sources import Values, carrier
from mechviz.rankers.ranker import Ranker

#: Gradient of the score by site (where it is patched) and layer, dims (1, pos, ...).
Gradients = dict[str, list[Tensor]]


def carriers(grid: Grid) -> list[str]:
    """Return the sites at which the cells of a grid are patched, each once."""
    return list(dict.fromkeys(map(carrier, grid.sites)))


def estimate(grid: Grid, values: Values, gradients: Gradients, selection: Selection, base_score: float) -> NDArray[np.float32]:
    """Estimate the score after patching each cell.

    To first order, ``patched = base + sum of gradient . (new - old)`` over what the cell patches (attribution patching,
    Nanda 2023). It is wrong where the score is not linear between the two. Queries, keys and patterns are taken to
    the head's z exactly, through the softmax, before the gradient is used: attention that is saturated has no gradient
    of its own (the repair of AtP*, Kramár et al. 2024).

    Returns
    -------
    float32 array, dims as the grid
        NaN where a cell is not chosen.
    """
    found = np.full(selection.cells.shape, np.nan, dtype=np.float32)
    for where, site, layer, moved in differences(grid, values, selection):
        cells = of_cells(gradients[carrier(site)][layer][0].float() * moved, grid, selection)
        found[where] = np.where(selection.cells[where], base_score + cells, np.nan)
    return found


def differences(grid: Grid, values: Values, selection: Selection) -> Iterator[tuple[tuple[int, ...], str, int, Tensor]]:
    """Yield, for each site and layer with a chosen cell, its index, both, and new - old, float32, dims (pos, ...)."""
    for where in np.ndindex(*selection.cells.shape[: grid.dims.index("layer") + 1]):
        if selection.cells[where].any():
            site, layer = grid.sites[where[0] if len(where) > 1 else 0], where[-1]
            yield where, site, layer, values.new(site, layer).float() - values.old(site, layer).float()


def of_cells(moved: Tensor, grid: Grid, selection: Selection) -> NDArray[np.float32]:
    """Sum a tensor of one layer, dims (pos, ...), over all that one cell patches; dims as the grid's after layer."""
    if "neuron" not in grid.dims:
        moved = moved.sum(-1)
    if "pos" not in grid.dims:
        moved = (moved if selection.positions is None else moved[selection.positions]).sum(0)
    elif "head" in grid.dims:
        moved = moved.T
    summed: NDArray[np.float32] = moved.cpu().numpy()
    return summed


def integrated(ranker: Ranker, base: Run, source: Run, sites: Sequence[str], steps: int) -> Gradients:
    """Return the gradient of the score, averaged along the straight way from the base text's embedding to the source's.

    The middle of each of ``steps`` equal parts is taken, with the base run's masks (integrated gradients, Sundararajan et
    al. 2017, taken at inner sites as Hanna et al. 2024 do).
    """
    part, tower = ranker.stack(base.stack), ranker.towers[base.stack]
    places = part.places(sites)
    total = {site: [torch.zeros_like(value) for value in base.values[site]] for site in sites}
    for step in range(steps):
        entering = torch.lerp(base.entered, source.entered, (step + 0.5) / steps).requires_grad_()
        kept: dict[str, Tensor] = {}
        hooks = [(name, keeping(kept)) for name in places]
        enter = (tower.main.hook(0, "resid_pre"), lambda value, hook, entering=entering: entering)
        with torch.enable_grad(), tower.hooks([enter, *hooks]):
            score = base.readout(*ranker.encode([base.inputs], base.stack))[0]
            gradients = torch.autograd.grad(score, [kept[name] for name in places], allow_unused=True)
        for (site, layer), gradient in zip(places.values(), gradients, strict=True):
            if gradient is not None:
                total[site][layer] += gradient / steps
    return total
