"""Patching: edits, grids of them, and the engine that runs them."""

from mechviz.patching.edits import Edit
from mechviz.patching.engine import patch
from mechviz.patching.pairs import make_pair
from mechviz.patching.session import Session
from mechviz.patching.settings import Settings

__all__ = ["Edit", "Session", "Settings", "make_pair", "patch"]
