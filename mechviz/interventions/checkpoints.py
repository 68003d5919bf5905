"""What is kept of a fit after every epoch, so that it can go on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mechviz.errors import InputError
from mechviz.files import replacing

if TYPE_CHECKING:
    from mechviz.interventions.plan import Plan
    from mechviz.interventions.settings import How

FILE = "checkpoint.safetensors"


class Checkpoints:
    """A folder with the last epoch of a fit; nothing, where no folder is given.

    Parameters
    ----------
    folder : path or None
    plan : Plan
    how : How
    pairs : sequence
        What says which pairs and wanted scores these are.

    Attributes
    ----------
    best : dict of str to dict of str to Tensor
        By key, the state of the plan's coordinates after the best epoch, for a fit with patience.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, plan: Plan, how: How, pairs: Sequence[Any]) -> None:
        self.best: dict[str, dict[str, Tensor]] = {}
        self.path = None if folder is None else Path(folder) / FILE
        if self.path is None:
            return
        if not isinstance(how.objective, str):
            raise InputError("checkpoint= needs an objective by name: whether a function is the same one cannot be told")
        from mechviz.interventions.saving import config_of

        said = json.dumps([config_of(plan), asdict(how), list(pairs)], sort_keys=True)
        self.key = hashlib.sha256(said.encode()).hexdigest()
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def restore(self, plan: Plan, optimizer: torch.optim.Optimizer) -> list[dict[str, float]]:
        """Put back what was kept, and return the history so far; empty where nothing was.

        Raises
        ------
        InputError
            It is of another fit, or broken.
        """
        if self.path is None or not self.path.exists():
            return []
        try:
            tensors = load_file(self.path)
            said = json.loads(bytes(tensors.pop("said").numpy()).decode())
            key, history = said["key"], said["history"]
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.path} is broken ({error}); delete it, and the fit begins anew") from error
        if key != self.key:
            raise InputError(f"{self.path} is of a fit with other settings, pairs or weights; give another folder, or delete it")
        for name, module in plan.coordinates.items():
            module.load_state_dict(_under(tensors, f"{name}."))
            if best := _under(tensors, f"best.{name}."):
                self.best[name] = best
        state = optimizer.state_dict()
        state["state"] = {
            int(at): {key: tensors[f"optimizer.{at}.{key}"] for key in keys} for at, keys in said["optimizer"].items()
        }
        optimizer.load_state_dict(state)
        return list(history)

    def save(
        self,
        plan: Plan,
        optimizer: torch.optim.Optimizer,
        history: Sequence[dict[str, float]],
        best: Mapping[str, Mapping[str, Tensor]],
    ) -> None:
        """Keep where a fit stands, and the best state of what it learns."""
        if self.path is None:
            return
        tensors = {f"{name}.{key}": one for name, module in plan.coordinates.items() for key, one in module.state_dict().items()}
        tensors |= {f"best.{name}.{key}": one for name, state in best.items() for key, one in state.items()}
        state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
        for at, values in state.items():
            tensors |= {f"optimizer.{at}.{key}": torch.as_tensor(one) for key, one in values.items()}
        said = {"key": self.key, "history": list(history), "optimizer": {at: list(values) for at, values in state.items()}}
        text = torch.frombuffer(bytearray(json.dumps(said).encode()), dtype=torch.uint8)
        with replacing(self.path) as part:
            save_file({**{name: one.contiguous().clone() for name, one in tensors.items()}, "said": text}, part)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
