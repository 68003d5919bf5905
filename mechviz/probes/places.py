"""Which positions of the last hidden state a score reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechviz.rankers.prompted import Labels
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.towers import TwoTexts
from mechviz.text.tokens import Tokens


def read_rows(ranker: Ranker, stack: str, tokens: Tokens) -> NDArray[np.bool_]:
    """Return which positions of a text's last hidden state enter its score, dims (pos): one, where one is pooled."""
    reads = ranker.reads(stack, tokens)
    if isinstance(ranker, TwoTexts):
        pooling = getattr(ranker, "poolings", {}).get(stack)
    else:
        readout = ranker.readout(stack, {})
        pooling = "last" if isinstance(readout, Labels) else getattr(readout, "pooling", None)
    if pooling not in ("cls", "last"):
        return reads
    only = np.zeros_like(reads)
    only[0 if pooling == "cls" else np.flatnonzero(reads)[-1]] = True
    return only
