"""Rankers small enough to understand whole."""

from mechviz.toys.compiled import compiled

__all__ = ["compiled"]
