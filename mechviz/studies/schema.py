"""What a part of a study is on disk: the columns of its parquet file, and the header that says what its numbers are.

A study's folder holds ``study.json`` (its settings) and ``parts/<hash>.parquet``, one row a pair. All parts of a folder have
the same header, apart from the versions of what wrote them.

A grid with positions is stored by class of tokens, because the positions of two pairs are not the same places: dim ``class``
in place of ``pos``, a cell being the mean of ``patched`` over the positions of that class; NaN where the pair has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import MechvizError

#: Version of the columns and of the header.
FORMAT = 1
#: Names in a study's folder.
SETTINGS_FILE, PARTS_FOLDER, PART_PATTERN = "study.json", "parts", "*.parquet"

_KEY = b"mechviz"
_TEXT, _SCORE, _COUNT = pa.string(), pa.float64(), pa.int32()

#: Column -> its type and whether it may be null; ``patched``, whose type depends on the grid, comes last.
_COLUMNS: dict[str, tuple[pa.DataType, bool]] = {
    "number": (pa.int64(), False),
    "query_id": (_TEXT, False),
    "doc_id": (_TEXT, False),
    "query": (_TEXT, False),
    "doc": (_TEXT, False),
    "perturbed": (_TEXT, True),
    "side": (_TEXT, False),
    "perturbation": (_TEXT, False),
    "grade": (_COUNT, True),
    "rank": (_COUNT, True),
    "run_score": (_SCORE, True),
    "preferred": (pa.int8(), False),
    "reason": (_TEXT, False),
    "original_score": (_SCORE, True),
    "perturbed_score": (_SCORE, True),
    "base_score": (_SCORE, True),
    "source_score": (_SCORE, True),
    "length": (_COUNT, True),
    "moved": (_COUNT, True),
    "truncated": (_TEXT, False),
}
#: Columns with whole texts, which are read only where they are asked for.
TEXT_COLUMNS = ("query", "doc", "perturbed")
#: Columns that are kept in memory for all pairs of a study.
PLAIN_COLUMNS = tuple(name for name in _COLUMNS if name not in TEXT_COLUMNS)
#: Columns that every row has.
REQUIRED_COLUMNS = tuple(name for name, (_, null) in _COLUMNS.items() if not null)


@lru_cache(maxsize=16)
def part_schema(n_cells: int) -> pa.Schema:
    """Return the columns of a part.

    ``number`` (the pair's place in the collection), ``query_id``, ``doc_id``, ``query``, ``doc``, ``perturbed`` (null where
    there is none), ``side``, ``perturbation``, ``grade``, ``rank``, ``run_score``, ``preferred``: as in `TextPair`.
    ``reason``: why the pair was not patched, empty where it was. ``original_score``, ``perturbed_score``, ``base_score``,
    ``source_score``: null if it failed. ``length``: aligned tokens; ``moved``: how many of them changed; ``truncated``: in
    words, what was cut, empty where nothing was. ``patched``: float32 scores, the grid flattened row by row, null if it failed.

    Parameters
    ----------
    n_cells : int
        Cells of the grid.
    """
    columns = [pa.field(name, kind, nullable=null) for name, (kind, null) in _COLUMNS.items()]
    return pa.schema([*columns, pa.field("patched", pa.list_(pa.float32(), n_cells), nullable=True)])


@dataclass(frozen=True)
class Header:
    """What the numbers of a part are.

    Attributes
    ----------
    grid : str
    dims : tuple of (str, int)
        Name and size of each dimension, such as ``(("layer", 6), ("head", 12))``.
    coords : mapping of str to list
        Dimension -> its coordinates, where they are not 0, 1, ...
    stack, direction, filler : str
        As in `PatchResult` and its pair.
    ranker : str
        Its name.
    weights_sha256 : str
        As ``ranker.weight_hash()`` gives it.
    settings : mapping of str to JSON values
        What `mechviz.patch` was given beside the texts.
    versions : mapping of str to str
        What wrote the part; the only field in which parts of one study may differ.
    """

    grid: str
    dims: tuple[tuple[str, int], ...]
    stack: str
    direction: str
    filler: str
    ranker: str
    weights_sha256: str
    coords: Mapping[str, list[Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of each dimension."""
        return tuple(size for _, size in self.dims)

    @property
    def n_cells(self) -> int:
        """How many cells the grid has."""
        return prod(self.shape)

    @property
    def schema(self) -> pa.Schema:
        """The schema of a part with this header in its metadata."""
        return part_schema(self.n_cells).with_metadata({_KEY: json.dumps({"format": FORMAT, **asdict(self)}).encode()})

    def named(self, cells: NDArray[Any]) -> xr.DataArray:
        """Return values of the cells, dims (cell), as an array with the dims and coordinates of the grid."""
        return xr.DataArray(cells.reshape(self.shape), dims=[name for name, _ in self.dims], coords=self.coords_of())

    def coords_of(self) -> dict[str, Any]:
        """Return the coordinates of every dimension."""
        return {name: self.coords.get(name, np.arange(size)) for name, size in self.dims}

    def differences(self, other: Header) -> list[str]:
        """Return the names of the fields in which two headers differ, versions apart."""
        mine, theirs = asdict(self), asdict(other)
        return [name for name in mine if name != "versions" and mine[name] != theirs[name]]

    @classmethod
    def of(cls, schema: pa.Schema) -> Header:
        """Read the header from a part's schema.

        Raises
        ------
        MechvizError
            There is none, it is of another format, or the columns are not those of a part.
        """
        encoded = (schema.metadata or {}).get(_KEY)
        if encoded is None:
            raise MechvizError("it has no header of mechviz")
        header = _decoded(encoded)
        wanted = part_schema(header.n_cells)
        if schema.names != wanted.names or any(schema.field(name).type != wanted.field(name).type for name in wanted.names):
            raise MechvizError(f"its columns are {', '.join(schema.names)}, not those of a part: {', '.join(wanted.names)}")
        return header


@lru_cache(maxsize=16)  # thousands of parts have the same one
def _decoded(encoded: bytes) -> Header:
    try:
        plain = json.loads(encoded)
        found = plain.pop("format")
        if found != FORMAT:
            raise MechvizError(f"it has format {found}, this mechviz reads {FORMAT}; update mechviz")
        plain["dims"] = tuple((str(name), int(size)) for name, size in plain["dims"])
        return Header(**plain)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MechvizError(f"its header cannot be read ({type(error).__name__}: {error})") from error
