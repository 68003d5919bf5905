"""A relation between tokens, for the drawing: candidates, and what each head says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.results.relation import RelationResult
from mechviz.wire.buffers import Packed
from mechviz.wire.spec import bare, layers_of, unpaired

_TEXT = "text"


def pack_relation(result: RelationResult, n: int) -> dict[str, Any]:
    """Return the spec of a relation of which the ``n`` likeliest candidates are drawn."""
    numbers = {"intercept": result.intercept, "scale": result.scale, "shift": result.shift}
    weights = result.weights
    return {
        **bare("relation", result.provenance, result.relation),
        "texts": {_TEXT: unpaired(result.tokens)},
        "text": _TEXT,
        "relation": {
            "name": result.relation,
            "note": result.note,
            "n": n,
            "of": len(result.pairs),
            "layers": [int(layer) for layer in layers_of(weights)],
            "heads": weights.sizes["head"],
            **{name: float(value) for name, value in numbers.items()},
        },
    }


def pack_candidates(result: RelationResult, n: int) -> Packed:
    """Pack the ``n`` likeliest candidates.

    Returns
    -------
    Packed
        ``relation``: ``pairs``, dims (candidate, end); ``contributions``, dims (candidate, layer, head, way); ``other``, dims
        (candidate); ``weights``, dims (layer, head, way); and ``truth``, dims (candidate), 1 where the relation holds, where that
        is known. Contributions are float32, so that the browser finds the same probabilities as Python.
    """
    arrays: dict[str, NDArray[Any]] = {
        "pairs": result.pairs[:n].astype("<i4"),
        "contributions": result.contributions.values[:n].astype("<f4"),
        "other": np.asarray(result.other[:n]).astype("<f4"),
        "weights": result.weights.values.astype("<f4"),
    }
    if result.truth is not None:
        arrays["truth"] = np.asarray(result.truth[:n]).astype("<u1")
    return Packed("relation", {}, {f"relation.{name}": array for name, array in arrays.items()})
