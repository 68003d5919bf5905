"""Patching: edits, grids of them, and the engine that runs them."""

from mechviz.patching.edits import Edit
from mechviz.patching.engine import Session, Settings, patch
from mechviz.patching.pairs import make_pair

__all__ = ["Edit", "Session", "Settings", "make_pair", "patch"]
