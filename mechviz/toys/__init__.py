"""Rankers small enough to understand whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mechviz.toys.circuits import Edge, circuit_of
from mechviz.toys.compiled import compiled
from mechviz.toys.shipped import NAMES

if TYPE_CHECKING:
    from mechviz.toys.training import train as train

__all__ = ["NAMES", "Edge", "circuit_of", "compiled", "train"]


def __getattr__(name: str) -> Any:
    if name != "train":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mechviz.toys.training import train  # whoever opens a toy needs none of what trains one

    globals()[name] = train
    return train
