"""Tables: which column is which part of a pair, and one row as a `TextPair`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from numbers import Integral, Real
from typing import Any

from mechviz.corpora.text_pair import TextPair
from mechviz.errors import InputError, InputTypeError, MechvizError, shown

#: The columns of a table that we write.
FIELDS = tuple(field.name for field in fields(TextPair))
#: What may be missing.
OPTIONAL = ("query_id", "doc_id", "grade", "rank", "run_score")
#: What is read, under its own name, where perturbed texts are read.
OF_PERTURBED = ("side", "perturbation", "preferred", "reason")


def choose_columns(
    what: str, available: Sequence[object], query: str, text: str, perturbed: str | None, optional: Mapping[str, str | None]
) -> dict[str, str]:
    """Return the columns to read, by field of `TextPair`.

    Parameters
    ----------
    what : str
        The table, for messages.
    available : sequence
        The names of its columns.
    query, text, perturbed : str
        Columns of the texts.
    optional : mapping of field to str or None
        Columns of `OPTIONAL`; None is the column of that name, where there is one.

    Raises
    ------
    InputError
        A column that there is not, or twice.
    """
    wanted: dict[str, str | None] = {"query": query, "doc": text}
    if perturbed is not None:
        wanted |= {"perturbed": perturbed, **dict.fromkeys(OF_PERTURBED)}
    wanted |= optional
    names = {field: field if name is None else name for field, name in wanted.items()}
    names = {field: name for field, name in names.items() if wanted[field] is not None or name in available}
    listed = ", ".join(map(str, available))
    for field, name in names.items():
        argument = "text" if field == "doc" else field
        if name not in available:
            raise InputError(f"{what} has no column {shown(name)} (argument {argument}); it has {listed}")
        if list(available).count(name) > 1:
            raise InputError(f"{what} has the column {shown(name)} more than once; it has {listed}")
    return names


def to_pair(values: Mapping[str, Any], where: str) -> TextPair:
    """Return a row as a pair; None is a value that is missing.

    Raises
    ------
    InputError, InputTypeError
        A value that cannot be used, or a text that is missing, with the row.
    """
    for name in ("query", "doc", "perturbed"):
        excused = name == "perturbed" and values.get("reason")
        if name in values and not excused and (values[name] is None or not str(values[name]).strip()):
            raise InputError(f"{where}: there is no {name} text; fill it in or leave the row out")
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return TextPair(**{name: _READ[name](value) if name in _READ else value for name, value in given.items()})
    except (MechvizError, ValueError) as error:
        kind = InputTypeError if isinstance(error, InputTypeError) else InputError
        raise kind(f"{where}: {error}") from error


def name_of(value: object) -> str:
    """Return an id as text; a whole number that a table made a float of is a whole number."""
    if isinstance(value, Real) and not isinstance(value, Integral) and float(value).is_integer():
        return str(int(float(value)))
    return str(value)


def whole(value: object) -> int:
    """Return a whole number, of whatever type.

    Raises
    ------
    InputError
        It is none.
    """
    with suppress(ValueError):
        return int(name_of(value))
    raise InputError(f"{shown(value)} is no whole number")


_READ: Mapping[str, Callable[[Any], Any]] = {
    "query_id": name_of,
    "doc_id": name_of,
    "grade": whole,
    "rank": whole,
    "run_score": float,
    "preferred": whole,
}
