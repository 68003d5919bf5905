"""Text files read line by line, with the number of each line for messages."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from pathlib import Path

from mechviz.errors import InputError, InputTypeError, shown


def check_file(what: str, path: object) -> Path:
    """Return the path of a file that is there.

    Raises
    ------
    InputTypeError, InputError
        It is no path, or there is no such file.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputTypeError(f"{what} must be the path of a file, not {shown(path)}")
    if not Path(path).is_file():
        raise InputError(f"{what}: there is no file {os.fspath(path)}")
    return Path(path)


def check_encoding(encoding: object) -> str:
    """Return the name of an encoding that Python knows.

    Raises
    ------
    InputError
    """
    try:
        return codecs.lookup(str(encoding)).name
    except LookupError as error:
        raise InputError(f"encoding={shown(encoding)} is not known; give one such as 'utf-8' or 'latin-1'") from error


def decode(data: bytes, encoding: str, where: str) -> str:
    """Return bytes of a file as text.

    Raises
    ------
    InputError
    """
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: this is no {encoding} text ({error.reason}); unpack the file if it is packed, or give its encoding="
        ) from error


def read_lines(path: Path, encoding: str) -> Iterator[tuple[str, str]]:
    """Yield where each line is, for messages, and the line without its end; lines of white space alone are passed over.

    Raises
    ------
    InputError
        A line that is no text in this encoding.
    """
    with path.open("rb") as file:
        for number, data in enumerate(file, 1):
            where = f"{path}, line {number}"
            line = decode(data.removeprefix(codecs.BOM_UTF8) if number == 1 else data, encoding, where).rstrip("\r\n")
            if line.strip():
                yield where, line
