"""A study as a file: what `mechviz.study` is given, by name.

.. code-block:: toml

    ranker = "cross-encoder/ms-marco-MiniLM-L-6-v2"    # or {name = "...", device = "cuda"}
    out = "tfc1"                                       # default: a folder with the file's own name
    executor = "process"

    [pairs]
    irds = {dataset = "vaswani", pairs = "qrels"}      # or tsv = {path = ...}, or trec = {run = ..., docs = ..., queries = ...}
    limit = 1000                                       # or sample = 1000

    [perturb]
    axiom = "TFC1"                                     # or kind = "append_query_term", with on = "query" to change the query
    seed = 1                                           # and whatever else it takes; statistics = "docs" counts the documents

Every other key is an argument of `mechviz.study`. Paths are relative to the file.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mechviz.corpora import Pairs
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.rankers import load
from mechviz.studies.folder import Study
from mechviz.studies.run import study
from mechviz.studies.settings import TAKEN
from mechviz.text import axioms
from mechviz.text import perturb as perturbations
from mechviz.text.perturb import Perturbation, on_query
from mechviz.text.statistics import TermStatistics

_READERS: dict[str, tuple[Callable[..., Pairs], str]] = {
    "irds": (Pairs.from_irds, "dataset"),
    "tsv": (Pairs.from_tsv, "path"),
    "trec": (Pairs.from_trec, "run"),
}
_PATHS = ("path", "run", "qrels", "docs", "queries")
#: What makes a perturbation of something else than numbers and texts.
_MAKERS = ("perturbation", "as_perturbation", "on_query")


def run_file(path: str | Path, progress: bool = True) -> Study:
    """Run the study that a file describes, or go on with it.

    Raises
    ------
    InputError, InputTypeError
        No such file, no TOML, a key that there is not (named, with those that there are), or what `mechviz.study` refuses.
    MechvizError
        As `mechviz.study`.
    """
    file = Path(path)
    given = _read(file)
    folder, where = file.parent, file.name
    known = [name for name in inspect.signature(study).parameters if name not in ("progress", "settings")]
    _check_keys(where, given, [*known, *TAKEN])
    for name in ("ranker", "pairs"):
        if name not in given:
            raise InputError(f"{where} has no {name}; it must say at least ranker and pairs")
    pairs = _pairs(f"{where}, pairs", given.pop("pairs"), folder)
    perturb = given.pop("perturb", None)
    made = [_perturb(f"{where}, perturb", one, pairs, folder) for one in (perturb if isinstance(perturb, list) else [perturb])]
    out = folder / given.pop("out", file.stem)
    ranker = _ranker(f"{where}, ranker", given.pop("ranker"), folder)
    return study(ranker, pairs, None if perturb is None else made, out=out, progress=progress, **given)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror or error}); give the path of a TOML file") from error
    except ValueError as error:
        raise InputError(f"{file} is no TOML: {error}") from error


def _pairs(where: str, given: object, folder: Path) -> Pairs:
    table = _table(where, given)
    _check_keys(where, table, [*_READERS, "limit", "sample", "seed"])
    readers = [name for name in _READERS if name in table]
    if len(readers) != 1:
        raise InputError(f"{where} must have one of {', '.join(_READERS)}; it has {', '.join(readers) or 'none'}")
    reader, first = _READERS[readers[0]]
    content = table[readers[0]]
    arguments = content if isinstance(content, Mapping) else {first: content}
    found: Pairs = _call(f"{where}, {readers[0]}", reader, _within(arguments, folder))
    if "sample" in table:
        found = found.sample(table["sample"], table.get("seed", 0))
    elif "seed" in table:
        raise InputError(f"{where}: seed is for sample, and there is no sample")
    return found.limit(table["limit"]) if "limit" in table else found


def _perturb(where: str, given: object, pairs: Pairs, folder: Path) -> Any:
    if given is None:
        return None
    table = _table(where, given)
    side, statistics = table.pop("on", "doc"), table.pop("statistics", None)
    if side not in ("doc", "query"):
        raise InputError(f"{where}, on={shown(side)}; it is 'doc' or 'query'")
    if statistics is not None:
        table["statistics"] = (
            TermStatistics.of(pairs.docs()) if statistics == "docs" else TermStatistics.load(folder / statistics)
        )
    if "axiom" in table and "kind" not in table:
        if side != "doc":
            raise InputError(f"{where}: an axiom chooses itself what it changes; leave on out")
        return axioms.named(table.pop("axiom"), **table)
    kind = table.pop("kind", None)
    kinds = [name for name in perturbations.__all__ if name.islower() and name not in _MAKERS]
    if kind not in kinds:
        raise InputError(
            f"{where} needs kind, one of {', '.join(kinds)}, or axiom, one of {', '.join(axioms.ALL)}: {shown(kind)}"
        )
    made = _call(f"{where}, {kind}", getattr(perturbations, kind), table)
    if not isinstance(made, Perturbation):
        raise InputError(f"{where}: {kind} makes no perturbation but {shown(made)}")
    return made if side == "doc" else on_query(made)


def _ranker(where: str, given: object, folder: Path) -> Any:
    settings = {"name": given} if isinstance(given, str) else _table(where, given)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise InputError(f"{where} needs the name of a ranker: a directory or hub id, not {shown(name)}")
    local = folder / name
    return load(str(local) if local.is_dir() else name, **settings)


def _call(where: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call a function by arguments from the file; those that it does not have are named."""
    parameters = inspect.signature(function).parameters
    _check_keys(where, arguments, list(parameters))
    missing = [name for name, one in parameters.items() if one.default is one.empty and name not in arguments]
    if missing:
        raise InputError(f"{where} needs {', '.join(missing)}")
    return function(**arguments)


def _check_keys(where: str, given: Mapping[str, Any], known: list[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InputError(f"{where} has the unknown keys {', '.join(unknown)}; there are {', '.join(known)}")


def _table(where: str, given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise InputTypeError(f"{where} must be a table, not {shown(given)}")
    return dict(given)


def _within(arguments: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return arguments with the paths among them taken from the folder of the file."""
    return {
        name: str(folder / value) if name in _PATHS and isinstance(value, str) else value for name, value in arguments.items()
    }
