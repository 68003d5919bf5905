"""What views check and need of the host around them."""

from __future__ import annotations

import numbers
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import comm
import numpy as np

from mechviz.errors import InputError, shown
from mechviz.files import replacing

THEMES = ("auto", "light", "dark")


def has_kernel() -> bool:
    """Return whether somebody listens: a notebook kernel, marimo, or another host that replaced comm's default."""
    made_by = comm.create_comm.__module__.partition(".")[0]
    if made_by == "ipykernel":  # replaces the default when it is imported, kernel or not
        import IPython

        return hasattr(IPython.get_ipython(), "kernel")
    return bool(made_by != "comm")


def waits_for_file() -> bool:
    """Return whether a notebook is executed to a file: the environment variable ``MECHVIZ_WAIT`` is 1."""
    return os.environ.get("MECHVIZ_WAIT") == "1"


def write(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file, which appears only when it is whole, and return its path."""
    with replacing(path) as part:
        part.write_bytes(data)
    return Path(path)


def check_theme(theme: object) -> None:
    """Refuse a theme that does not exist."""
    if theme not in THEMES:
        raise InputError(f"theme={shown(theme)}; it is one of {', '.join(map(repr, THEMES))}")


def check_panels(panels: Sequence[str] | None, default: Sequence[str], there: Sequence[str]) -> list[str]:
    """Return the panels of a view.

    Raises
    ------
    InputError
        A panel that this kind of view does not have, or none.
    """
    if panels is None:
        return list(default)
    chosen = [panels] if isinstance(panels, str) else list(panels)
    wrong = [panel for panel in chosen if panel not in there]
    if wrong or not chosen:
        raise InputError(f"panels={shown(panels)}; this view has {', '.join(map(repr, there))}")
    return list(dict.fromkeys(chosen))


def index(name: str, value: object, size: int, wanted: str) -> int:
    """Return a number below ``size``; ``name`` and ``wanted`` say in the error what was meant."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not 0 <= int(value) < size:
        raise InputError(f"{name} = {shown(value)}; give {wanted} {size}")
    return int(value)


def plain(value: Any) -> Any:
    """Return a value with non-finite floats replaced by None, which JSON has and NaN is not."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
