"""Write "open in Colab" badges into the tutorials: ``python notebooks/badges.py``.

Where they lead is read from ``[project.urls]`` of pyproject.toml, from the first address there that is a repository on GitHub.
Without one there is no badge, and badges of before are taken out.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from notebooks.tutorials import FOLDER, read, source, tutorials, write

BRANCH = "main"
_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
_BADGE = re.compile(r"^\[!\[Open in Colab\]\(.*$", re.MULTILINE)
_REPOSITORY = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")


def repository(pyproject: Path) -> tuple[str, str] | None:
    """Return owner and name of the GitHub repository that a project names in its URLs, None where it names none."""
    urls = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"].get("urls", {})
    found = next(filter(None, (_REPOSITORY.fullmatch(url) for url in urls.values())), None)
    return None if found is None else (found[1], found[2])


def with_badge(text: str, name: str, of: tuple[str, str] | None) -> str:
    """Return the text of a first cell with the badge of its notebook below the title, or without any."""
    first, _, rest = _BADGE.sub("", text).partition("\n")
    badge = ""
    if of is not None:
        where = f"https://colab.research.google.com/github/{of[0]}/{of[1]}/blob/{BRANCH}/notebooks/{name}"
        badge = f"[![Open in Colab]({_IMAGE})]({where})"
    return "\n\n".join(filter(None, (first, badge, rest.strip("\n"))))


def write_badges(folder: Path = FOLDER, pyproject: Path = FOLDER.parent / "pyproject.toml") -> list[Path]:
    """Give all tutorials the badges that they should have, and return those that had others."""
    of, changed = repository(pyproject), []
    for path in tutorials(folder):
        notebook = read(path)
        cell = notebook["cells"][0]
        text = with_badge(source(cell), path.name, of)
        if text != source(cell):
            cell["source"] = text.splitlines(keepends=True)
            write(path, notebook)
            changed.append(path)
    return changed


if __name__ == "__main__":
    for path in write_badges():
        print(path)
