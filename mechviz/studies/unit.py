"""The unit of work: a chunk of pairs goes in, a table of their patched scores comes out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from xarray import DataArray

from mechviz.corpora import TextPair
from mechviz.errors import InputError, MechvizError, shown
from mechviz.patching import Settings
from mechviz.patching.many import Patched, patch_pairs
from mechviz.rankers import Ranker
from mechviz.results import Pair
from mechviz.studies.chunks import Chunk
from mechviz.studies.schema import Header
from mechviz.text.classes import TOKEN_CLASSES

OnError = Literal["record", "raise"]


@dataclass(frozen=True)
class Unit:
    """All that a worker needs beside its chunks; it is sent once to each.

    Attributes
    ----------
    ranker : Ranker
    header : Header
        Of the tables.
    settings : Settings
        As in `mechviz.patch`.
    on_error : ``"record"`` or ``"raise"``
    """

    ranker: Ranker
    header: Header
    settings: Settings
    on_error: OnError = "record"

    def table(self, chunk: Chunk) -> pa.Table:
        """Return one row a pair, in the order of the chunk, with the columns of `part_schema`.

        Raises
        ------
        MechvizError
            With ``on_error="raise"``: a pair that cannot be patched, named, with the error as its cause.
        """
        rows = [
            _row(number, pair) | {"reason": self._refuses(pair)} for number, pair in zip(chunk.numbers, chunk.pairs, strict=True)
        ]
        runnable = [place for place, row in enumerate(rows) if not row["reason"]]
        for found in patch_pairs(self.ranker, [chunk.pairs[place] for place in runnable], self.settings):
            place = runnable[found.index]
            if found.error is not None and self.on_error == "raise":
                raise failed(chunk.numbers[place], chunk.pairs[place], found.error) from found.error
            rows[place] |= _found(found)
        schema = self.header.schema
        return pa.table([pa.array([row[name] for row in rows], schema.field(name).type) for name in schema.names], schema=schema)

    def _refuses(self, pair: TextPair) -> str:
        stack = self.header.stack
        if pair.reason or self.ranker.text_of(stack) == self.ranker.stack_of(pair.side):
            return pair.reason
        return f"the {pair.side} was changed, and the study is of the stack {stack!r}"


def by_class(patched: DataArray, pair: Pair) -> NDArray[np.floating[Any]]:
    """Return patched scores with the positions of each class of tokens averaged; dims without ``pos`` stay as they are.

    Parameters
    ----------
    patched : DataArray, dims (..., pos)
    pair : Pair

    Returns
    -------
    array, dims (..., class)
        In the order of `TOKEN_CLASSES`; NaN where no position of a class was patched.
    """
    if "pos" not in patched.dims:
        return patched.to_numpy()
    values = patched.transpose(..., "pos").to_numpy().astype(np.float64)
    members = np.array([[name == own for own in pair.classes()] for name in TOKEN_CLASSES], dtype=np.float64)
    chosen = ~np.isnan(values)
    with np.errstate(invalid="ignore"):  # 0 / 0 is a class without positions
        means: NDArray[np.float64] = np.where(chosen, values, 0) @ members.T / (chosen @ members.T)
    return means


def failed(number: int, pair: TextPair, error: Exception) -> MechvizError:
    """Return the error that names a pair which cannot be used."""
    ids = "".join(f", {name} {shown(value)}" for name, value in (("query_id", pair.query_id), ("doc_id", pair.doc_id)) if value)
    kind = InputError if isinstance(error, InputError) else MechvizError
    return kind(f"pair {number}{ids} (query {shown(pair.query)}): {error}; on_error='record' would count it and go on")


def _row(number: int, pair: TextPair) -> dict[str, Any]:
    """Return what is known of a pair before it is run."""
    empty = ("original_score", "perturbed_score", "base_score", "source_score", "length", "moved", "patched")
    return {"number": number, **asdict(pair), "truncated": "", **dict.fromkeys(empty)}


def _found(found: Patched) -> dict[str, Any]:
    """Return the columns that a run fills."""
    if found.pair is None or found.patched is None:
        return {"reason": found.reason}
    pair = found.pair
    return {
        "original_score": pair.original_score,
        "perturbed_score": pair.perturbed_score,
        "base_score": pair.base_score,
        "source_score": pair.source_score,
        "length": len(pair.alignment),
        "moved": len(pair.alignment.changed()),
        "truncated": pair.truncated,
        "patched": by_class(found.patched, pair).astype(np.float32).ravel(),
    }
