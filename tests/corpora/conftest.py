"""A small collection, as files and as a dataset of ir_datasets, with its home folder in a temporary place."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import texts

#: As a run has them: not in the order of the scores, the rank column wrong, a query's lines apart, and two equal scores.
RUN = """\
q1 Q0 d03 0 4.5 test
q1 Q0 d01 0 7.25 test
q2 Q0 d02 0 1.0 test
q1 Q0 d20 0 4.5 test
q2 Q0 d09 0 -3.0 test
"""
#: What follows from it, worked out by hand: query, document, rank, score.
RETRIEVED = [
    ("q1", "d03", 2, 4.5),
    ("q1", "d01", 1, 7.25),
    ("q2", "d02", 1, 1.0),
    ("q1", "d20", 3, 4.5),
    ("q2", "d09", 2, -3.0),
]
_names = count()


class TitledDoc(NamedTuple):
    """A document of several fields."""

    doc_id: str
    title: str
    text: str
    pages: Any

    def default_text(self) -> str:
        """Title and text."""
        return f"{self.title}: {self.text}"


class TitledQuery(NamedTuple):
    """A query of several fields."""

    query_id: str
    title: str
    description: str

    def default_text(self) -> str:
        """Title."""
        return self.title


@dataclass(frozen=True)
class Files:
    """The files of the collection."""

    docs: Path
    queries: Path
    qrels: Path
    run: Path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The collection that comes with the tests, and a run."""
    folder = tmp_path / "collection"
    folder.mkdir()
    for name in ("docs.tsv", "queries.tsv", "qrels"):
        (folder / name).write_bytes((texts.FIXTURES / "collection" / name).read_bytes())
    (folder / "run").write_text(RUN)
    return Files(*(folder / name for name in ("docs.tsv", "queries.tsv", "qrels", "run")))


@pytest.fixture(scope="session")
def ir_datasets(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The library, imported while its home is a temporary folder: it looks that up as it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IR_DATASETS_HOME", str(tmp_path_factory.mktemp("irds")))
        return importlib.import_module("ir_datasets")


@pytest.fixture
def register(ir_datasets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Register parts as a dataset under a new name, until the test ends."""
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    made: list[str] = []

    def register_as(*parts: Any) -> str:
        name = f"mechviz-test-{os.getpid()}-{next(_names)}"
        ir_datasets.registry.register(name, ir_datasets.Dataset(*parts))
        made.append(name)
        return name

    yield register_as
    for name in made:
        del ir_datasets.registry._registered[name]


@pytest.fixture
def dataset(ir_datasets: Any, register: Callable[..., str], files: Files) -> str:
    """The collection, registered."""
    local, formats = ir_datasets.util.LocalDownload, ir_datasets.formats
    return register(
        formats.TsvDocs(local(files.docs)),
        formats.TsvQueries(local(files.queries)),
        formats.TrecQrels(local(files.qrels), {}),
        formats.TrecScoredDocs(local(files.run)),
    )
