"""The tutorials of this folder, as files that can be read and written without changing more than is meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def tutorials(folder: Path = FOLDER) -> list[Path]:
    """Return the notebooks, in their order."""
    return sorted(folder.glob("*.ipynb"))


def read(path: Path) -> dict[str, Any]:
    """Return a notebook as JSON."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write(path: Path, notebook: dict[str, Any]) -> None:
    """Write a notebook as Jupyter does."""
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def source(cell: dict[str, Any]) -> str:
    """Return the text of a cell, which a file holds as lines or whole."""
    return "".join(cell["source"])


def tagged(notebook: dict[str, Any], tag: str) -> list[int]:
    """Return the numbers of the cells with a tag."""
    return [number for number, cell in enumerate(notebook["cells"]) if tag in cell["metadata"].get("tags", [])]


def title(notebook: dict[str, Any]) -> str:
    """Return the title of a notebook, which is the first line of its first cell."""
    return source(notebook["cells"][0]).splitlines()[0].removeprefix("# ")
