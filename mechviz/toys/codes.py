"""Codes of words: vectors of ±1 that are far from each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError

#: Length of a code, and how many there are.
LENGTH, COUNT = 24, 4096

# x^11 + x^10 + x^6 + x^5 + x^4 + x^2 + 1 generates the binary Golay code.
_GENERATOR = 0b110001110101


def golay(count: int) -> NDArray[np.float32]:
    """Return codewords of the extended binary Golay code (Golay 1949) as ±1.

    Two of them differ in 8, 12, 16 or 24 of their 24 places: the product of a code with itself is 24, with another one 8 at
    most, a third.

    Returns
    -------
    float32 array, dims (word, 24)

    Raises
    ------
    InputError
        There are 4,096 codewords.
    """
    if count > COUNT:
        raise InputError(f"{count} words, and there are codes for {COUNT}: give fewer texts, or leave rare words out")
    words = np.arange(count)
    product = np.zeros(count, dtype=np.int64)
    for bit in range(12):  # polynomials over two elements: a product is a sum of shifts without carry
        product ^= np.where(words >> bit & 1, _GENERATOR << bit, 0)
    bits = product[:, None] >> np.arange(LENGTH - 1) & 1
    bits = np.concatenate([bits, bits.sum(1, keepdims=True) % 2], axis=1)
    return (1 - 2 * bits).astype(np.float32)
