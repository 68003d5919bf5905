"""Points in the plane, for the drawing: what they are, and where each layer puts them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.results.atlas import Atlas
from mechviz.wire.buffers import Packed
from mechviz.wire.spec import bare, finite, layers_of

#: Characters of a label where there are many points.
SHORT = 60
#: Stands between labels.
_SEPARATOR = "\0"


def pack_atlas(atlas: Atlas) -> dict[str, Any]:
    """Return the spec of an atlas."""
    grades = atlas.points["grade"].to_numpy(dtype=float)
    known = grades[np.isfinite(grades)]
    return {
        **bare("atlas", atlas.provenance),
        "atlas": {
            "level": atlas.level,
            "method": atlas.method,
            "size": atlas.size,
            "n": len(atlas.points),
            "layers": [int(layer) for layer in layers_of(atlas.layout)],
            "explained": [finite(float(share)) for share in atlas.explained.values],
            "scored": bool(np.isfinite(atlas.points["score"].to_numpy(dtype=float)).any()),
            "grades": int(known.max()) + 1 if known.size else 0,
        },
    }


def pack_points(atlas: Atlas, most: int | None = None) -> Packed:
    """Pack what points are: ``labels`` in UTF-8, NUL between them, ``score``, ``grade`` and ``text``, dims (point).

    Parameters
    ----------
    atlas : Atlas
    most : int, optional
        Characters of a label.
    """
    points = atlas.points
    labels = [str(label).replace(_SEPARATOR, " ") for label in points["label"]]
    if most is not None:
        labels = [label if len(label) <= most else f"{label[: most - 1]}…" for label in labels]
    arrays: dict[str, NDArray[Any]] = {
        "labels": np.frombuffer(_SEPARATOR.join(labels).encode("utf-8", "replace"), dtype="<u1"),
        "score": points["score"].to_numpy(dtype="<f4"),
        "grade": points["grade"].to_numpy(dtype="<f4"),
        "text": points["text"].to_numpy(dtype="<i4"),
    }
    return Packed("atlas", {}, {f"atlas.{name}": array for name, array in arrays.items()})


def pack_layer(atlas: Atlas, number: int, small: bool = False) -> Packed:
    """Pack where the layer of this place in the layout puts every point.

    Parameters
    ----------
    atlas : Atlas
    number : int
    small : bool
        As 16 bits between the layer's bounds, which is finer than any screen, instead of float32.

    Returns
    -------
    Packed
        ``layer.<number>``: ``at``, dims (point, axis), with ``low`` and ``span`` of each axis; and the layer's cells.
    """
    at = atlas.layout.values[number].astype(np.float64)
    low, high = at.min(axis=0), at.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    sent = np.round((at - low) / span * 65535).astype("<u2") if small else at.astype("<f4")
    key = f"layer.{number}"
    cells = atlas.cells[atlas.cells["layer"] == layers_of(atlas.layout)[number]]
    rows = [
        {
            "row": int(row["row"]),
            "column": int(row["column"]),
            "n": int(row["n"]),
            "terms": str(row["terms"]),
            "score": finite(float(row["score"])),
            "grades": [int(n) for n in row["grades"]],
        }
        for row in cells.to_dict("records")
    ]
    return Packed(key, {"low": low.tolist(), "span": span.tolist(), "cells": rows}, {f"{key}.at": sent})
