"""Work in batches that fit the memory there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mechviz.patching.cells import even_rows


@dataclass
class Rows:
    """How many rows fit one batch; halved, for good, when memory runs out."""

    most: int


def in_chunks(members: Sequence[int], rows: Rows, work: Callable[[Sequence[int]], Tensor]) -> Iterator[tuple[list[int], Tensor]]:
    """Do some work in even batches, smaller ones once memory has run out.

    Parameters
    ----------
    members : sequence of int
    rows : Rows
    work : callable
        Takes some members and returns a tensor, dims (member, ...).

    Yields
    ------
    tuple
        Some members, and what the work gave for them.
    """
    done = 0
    while done < len(members):
        chosen = list(members[done : done + even_rows(len(members) - done, rows.most)])
        try:
            found = work(chosen)
        except Exception as error:
            if not out_of_memory(error) or len(chosen) == 1:
                raise
            rows.most = len(chosen) // 2
            continue
        done += len(chosen)
        yield chosen, found


def out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory ran out, of the machine or the device."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
