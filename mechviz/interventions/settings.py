"""How a plan is fitted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.interventions.coordinates import TEMPERATURES
from mechviz.interventions.plan import BATCH

#: A loss takes (patched, base, wanted), dims (pair), and returns one number a pair.
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
OBJECTIVES = ("source", "counterfactual", "margin")
SCHEDULES = ("linear", "cosine", "constant")


@dataclass(frozen=True)
class How:
    """The settings of a fit; see `fit`."""

    objective: str | Objective = "source"
    epochs: int = 10
    lr: float = 1e-2
    schedule: str = "linear"
    warmup: float = 0.1
    temperatures: tuple[float, float] = TEMPERATURES
    batch_size: int = BATCH
    held_out: float = 0.2
    patience: int | None = None
    seed: int = 0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> How:
        """Return settings from options by name.

        Raises
        ------
        InputError, InputTypeError
            An option that there is not, or that cannot be.
        """
        known = [one.name for one in fields(cls)]
        if unknown := [name for name in options if name not in known]:
            raise InputTypeError(f"fit has no option {', '.join(map(repr, unknown))}; it has {', '.join(known)}")
        return cls(**options)

    def __post_init__(self) -> None:
        if isinstance(self.objective, str) and self.objective not in OBJECTIVES:
            raise InputError(f"objective={self.objective!r}; it is one of {', '.join(map(repr, OBJECTIVES))}, or a function")
        if not isinstance(self.objective, str) and not callable(self.objective):
            raise InputTypeError(f"objective must be a name or a function, not {shown(self.objective)}")
        if self.schedule not in SCHEDULES:
            raise InputError(f"schedule={shown(self.schedule)}; it is one of {', '.join(map(repr, SCHEDULES))}")
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("patience", 1)):
            value = getattr(self, name)
            if (name, value) != ("patience", None) and (type(value) is not int or value < least):
                raise InputError(f"{name}={shown(value)}; give a whole number, at least {least}")
        for name, low, high in (("lr", 0.0, math.inf), ("warmup", -1e-9, 1.0), ("held_out", -1e-9, 1.0)):
            value = getattr(self, name)
            if type(value) not in (int, float) or not low < value < high:
                raise InputError(f"{name}={shown(value)}; give a number above {max(low, 0):g}" + f", below {high:g}")
        numbers = list(self.temperatures) if isinstance(self.temperatures, (tuple, list)) else []
        good = [type(one) in (int, float) and 0 < one < math.inf for one in numbers]
        if good != [True, True]:
            raise InputError(f"temperatures={shown(self.temperatures)}; give that of the first and of the last step, above 0")

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step."""
        rising = max(1, round(self.warmup * steps))
        if step < rising:
            return self.lr * (step + 1) / rising
        done = (step - rising) / max(1, steps - rising)
        return self.lr * {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[self.schedule]

    def temperature(self, step: int, steps: int) -> float:
        """Return the temperature of a step."""
        first, last = self.temperatures
        return float(first * (last / first) ** (step / max(1, steps - 1)))


def patient(history: Sequence[dict[str, float]], how: How) -> bool | None:
    """Return True after an epoch that is the best so far, False where patience ends, None else, or without patience."""
    losses = [one["held_out"] for one in history]
    if how.patience is None or not losses or math.isnan(losses[-1]):
        return None
    best = losses.index(min(losses))
    if best == len(losses) - 1:
        return True
    return False if len(losses) - 1 - best >= how.patience else None
