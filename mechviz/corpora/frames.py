"""Pairs and runs from tables in memory: pandas, polars, pyarrow and whatever else speaks Arrow."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mechviz.corpora.columns import choose_columns, name_of, to_pair
from mechviz.corpora.derived import Opened
from mechviz.corpora.dropped import Dropped
from mechviz.corpora.join import Retrieved
from mechviz.corpora.text_pair import TextPair
from mechviz.errors import InputError, InputTypeError, shown

#: Names of query, document and score in a run, as in ir_datasets and as in PyTerrier.
RUN_COLUMNS = (("query_id", "doc_id", "score"), ("qid", "docno", "score"))


def open_frame(
    frame: object, query: str, text: str, perturbed: str | None, optional: Mapping[str, str | None], name: str
) -> Opened:
    """Find the pairs of a table.

    Raises
    ------
    InputError, InputTypeError
        No table; a column that there is not; a query or a text that is missing.
    """
    table = as_pandas("frame", frame)
    names = choose_columns("the table", list(table.columns), query, text, perturbed, optional)
    check_texts(table, names)
    return Opened(partial(read_frame, table, names), name, len(table))


def as_pandas(what: str, frame: object) -> pd.DataFrame:
    """Return a table as pandas's.

    Raises
    ------
    InputTypeError
        It is no table.
    """
    if isinstance(frame, pd.DataFrame):
        return frame
    if hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "__dataframe__"):
        arrow: Any = importlib.import_module("pyarrow")
        interchange: Any = importlib.import_module("pyarrow.interchange")
        table = arrow.table(frame) if hasattr(frame, "__arrow_c_stream__") else interchange.from_dataframe(frame)
        made: pd.DataFrame = table.to_pandas(integer_object_nulls=True)
        return made
    raise InputTypeError(f"{what} must be a table of pandas, polars or pyarrow, not {shown(frame)}")


def check_texts(frame: pd.DataFrame, names: Mapping[str, str]) -> None:
    """Refuse a table in which a query or a document is missing.

    Raises
    ------
    InputError
        Names the first such row.
    """
    for field in ("query", "doc"):
        rows = np.flatnonzero(frame[names[field]].isna())
        if len(rows):
            others = f" and {len(rows) - 1} others" if len(rows) > 1 else ""
            raise InputError(
                f"the column {names[field]!r} has no text in row {rows[0]} (the first is 0){others}; "
                f"drop such rows, for example frame.dropna(subset=[{names[field]!r}])"
            )


def read_frame(frame: pd.DataFrame, names: Mapping[str, str], dropped: Dropped) -> Iterator[TextPair]:
    """Yield the rows of a table as pairs."""
    for number, row in enumerate(zip(*(frame[name] for name in names.values()), strict=True)):
        values = {field: None if _missing(value) else value for field, value in zip(names, row, strict=True)}
        yield to_pair(values, f"row {number} (the first is 0)")


def check_run(frame: object) -> pd.DataFrame:
    """Return the three columns of a run.

    Raises
    ------
    InputError
        Columns or scores that are missing.
    """
    table = as_pandas("run", frame)
    for names in RUN_COLUMNS:
        if set(names) <= set(table.columns):
            chosen = table[list(names)]
            if chosen.isna().to_numpy().any():
                raise InputError(f"the run has a row without {', '.join(names[:2])} or {names[2]}; drop it")
            return chosen
    wanted = " or ".join(", ".join(names) for names in RUN_COLUMNS)
    raise InputError(f"a run has the columns {wanted}; this one has {', '.join(map(str, table.columns))}")


def read_run_frame(run: pd.DataFrame) -> Iterator[Retrieved]:
    """Yield the rows of a run."""
    for query_id, doc_id, score in run.itertuples(index=False, name=None):
        yield Retrieved(name_of(query_id), name_of(doc_id), float(score))


def _missing(value: Any) -> bool:
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))
