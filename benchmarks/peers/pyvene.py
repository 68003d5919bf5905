"""pyvene, called from our side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.peers.worker import HERE, Worker, environment


class Pyvene(Worker):
    """pyvene's ``IntervenableModel`` of checkpoints."""

    def __init__(self) -> None:
        super().__init__("pyvene_worker.py", environment(HERE / ".pyvene" / "venv", HERE / "pyvene_requirements.txt"))

    def swap(
        self, folder: str, component: str, layer: int, unit: str, places: Sequence[int], base: Tensor, source: Tensor
    ) -> NDArray[np.float32]:
        """Return a GPT-2's logits at the last position of ``base``, dims (row, token), with activations of ``source``."""
        request = {"model": folder, "component": component, "layer": layer, "unit": unit, "places": list(places)}
        said = self.ask({"do": "swap", "base": base.tolist(), "source": source.tolist(), **request})
        return np.array(said["logits"], dtype=np.float32)

    def train(self, folder: str, layer: int, rank: int, position: int, batches: Sequence[dict[str, Any]],
              labels: tuple[int, int], epochs: int, lr: float) -> list[float]:  # fmt: skip
        """Return the seconds of each step of ``train_alignment`` with a low-rank rotated intervention on a block's output.

        A batch has ``base`` and ``source`` (ids, dims (row, pos)) and ``wanted`` (dims (row)), the difference of the logits of
        the two ``labels`` at the last position.
        """
        how = {"layer": layer, "rank": rank, "position": position, "labels": list(labels), "epochs": epochs, "lr": lr}
        seconds: list[float] = self.ask({"do": "train", "model": folder, "batches": list(batches), **how})["seconds"]
        return seconds

    def claims(self) -> list[tuple[str, str, str]]:
        """Return what it does with encoders that rankers are made of: (model, what was tried, what came of it)."""
        return [(one["model"], one["tried"], one["found"]) for one in self.ask({"do": "claims"})["claims"]]
