"""Rankers small enough to understand whole."""

from mechviz.toys.circuits import Edge, circuit_of
from mechviz.toys.compiled import compiled
from mechviz.toys.shipped import NAMES
from mechviz.toys.training import train

__all__ = ["NAMES", "Edge", "circuit_of", "compiled", "train"]
