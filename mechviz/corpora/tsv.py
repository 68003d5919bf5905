"""Pairs from and to files of tab-separated columns, a line a pair, nothing quoted: as MS MARCO and TREC write them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from mechviz.corpora.columns import FIELDS, choose_columns, to_pair
from mechviz.corpora.derived import Opened
from mechviz.corpora.dropped import Dropped
from mechviz.corpora.lines import check_encoding, check_file, read_lines
from mechviz.corpora.text_pair import TextPair
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.files import replacing
from mechviz.text.perturb.rewrites import check_choice

ON_BREAK = ("raise", "space")
_BREAK = re.compile(r"[\t\n\r]+")


def open_tsv(
    path: object,
    columns: object,
    query: str,
    text: str,
    perturbed: str | None,
    optional: Mapping[str, str | None],
    encoding: str,
) -> Opened:
    """Find the pairs of a file.

    Raises
    ------
    InputError, InputTypeError
        No such file or column.
    """
    file, code = check_file("path", path), check_encoding(encoding)
    header = header_of(file, columns, code)
    names = choose_columns(str(file), header, query, text, perturbed, optional)
    return Opened(partial(read_tsv, file, header, columns is None, names, code), file.name)


def header_of(path: Path, columns: object, encoding: str) -> list[str]:
    """Return the names of the columns: those given, or the first line.

    Raises
    ------
    InputError, InputTypeError
        The file is empty, or the names are no list of strings.
    """
    if columns is None:
        first = next(read_lines(path, encoding), None)
        if first is None:
            raise InputError(f"{path} is empty; its first line must name the columns, or columns= must")
        return first[1].split("\t")
    if isinstance(columns, str) or not isinstance(columns, Sequence) or not all(isinstance(name, str) for name in columns):
        raise InputTypeError(f"columns must be a list of names, in the order of the file, not {shown(columns)}")
    return list(columns)


def read_tsv(
    path: Path, header: Sequence[str], skip_first: bool, names: Mapping[str, str], encoding: str, dropped: Dropped
) -> Iterator[TextPair]:
    """Yield the lines of a file as pairs.

    Raises
    ------
    InputError
        A line with more or fewer columns, or a value that cannot be used, with file and line number.
    """
    places = {field: list(header).index(name) for field, name in names.items()}
    lines = read_lines(path, encoding)
    if skip_first:
        next(lines, None)
    for where, line in lines:
        cells = line.split("\t")
        if len(cells) != len(header):
            raise InputError(f"{where}: {len(cells)} columns, and not {len(header)} ({', '.join(header)}): {shown(line)}")
        yield to_pair({field: cells[place] or None for field, place in places.items()}, where)


def write_tsv(pairs: Iterable[TextPair], path: str | os.PathLike[str], on_break: str) -> Path:
    """Write pairs with a header, the fields of `TextPair` as columns.

    Raises
    ------
    InputError
        A tab or a line break in a text, unless ``on_break`` is ``"space"``.
    """
    check_choice("on_break", on_break, ON_BREAK)
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(FIELDS) + "\n")
        for number, pair in enumerate(pairs):
            file.write("\t".join(_cell(pair, field, number, on_break) for field in FIELDS) + "\n")
    return Path(path)


def _cell(pair: TextPair, field: str, number: int, on_break: str) -> str:
    value = getattr(pair, field)
    text = "" if value is None else str(value)
    if not _BREAK.search(text):
        return text
    if on_break == "raise":
        raise InputError(
            f"pair {number} (the first is 0) has a tab or a line break in {field} ({shown(text)}), which no line of such a "
            "file can hold; pass on_break='space' to write a space for it, or keep pairs.to_frame() as parquet"
        )
    return _BREAK.sub(" ", text)
