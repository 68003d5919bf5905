"""MechIR, called from our side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.worker import HERE, Worker, environment
from mechviz.text import Tokens


@dataclass(frozen=True)
class Answer:
    """What MechIR says of one grid.

    Attributes
    ----------
    seconds : float
        Time of its patching call alone.
    scores : float32 array
        Patched scores, dims (layer, head) or (site, layer, pos); sites are resid_pre, attn_out, mlp_out.
    base, source : float
        Scores of the two runs.
    """

    seconds: float
    scores: NDArray[np.float32]
    base: float
    source: float


class MechIR(Worker):
    """MechIR's `Dot` of one checkpoint with mean pooling and no scaling: ours is ``mv.Dot(..., normalize=False)``.

    Parameters
    ----------
    folder : str
        The checkpoint.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        super().__init__("mechir_worker.py", environment(HERE / ".venv", HERE / "requirements.txt"))

    def __call__(self, grid: str, query: Tokens, base: Tokens, source: Tokens) -> Answer:
        """Patch ``heads`` or ``blocks``: activations of the source run into the base run."""
        assert all(tokens.mask.all() and not tokens.types.any() for tokens in (query, base, source))
        ids = {f"{name}_ids": tokens.ids.tolist() for name, tokens in (("query", query), ("base", base), ("source", source))}
        said = self.ask({"model": self.folder, "grid": grid, **ids})
        return Answer(said["seconds"], np.array(said["scores"], dtype=np.float32), said["base"], said["source"])

    def step(self, texts: Sequence[tuple[Tokens, Tokens, Tokens]], padded: tuple[int, int] | None) -> Answer:
        """Take one step of its README's loop: heads of several pairs (query, base, source), their scores averaged.

        ``padded`` is the length of queries and of documents, as its collator pads them; None leaves documents, which must be of
        one length, as they are.
        """
        batch = [[tokens.ids.tolist() for tokens in pair] for pair in texts]
        said = self.ask({"model": self.folder, "grid": "heads", "batch": batch, "padded": padded})
        return Answer(said["seconds"], np.array(said["scores"], dtype=np.float32), said["base"], said["source"])
