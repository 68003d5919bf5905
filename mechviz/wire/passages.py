"""Passages with a number at each piece, for the drawing."""

from __future__ import annotations

from typing import Any

import numpy as np

from mechviz.results.passages import Passage, Passages
from mechviz.wire.buffers import Packed
from mechviz.wire.spec import bare, finite

#: Bits of a piece: a space stands before it, it has an outline.
SPACE, MARK = 1, 2


def pack_passages(passages: Passages) -> dict[str, Any]:
    """Return the spec of passages: what the numbers are, and what to know before reading them."""
    return {
        **bare("passages", passages.provenance, passages.title),
        "banners": [{"level": "warn", "text": passages.warning}] if passages.warning else [],
        "passages": {"unit": passages.unit, "signed": bool(passages.signed), "note": passages.note},
    }


def pack_passage_texts(passages: Passages) -> Packed:
    """Pack the passages themselves.

    Returns
    -------
    Packed
        ``passages``: groups with their pieces; ``values``, dims (piece), of all passages in a row, NaN where there is none; and
        ``flags``, dims (piece), sums of `SPACE` and `MARK`.
    """
    every = [one for group in passages.groups for one in group.passages]
    values = np.concatenate([np.zeros(0, np.float32), *(one.values for one in every)])
    flags = np.concatenate([np.zeros(0, np.uint8), *(SPACE * one.spaces + MARK * one.marks for one in every)])
    groups = [
        {"title": group.title, "note": group.note, "passages": [_passage(one) for one in group.passages]}
        for group in passages.groups
    ]
    arrays = {"passages.values": values.astype("<f4"), "passages.flags": flags.astype("<u1")}
    return Packed("passages", {"groups": groups}, arrays)


def _passage(one: Passage) -> dict[str, Any]:
    return {"pieces": list(one.pieces), "label": one.label, "value": finite(float(one.value))}
