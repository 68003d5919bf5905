"""How often terms occur in a collection: document and collection frequencies, lengths, IDF.

>>> statistics = TermStatistics.of(["Hot springs", "hot lava", "cold water"])
>>> statistics.document_frequency("hot"), statistics.documents, statistics.mean_length
(2, 3, 2.0)
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.files import replacing
from mechviz.text.words import terms as words_as_terms

#: Splits a text into the terms that are counted.
Terms = Callable[[str], Iterable[str]]

_FORMAT = 1
_KEY = b"mechviz.statistics"
_COLUMNS = ("term", "document_frequency", "collection_frequency")


@dataclass(frozen=True)
class TermStatistics:
    """Counts of a collection's terms.

    Attributes
    ----------
    documents : int
        Number of texts.
    words : int
        Number of term occurrences in all of them.
    document_frequencies : mapping of str to int
        Term -> number of texts that have it.
    collection_frequencies : mapping of str to int
        Term -> number of its occurrences in all texts.
    terms : callable
        What split the texts, ``text -> terms``.

    See Also
    --------
    TermStatistics.of : count the terms of texts.
    """

    documents: int
    words: int
    document_frequencies: Mapping[str, int] = field(repr=False, hash=False)
    collection_frequencies: Mapping[str, int] = field(repr=False, hash=False)
    terms: Terms = field(default=words_as_terms, repr=False)

    @classmethod
    def of(cls, texts: Iterable[str], terms: Terms = words_as_terms) -> TermStatistics:
        """Count the terms of texts, one text after the other; only the counts are kept in memory.

        Parameters
        ----------
        texts : iterable of str
            A list, a generator, the lines of a file. A text without terms counts as a document of length 0.
        terms : callable, optional
            ``text -> terms``; by default the casefolded words of `mechviz.text.words.terms`, which axioms need. Give a
            function of a module, not a lambda, if the statistics are to be saved or pickled.

        Raises
        ------
        InputTypeError
            ``texts`` is one string, or holds something that is no string.
        InputError
            There is no text, or no text has a term.
        """
        if isinstance(texts, str) or not isinstance(texts, Iterable):
            raise InputTypeError(f"texts must be an iterable of strings, not {shown(texts)}")
        in_documents: Counter[str] = Counter()
        in_all: Counter[str] = Counter()
        documents = 0
        for text in texts:
            if not isinstance(text, str):
                raise InputTypeError(f"text number {documents} must be a string, but {shown(text)} is a {type(text).__name__}")
            counts = Counter(terms(text))
            in_all.update(counts)
            in_documents.update(counts.keys())
            documents += 1
        words = in_all.total()
        if not words:
            raise InputError(f"there is no term in the {documents} texts; give texts with words")
        return cls(documents, words, dict(in_documents), dict(in_all), terms)

    @property
    def mean_length(self) -> float:
        """Mean number of term occurrences in a text."""
        return self.words / self.documents

    def document_frequency(self, term: str) -> int:
        """Return the number of texts that have the term; 0 for an unknown one."""
        return self.document_frequencies.get(term, 0)

    def collection_frequency(self, term: str) -> int:
        """Return the number of occurrences of the term in all texts; 0 for an unknown one."""
        return self.collection_frequencies.get(term, 0)

    def idf(self, term: str) -> float:
        """Return ``ln(1 + (N - df + 0.5) / (df + 0.5))``: Robertson and Sparck Jones's weight as Lucene's BM25 computes it.

        It is positive for every term. An unknown term has df = 0, so the largest IDF of the collection, ``ln(2 N + 2)``.
        ``term`` is written as ``terms`` gives it (casefolded by default).

        >>> round(TermStatistics.of(["a b", "a c", "a"]).idf("b"), 4)
        0.9808
        """
        df = self.document_frequency(term)
        return math.log1p((self.documents - df + 0.5) / (df + 0.5))

    def __len__(self) -> int:
        """Return the number of distinct terms."""
        return len(self.collection_frequencies)

    def __contains__(self, term: object) -> bool:
        """Return whether the collection has the term."""
        return term in self.collection_frequencies

    def __repr__(self) -> str:
        return f"TermStatistics({self.documents:,} documents, {len(self):,} terms, {self.words:,} words)"

    def __add__(self, other: TermStatistics) -> TermStatistics:
        """Return the statistics of both collections together; a text that lies in both counts twice."""
        if not isinstance(other, TermStatistics):
            return NotImplemented
        if other.terms != self.terms:
            raise InputError(
                f"the two were counted with different terms, {_name(self.terms)} and {_name(other.terms)}; count both with one"
            )
        in_documents = Counter(self.document_frequencies)
        in_documents.update(other.document_frequencies)
        in_all = Counter(self.collection_frequencies)
        in_all.update(other.collection_frequencies)
        return TermStatistics(
            self.documents + other.documents, self.words + other.words, dict(in_documents), dict(in_all), self.terms
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one parquet file, whole or not at all: columns term, document_frequency, collection_frequency.

        The same counts give the same table, whatever the order in which they were counted.

        Raises
        ------
        InputError, InputTypeError
            ``path`` is no path of a file, or its folder does not exist.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        ordered = sorted(self.collection_frequencies)
        header = {"format": _FORMAT, "documents": self.documents, "words": self.words, "terms": _name(self.terms)}
        columns = [
            pa.array(ordered, pa.string()),
            pa.array([self.document_frequencies[term] for term in ordered], pa.int64()),
            pa.array([self.collection_frequencies[term] for term in ordered], pa.int64()),
        ]
        table = pa.table(columns, names=_COLUMNS, metadata={_KEY: json.dumps(header).encode()})
        with replacing(path) as part:
            pq.write_table(table, part, compression="zstd")

    @classmethod
    def load(cls, path: str | os.PathLike[str], terms: Terms = words_as_terms) -> TermStatistics:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path
        terms : callable, optional
            What split the texts. The file holds its name, not its code: give it here where it was not the default.

        Raises
        ------
        InputError
            There is no such file, it is not of this kind or format, is damaged, or was counted with other terms.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(os.fspath(path))
        except FileNotFoundError:
            raise InputError(f"there is no file {os.fspath(path)}; TermStatistics.of(texts).save(path) writes one") from None
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{os.fspath(path)} cannot be read as parquet ({error}); count and save again") from error
        header = _header(table, path)
        if header["terms"] != _name(terms):
            raise InputError(
                f"{os.fspath(path)} was counted with {header['terms']}, not {_name(terms)}; give that one: load(path, terms=)"
            )
        names, in_documents, in_all = (table.column(name).to_pylist() for name in _COLUMNS)
        found = cls(
            header["documents"],
            header["words"],
            dict(zip(names, in_documents, strict=True)),
            dict(zip(names, in_all, strict=True)),
            terms,
        )
        if sum(in_all) != found.words or len(found) != len(names) or max(in_documents, default=0) > found.documents:
            raise InputError(f"the counts in {os.fspath(path)} contradict each other; count and save again")
        return found


def _header(table: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    encoded = (table.schema.metadata or {}).get(_KEY)
    if encoded is None or table.column_names != list(_COLUMNS):
        raise InputError(f"{os.fspath(path)} holds no term statistics; its columns are {', '.join(table.column_names)}")
    header: dict[str, Any] = json.loads(encoded)
    if header.get("format") != _FORMAT:
        raise InputError(f"{os.fspath(path)} has format {header.get('format')}, this mechviz reads {_FORMAT}; update mechviz")
    return header


def _name(terms: Terms) -> str:
    return f"{getattr(terms, '__module__', '?')}.{getattr(terms, '__qualname__', type(terms).__qualname__)}"
