"""The parts of a study on disk: each is written whole or not at all, and taken as done only if it is whole.

A part is named by its place in the stream and by the hash of all that it depends on, so that what is there says by its name
alone what is left to do: ``parts/<window>-<place>-<hash>.parquet``. Nothing in it depends on when or how it was made.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.files import replacing
from mechviz.studies.chunks import Chunk
from mechviz.studies.schema import FORMAT, PARTS_FOLDER, SETTINGS_FILE, Header

_NAME = re.compile(r"(\d{6,})-(\d{2})-[0-9a-f]{16}\.parquet")
_LOCK = ".lock"


class PartWriter:
    """The folder of one study, for who writes it; a context that lets nobody else write there.

    Parameters
    ----------
    folder : path
        Made where it is not there; what else lies in it is left alone.
    header : Header
    resume : bool
        Whether to go on with the parts that are there.

    Raises
    ------
    InputTypeError, InputError
        No folder, one of a study with other settings or of another ranker (the error says what differs), one that another
        process is writing, or, without ``resume``, one that holds a study already.
    """

    def __init__(self, folder: object, header: Header, resume: bool) -> None:
        self.folder, self.header, self.resume = check_folder(folder), header, resume
        self._identity = json.dumps(_identity(header), sort_keys=True)
        self._there: dict[int, set[str]] = {}

    def __enter__(self) -> Self:
        (self.folder / PARTS_FOLDER).mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / _LOCK, blocking=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise InputError(f"{self.folder}: a study is running there now; wait for it, or give another folder") from error
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._lock.release()

    def missing(self, window: Sequence[Chunk]) -> list[Chunk]:
        """Return the chunks of a window that have no whole part; a damaged part is removed, with a warning that names it.

        Raises
        ------
        InputError
            The folder has a part of this window that was made of other pairs.
        """
        wanted = {self.path(chunk).name: chunk for chunk in window}
        there = self._there.pop(window[0].window, set())
        strange = sorted(there - set(wanted))
        if strange:
            first, last = _span(window)
            raise InputError(
                f"{self.folder} holds a study of other pairs: what it has of pairs {first} to {last} (parts/{strange[0]}) was "
                "not made of those given now; give another folder"
            )
        return [chunk for name, chunk in wanted.items() if name not in there or not self._whole(chunk)]

    def write(self, chunk: Chunk, table: pa.Table) -> None:
        """Write the part of a chunk.

        Raises
        ------
        MechvizError
            It cannot be written, for example because the disk is full; those before it are kept.
        """
        self._write(self.path(chunk), encoded(table))

    def finish(self) -> None:
        """Say that the stream has ended.

        Raises
        ------
        InputError
            The folder has parts of windows that the stream did not reach.
        """
        more = sum(map(len, self._there.values()))
        if more:
            raise InputError(
                f"{self.folder} holds a study of more pairs than were given now: it has {more} "
                "parts more; give all pairs, or another folder"
            )

    def path(self, chunk: Chunk) -> Path:
        """Return where the part of a chunk is, or will be."""
        name = f"{chunk.window:06d}-{chunk.place:02d}-{chunk.hash(self._identity)}.parquet"
        return self.folder / PARTS_FOLDER / name

    def _open(self) -> None:
        """See what is there, refuse it if it is another study's, and clear away what a killed one left half-written."""
        settings = self.folder / SETTINGS_FILE
        names = sorted(path.name for path in (self.folder / PARTS_FOLDER).iterdir() if _NAME.fullmatch(path.name))
        if not self.resume and (names or settings.exists()):
            raise InputError(
                f"{self.folder} holds a study already; leave resume=False out to go on with it, or give another folder"
            )
        if settings.exists():
            different = _differences(_read_settings(settings), _identity(self.header))
            if different:
                raise InputError(f"{self.folder} holds a study with other settings ({'; '.join(different)}); give another folder")
        elif names:
            raise InputError(f"{self.folder} has parts of a study but no {SETTINGS_FILE} that says of which; give another folder")
        else:
            self._write(settings, json.dumps({"format": FORMAT, **_identity(self.header)}, indent=1).encode())
        for left in (*self.folder.glob(f".{SETTINGS_FILE}.*"), *(self.folder / PARTS_FOLDER).glob(".*.parquet.*")):
            shutil.rmtree(left, ignore_errors=True)
        for name in names:
            self._there.setdefault(int(name.partition("-")[0]), set()).add(name)

    def _whole(self, chunk: Chunk) -> bool:
        path = self.path(chunk)
        try:
            table = pq.read_table(path, page_checksum_verification=True)
            whole = not Header.of(table.schema).differences(self.header) and table["number"].to_pylist() == list(chunk.numbers)
            why = "" if whole else "it holds other pairs than its name says"
        except (OSError, pa.ArrowException, MechvizError) as error:
            why = str(error)
        if why:
            warnings.warn(f"{path} is damaged ({why}): it is made again", stacklevel=2)
            path.unlink(missing_ok=True)
        return not why

    def _write(self, path: Path, content: bytes) -> None:
        try:
            with replacing(path) as part:
                part.write_bytes(content)
        except OSError as error:
            raise MechvizError(
                f"cannot write {path} ({error.strerror or error}); the parts that are there are whole: make room, and the same "
                "call goes on from there"
            ) from error


def encoded(table: pa.Table) -> bytes:
    """Return a table as a parquet file, with a checksum of each page."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def check_folder(folder: object) -> Path:
    """Return the path of a study's folder.

    Raises
    ------
    InputTypeError, InputError
        It is no path, or that of a file.
    """
    if not isinstance(folder, (str, Path)) or not str(folder):
        raise InputTypeError(f"out must be the path of a folder, not {shown(folder)}")
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise InputError(f"out={str(path)!r} is a file; give a folder")
    return path


def _identity(header: Header) -> dict[str, Any]:
    """Return what the numbers of a study depend on, as plain data."""
    plain = {name: value for name, value in asdict(header).items() if name != "versions"}
    return json.loads(json.dumps(plain))  # type: ignore[no-any-return]  # tuples as JSON gives them back


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        found = plain.pop("format")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise MechvizError(f"{path} cannot be read ({type(error).__name__}: {error}); give another folder") from error
    if found != FORMAT:
        raise MechvizError(f"{path} has format {found}, this mechviz writes {FORMAT}; give another folder")
    return dict(plain)


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Return in words what differs between two identities."""
    flat = [{**{k: v for k, v in one.items() if k != "settings"}, **one.get("settings", {})} for one in (there, here)]
    names = dict.fromkeys([*flat[0], *flat[1]])
    return [
        f"{name} is {shown(flat[0].get(name))} there and {shown(flat[1].get(name))} here"
        for name in names
        if flat[0].get(name) != flat[1].get(name)
    ]


def _span(window: Sequence[Chunk]) -> tuple[int, int]:
    numbers = [number for chunk in window for number in chunk.numbers]
    return min(numbers), max(numbers)
