"""Pairs from ir_datasets: qrels, scoreddocs or the user's own run, with the texts from the docstore."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from typing import Any

from mechviz.corpora.derived import Opened
from mechviz.corpora.dropped import Dropped
from mechviz.corpora.join import ON_MISSING, Judgement, Retrieved, Run, judged_rows, run_rows, with_texts
from mechviz.corpora.text_pair import TextPair
from mechviz.corpora.trec import open_run
from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.text.perturb.rewrites import check_choice

PAIRS = ("qrels", "run", "scoreddocs")


def open_irds(
    dataset: object,
    pairs: str | None,
    run: object,
    field: str | Sequence[str] | None,
    query_field: str | Sequence[str] | None,
    on_missing: str,
) -> Opened:
    """Find the pairs of a dataset; nothing is downloaded yet.

    Raises
    ------
    InputError, InputTypeError
        A dataset or a field that there is not, or a part that the dataset lacks.
    """
    opened = open_dataset(dataset)
    name = name_of_dataset(opened)
    chosen = choose_pairs(name, opened, pairs, run)
    read = partial(
        read_irds,
        dataset,
        chosen,
        None if run is None else open_run(run, "utf-8"),
        text_reader(f"field: a document of {name!r}", opened.docs_cls(), field),
        text_reader(f"query_field: a query of {name!r}", opened.queries_cls(), query_field),
        check_choice("on_missing", on_missing, ON_MISSING),
    )
    return Opened(read, f"{name} {chosen}")


def open_dataset(dataset: object) -> Any:
    """Return a dataset of ir_datasets, by its id or as it is.

    Raises
    ------
    InputError
        There is none of this name; the closest names are shown.
    InputTypeError
    """
    import ir_datasets

    if isinstance(dataset, ir_datasets.Dataset):
        return dataset
    if not isinstance(dataset, str):
        raise InputTypeError(f"a dataset is named as in ir_datasets, for example 'vaswani', not {shown(dataset)}")
    registry: Any = ir_datasets.registry
    try:
        return registry[dataset]
    except KeyError as error:
        close = get_close_matches(dataset, list(registry), n=5)
        names = f"the closest are {', '.join(map(repr, close))}" if close else "and none is called alike"
        raise InputError(
            f"ir_datasets has no dataset {shown(dataset)}; {names}. Your own files: ir_datasets.registry.register, "
            "or mv.Pairs.from_trec"
        ) from error


def choose_pairs(name: str, dataset: Any, pairs: str | None, run: object) -> str:
    """Return where the pairs come from, and check that the dataset has it all.

    Raises
    ------
    InputError
    """
    if pairs is None:
        pairs = "run" if run is not None else "qrels" if dataset.has_qrels() else "scoreddocs"
    check_choice("pairs", pairs, PAIRS)
    if pairs == "run" and run is None:
        raise InputError("pairs='run' needs run=, a TREC file or a table; the dataset's own run is pairs='scoreddocs'")
    if pairs == "scoreddocs" and run is not None:
        raise InputError("pairs='scoreddocs' is the dataset's own run; give run= with pairs='run' or pairs='qrels'")
    parts = [part for part in ("docs", "queries", "qrels", "scoreddocs") if dataset.has(part)]
    for part in ("docs", "queries", *([] if pairs == "run" else [pairs])):
        if part not in parts:
            raise InputError(f"the dataset {name!r} has no {part}, only {', '.join(parts)}; choose a subset that has")
    return pairs


def text_reader(what: str, kind: Any, field: str | Sequence[str] | None) -> Callable[[Any], str]:
    """Return what takes the text of a document or query.

    Parameters
    ----------
    what : str
        For messages, such as ``"field: a document of 'vaswani'"``.
    kind : type
        The dataset's class of documents or queries.
    field : str, sequence of str or None
        One field, several joined by a space, or None for what the dataset itself takes for the text.

    Raises
    ------
    InputError
        A field that there is not.
    """
    has = [name for name in kind._fields if not name.endswith("_id")]
    if field is None and not hasattr(kind, "default_text"):
        field = "text"
    if field is None:
        return _default_text
    fields = [field] if isinstance(field, str) else list(field)
    missing = [name for name in fields if name not in kind._fields]
    if missing or not fields:
        raise InputError(f"{what} has no field {', '.join(map(repr, missing))}; it has {', '.join(has)}")
    return partial(_joined, fields)


def read_irds(
    dataset: object,
    pairs: str,
    run: Run | None,
    doc_text: Callable[[Any], str],
    query_text: Callable[[Any], str],
    on_missing: str,
    dropped: Dropped,
) -> Iterator[TextPair]:
    """Yield the pairs of a dataset."""
    opened = open_dataset(dataset)
    name = name_of_dataset(opened)
    with reading(name, "queries"):
        queries = {query.query_id: query_text(query) for query in opened.queries_iter()}
    with reading(name, "docs"):
        store = opened.docs_store()

    def fetch(ids: list[str]) -> dict[str, str]:
        with reading(name, "docs"):
            return {doc_id: doc_text(doc) for doc_id, doc in store.get_many(ids).items()}

    qrels = partial(_qrels, name, opened)
    if pairs == "qrels":
        rows = judged_rows(qrels, run)
    else:
        own = partial(_scoreddocs, name, opened) if run is None else run
        rows = run_rows(own, qrels if opened.has_qrels() else None)
    yield from with_texts(rows, queries, fetch, pairs == "qrels", on_missing, dropped)


def name_of_dataset(dataset: Any) -> str:
    """Return the id of a dataset; one that is not registered has none."""
    return str(dataset.dataset_id()) if hasattr(dataset, "dataset_id") else "dataset"


@contextmanager
def reading(name: str, part: str) -> Iterator[None]:
    """Turn what ir_datasets raises while it reads, or downloads, into an error that says what to do.

    Raises
    ------
    MechvizError
        The original exception is its cause.
    """
    try:
        yield
    except MechvizError:
        raise
    except Exception as error:
        from ir_datasets import util

        home_path: Any = util.home_path
        home = home_path()
        raise MechvizError(
            f"ir_datasets could not give the {part} of {name!r} ({type(error).__name__}: {shown(str(error), 200)}). It downloads "
            f"files when they are first needed and keeps them under {home} (environment variable IR_DATASETS_HOME). Go online "
            f"and try again; or copy the folder {name.split('/')[0]} from a machine that has it to {home}; or register your own "
            "copy (ir_datasets.registry.register), or read it with mv.Pairs.from_trec"
        ) from error


def _qrels(name: str, dataset: Any) -> Iterator[Judgement]:
    with reading(name, "qrels"):
        for one in dataset.qrels_iter():
            yield Judgement(one.query_id, one.doc_id, one.relevance)


def _scoreddocs(name: str, dataset: Any) -> Iterator[Retrieved]:
    with reading(name, "scoreddocs"):
        for one in dataset.scoreddocs_iter():
            yield Retrieved(one.query_id, one.doc_id, one.score)


def _default_text(record: Any) -> str:
    return str(record.default_text())


def _joined(fields: Sequence[str], record: Any) -> str:
    values = [getattr(record, name) for name in fields]
    for name, value in zip(fields, values, strict=True):
        if not isinstance(value, str):
            raise InputTypeError(f"the field {name!r} holds {shown(value)}, which is no text; choose another")
    return " ".join(values)
