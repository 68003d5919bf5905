"""The toys that come with mechviz, by name: trained ones as checkpoints in `WEIGHTS`, compiled ones as code.

Every file of the trained ones is held against a list of SHA-256 sums, in the format of ``sha256sum``: in the folder of weights
``sha256sum -c SHA256SUMS`` says the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.files import replacing
from mechviz.rankers import Ranker
from mechviz.rankers.toy_names import PREFIX
from mechviz.toys.compiled import NAMES as FORMULAS
from mechviz.toys.compiled import compiled

WEIGHTS = Path(__file__).parent / "weights"
SUMS = "SHA256SUMS"

#: Folders of `WEIGHTS`.
TRAINED = ("cat", "dot", "cat-attn-only", "dot-attn-only", "monot5")
#: Name -> what `mechviz.toys.compiled` calls it.
COMPILED = {f"compiled-{name.replace('_', '-')}": name for name in FORMULAS}
#: What `mechviz.load` takes.
NAMES = tuple(PREFIX + name for name in (*TRAINED, *COMPILED))


def folder_of(name: str) -> Path:
    """Return the checkpoint of a trained toy, every file of it checked.

    Raises
    ------
    InputError
        No such toy, or a compiled one, which has no files.
    MechvizError
        A file that is missing or is not what was shipped.
    """
    short = _short(name)
    if short in COMPILED:
        raise InputError(f"{name} has no checkpoint, since code writes its weights; open it with mv.load({name!r})")
    folder = WEIGHTS / short
    listed = {file: digest for file, digest in read_sums(WEIGHTS).items() if file.startswith(f"{short}/")}
    if not listed:
        raise _damaged(folder, f"is not listed in {SUMS}")
    for file, digest in listed.items():
        path = WEIGHTS / file
        if not path.is_file():
            raise _damaged(path, "is missing")
        if _sha256(path) != digest:
            raise _damaged(path, "is not the file that was shipped (its SHA-256 is another)")
    return folder


def compiled_toy(name: str, **settings: object) -> Ranker | None:
    """Return a compiled toy; None if the name is that of a trained one.

    Raises
    ------
    InputError
        No such toy.
    InputTypeError
        Settings, which only `mechviz.toys.compiled` takes.
    """
    short = _short(name)
    if short in TRAINED:
        return None
    if settings:
        raise InputTypeError(
            f"{name} takes no settings, and {', '.join(settings)} was given; mv.toys.compiled({COMPILED[short]!r}, texts, k=...) "
            "builds others"
        )
    return compiled(COMPILED[short])


def read_sums(root: Path) -> dict[str, str]:
    """Return the list of a folder of toys: file, relative to the folder -> SHA-256.

    Raises
    ------
    MechvizError
        There is none, or it is damaged.
    """
    path = root / SUMS
    if not path.is_file():
        raise _damaged(path, "is missing")
    pairs = [line.split("  ", 1) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    if not all(len(pair) == 2 and len(pair[0]) == 64 for pair in pairs):
        raise _damaged(path, "is no list of SHA-256 sums")
    return {file: digest for digest, file in pairs}


def write_sums(root: Path = WEIGHTS) -> Path:
    """List every file of the toys in a folder; whoever changes one of them calls this."""
    files = sorted(path.relative_to(root).as_posix() for path in root.glob("*/**/*") if path.is_file())
    with replacing(root / SUMS) as part:
        part.write_text("".join(f"{_sha256(root / file)}  {file}\n" for file in files), encoding="utf-8")
    return root / SUMS


def _short(name: str) -> str:
    if name not in NAMES:
        raise InputError(f"{shown(name)} is no toy of mechviz; there are {', '.join(NAMES)}")
    return name.removeprefix(PREFIX)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _damaged(path: Path, problem: str) -> MechvizError:
    return MechvizError(f"{path} {problem}: this installation is damaged; reinstall mechviz-ir")
