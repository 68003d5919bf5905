"""Names of rankers that come with mechviz.

They are kept by `mechviz.toys`, which is built on this room. So it is not imported here but asked for when such a name is
given, and then by name.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, TypeGuard

PREFIX = "toy/"
_KEEPER = "mechviz.toys.shipped"


def is_toy(name: object) -> TypeGuard[str]:
    """Return whether a name is that of a toy. ``./toy/cat`` is a directory's."""
    return isinstance(name, str) and name.startswith(PREFIX)


def keeper() -> Any:
    """Return the module that has the toys."""
    return import_module(_KEEPER)
