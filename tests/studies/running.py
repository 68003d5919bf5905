"""What the tests of running a study share: pairs of the project's own collection, and a look at what lies on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import mechviz as mv
from mechviz.corpora import TextPair
from tests.texts import docs, qrels, queries


def pairs() -> list[TextPair]:
    """Every judged pair, with its ids and grade."""
    texts, questions = docs(), queries()
    return [TextPair(questions[query], texts[doc], query_id=query, doc_id=doc, grade=grade) for query, doc, grade in qrels()]


def ask(doc: str, query: str) -> str:
    """Put the query behind the document."""
    return f"{doc} {query}"


def ready() -> list[TextPair]:
    """The pairs with their perturbed documents."""
    return [pair.with_perturbed(ask(pair.doc, pair.query), "ask") for pair in pairs()]


def parts(folder: Path) -> dict[str, bytes]:
    """Each part's name and bytes; there is nothing else beside them."""
    found = {path.name: path.read_bytes() for path in (folder / "parts").iterdir()}
    assert all(name.endswith(".parquet") and not name.startswith(".") for name in found), sorted(found)
    return found


def rows(folder: Path) -> pa.Table:
    """All rows, by number, read without any code of the package."""
    tables = [pq.read_table(path) for path in sorted((folder / "parts").iterdir())]
    return pa.concat_tables(tables, promote_options="none").sort_by("number")


def study(ranker: Any, texts: Any = None, perturb: Any = None, **settings: Any) -> mv.Study:
    """Run a study of small chunks without a bar."""
    return mv.study(ranker, ready() if texts is None else texts, perturb, **{"chunk": 4, "progress": False, **settings})


def stopping(texts: list[TextPair], after: int, error: BaseException) -> Callable[[], Iterator[TextPair]]:
    """Return a function whose iterator raises instead of giving the pair of a number."""

    def read() -> Iterator[TextPair]:
        yield from texts[:after]
        raise error

    return read


def close(a: Any, b: Any) -> bool:
    """Equal up to the rounding that is allowed of scores, NaN where NaN."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    allowed = 1e-5 * np.maximum(1, np.abs(second))
    return bool(np.all((np.abs(first - second) <= allowed) | (np.isnan(first) & np.isnan(second))))
