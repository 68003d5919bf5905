"""One tokenised text as the ranker reads it, with the way back to the user's characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError

#: What a position can belong to. ``prompt`` is text that a ranker adds by itself.
SEGMENTS = ("cls", "query", "sep", "doc", "pad", "prompt")


@dataclass(frozen=True, eq=False)
class Tokens:
    """The token sequence of one run.

    Attributes
    ----------
    ids : int64 array, dims (pos)
        Vocabulary ids, fillers included.
    strings : tuple of str, length pos
        The tokenizer's own spelling of each id (``"##ing"``).
    labels : tuple of str, length pos
        The characters as the user wrote them; ``strings`` where there are none (special tokens, fillers).
    offsets : int64 array, dims (pos, 2)
        Character span in the text of the position's segment; -1, -1 where there is none.
    words : int64 array, dims (pos)
        Index of the word within its segment's text, -1 where there is none.
    segments : tuple of str, length pos
        One of `SEGMENTS` for each position.
    types : int64 array, dims (pos)
        Token type ids.
    mask : bool array, dims (pos)
        False where attention may not look (a masked filler).
    fillers : bool array, dims (pos)
        True where alignment put a filler.
    """

    ids: NDArray[np.int64]
    strings: tuple[str, ...]
    labels: tuple[str, ...]
    offsets: NDArray[np.int64]
    words: NDArray[np.int64]
    segments: tuple[str, ...]
    types: NDArray[np.int64]
    mask: NDArray[np.bool_]
    fillers: NDArray[np.bool_]

    def __post_init__(self) -> None:
        n = len(self.strings)
        for name, dtype in _ARRAYS.items():
            array: NDArray[Any] = np.array(getattr(self, name), dtype=dtype)
            if array.shape[0] != n:
                raise InputError(f"Tokens.{name} has {array.shape[0]} entries for {n} strings; give one a position")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        for name in ("labels", "segments"):
            if len(getattr(self, name)) != n:
                raise InputError(f"Tokens.{name} has {len(getattr(self, name))} entries for {n} strings")
        unknown = set(self.segments) - set(SEGMENTS)
        if unknown:
            raise InputError(f"unknown segments {sorted(unknown)}; a segment is one of {', '.join(SEGMENTS)}")

    def __len__(self) -> int:
        return len(self.strings)

    def __repr__(self) -> str:
        return f"Tokens({len(self)}: {' '.join(self.strings[:12])}{' ...' if len(self) > 12 else ''})"

    def positions(self, segment: str) -> NDArray[np.int64]:
        """Return the positions of one segment, ascending, dims (pos)."""
        return np.flatnonzero(np.array(self.segments) == segment)

    def word_starts(self) -> NDArray[np.bool_]:
        """Return where a word (or anything that is not inside one) begins, dims (pos)."""
        inside = np.zeros(len(self), dtype=bool)
        segments = np.array(self.segments)
        inside[1:] = (self.words[1:] >= 0) & (self.words[1:] == self.words[:-1]) & (segments[1:] == segments[:-1])
        return ~inside

    def spaces(self) -> NDArray[np.bool_]:
        """Return where the user's text has characters between a position and the one before it, dims (pos)."""
        apart = np.ones(len(self), dtype=bool)
        apart[1:] = (self.offsets[1:, 0] != self.offsets[:-1, 1]) | (self.offsets[1:, 0] < 0)
        segments = np.array(self.segments)
        apart[1:] |= segments[1:] != segments[:-1]
        return apart

    def pick(self, rows: NDArray[np.int64]) -> Tokens:
        """Return the given positions only."""
        fields: dict[str, Any] = {name: getattr(self, name)[rows] for name in _ARRAYS}
        fields |= {name: tuple(getattr(self, name)[row] for row in rows) for name in ("strings", "labels", "segments")}
        return Tokens(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, for JSON."""
        return {
            **{name: getattr(self, name).astype(int).tolist() for name in _ARRAYS},
            **{name: list(getattr(self, name)) for name in ("strings", "labels", "segments")},
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Tokens:
        """Rebuild from `to_dict`'s value."""
        fields: dict[str, Any] = {name: np.array(data[name], dtype=dtype) for name, dtype in _ARRAYS.items()}
        fields["offsets"] = fields["offsets"].reshape(-1, 2)
        fields |= {name: tuple(data[name]) for name in ("strings", "labels", "segments")}
        return cls(**fields)


_ARRAYS: dict[str, type] = {
    "ids": np.int64,
    "offsets": np.int64,
    "words": np.int64,
    "types": np.int64,
    "mask": np.bool_,
    "fillers": np.bool_,
}


def spread(
    tokens: Tokens,
    index: NDArray[np.int64],
    filler_ids: Sequence[int],
    filler_strings: Sequence[str],
    masked: bool,
    segment: str,
) -> Tokens:
    """Spread ``tokens`` over aligned rows, with a filler wherever ``index`` is -1.

    Parameters
    ----------
    tokens : Tokens
    index : int64 array, dims (row)
        Position in ``tokens`` for each row, ascending, -1 for a filler.
    filler_ids, filler_strings : sequences, one entry for each -1
    masked : bool
        Whether attention may not look at the fillers.
    segment : str
        Whose fillers they are (``"query"`` or ``"doc"``): one at the end of the document is part of it, not of the
        separator beside it.
    """
    fillers = index < 0
    own = tokens.positions(segment)
    home = np.where(fillers, own[0] if len(own) else 0, index)

    def strings(values: Sequence[str], ours: Sequence[str]) -> tuple[str, ...]:
        queue = iter(ours)
        return tuple(next(queue) if filler else values[at] for filler, at in zip(fillers, home, strict=True))

    ids = tokens.ids[home]
    ids[fillers] = list(filler_ids)
    return Tokens(
        ids=ids,
        strings=strings(tokens.strings, filler_strings),
        labels=strings(tokens.labels, [string.lstrip("▁Ġ") or string for string in filler_strings]),  # a reader's spelling
        offsets=np.where(fillers[:, None], -1, tokens.offsets[home]),
        words=np.where(fillers, -1, tokens.words[home]),
        segments=tuple(segment if filler else tokens.segments[at] for filler, at in zip(fillers, home, strict=True)),
        types=tokens.types[home],
        mask=np.where(fillers, not masked, tokens.mask[home]),
        fillers=fillers,
    )
