"""What a score is made of: a bi-encoder's product by dimension, a max-sim matrix, term weights, or two logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mechviz.wire.attention import RUNS
from mechviz.wire.buffers import Packed

#: Rows of a table that are sent at most, the largest first.
_ROWS = 64


def pack_parts(kind: str, parts: Sequence[Any]) -> Packed:
    """Pack what the score of one text, or of original and perturbed text, is made of.

    Parameters
    ----------
    kind : ``"dimensions"``, ``"terms"``, ``"max_sim"`` or ``"labels"``
    parts : sequence
        One entry a text. ``dimensions``: a DataFrame ``dimension``, ``query``, ``doc``, ``score``; ``terms``: ``term``,
        ``query``, ``doc``, ``score``; ``labels``: ``label``, ``logit``; ``max_sim``: a DataArray, dims (query_pos, doc_pos),
        with coordinates ``query_token`` and ``doc_token``.
    """
    if kind == "max_sim":
        entry: dict[str, Any] = {
            "kind": kind,
            "query_tokens": parts[0]["query_token"].values.tolist(),
            "doc_tokens": [part["doc_token"].values.tolist() for part in parts],
            "rows": None,
        }
        arrays = {f"parts.{run}": part.values.astype("<f4") for run, part in zip(RUNS, parts, strict=False)}
        return Packed("parts", entry, arrays)
    if kind == "labels":
        rows = [[str(label), *(float(part["logit"][at]) for part in parts)] for at, label in enumerate(parts[0]["label"])]
        return Packed("parts", {"kind": kind, "rows": rows, "totals": None}, {})
    return Packed("parts", {"kind": kind, **_joined("dimension" if kind == "dimensions" else "term", parts)}, {})


def _joined(name: str, parts: Sequence[pd.DataFrame]) -> dict[str, Any]:
    """Join the tables of both texts by what their rows are; the largest scores and the largest changes of one come first."""
    scores = pd.concat([part.set_index(name)["score"] for part in parts], axis=1).fillna(0.0)
    values = scores.to_numpy(dtype=np.float64)
    size = np.abs(np.diff(values, axis=1)).max(1, initial=0.0) if values.shape[1] > 1 else np.abs(values[:, 0])
    size = size if size.any() else np.abs(values).max(1, initial=0.0)
    order = np.argsort(-size, kind="stable")
    kept = order[:_ROWS]
    index = scores.index.tolist()
    return {
        "rows": [[str(index[at]), *values[at].tolist()] for at in kept],
        "of": len(order),
        "rest": (values.sum(0) - values[kept].sum(0)).tolist(),
        "totals": values.sum(0).tolist(),
    }
