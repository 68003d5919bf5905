"""Checks of what subspaces and interventions are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown


def as_array(name: str, value: Any) -> NDArray[np.float64]:
    """Return numbers as an array, from wherever they are.

    Raises
    ------
    InputTypeError, InputError
        No numbers, or NaN or inf among them.
    """
    if hasattr(value, "detach"):
        value = value.detach().float().cpu().numpy()
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name} must be an array of numbers, not {shown(value)}") from error
    if not np.isfinite(found).all():
        raise InputError(f"{name} hold NaN or inf")
    return found


def frozen(array: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return a float32 copy that cannot be written."""
    copy = np.array(array, dtype=np.float32)
    copy.setflags(write=False)
    return copy


def indices(name: str, values: object) -> tuple[int, ...]:
    """Return different whole numbers, none below 0, as a tuple.

    Raises
    ------
    InputTypeError, InputError
    """
    listed = list(values) if isinstance(values, (Sequence, np.ndarray, range)) and not isinstance(values, str) else None
    if listed is None or any(isinstance(one, bool) or not isinstance(one, (int, np.integer)) for one in listed):
        raise InputTypeError(f"{name} must be a list of whole numbers, not {shown(values)}")
    if not listed or len(set(listed)) < len(listed) or min(listed) < 0:
        raise InputError(f"{name}={shown(values)}; give different numbers, at least one, none below 0")
    return tuple(int(one) for one in listed)


def check_below(name: str, chosen: Sequence[int], size: int) -> None:
    """Refuse indices of what is not there."""
    if wrong := [index for index in chosen if index >= size]:
        raise InputError(f"{name} {wrong} do not exist; there are 0 to {size - 1}")


def check_rank(rank: object) -> None:
    """Refuse a rank that is no whole number from 1."""
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise InputError(f"rank={shown(rank)}; give a whole number, at least 1")


def check_fits(rank: int, width: int) -> None:
    """Refuse a rank above the number of features."""
    if rank > width:
        raise InputError(f"rank={rank}, and the hook has {width} features here")


def check_weight(value: object) -> None:
    """Refuse the weight of a penalty that is no number from 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise InputError(f"sparsity={shown(value)}; give a number, at least 0")
