"""Where in a text an intervention acts: names, numbers and spans become whole numbers with a mask."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.patching.cells import is_number
from mechviz.text import Tokens
from mechviz.text.classes import TOKEN_CLASSES

#: Names of positions besides the classes of tokens: all of the document; those of its words that the query has.
DOC, QUERY_TERMS = "doc", "query_terms"
NAMES = (*TOKEN_CLASSES, DOC, QUERY_TERMS)


@dataclass(frozen=True, eq=False)
class Where:
    """Positions that are said by name, number or span for every text alike, or one by one for each pair.

    Attributes
    ----------
    items : tuple of str, int and (int, int)
        Names of `NAMES`, positions (from the end if negative) and spans (start, end).
    rows : int64 array, dims (pair, unit), or None
        Instead: the positions of each pair, -1 for none.
    """

    items: tuple[str | int | tuple[int, int], ...] = ()
    rows: NDArray[np.int64] | None = None

    def to_plain(self) -> list[Any]:
        """Return plain lists, for JSON."""
        if self.rows is not None:
            return [{"rows": self.rows.tolist()}]
        return [list(item) if isinstance(item, tuple) else item for item in self.items]

    def of(self, number: int, tokens: Tokens, classes: Sequence[str] | None, query: str) -> NDArray[np.int64]:
        """Return the positions in one text, ascending and each once (as given, where given one by one).

        Parameters
        ----------
        number : int
            Of the pair.
        tokens : Tokens
        classes : sequence of str or None
            The class of each position; None where the stack has no text of its own.
        query : str

        Raises
        ------
        InputError
            A position that the text does not have, or names where there is no text.
        """

        def named(name: str) -> list[int]:
            if classes is None:
                raise InputError(f"positions={name!r}: this stack reads no text of its own; give numbers of its positions")
            return _named(name, tokens, classes, query)

        return self.within(number, len(tokens) if classes is not None else 1, named)

    def within(self, number: int, size: int, named: Callable[[str], list[int]]) -> NDArray[np.int64]:
        """Return the positions in something of ``size`` positions, as `of`; ``named`` returns those of a name."""
        if self.rows is not None:
            if number >= len(self.rows):
                raise InputError(f"positions are given for {len(self.rows)} pairs, and there are more; give one row a pair")
            chosen: NDArray[np.int64] = self.rows[number][self.rows[number] >= 0]
            if (chosen >= size).any():
                raise InputError(f"positions {chosen.tolist()} of pair {number}: it has {size} positions")
            return chosen
        found: set[int] = set()
        for item in self.items:
            if isinstance(item, str):
                found.update(named(item))
            elif isinstance(item, tuple):
                found.update(range(*slice(*item).indices(size)))
            elif -size <= item < size:
                found.add(item % size)
            else:
                raise InputError(f"position {item} does not exist; the text has {size} (0 to {size - 1})")
        return np.array(sorted(found), dtype=np.int64)


def as_where(word: str, given: object) -> Where | None:
    """Return positions in one form; None is everywhere.

    Raises
    ------
    InputError, InputTypeError
    """
    if given is None or isinstance(given, Where):
        return given
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    if isinstance(given, np.ndarray) and given.ndim == 2:
        return Where(rows=_rows(word, given))
    items = list(given) if isinstance(given, (list, range, np.ndarray)) else [given]
    if len(items) == 1 and isinstance(items[0], dict) and set(items[0]) == {"rows"}:
        try:
            return Where(rows=_rows(word, np.array(items[0]["rows"])))
        except ValueError as error:  # rows of different lengths
            raise InputError(f"{word}: {error}") from error
    if not items:
        raise InputError(f"{word}=[]: nothing is chosen; leave it out for everywhere")
    return Where(tuple(_item(word, item) for item in items))


def together(chosen: Sequence[NDArray[np.int64]], device: Any = None) -> tuple[Tensor, Tensor]:
    """Return positions of several texts as one tensor, and which of them are meant as another; dims (row, unit)."""
    width = max(1, *(len(one) for one in chosen))
    positions = np.zeros((len(chosen), width), dtype=np.int64)
    mask = np.zeros((len(chosen), width), dtype=bool)
    for row, one in enumerate(chosen):
        positions[row, : len(one)] = one
        mask[row, : len(one)] = True
    return torch.as_tensor(positions, device=device), torch.as_tensor(mask, device=device)


def _named(name: str, tokens: Tokens, classes: Sequence[str], query: str) -> list[int]:
    if name == DOC:
        return [int(at) for at in tokens.positions("doc")]
    if name == QUERY_TERMS:
        return _query_terms(tokens, query)
    return [row for row, one in enumerate(classes) if one == name]


def _query_terms(tokens: Tokens, query: str) -> list[int]:
    """Return where the document's words are those of the query, without regard to case."""
    wanted = set(re.findall(r"\w+", query.casefold()))
    words: dict[int, str] = {}
    positions = [at for at in tokens.positions("doc").tolist() if not tokens.fillers[at]]
    for at in positions:
        words[int(tokens.words[at])] = words.get(int(tokens.words[at]), "") + tokens.labels[at]
    return [at for at in positions if set(re.findall(r"\w+", words[int(tokens.words[at])].casefold())) & wanted]


def _item(word: str, item: object) -> str | int | tuple[int, int]:
    if isinstance(item, str):
        if item not in NAMES:
            raise InputError(f"{word}={item!r}; names are {', '.join(map(repr, NAMES))}")
        return item
    if isinstance(item, slice):
        if item.step not in (None, 1):
            raise InputError(f"{word}: {item} has a step; give the numbers one by one")
        item = (item.start or 0, item.stop)
    if isinstance(item, (tuple, list)):
        if len(item) != 2 or not all(is_number(end) for end in item) or not 0 <= item[0] < item[1]:
            raise InputError(f"{word}: the span {shown(item)} must be (start, end), whole numbers, start below end")
        return int(item[0]), int(item[1])
    if is_number(item):
        return int(item)  # type: ignore[call-overload, no-any-return]
    raise InputTypeError(f"{word} hold names, whole numbers and (start, end) spans, not {shown(item)}")


def _rows(word: str, given: NDArray[Any]) -> NDArray[np.int64]:
    if given.ndim != 2 or given.dtype.kind not in "iu" or not given.size:
        raise InputError(f"{word} must have dims (pair, unit), whole numbers, -1 for none; not shape {given.shape}")
    if given.min() < -1 or given.max() > np.iinfo(np.int64).max:
        raise InputError(f"{word} hold {given.min()} to {given.max()}; the least is -1, for none")
    rows = np.array(given, dtype=np.int64)
    rows.setflags(write=False)
    return rows
