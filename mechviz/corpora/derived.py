"""What makes one collection of another, as a stream: functions of a module, so that a collection can be sent to a worker."""

from __future__ import annotations

import hashlib
import inspect
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from itertools import islice
from typing import NamedTuple

from mechviz.corpora.dropped import Dropped
from mechviz.corpora.text_pair import TextPair
from mechviz.errors import InputError, InputTypeError, shown

#: Reads a collection once from its beginning, and notes what it leaves out.
Read = Callable[[Dropped], Iterator[TextPair]]


class Opened(NamedTuple):
    """A collection that has been found and not been read: how to read it, what it is called, and its length if known."""

    read: Read
    name: str
    length: int | None = None


def open_source(source: object, name: str) -> Opened:
    """Find pairs in something that can be gone through again and again, or in a function.

    Raises
    ------
    InputTypeError
        Something that can be read once only, or is no collection of pairs.
    """
    if isinstance(source, (str, bytes, Mapping, Set)) or hasattr(source, "columns"):
        raise InputTypeError(f"source must be a list of pairs or a function (for a table, Pairs.from_frame), not {shown(source)}")
    if not callable(source):
        if not isinstance(source, Iterable):
            raise InputTypeError(f"source must be a list of pairs or a function that returns an iterator, not {shown(source)}")
        if iter(source) is source:
            raise InputTypeError(f"{shown(source)} can be read once only; give the function that makes it, or a list")
    return Opened(partial(read_source, source, name), name, len(source) if isinstance(source, Sequence) else None)


def read_source(source: Iterable[object] | Callable[[], Iterable[object]], name: str, dropped: Dropped) -> Iterator[TextPair]:
    """Yield what a sequence or a function holds, each as a pair.

    Raises
    ------
    InputError, InputTypeError
        Something that is no pair, with its place; a function that gave the same generator twice.
    """
    items = source() if callable(source) else source
    if inspect.isgenerator(items) and inspect.getgeneratorstate(items) != inspect.GEN_CREATED:
        raise InputError(f"{name}: the function returned a generator that has been read before; it must make a new one each time")
    if not isinstance(items, Iterable):
        raise InputTypeError(f"{name}: the function must return an iterator of pairs, not {shown(items)}")
    for number, item in enumerate(items):
        if isinstance(item, TextPair):
            yield item
        elif isinstance(item, (tuple, list)) and len(item) in (2, 3):
            yield TextPair(*item)
        else:
            raise InputTypeError(
                f"{name}: pair {number} (the first is 0) must be (query, doc), (query, doc, perturbed) or a TextPair, "
                f"not {shown(item)}"
            )


def read_first(parent: Read, n: int, dropped: Dropped) -> Iterator[TextPair]:
    """Yield the first n pairs, and read no further."""
    return islice(parent(dropped), n)


def read_sample(parent: Read, n: int, seed: int, dropped: Dropped) -> Iterator[TextPair]:
    """Yield n pairs drawn without replacement, in their order (Vitter 1985, algorithm R: one pass, n pairs held)."""
    draw = random.Random(seed)  # noqa: S311
    kept: list[tuple[int, TextPair]] = []
    for number, pair in enumerate(parent(dropped)):
        if number < n:
            kept.append((number, pair))
        elif (place := draw.randrange(number + 1)) < n:
            kept[place] = (number, pair)
    kept.sort(key=lambda item: item[0])
    return (pair for _, pair in kept)


def read_where(parent: Read, function: Callable[[TextPair], object], dropped: Dropped) -> Iterator[TextPair]:
    """Yield the pairs for which a function is true."""
    return filter(function, parent(dropped))


def read_grade(parent: Read, grade: int, dropped: Dropped) -> Iterator[TextPair]:
    """Yield the pairs of one grade."""
    return (pair for pair in parent(dropped) if pair.grade == grade)


def each_once(texts: Iterable[str]) -> Iterator[str]:
    """Yield each text once; 16 bytes of each are held."""
    seen = set()
    for text in texts:
        key = hashlib.blake2b(text.encode(), digest_size=16).digest()
        if key not in seen:
            seen.add(key)
            yield text
