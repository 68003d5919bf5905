"""Which pairs are worked on together: windows of a stream, each cut into chunks of pairs of like length.

Pure: what comes out depends on the stream and the size alone, so that a study that goes on makes the same chunks again. A
window is all that is held of the stream.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import islice

from mechviz.corpora import TextPair

#: Chunks in a window: enough to sort by length, few enough to hold.
WINDOW = 16


@dataclass(frozen=True)
class Chunk:
    """Pairs that are patched together and written as one part.

    Attributes
    ----------
    window, place : int
        Which window of the stream, and which chunk of it.
    numbers : tuple of int
        The pairs' places in the collection, from 0.
    pairs : tuple of TextPair
        As many.
    """

    window: int
    place: int
    numbers: tuple[int, ...]
    pairs: tuple[TextPair, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def __str__(self) -> str:
        return f"chunk {self.place} of window {self.window} (pairs {min(self.numbers)} to {max(self.numbers)})"

    def hash(self, identity: str) -> str:
        """Return 16 hexadecimal digits that name the chunk of a study: its identity, and all that is known of the pairs."""
        digest = hashlib.sha256(identity.encode())
        for number, pair in zip(self.numbers, self.pairs, strict=True):
            digest.update(json.dumps([number, *astuple(pair)]).encode())
        return digest.hexdigest()[:16]


def windows(pairs: Iterable[TextPair], size: int, per_window: int) -> Iterator[list[Chunk]]:
    """Cut a stream of pairs into chunks, window by window.

    Parameters
    ----------
    pairs : iterable of TextPair
    size : int
        Pairs in a chunk; the last of a window may have fewer.
    per_window : int
        Chunks in a window.

    Yields
    ------
    list of Chunk
        Those of one window, the shortest pairs first.
    """
    stream = iter(enumerate(pairs))
    window = 0
    while held := list(islice(stream, size * per_window)):
        held.sort(key=lambda one: (_length(one[1]), one[0]))
        yield [_chunk(window, place, held[start : start + size]) for place, start in enumerate(range(0, len(held), size))]
        window += 1


def _chunk(window: int, place: int, numbered: Sequence[tuple[int, TextPair]]) -> Chunk:
    numbers, pairs = zip(*numbered, strict=True)
    return Chunk(window, place, numbers, pairs)


def _length(pair: TextPair) -> int:
    """Return characters, which tokens go with; nothing for a pair that will not be run."""
    if pair.perturbed is None:
        return 0
    other = pair.query if pair.side == "doc" else pair.doc
    return len(other) + max(len(pair.original), len(pair.perturbed))
