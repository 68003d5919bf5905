"""Rankers small enough to understand whole."""

from mechviz.toys.circuits import Edge, circuit_of
from mechviz.toys.compiled import compiled

__all__ = ["Edge", "circuit_of", "compiled"]
