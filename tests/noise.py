"""Whether a hook that is offered counts: noise there must move the score."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

import mechviz as mv
from mechviz.patching import Edit, Session
from mechviz.patching.edits import run_cells
from mechviz.rankers import Ranker
from tests.plain import close

QUERY = "why are hot springs warm"
DOC = "Hot springs are warm because water is heated by rock and rises again through cracks."


def noisy(activation: Tensor, generator: torch.Generator) -> Tensor:
    """Return an activation with noise that differs by position; a pattern stays one."""
    noise = torch.randn(activation.shape, generator=generator).to(activation.device, activation.dtype)
    if activation.shape[-2:] == (1, 1):  # the pattern of one position can only be scaled
        return activation * noise
    if bool((activation >= 0).all()) and torch.allclose(activation.sum(-1), torch.ones_like(activation[..., 0])):
        return torch.softmax(torch.log(activation + 1e-9) + noise, dim=-1)
    size = activation.std()  # as large as what is there; scores hold masks, which are no measure
    return activation + noise * (size if size < 1e6 else 1.0)


def hooks_that_count(ranker: Ranker) -> dict[str, bool]:
    """Return, for every hook of the document's model, whether seeded noise there moves the score."""
    session = Session(ranker, QUERY, DOC, mv.perturb.append("volcano lava"))
    generator = torch.Generator().manual_seed(11)
    names = ranker.towers[session.base.stack].names(None)
    cells = [[Edit(name, lambda activation: noisy(activation, generator))] for name in names]
    scores = np.full(len(cells), np.nan)
    for chosen, values in run_cells(ranker, session.base, cells, 16):
        scores[chosen] = values
    moved = np.abs(scores - session.pair.base_score) > close(session.pair.base_score)
    return dict(zip(names, moved.tolist(), strict=True))
