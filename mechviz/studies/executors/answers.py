"""What a worker in another process answers: the table of a chunk, or the error that it ran into."""

from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass

import pyarrow as pa

from mechviz.errors import InputError, MechvizError
from mechviz.studies.chunks import Chunk
from mechviz.studies.unit import Unit


@dataclass(frozen=True)
class Failure:
    """An error of another process, and where it was raised there."""

    error: Exception
    where: str


def pack(unit: Unit) -> bytes:
    """Return a unit as bytes, for another process to `unpack`.

    Raises
    ------
    InputError
        Something of the ranker cannot be sent to another process.
    """
    unit.ranker.refuse_open_hooks()
    try:
        return pickle.dumps(unit, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # pickle passes on whatever an object raises
        raise InputError(
            f"this ranker cannot be sent to another process ({type(error).__name__}: {error}); a function that it was given "
            "must be defined in a module, not as a lambda: or use executor='serial'"
        ) from error


def unpack(packed: bytes) -> Unit:
    """Return the unit that `pack` was given."""
    unit: Unit = pickle.loads(packed)  # noqa: S301  # bytes that this program made itself
    return unit


def answer(unit: Unit, chunk: Chunk) -> pa.Table | Failure:
    """Return the table of a chunk, or what it raised in a form that travels."""
    try:
        return unit.table(chunk)
    except Exception as error:  # the caller's process raises it again
        where = "".join(traceback.format_exception(error))
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301
        except Exception:
            error = MechvizError(f"{type(error).__name__}: {error}")
        return Failure(error, where)


def opened(found: pa.Table | Failure, chunk: Chunk) -> pa.Table:
    """Return the table of an answer.

    Raises
    ------
    Exception
        What the worker ran into; its own traceback is a note of it.
    """
    if isinstance(found, Failure):
        found.error.add_note(f"raised by a worker at {chunk}:\n{found.where}")
        raise found.error
    return found
