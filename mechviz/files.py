"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mechviz.errors import InputError, InputTypeError, shown


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to, which takes the place of ``path`` if the block ends well and is removed if not.

    After the block the file is on the disk, not only in the system's memory.

    Raises
    ------
    InputTypeError
        ``path`` is no path.
    InputError
        It is a folder, or its folder does not exist.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError(f"a file is named by a string or a path, not {shown(path)}")
    target = Path(path)
    if not target.name or target.is_dir():
        raise InputError(f"{str(path)!r} names a folder; give the name of a file in it")
    if not target.parent.is_dir():
        raise InputError(f"cannot write {target}: there is no folder {target.parent}; make it first")
    # A folder of its own, so that the file gets the permissions that any new file of this user gets.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        part = Path(folder) / target.name
        yield part
        _to_disk(part)
        part.replace(target)
    if os.name == "posix":  # elsewhere a folder cannot be opened, and its entries need no help
        _to_disk(target.parent)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
