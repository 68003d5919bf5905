"""Reading a study's folder: every part is checked once, what is small is kept, and the rest is streamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.studies.schema import (
    PART_PATTERN,
    PARTS_FOLDER,
    PLAIN_COLUMNS,
    REQUIRED_COLUMNS,
    SETTINGS_FILE,
    TEXT_COLUMNS,
    Header,
)

# Values of `patched` that are held at once, and rows where texts are read.
_VALUES, _ROWS = 2**22, 4096
# Parts that are checked at once; decoding runs outside Python's lock.
_THREADS = 4


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of one study.

    Attributes
    ----------
    folder : Path
    header : Header
        What they have in common.
    settings : dict
        ``study.json``; empty where there is none.
    files : tuple of Path
        The whole ones, by name.
    starts : int64 array, dims (file + 1)
        At which row each begins.
    table : DataFrame
        One row a pair, in the order of the files: `PLAIN_COLUMNS`, and ``query_hash`` (uint64, of the query's text) and
        ``patched`` (bool: it has scores).
    gaps : bool
        Whether some pair lacks some cell.
    broken : dict of str to str
        Name of a file -> what is wrong with it.
    """

    folder: Path
    header: Header
    settings: dict[str, Any]
    files: tuple[Path, ...]
    starts: NDArray[np.int64]
    table: pd.DataFrame
    gaps: bool
    broken: dict[str, str]

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Parts:
        """Check every part of a folder.

        Raises
        ------
        InputError, InputTypeError
            No such folder, or it holds no study.
        MechvizError
            No part is whole, parts are of different studies, or two have the same pair.
        """
        if not isinstance(folder, (str, os.PathLike)):
            raise InputTypeError(f"a study is named by its folder, a string or a path, not {shown(folder)}")
        root = Path(folder)
        if not (root / PARTS_FOLDER).is_dir():
            raise InputError(
                f"{root} holds no study (it has no folder {PARTS_FOLDER}); mv.study(..., out={str(root)!r}) makes one"
            )
        paths = sorted(path for path in (root / PARTS_FOLDER).glob(PART_PATTERN) if not path.name.startswith("."))
        whole: list[_Part] = []
        broken: dict[str, str] = {}
        with ThreadPoolExecutor(_THREADS) as pool:
            for path, found in zip(paths, pool.map(_checked, paths), strict=True):
                if isinstance(found, str):
                    broken[path.name] = found
                else:
                    whole.append(found)
        if not whole:
            said = f"; broken: {_listed(broken)}" if broken else ""
            raise MechvizError(f"{root} has no finished part{said}. Run the same mv.study(..., out=...) again")
        for part in whole:
            _check_same(root, whole[0], part)
        table = pa.concat_tables([part.table for part in whole])
        parts = cls(
            folder=root,
            header=whole[0].header,
            settings=_settings(root / SETTINGS_FILE),
            files=tuple(part.path for part in whole),
            starts=np.cumsum([0, *(len(part.table) for part in whole)]),
            table=table.to_pandas(types_mapper={pa.int32(): pd.Int32Dtype()}.get),
            gaps=any(part.gaps for part in whole),
            broken=broken,
        )
        parts._check_numbers()
        return parts

    def _check_numbers(self) -> None:
        numbers = self.table["number"].to_numpy()
        order = np.argsort(numbers, kind="stable")
        same = np.flatnonzero(np.diff(numbers[order]) == 0)
        if len(same):
            rows = order[same[0] : same[0] + 2]
            first, second = (self.files[np.searchsorted(self.starts, row, side="right") - 1].name for row in rows)
            raise MechvizError(
                f"pair {numbers[rows[0]]} is in {first} and again in {second} ({len(same)} such pairs in {self.folder}); a pair "
                "counts once: remove one of these parts"
            )

    @property
    def queries(self) -> NDArray[np.object_]:
        """What tells queries apart, dims (pair): the query_id, or where there is none the query's text, as a hash."""
        ids = self.table["query_id"].to_numpy(dtype=object)
        empty = ids == ""
        if empty.any():
            ids = ids.copy()
            ids[empty] = [f"\0{number:016x}" for number in self.table["query_hash"].to_numpy()[empty]]
        return ids

    def patched(self, rows: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Stream patched scores.

        Parameters
        ----------
        rows : bool array, dims (pair)
            Which pairs of `table`; all must have scores.

        Yields
        ------
        int64 array, dims (pair)
            Places in `table`, ascending.
        float32 array, dims (pair, cell)
        """
        cells = self.header.n_cells
        size = max(1, _VALUES // cells)
        places: list[NDArray[np.int64]] = []
        values: list[NDArray[np.float32]] = []
        held = 0
        for some, batch in self._batches(["patched"], rows, size):
            places.append(some)
            values.append(batch.column(0).flatten().to_numpy().reshape(-1, cells))
            held += len(some)
            if held >= size // 2:  # the rows of many small parts are worked on together
                yield np.concatenate(places), np.concatenate(values)
                places, values, held = [], [], 0
        if held:
            yield np.concatenate(places), np.concatenate(values)

    def texts(self, rows: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.int64], pd.DataFrame]]:
        """Stream texts: as `patched`, with a DataFrame of `TEXT_COLUMNS`; ``perturbed`` is None where there is none."""
        for places, batch in self._batches(TEXT_COLUMNS, rows, _ROWS):
            yield places, pd.DataFrame({name: pd.Series(batch.column(name).to_pylist(), dtype=object) for name in TEXT_COLUMNS})

    def _batches(
        self, columns: Sequence[str], rows: NDArray[np.bool_], size: int
    ) -> Iterator[tuple[NDArray[np.int64], pa.RecordBatch]]:
        for number, path in enumerate(self.files):
            start, stop = self.starts[number : number + 2]
            if not rows[start:stop].any():
                continue
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                for batch in file.iter_batches(batch_size=size, columns=list(columns)):
                    wanted = np.flatnonzero(rows[start : start + batch.num_rows])
                    if len(wanted):
                        yield start + wanted, batch if len(wanted) == batch.num_rows else batch.take(pa.array(wanted))
                    start += batch.num_rows


@dataclass(frozen=True)
class _Part:
    """A part that was read whole: what is kept of it, and whether some pair lacks some cell."""

    path: Path
    header: Header
    table: pa.Table
    gaps: bool


def _checked(path: Path) -> _Part | str:
    """Read a part, or return what is wrong with it."""
    try:
        return _check(path)
    except (MechvizError, pa.ArrowException, OSError, ValueError) as error:
        return str(error).partition("\n")[0]


def _check(path: Path) -> _Part:
    batches, gaps = [], False
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema = file.schema_arrow
        header = Header.of(schema)
        size = min(_ROWS, max(1, _VALUES // header.n_cells))
        for batch in file.iter_batches(batch_size=size, use_threads=False):
            values = batch.column("patched").flatten().to_numpy()
            if np.isinf(values).any():
                raise MechvizError("it holds infinite scores")
            gaps |= bool(np.isnan(values).any())
            nulls = [name for name in REQUIRED_COLUMNS if batch.column(name).null_count]
            if nulls:
                raise MechvizError(f"{', '.join(nulls)} is missing in some rows")
            batches.append(_kept(batch))
    table = pa.Table.from_batches(batches or [_kept(pa.RecordBatch.from_pylist([], schema))])
    return _Part(path, header, table, gaps)


def _check_same(root: Path, first: _Part, part: _Part) -> None:
    mine, theirs = first.header, part.header
    if mine is theirs:
        return
    if names := mine.differences(theirs):
        said = "; ".join(f"{name} {shown(getattr(mine, name))} and {shown(getattr(theirs, name))}" for name in names)
        raise MechvizError(
            f"{first.path.name} and {part.path.name} in {root} are of different studies: {said}. A folder holds one study: move "
            "the parts of the other away"
        )


def _kept(batch: pa.RecordBatch) -> pa.RecordBatch:
    texts = batch.column("query").dictionary_encode()
    hashes = [int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) for text in texts.dictionary.to_pylist()]
    columns = [batch.column(name) for name in PLAIN_COLUMNS]
    columns += [pa.array(hashes, pa.uint64()).take(texts.indices), batch.column("patched").is_valid()]
    return pa.RecordBatch.from_arrays(columns, names=[*PLAIN_COLUMNS, "query_hash", "patched"])


def _settings(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise MechvizError(f"{path} cannot be read ({error}); run the same mv.study(..., out=...) again") from error
    if not isinstance(found, dict):
        raise MechvizError(f"{path} holds {shown(found)}, not the settings of a study; run the same mv.study(..., out=...) again")
    return found


def _listed(broken: dict[str, str]) -> str:
    return "; ".join(f"{name} ({why})" for name, why in broken.items())
