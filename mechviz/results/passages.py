"""Passages with a number at each token: contexts of a neuron or a sense, words that decide, what activates most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechviz.errors import InputError, shown


@dataclass(frozen=True, eq=False)
class Passage:
    """A text, cut into pieces as it is shown, with a number at each.

    Attributes
    ----------
    pieces : tuple of str
        Tokens or words, as the user wrote them.
    spaces : bool array, dims (piece)
        Whether a space stands before the piece.
    values : float32 array, dims (piece)
        What is drawn behind the piece; NaN where there is none.
    marks : bool array, dims (piece)
        Pieces with an outline: the word that is meant, where it was changed.
    label : str
        What the passage is, in a few words: ``"text 12"``, a query.
    value : float
        The passage's own number, by which it is listed; NaN where there is none.
    """

    pieces: tuple[str, ...]
    spaces: NDArray[np.bool_]
    values: NDArray[np.float32]
    marks: NDArray[np.bool_]
    label: str = ""
    value: float = float("nan")

    @classmethod
    def of(
        cls,
        pieces: Sequence[str],
        values: ArrayLike | None = None,
        spaces: ArrayLike | None = None,
        marks: ArrayLike | None = None,
        label: str = "",
        value: float = float("nan"),
    ) -> Passage:
        """Make a passage; without ``spaces`` one stands before every piece but the first, without ``marks`` nothing is outlined.

        Raises
        ------
        InputError
            Lengths that differ, or inf among the values.
        """
        n = len(pieces)
        arrays = {
            "values": np.full(n, np.nan, np.float32) if values is None else np.array(values, dtype=np.float32),
            "spaces": np.arange(n) > 0 if spaces is None else np.array(spaces, dtype=np.bool_),
            "marks": np.zeros(n, np.bool_) if marks is None else np.array(marks, dtype=np.bool_),
        }
        for name, array in arrays.items():
            if array.shape != (n,):
                raise InputError(f"{name} has shape {array.shape} for {n} pieces; give one a piece")
            array.setflags(write=False)
        if np.isinf(arrays["values"]).any():
            raise InputError("values holds inf; give NaN where a piece has no value")
        return cls(tuple(pieces), label=label, value=float(value), **arrays)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class PassageGroup:
    """Passages that belong together: a sense, a neuron, a method.

    Attributes
    ----------
    title : str
    passages : tuple of Passage
    note : str
        A sentence below the title.
    """

    title: str
    passages: tuple[Passage, ...]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Passages:
    """Groups of passages that share one scale.

    Attributes
    ----------
    groups : tuple of PassageGroup
    unit : str
        What the numbers are, in words: ``"activation"``, ``"change of the score without the word"``.
    signed : bool
        Whether colours go two ways from 0.
    title : str
    note : str
        A sentence for the whole: of how many texts, what the interval is.
    warning : str
        What a reader must know before reading the numbers; empty where nothing is wrong.
    """

    groups: tuple[PassageGroup, ...]
    unit: str
    signed: bool = False
    title: str = ""
    note: str = ""
    warning: str = ""
    provenance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.groups:
            raise InputError("groups is empty; give at least one PassageGroup")
        if not isinstance(self.unit, str) or not self.unit.strip():
            raise InputError(f"unit={shown(self.unit)}; say in words what the numbers are, such as 'activation'")

    def __repr__(self) -> str:
        n = sum(len(group.passages) for group in self.groups)
        return f"Passages({len(self.groups)} groups, {n} passages, {self.unit})"
