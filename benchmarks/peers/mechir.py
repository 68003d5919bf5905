"""MechIR, called from our side: its environment is made on first use, and one worker in it stays for all calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mechviz.text import Tokens

HERE = Path(__file__).parent
VENV = HERE / ".venv"


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


class MechIR:
    """MechIR's `Dot` of one checkpoint with mean pooling and no scaling: ours is ``mv.Dot(..., normalize=False)``.

    Parameters
    ----------
    folder : str
        The checkpoint.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        # -I: this folder has a mechir.py, which must not be found before the package of that name.
        command = [str(environment()), "-I", str(HERE / "mechir_worker.py"), str(torch.get_num_threads())]
        self.worker = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )

    def __call__(self, grid: str, query: Tokens, base: Tokens, source: Tokens) -> Answer:
        """Patch ``heads`` or ``blocks``: activations of the source run into the base run."""
        assert all(tokens.mask.all() and not tokens.types.any() for tokens in (query, base, source))
        ids = {f"{name}_ids": tokens.ids.tolist() for name, tokens in (("query", query), ("base", base), ("source", source))}
        said = self._ask({"model": self.folder, "grid": grid, **ids})
        return Answer(said["seconds"], np.array(said["scores"], dtype=np.float32), said["base"], said["source"])

    def step(self, texts: Sequence[tuple[Tokens, Tokens, Tokens]], padded: tuple[int, int] | None) -> Answer:
        """Take one step of its README's loop: heads of several pairs (query, base, source), their scores averaged.

        ``padded`` is the length of queries and of documents, as its collator pads them; None leaves documents, which must be of
        one length, as they are.
        """
        batch = [[tokens.ids.tolist() for tokens in pair] for pair in texts]
        said = self._ask({"model": self.folder, "grid": "heads", "batch": batch, "padded": padded})
        return Answer(said["seconds"], np.array(said["scores"], dtype=np.float32), said["base"], said["source"])

    def __enter__(self) -> MechIR:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        self.worker.communicate()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        requests, answers = self.worker.stdin, self.worker.stdout
        assert requests is not None
        assert answers is not None
        print(json.dumps(request), file=requests, flush=True)
        line = answers.readline()
        if not line:
            raise RuntimeError("MechIR's worker ended; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def environment() -> Path:
    """Return the interpreter of the peers' environment, which is made or brought up to requirements.txt if it is not."""
    python, wanted = VENV / "bin" / "python", HERE / "requirements.txt"
    made = VENV / "made-from.txt"  # written last, so that an interrupted installation is taken up again
    if not made.exists() or made.read_text() != wanted.read_text():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "-r", str(wanted)]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        made.write_text(wanted.read_text())
    return python
