"""Results of probes made of plain arithmetic, for the golden wire fixtures and for the tests of views and pictures."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from mechviz import views, wire
from mechviz.results import Atlas, AttributionTree, Passage, PassageGroup, Passages, RelationResult
from mechviz.text import Tokens
from mechviz.views import ProbeView

HOSTILE = "</script>"


def state_of(view: ProbeView, **expected: Any) -> dict[str, Any]:
    """Return what a page of a view draws from, buffers in base64, and what JavaScript should find."""
    state = view.state(0)
    coded = {name: base64.b64encode(data).decode() for name, data in state["buffers"].items()}
    return {**state, "buffers": coded, "expected": expected}


def build_passages() -> dict[str, Any]:
    """Return the state of two groups of passages, one of them with a gap, a mark and a hostile word."""
    return state_of(views.passages(golden_passages()))


def build_tree() -> dict[str, Any]:
    """Return the state of a tree of nine nodes."""
    return state_of(views.tree(golden_tree(), expand=lambda node: golden_tree()))


def build_relation() -> dict[str, Any]:
    """Return the state of a relation, and its probabilities with all heads and without two of them."""
    result = golden_relation()
    off = [1, 4]
    return state_of(
        views.relation(result), probability=result.probability.tolist(), off=off, without=without(result, off).tolist()
    )


def build_tensor() -> dict[str, Any]:
    """Return the state of an array of four dims, and what Python sees of it in several ways."""
    array = golden_tensor()
    seen = [
        {"roles": roles, "values": [None if np.isnan(x) else x for x in wire.reduced(array, roles).ravel().tolist()]}
        for roles in TENSOR_ROLES
    ]
    return state_of(views.tensor(array, "An array"), seen=seen)


def build_atlas() -> dict[str, Any]:
    """Return the state of six points on two layers."""
    return state_of(views.atlas(golden_atlas()))


def golden_passages() -> Passages:
    first = Passage.of(
        ["the", "bank", HOSTILE, "s"],
        [0.25, 1.0, np.nan, 0.0],
        [False, True, True, False],
        [False, True, False, False],
        "text 1",
        1.0,
    )
    second = Passage.of(["plain", "words"], label="text 2")
    long = Passage.of([f"w{at}" for at in range(200)], np.arange(200) / 256, marks=np.arange(200) == 100, value=0.5)
    return Passages(
        (PassageGroup("Sense 1", (first, second), "of 2 texts"), PassageGroup("Sense 2", (long,))),
        "activation",
        title="Senses of bank",
        note="Of 3 texts.",
        warning="Few texts.",
        provenance={"ranker": "golden", "ranker_kind": "Cat"},
    )


def golden_tree() -> AttributionTree:
    """Return a tree whose root's children sum to it, and whose head's children lack a quarter."""
    rows = [
        (0, -1, "score", "score", "", 2.0, "open"),
        (1, 0, "head", "1.2", "", 1.5, "open"),
        (2, 0, "mlp", "MLP 0", "", -0.5, "closed"),
        (3, 0, "embed", "embedding", "", 0.984375, "leaf"),
        (4, 0, "bias", "biases", "", 0.0078125, "leaf"),
        (5, 0, "head", "0.1", "", 0.0078125, "closed"),
        (6, 1, "token", "hot", "v", 1.0, "closed"),
        (7, 1, "token", HOSTILE, "v", 0.25, "leaf"),
    ]
    nodes = pd.DataFrame(rows, columns=["id", "parent", "kind", "label", "via", "value", "state"])
    nodes = nodes.assign(layer=-1, head=-1, pos=[-1, -1, -1, -1, -1, -1, 1, 2], error=0.0)
    return AttributionTree(nodes, "score of the document", ("[CLS]", "hot", HOSTILE), "A note.", {"ranker": "golden"})


def golden_relation() -> RelationResult:
    """Return three candidates of a query and a document, seen by two layers of three heads."""
    words = ["[CLS]", "hot", "spring", "[SEP]", "hot", HOSTILE, "spring", "[SEP]"]
    segments = ("cls", "query", "query", "sep", "doc", "doc", "doc", "sep")
    tokens = Tokens(
        ids=np.arange(8),
        strings=tuple(words),
        labels=tuple(words),
        offsets=np.full((8, 2), -1),
        words=np.array([-1, 0, 1, -1, 0, 1, 2, -1]),
        segments=segments,
        types=np.zeros(8),
        mask=np.ones(8),
        fillers=np.zeros(8),
    )
    parts = ((np.arange(3 * 12) * 7) % 16 - 6).reshape(3, 2, 3, 2) / 8
    parts *= np.array([1, 0.5, -0.5])[:, None, None, None]
    return RelationResult(
        "same token",
        tokens,
        np.array([[1, 4], [2, 6], [1, 5]]),
        xr.DataArray(parts.astype("f4"), dims=("candidate", "layer", "head", "way")),
        np.array([0.5, 0.25, 0.0], dtype="f4"),
        xr.DataArray(np.arange(-6, 6).reshape(2, 3, 2).astype("f4") / 4, dims=("layer", "head", "way")),
        intercept=-0.75,
        scale=1.25,
        shift=0.125,
        truth=np.array([True, True, False]),
        note="The likeliest 3 of 6 pairs.",
        provenance={"ranker": "golden", "ranker_kind": "Cat"},
    )


def without(result: RelationResult, off: list[int]) -> np.ndarray:
    """Return the probabilities with heads switched off (layer times heads plus head), by the result's own formula."""
    kept = result.contributions.values.copy()
    heads = kept.shape[2]
    for head in off:
        kept[:, head // heads, head % heads] = 0
    names = ("relation", "tokens", "pairs", "other", "weights", "intercept", "scale", "shift")
    fields = {name: getattr(result, name) for name in names}
    return RelationResult(contributions=result.contributions.copy(data=kept), **fields).probability


TENSOR_ROLES: list[dict[str, Any]] = [
    {"layer": "facet", "head": 1, "query_pos": "y", "key_pos": "x"},
    {"layer": "mean", "head": "max", "query_pos": "y", "key_pos": "x"},
    {"layer": "x", "head": "sum", "query_pos": 1, "key_pos": "norm"},
    {"layer": "min", "head": "facet", "query_pos": "x", "key_pos": "y"},
    {"layer": "norm", "head": "mean", "query_pos": "sum", "key_pos": "max"},
]


def golden_tensor() -> xr.DataArray:
    values = (np.arange(2 * 3 * 4 * 5) * 11 % 32 - 12).reshape(2, 3, 4, 5).astype("f4") / 8
    values[0, :, 1, :] = np.nan
    values[1, 1, 2, 3] = np.nan
    return xr.DataArray(
        values,
        dims=("layer", "head", "query_pos", "key_pos"),
        coords={"layer": [3, 7], "query_token": ("query_pos", ["a", HOSTILE, "c", "d"])},
        name="effect",
        attrs={"ranker": "golden"},
    )


def golden_atlas() -> Atlas:
    at = np.array(
        [[[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5], [0.25, 0.75]], [[0, 0], [2, 0], [0, 1], [2, 1], [1, 0.5], [1, 1]]]
    )
    points = pd.DataFrame(
        {
            "label": ["hot springs", "cold springs", HOSTILE, "lava rock", "rock and ice", "été"],
            "text": range(6),
            "score": [0.5, 0.25, np.nan, 1.0, 0.0, 0.75],
            "grade": [0, 1, np.nan, 2, 0, 1],
            "term": "",
        }
    )
    cells = [
        (0, 0, 0, 1, "hot springs", 0.5, (1, 0, 0)),
        (0, 1, 1, 3, f"rock {HOSTILE}", 0.5, (1, 0, 1)),
        (1, 0, 0, 1, "hot springs", np.nan, (1, 0, 0)),
    ]
    return Atlas(
        xr.DataArray(at.astype("f4"), dims=("layer", "point", "axis"), coords={"layer": [0, 5], "axis": ["x", "y"]}),
        points,
        pd.DataFrame(cells, columns=["layer", "row", "column", "n", "terms", "score", "grades"]).replace({"layer": {1: 5}}),
        2,
        "document",
        "PCA",
        xr.DataArray(np.array([0.5, np.nan]), dims="layer"),
        {"ranker": "golden", "ranker_kind": "Dot"},
    )
