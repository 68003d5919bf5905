"""`study`: one perturbation, one grid, many pairs."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, cast

from tqdm.auto import tqdm

from mechviz.corpora import Pairs, TextPair
from mechviz.corpora.perturbing import check_on_error
from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.studies.analysis import Analysis
from mechviz.studies.chunks import WINDOW, Chunk, windows
from mechviz.studies.executors import Executor, choose
from mechviz.studies.folder import Study
from mechviz.studies.parts import PartWriter, check_folder
from mechviz.studies.settings import check_settings, header_of
from mechviz.studies.unit import OnError, Unit
from mechviz.text.checks import whole_number


def study(
    ranker: Ranker,
    pairs: Iterable[object],
    perturb: object = None,
    grid: str = "heads",
    *,
    out: str | Path | None = None,
    executor: str = "serial",
    workers: int | None = None,
    num_gpus: float = 0,
    resume: bool = True,
    metric: str = "effect",
    min_change: float = 0.0,
    on_error: OnError = "record",
    seed: int = 0,
    chunk: int = 64,
    progress: bool = True,
    **settings: Any,
) -> Study:
    """Patch a grid of cells on many pairs, and return what they say together.

    The pairs are read as a stream and worked on in chunks of like length. Each chunk is written as one parquet file when it is
    done, so that a study which was stopped, in whatever way, goes on where it was when the same call is made again, and ends
    with the same numbers.

    Parameters
    ----------
    ranker : Ranker
    pairs : Pairs, or iterable of TextPair, of (query, doc) or of (query, doc, perturbed)
        `mechviz.Pairs` has readers for ir_datasets, tables and TREC files.
    perturb : perturbation, axiom, or list of them, optional
        As in `mechviz.Pairs.perturb`; it is applied in this process. May be left out where the pairs have their perturbed text.
    grid : str, default ``"heads"``
        As in `mechviz.patch`. In grids with positions a cell is the mean over the positions of a class of tokens (dim
        ``class``), because positions of two pairs are not the same places.
    out : path, optional
        The study's folder. Default: a temporary one, which is removed with the `Study`.
    executor : ``"serial"`` (default), ``"process"`` or ``"ray"``
        This process; several on this machine, with one thread of torch each; or the Ray cluster that this program is
        connected to (a local one is started where there is none). They give the same scores up to the rounding of float32,
        1e-5 x max(1, |score|): the order of additions depends on the number of threads and on how weights lie in memory.
    workers : int, optional
        For ``process`` and ``ray``: how many chunks are worked on at once; default one a core (or GPU).
    num_gpus : float, default 0
        For ``ray``: GPUs of one worker.
    resume : bool, default True
        Go on with the parts that ``out`` has. They must be of this ranker, these settings and these pairs; parts that are
        damaged are made again, with a warning. False: ``out`` must not hold a study.
    metric : str, default ``"effect"``
        ``effect``, ``raw`` or ``robust``, as in `Study`. Parts hold scores: ``study.using(metric="raw")`` runs nothing again.
    min_change : float, default 0.0
        Pairs whose score changes by this or less from the base to the source run are counted, not used; as in `Study`.
    on_error : ``"record"`` or ``"raise"``
        What to do with a pair that cannot be perturbed or patched: keep it with the reason, or stop and name it.
    seed : int, default 0
        For axioms that draw at random.
    chunk : int, default 64
        Pairs in a part: what is lost, at most, by each worker when the study is stopped.
    progress : bool, default True
        Whether to show a bar with the rate and the time that is left.
    direction, filler, truncate, stack, sites, layers, heads, positions, memory
        As in `mechviz.patch`. ``filler`` is a word, and ``heads`` are (layer, head).

    Returns
    -------
    Study

    Raises
    ------
    InputError, InputTypeError
        Settings that do not fit the ranker; no pairs; a pair without a perturbed text where ``perturb`` is left out; a folder
        that holds another study, with what differs.
    MechvizError
        A part that cannot be written (those before it are kept), workers that die, or, with ``on_error="raise"``, a pair that
        cannot be patched.
    """
    check_ranker(ranker)
    ranker.refuse_open_hooks()
    ranker.refuse_hooks_around_layers()
    check_on_error(on_error)
    run = choose(executor, workers, num_gpus)
    Analysis(metric=metric, min_change=min_change)  # refused before anything is run
    chosen = check_settings({"grid": grid, **settings})
    stream, total = _stream(pairs, perturb, on_error, seed)
    cut = windows(stream, whole_number("chunk", chunk), WINDOW)
    first = next(cut, None)
    if first is None:
        raise InputError("pairs is empty: there is nothing to study")
    header = header_of(ranker, chosen, _side(first), chunk=chunk)
    unit = Unit(ranker, header, chosen, on_error)
    folder = Path(tempfile.mkdtemp(prefix="mechviz-study-")) if out is None else check_folder(out)
    try:
        with PartWriter(folder, header, resume) as parts, tqdm(total=total, unit=" pairs", disable=not progress) as bar:
            _work(run, unit, chain([first], cut), parts, bar)
        found = Study.load(folder, ranker, metric=metric, min_change=min_change)
    except BaseException:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if out is None:
        weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
    return found


def _work(run: Executor, unit: Unit, cut: Iterable[list[Chunk]], parts: PartWriter, bar: Any) -> None:
    """Have every chunk worked on that has no part yet, and write its part."""

    def missing() -> Iterator[Chunk]:
        seen = 0
        for window in cut:
            left = parts.missing(window)
            size = sum(map(len, window))
            seen, there = seen + size, size - sum(map(len, left))
            if there and not bar.disable:
                bar.initial += there  # what was there before says nothing of the rate
                bar.n += there
                bar.last_print_n += there
                bar.refresh()
            yield from left
        bar.total = seen

    with closing(cast(Generator[Any, None, None], run(unit, missing()))) as done:
        for chunk, table in done:
            parts.write(chunk, table)
            bar.update(len(chunk))
    parts.finish()


def _stream(pairs: object, perturb: object, on_error: str, seed: int) -> tuple[Iterator[TextPair], int | None]:
    """Return pairs that are perturbed, or say why not, and how many they are if that is known."""
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise InputTypeError(f"pairs must be a mechviz.Pairs or a list of (query, doc), not {shown(pairs)}")
    once = iter(pairs) is pairs
    source = pairs if isinstance(pairs, Pairs) else Pairs((lambda: pairs) if once else pairs)
    if perturb is not None:
        source = source.perturb(perturb, on_error, seed)
    try:
        total = len(source)
    except InputTypeError:  # known at the end only
        total = None
    return _checked(source), total


def _checked(source: Iterable[TextPair]) -> Iterator[TextPair]:
    stream, number = iter(source), 0
    while True:
        try:
            pair = next(stream, None)
        except MechvizError as error:
            raise type(error)(f"pair {number}: {error}") from error
        if pair is None:
            return
        if pair.perturbed is None and not pair.reason:
            raise InputError(
                f"pair {number} (query {shown(pair.query)}) has no perturbed text: give perturb=, such as "
                "mv.perturb.append('word'), or pairs that have one"
            )
        yield pair
        number += 1


def _side(window: list[Chunk]) -> str:
    """Return which text the first pair changes that has been perturbed."""
    sides = [
        (number, pair.side)
        for chunk in window
        for number, pair in zip(chunk.numbers, chunk.pairs, strict=True)
        if pair.perturbed is not None
    ]
    return min(sides)[1] if sides else "doc"
