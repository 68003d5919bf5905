"""Arrays as named little-endian buffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DTYPES = {np.dtype("<f4"): "f4", np.dtype("<f2"): "f2", np.dtype("<u2"): "u2", np.dtype("<u1"): "u1", np.dtype("<i4"): "i4"}


@dataclass(frozen=True)
class Packed:
    """One thing that a panel draws: a small JSON entry, and arrays by name.

    Attributes
    ----------
    key : str
        What it is, such as ``attention.encoder.3.2``; the names of its arrays begin with it.
    entry : dict
    arrays : dict of str to array
    """

    key: str
    entry: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())


def describe(arrays: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    """Return dtype and shape of each array, as the reader wants them."""
    return {name: {"dtype": _DTYPES[array.dtype.newbyteorder("<")], "shape": list(array.shape)} for name, array in arrays.items()}


def to_bytes(array: NDArray[Any]) -> bytes:
    """Return the array's bytes, row-major and little-endian."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def bytes_of(arrays: Mapping[str, NDArray[Any]]) -> dict[str, bytes]:
    """Return the bytes of each array by its name."""
    return {name: to_bytes(array) for name, array in arrays.items()}
