"""The collection: pairs of query and document that are read one by one, as often as wanted."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mechviz.corpora.columns import FIELDS, OPTIONAL
from mechviz.corpora.derived import (
    Opened,
    Read,
    each_once,
    open_source,
    read_first,
    read_grade,
    read_sample,
    read_where,
)
from mechviz.corpora.dropped import Dropped
from mechviz.corpora.frames import open_frame
from mechviz.corpora.irds import open_irds
from mechviz.corpora.perturbing import check_on_error, check_perturbs, name_of_perturb, read_perturbed
from mechviz.corpora.text_pair import TextPair
from mechviz.corpora.trec import open_trec
from mechviz.corpora.tsv import open_tsv, write_tsv
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text.perturb.rewrites import check_count, check_seed

if TYPE_CHECKING:
    from torch.utils.data import Dataset, IterableDataset


class Pairs:
    """A collection of `TextPair`, read one by one each time that it is gone through.

    Nothing is read before that, and what has been read is not held.

    >>> pairs = Pairs([("hot springs", "They are warm."), ("lava", "Lava is molten rock.")])
    >>> [pair.perturbed for pair in pairs.perturb(lambda doc, query: f"{doc} {query}").limit(1)], len(pairs)
    (['They are warm. hot springs'], 2)

    Parameters
    ----------
    source : iterable or callable
        Something that can be gone through again and again, such as a list, or a function that returns a new iterator each
        time; of `TextPair` or of tuples (query, doc) or (query, doc, perturbed).
    name : str
        What messages, studies and views call it.

    Attributes
    ----------
    name : str
    dropped : dict of str to int
        Reason -> number of pairs that the last reading left out, because a text was missing.

    Raises
    ------
    InputTypeError
        Something that can be read once only, or is no collection of pairs.
    """

    def __init__(self, source: Iterable[object] | Callable[[], Iterable[object]], name: str = "pairs") -> None:
        self._read, self.name, self._length = open_source(source, str(name))
        self.dropped: dict[str, int] = {}

    # -- where pairs come from -----------------------------------------------------------------------------------

    @classmethod
    def from_irds(
        cls,
        dataset: object,
        pairs: str | None = None,
        run: object = None,
        field: str | Sequence[str] | None = None,
        query_field: str | Sequence[str] | None = None,
        on_missing: str = "drop",
        name: str | None = None,
    ) -> Pairs:
        """Take pairs from ir_datasets.

        Grades are joined from qrels, and ranks and scores from a run, where there are any. A run is read twice (its ranks
        follow from its scores); qrels are held where they are joined, and documents come from the docstore in batches.

        Parameters
        ----------
        dataset : str or ir_datasets.Dataset
            Such as ``"vaswani"`` or ``"msmarco-passage/trec-dl-2019/judged"``.
        pairs : ``"qrels"``, ``"run"`` or ``"scoreddocs"``, optional
            Which pairs: the judged ones, those of ``run``, or those of the dataset's own run. Default: the run where one is
            given, else the judged ones, else the dataset's own run.
        run : path or table, optional
            A TREC run, or a table with query_id, doc_id, score (or qid, docno, score).
        field, query_field : str or sequence of str, optional
            Fields of documents and queries that are the text; several are joined by a space. Default: what the dataset
            itself says (``default_text``), for example title and text.
        on_missing : ``"drop"`` or ``"raise"``
            What to do with a pair whose text is missing or empty: count it in ``dropped``, or raise.
        name : str, optional

        Raises
        ------
        InputError, InputTypeError
            A dataset or a field that there is not, or a part that the dataset lacks.
        MechvizError
            When read: ir_datasets cannot give its files.
        """
        return cls._of(open_irds(dataset, pairs, run, field, query_field, on_missing), name)

    @classmethod
    def from_frame(
        cls,
        frame: object,
        query: str = "query",
        text: str = "text",
        perturbed: str | None = None,
        query_id: str | None = None,
        doc_id: str | None = None,
        grade: str | None = None,
        rank: str | None = None,
        run_score: str | None = None,
        name: str = "frame",
    ) -> Pairs:
        """Take pairs from a table, a row each.

        Parameters
        ----------
        frame : table
            Of pandas, polars, pyarrow or anything else that speaks Arrow or the dataframe interchange protocol.
        query, text, perturbed : str
            Names of the columns of texts. Where ``perturbed`` is given, a row may lack it if a column ``reason`` says why.
        query_id, doc_id, grade, rank, run_score : str, optional
            Names of other columns; default the column of that name, where there is one.
        name : str, optional

        Raises
        ------
        InputError, InputTypeError
            No table; a column that there is not; a query or text that is missing, with its row. When read: a value that
            cannot be used, with its row.
        """
        optional = dict(zip(OPTIONAL, (query_id, doc_id, grade, rank, run_score), strict=True))
        return cls._of(open_frame(frame, query, text, perturbed, optional, name))

    @classmethod
    def from_tsv(
        cls,
        path: str | os.PathLike[str],
        columns: Sequence[str] | None = None,
        query: str = "query",
        text: str = "text",
        perturbed: str | None = None,
        query_id: str | None = None,
        doc_id: str | None = None,
        grade: str | None = None,
        rank: str | None = None,
        run_score: str | None = None,
        encoding: str = "utf-8",
        name: str | None = None,
    ) -> Pairs:
        """Take pairs from a file of tab-separated columns, a line each, nothing quoted.

        Parameters
        ----------
        path : path
        columns : sequence of str, optional
            Names of the columns of a file that does not begin with them.
        query, text, perturbed, query_id, doc_id, grade, rank, run_score : str
            As in `from_frame`.
        encoding : str
        name : str, optional
            Default the file's name.

        Raises
        ------
        InputError, InputTypeError
            No such file or column. When read: a line that cannot be used, with its number.
        """
        optional = dict(zip(OPTIONAL, (query_id, doc_id, grade, rank, run_score), strict=True))
        return cls._of(open_tsv(path, columns, query, text, perturbed, optional, encoding), name)

    @classmethod
    def from_trec(
        cls,
        run: object = None,
        qrels: str | os.PathLike[str] | None = None,
        docs: object = None,
        queries: object = None,
        pairs: str | None = None,
        on_missing: str = "drop",
        encoding: str = "utf-8",
        name: str | None = None,
    ) -> Pairs:
        """Take pairs from TREC files.

        Parameters
        ----------
        run : path or table, optional
            A TREC run, or a table with query_id, doc_id, score (or qid, docno, score).
        qrels : path, optional
        docs, queries : mapping of str to str, or path
            Texts by id: a mapping, a file of lines with id, tab and text, or one in TREC's format (``<DOC> <DOCNO>``, ``<top>
            <num> <title>``). Of a file of documents, only the places of the texts are held.
        pairs : ``"run"`` or ``"qrels"``, optional
            Which pairs; the other file adds what it knows of them. Default the run, where there is one.
        on_missing : ``"drop"`` or ``"raise"``
            What to do with a pair whose text is missing or empty: count it in ``dropped``, or raise.
        encoding : str
        name : str, optional
            Default the file's name.

        Raises
        ------
        InputError, InputTypeError
            Files that there are not. When read: a line that cannot be used, with its number.
        """
        return cls._of(open_trec(run, qrels, docs, queries, pairs, on_missing, encoding), name)

    # -- which of them, and how ----------------------------------------------------------------------------------

    def limit(self, n: int) -> Pairs:
        """Return the first ``n`` pairs; no further ones are read."""
        n = check_count("limit(n)", n, 1)
        return self._chosen(partial(read_first, self._read, n), f"the first {n}", self._at_most(n))

    def sample(self, n: int, seed: int = 0) -> Pairs:
        """Return ``n`` pairs drawn at random without replacement, in the order of the collection: always the same ones.

        All pairs are read for it, and ``n`` held (Vitter 1985, algorithm R).
        """
        n, seed = check_count("sample(n)", n, 1), check_seed("sample", seed)
        return self._chosen(partial(read_sample, self._read, n, seed), f"{n} drawn", self._at_most(n))

    def where(self, function: Callable[[TextPair], object]) -> Pairs:
        """Return the pairs for which ``function(pair)`` is true.

        Raises
        ------
        InputTypeError
        """
        if not callable(function):
            raise InputTypeError(f"where takes a function of a pair, not {shown(function)}")
        return self._chosen(partial(read_where, self._read, function), "chosen")

    def by_grade(self) -> dict[int, Pairs]:
        """Return the pairs of each grade, lowest first; pairs that are not judged are in none. All are read once for it.

        Raises
        ------
        InputError
            No pair has a grade.
        """
        grades = sorted({pair.grade for pair in self if pair.grade is not None})
        if not grades:
            raise InputError(f"{self.name}: no pair has a grade; they come from qrels, or from a column grade=")
        return {grade: self._chosen(partial(read_grade, self._read, grade), f"grade {grade}") for grade in grades}

    def perturb(self, perturb: object, on_error: str = "record", seed: int = 0) -> Pairs:
        """Return the pairs with their perturbed copies.

        Parameters
        ----------
        perturb : perturbation, axiom, or list of them
            Whatever `mechviz.patch` takes, or an axiom, whose ``make(query, doc, seed)`` chooses the texts. With several, each
            pair comes once for each in turn.
        on_error : ``"record"`` or ``"raise"``
            What to do with a pair that cannot be perturbed: yield it without a copy and say why in its ``reason``, or raise.
        seed : int
            For axioms that draw at random.

        Raises
        ------
        InputError, InputTypeError
            Something that perturbs nothing. When read: pairs that have been perturbed already.
        MechvizError
            When read, with ``on_error="raise"``: what a perturbation raised.
        """
        several = check_perturbs(perturb)
        read = partial(read_perturbed, self._read, several, check_on_error(on_error), check_seed("perturb", seed))
        length = None if self._length is None else self._length * len(several)
        return self._chosen(read, " and ".join(map(name_of_perturb, several)), length)

    # -- what becomes of them ------------------------------------------------------------------------------------

    def queries(self) -> Iterator[str]:
        """Yield each query once, as for `TermStatistics`."""
        return each_once(pair.query for pair in self)

    def docs(self) -> Iterator[str]:
        """Yield each document once, as for `TermStatistics`."""
        return each_once(pair.doc for pair in self)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with the fields of `TextPair` as columns."""
        frame = pd.DataFrame([asdict(pair) for pair in self], columns=list(FIELDS))
        return frame.astype(
            {"perturbed": "string", "grade": "Int64", "rank": "Int64", "run_score": "float64", "preferred": "int64"}
        )

    def to_tsv(self, path: str | os.PathLike[str], on_break: str = "raise") -> Path:
        """Write a file of tab-separated columns, the fields of `TextPair`, with a header; the file is whole or not there.

        ``Pairs.from_tsv(path, text="doc", perturbed="perturbed")`` reads it.

        Parameters
        ----------
        path : path
        on_break : ``"raise"`` or ``"space"``
            What to do with tabs and line breaks in a text, which such a file cannot hold.

        Raises
        ------
        InputError
            A tab or line break in a text; a path that cannot be written.
        """
        return write_tsv(self, path, on_break)

    def torch(self) -> Dataset[TextPair] | IterableDataset[TextPair]:
        """Return a torch Dataset of the pairs, for a DataLoader with `mechviz.corpora.collate`.

        Where the length is known it can be indexed and shuffled, and the pairs are read into memory now; otherwise it is
        a stream, which the workers of a DataLoader share out among them.
        """
        from mechviz.corpora.torch import Listed, Streamed

        return Streamed(self) if self._length is None else Listed(list(self))

    def __iter__(self) -> Iterator[TextPair]:
        dropped = Dropped()
        try:
            yield from self._read(dropped)
        finally:
            self.dropped = dict(dropped.counts)
        if dropped.counts:
            warnings.warn(dropped.describe(self.name), stacklevel=2)

    def __len__(self) -> int:
        if self._length is None:
            raise InputTypeError(
                f"how many pairs {self.name!r} has is not known before they are read; count them with sum(1 for _ in pairs), "
                "or hold them: mv.Pairs(list(pairs))"
            )
        return self._length

    def __repr__(self) -> str:
        return f"Pairs({self.name!r}, {'number not known' if self._length is None else f'{self._length} pairs'})"

    @classmethod
    def _of(cls, opened: Opened, name: str | None = None) -> Pairs:
        made = cls(())
        made._read, made.name, made._length = opened
        made.name = name or made.name
        return made

    def _chosen(self, read: Read, how: str, length: int | None = None) -> Pairs:
        return self._of(Opened(read, f"{self.name}, {how}", length))

    def _at_most(self, n: int) -> int | None:
        return None if self._length is None else min(n, self._length)
