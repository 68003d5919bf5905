"""Pairs from TREC files: runs and qrels, and the texts that they name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from mechviz.corpora.derived import Opened
from mechviz.corpora.dropped import Dropped
from mechviz.corpora.frames import check_run, read_run_frame
from mechviz.corpora.join import ON_MISSING, Judgement, Qrels, Retrieved, Run, judged_rows, run_rows, with_texts
from mechviz.corpora.lines import check_encoding, check_file, read_lines
from mechviz.corpora.text_pair import TextPair
from mechviz.corpora.texts import TextFile
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text.perturb.rewrites import check_choice

Texts = Mapping[str, str] | TextFile


def open_trec(
    run: object, qrels: object, docs: object, queries: object, pairs: str | None, on_missing: str, encoding: str
) -> Opened:
    """Find the pairs of TREC files.

    Raises
    ------
    InputError, InputTypeError
        Files that are missing, or not given.
    """
    given = {"run": run, "qrels": qrels}
    chosen = check_choice("pairs", pairs or ("qrels" if run is None else "run"), list(given))
    missing = [name for name, value in {chosen: given[chosen], "docs": docs, "queries": queries}.items() if value is None]
    if missing:
        raise InputError(f"{', '.join(missing)} must be given; from_trec takes run= or qrels= (or both), docs= and queries=")
    code = check_encoding(encoding)
    read = partial(
        read_trec,
        chosen,
        None if run is None else open_run(run, code),
        None if qrels is None else partial(read_qrels, check_file("qrels", qrels), code),
        open_texts("docs", docs, code),
        open_texts("queries", queries, code),
        check_choice("on_missing", on_missing, ON_MISSING),
    )
    named = given[chosen]
    return Opened(read, Path(named).name if isinstance(named, (str, os.PathLike)) else chosen)


def open_run(run: object, encoding: str) -> Run:
    """Return what reads a run: a TREC file or a table.

    Raises
    ------
    InputError, InputTypeError
    """
    if any(hasattr(run, name) for name in ("columns", "__arrow_c_stream__", "__dataframe__")):
        return partial(read_run_frame, check_run(run))
    return partial(read_run, check_file("run", run), encoding)


def open_texts(what: str, texts: object, encoding: str) -> Texts:
    """Return documents or queries: a mapping of ids to texts, or a file.

    Raises
    ------
    InputError, InputTypeError
    """
    if isinstance(texts, Mapping):
        return texts
    if isinstance(texts, (str, os.PathLike)):
        return TextFile(check_file(what, texts), what, encoding)
    raise InputTypeError(f"{what} must be a mapping of ids to texts or the path of a file, not {shown(texts)}")


def read_run(path: Path, encoding: str) -> Iterator[Retrieved]:
    """Yield the lines of a run: query, Q0, document, rank, score, tag. The rank is not read; it follows from the scores.

    Raises
    ------
    InputError
        A line that is none of a run, with its number.
    """
    for where, line in read_lines(path, encoding):
        cells = line.split()
        try:
            query_id, _, doc_id, _, score, _ = cells
            value = float(score)
            if value != value:
                raise ValueError(score)
        except ValueError as error:
            raise InputError(f"{where}: not query, Q0, document, rank, score and tag: {shown(line)}") from error
        yield Retrieved(query_id, doc_id, value)


def read_qrels(path: Path, encoding: str) -> Iterator[Judgement]:
    """Yield the lines of qrels: query, iteration, document, grade.

    Raises
    ------
    InputError
        A line that is none of qrels, with its number.
    """
    for where, line in read_lines(path, encoding):
        try:
            query_id, _, doc_id, grade = line.split()
            value = int(grade)
        except ValueError as error:
            raise InputError(f"{where}: not query, iteration, document and a whole grade: {shown(line)}") from error
        yield Judgement(query_id, doc_id, value)


def read_trec(
    pairs: str, run: Run | None, qrels: Qrels | None, docs: Texts, queries: Texts, on_missing: str, dropped: Dropped
) -> Iterator[TextPair]:
    """Yield the pairs of a run or of qrels with their texts."""
    by_id = queries.read() if isinstance(queries, TextFile) else queries
    fetch = docs.get_many if isinstance(docs, TextFile) else partial(_from_mapping, docs)
    if pairs == "run":
        assert run is not None
        rows = run_rows(run, qrels)
    else:
        assert qrels is not None
        rows = judged_rows(qrels, run)
    yield from with_texts(rows, by_id, fetch, pairs == "qrels", on_missing, dropped)


def _from_mapping(texts: Mapping[str, str], ids: list[str]) -> dict[str, str]:
    return {name: texts[name] for name in ids if name in texts}
