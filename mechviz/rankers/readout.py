"""How the last hidden state becomes a score."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class Readout(ABC):
    """How the last hidden state of one stack becomes the score, all else fixed.

    Attributes
    ----------
    position : int or None
        The one position that is read; None if all are.
    """

    position: int | None = None

    @abstractmethod
    def __call__(self, hidden: Tensor, reads: Tensor) -> Tensor:
        """Return scores, float32, dims (row), for ``hidden``, dims (row, pos, d_model).

        ``reads`` says which positions are read, dims (row or 1, pos). Where `position` is not None, ``hidden`` may
        hold that one position only.
        """
