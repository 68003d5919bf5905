"""What a view asks for when somebody opens a head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import MechvizError
from mechviz.results import AttentionResult


class Reader(Protocol):
    """What lies behind a view: the heads of a ranker, of a cache, or of anybody's arrays."""

    def pattern(self, stack: str, layer: int) -> NDArray[np.float32]:
        """Return the attention of one layer, dims (run, head, query_pos, key_pos); run 0 is the base."""

    def scores(self, stack: str, layer: int, head: int, pos: int) -> dict[str, Any]:
        """Return what the scores of one position are made of: see `mechviz.wire.pack_scores`."""


class Attended:
    """The reader of an `AttentionResult`: one run, whose scores are not known apart from its attention.

    Parameters
    ----------
    result : AttentionResult
    """

    def __init__(self, result: AttentionResult) -> None:
        self._result = result

    def pattern(self, stack: str, layer: int) -> NDArray[np.float32]:
        """Return the attention of one layer, dims (run, head, query_pos, key_pos), of one run."""
        return np.asarray(self._result.pattern(layer, stack).values[None], dtype=np.float32)

    def scores(self, stack: str, layer: int, head: int, pos: int) -> dict[str, Any]:
        """Refuse: there are no queries and keys.

        Raises
        ------
        MechvizError
        """
        raise MechvizError("these arrays hold attention only, no queries and keys; make the view from a ranker or a cache")


class Layers:
    """The reader of one callable a stack, ``layer -> float32 array, dims (run, head, query_pos, key_pos)``.

    Parameters
    ----------
    layers : mapping of stack to callable
    """

    def __init__(self, layers: Mapping[str, Callable[[int], NDArray[np.float32]]]) -> None:
        self._layers = layers

    def pattern(self, stack: str, layer: int) -> NDArray[np.float32]:
        """Return the attention of one layer, dims (run, head, query_pos, key_pos)."""
        return self._layers[stack](layer)

    def scores(self, stack: str, layer: int, head: int, pos: int) -> dict[str, Any]:
        """Refuse: there are no queries and keys.

        Raises
        ------
        MechvizError
        """
        raise MechvizError("this view was given attention patterns only, no queries and keys")
