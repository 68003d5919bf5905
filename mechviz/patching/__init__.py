"""Patching: edits, grids of them, and the engine that runs them."""

from mechviz.patching.circuits import circuit
from mechviz.patching.edits import Edit
from mechviz.patching.engine import patch
from mechviz.patching.many import Patched, patch_pairs
from mechviz.patching.pairs import make_pair
from mechviz.patching.paths import path_patch
from mechviz.patching.reading import attention
from mechviz.patching.session import Session
from mechviz.patching.settings import Settings

__all__ = [
    "Edit",
    "Patched",
    "Session",
    "Settings",
    "attention",
    "circuit",
    "make_pair",
    "patch",
    "patch_pairs",
    "path_patch",
]
