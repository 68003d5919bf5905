"""What a ranker's heads do on texts that were run: their patterns, and what one score is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mechviz.errors import InputError
from mechviz.patching.runs import Run, keeping, record, through
from mechviz.rankers.provenance import full_provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import AttentionResult, StackShape


@dataclass(frozen=True)
class Reading:
    """One stack of a ranker on one run, or on a base run and a source run of one length.

    Parameters
    ----------
    ranker : Ranker
    runs : sequence of Run
    """

    ranker: Ranker
    runs: Sequence[Run]

    def pattern(self, layer: int) -> NDArray[np.float32]:
        """Return the attention of one layer, dims (run, head, query_pos, key_pos)."""
        return _stacked([seen["pattern"] for seen in self._look(layer, ["pattern"])])

    def scores(self, layer: int, head: int, pos: int) -> dict[str, Any]:
        """Return what the scores of one position are made of.

        Returns
        -------
        dict
            ``q``, dims (run, d_head), ``k``, dims (run, key_pos, d_head): after rotation where a model rotates them. ``scores``
            before the softmax and ``pattern`` after it, dims (run, key_pos). ``scale``: the score is ``scale * q . k`` and
            what position and mask add.

        Raises
        ------
        InputError
            No such layer, head or position.
        """
        part = self.ranker.stack(self.runs[0].stack)
        if not 0 <= head < part.n_heads:
            raise InputError(f"head {head} does not exist; there are 0 to {part.n_heads - 1}")
        if "q" not in part.attention.sites:
            raise InputError(
                "the decoder's own attention at its first step sees one position: its weight is 1 whatever q and k are"
            )
        q, k = ("rot_q", "rot_k") if part.offers("rot_q") else ("q", "k")
        seen = self._look(layer, [q, k, "attn_scores", "pattern"])
        if not 0 <= pos < seen[0]["pattern"].shape[-2]:
            raise InputError(f"position {pos} does not exist; there are 0 to {seen[0]['pattern'].shape[-2] - 1}")
        key_head = head * seen[0][k].shape[2] // part.n_heads  # one key head may serve several heads
        return {
            "q": _stacked([one[q][:, pos, head] for one in seen]),
            "k": _stacked([one[k][:, :, key_head] for one in seen]),
            "scores": _stacked([one["attn_scores"][:, head, pos] for one in seen]),
            "pattern": _stacked([one["pattern"][:, head, pos] for one in seen]),
            "scale": self._scale(layer),
        }

    def _look(self, layer: int, sites: Sequence[str]) -> list[dict[str, torch.Tensor]]:
        """Run one layer again, and return what is seen at its sites in each run."""
        stack = self.runs[0].stack
        part, tower = self.ranker.stack(stack), self.ranker.towers[stack]
        if not 0 <= layer < part.n_layers:
            raise InputError(f"layer {layer} does not exist; there are 0 to {part.n_layers - 1}")
        names = {part.hook(layer, site): site for site in sites}
        found = []
        for run in self.runs:
            kept: dict[str, torch.Tensor] = {}
            with torch.no_grad(), tower.hooks([(name, keeping(kept)) for name in names]), self.ranker.running(stack):
                through(part, run, layer, run.resid_pre[layer])
            found.append({names[name]: value for name, value in kept.items()})
        return found

    def _scale(self, layer: int) -> float:
        stack = self.runs[0].stack
        point = self.ranker.towers[stack].points[self.ranker.stack(stack).hook(layer, "attn_scores")]
        return float(vars(point)["scale"])


def attention(ranker: Ranker, query: str, doc: str, *, truncate: bool = False) -> AttentionResult:
    """Read where every head of a ranker attends on a query and a document.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    truncate : bool, default False
        Cut what is too long, instead of raising.

    Returns
    -------
    AttentionResult
        ``result.patterns(stack)``: a DataArray, dims (layer, head, query_pos, key_pos); ``result.tokens``. A layer is computed
        when it is asked for.

    Raises
    ------
    MechvizError
        Texts that cannot be used, NaN or inf in the activations.
    """
    readings, score = read(check_ranker(ranker), query, doc, truncate)
    return attention_result(ranker, query, doc, readings, score)


def read(ranker: Ranker, query: str, doc: str, truncate: bool = False) -> tuple[dict[str, Reading], float]:
    """Run a pair once in each stack; return the readings by stack, and the score."""
    ranker.refuse_open_hooks()
    ranker.refuse_hooks_around_layers()
    (inputs,) = ranker.checked_inputs([(query, doc)], truncate)
    with torch.no_grad():
        runs = {stack: record(ranker, inputs, stack, ranker.readout(stack, inputs)) for stack in ranker.stacks}
    return {stack: Reading(ranker, [run]) for stack, run in runs.items()}, next(iter(runs.values())).score


def attention_result(ranker: Ranker, query: str, doc: str, readings: dict[str, Reading], score: float) -> AttentionResult:
    """Return the attention that readings hold."""
    shapes = [
        StackShape.of(stack, ranker.text_of(stack), ranker.stack(stack).n_layers, ranker.stack(stack).n_heads)
        for stack in readings
    ]
    return AttentionResult(
        query=query,
        doc=doc,
        score=score,
        tokens={ranker.text_of(stack): reading.runs[0].tokens for stack, reading in readings.items()},
        stacks=tuple(shapes),
        layer=lambda stack, layer: readings[stack].pattern(layer)[0],
        provenance=full_provenance_of(ranker),
    )


def _stacked(rows: Sequence[torch.Tensor]) -> NDArray[np.float32]:
    """Join what was seen in each run, each with a row dimension of 1."""
    joined: NDArray[np.float32] = torch.cat(list(rows)).float().cpu().numpy()
    return joined
