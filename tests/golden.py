"""The golden wire fixtures: results made of plain arithmetic, so that they are the same on every machine.

``python -m tests.golden`` writes them again after a deliberate change of the format; Python's tests compare them with
what the package packs now, and the JS tests decode them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mechviz import wire
from mechviz.results import Curves, Pair, PatchResult
from mechviz.text import Tokens, align
from mechviz.text.tokens import spread
from mechviz.views.checks import plain
from mechviz.views.reader import Layers
from tests import golden_probes

PATH = Path(__file__).parent / "fixtures" / "wire" / "patching.json"
CROSS_PATH = PATH.with_name("cross.json")
CURVES_PATH = PATH.with_name("curves.json")


def build() -> dict[str, Any]:
    """Return the state of a small view, buffers in base64."""
    return _state(golden_result(), {"doc": patterns})


def build_cross() -> dict[str, Any]:
    """Return the state of a view of cross-attention: one query, which is no position of the text."""
    return _state(cross_result(), {"cross": cross_patterns})


def build_curves() -> dict[str, Any]:
    """Return the state of a view of two curves of which one has a gap, an interval and a place more."""
    curves = golden_curves()
    packed = wire.pack_curve_values(curves)
    return {
        "spec": wire.with_held({**wire.pack_curves(curves), "panels": ["curves"]}, [packed]),
        "buffers": _base64(packed.arrays),
        "cells": {},
        "progress": {"state": "loaded", "done": 0, "total": 0, "seconds": 0.0, "message": "", "agreement": None, "live": False},
        "selection": {"stack": "", "layer": 0, "head": 0, "pos": None, "key_pos": None, "heads": []},
        "theme": "auto",
    }


def golden_curves() -> Curves:
    def line(values: list[float], x: list[float]) -> xr.DataArray:
        return xr.DataArray(np.array(values), dims=("x",), coords={"x": x})

    places = [0, 1, 2, 3.5]
    return Curves(
        x="layer",
        y="accuracy (share)",
        curves={"probe </script>": line([0.5, 0.75, np.nan, 1.0], places), "random": line([0.625, 0.5], [2, 0])},
        low={"probe </script>": line([0.25, 0.5, np.nan, 0.875], places)},
        high={"probe </script>": line([0.625, 0.875, np.nan, 1.125], places)},
        reference={"chance": 0.5},
        title="Where it is known",
        note="Bands are 95% intervals over 9 queries.",
    )


def _state(result: PatchResult, layers: dict[str, Any]) -> dict[str, Any]:
    (stack,) = layers
    heads = wire.pack_heads(Layers(layers).pattern, [(stack, 1, 2), (stack, 0, 0)], budget=100_000)
    exact = np.isfinite(result.patched.values) & (np.arange(result.patched.size).reshape(result.patched.shape) >= 4)
    arrays = {name: array for head in heads for name, array in head.arrays.items()}
    spec = {**wire.pack_patching([result]), "ranking": wire.pack_rivals(result), "panels": ["heads", "texts", "lines"]}
    return {
        "spec": wire.with_held(spec, heads),
        "buffers": _base64(arrays),
        "cells": _base64(wire.pack_cells(result, exact)),
        "progress": {
            "state": "running",
            "done": 4,
            "total": 8,
            "seconds": 0.25,
            "message": "",
            "agreement": None,
            "live": False,
            "offers": [],
        },
        "selection": {"stack": stack, "layer": 1, "head": 2, "pos": None, "key_pos": None, "heads": []},
        "theme": "auto",
    }


def golden_result() -> PatchResult:
    original = _tokens(["[CLS]", "hot", "spring", "##s", "</script>", "[SEP]"], "Hot springs</script>")
    perturbed = _tokens(["[CLS]", "hot", "spring", "##s", "</script>", "lava", "[SEP]"], "Hot springs</script> lava")
    alignment = align(original.ids, perturbed.ids, original.word_starts(), perturbed.word_starts())
    patched = np.array([[0.5, 0.625, np.nan, 0.25], [0.5, 0.75, 1.0, 0.53125]], dtype=np.float32)
    dims = ("layer", "head")
    coords = {"layer": [0, 1], "head": [0, 1, 2, 3]}
    pair = Pair(
        query="why is it hot",
        doc="Hot springs</script>",
        changed="Hot springs</script> lava",
        side="doc",
        perturbation="append('lava')",
        direction="perturbed->original",
        stack="doc",
        base=spread(original, alignment.original, [99], ["a"], masked=False, segment="doc"),
        source=perturbed,
        alignment=alignment,
        filler="a",
        original_score=0.53125,
        perturbed_score=1.0,
        base_score=0.5,
        source_score=1.0,
    )
    return PatchResult(
        pair=pair,
        grid="heads",
        method="exact",
        metric="effect",
        effects=xr.DataArray((patched - 0.5) / 0.5, dims=dims, coords=coords),
        patched=xr.DataArray(patched, dims=dims, coords=coords),
        competitors=np.array([[0.75, 0.25]] * 2, dtype=np.float32),
        provenance={"ranker": "golden", "ranker_kind": "Dot"},
    )


def cross_result() -> PatchResult:
    """Return a result of MonoT5's cross-attention."""
    words = ["Query:", "why", "Document:", "hot", "spring", "##s"]
    original = _tokens([*words, "Relevant:", "</s>"], "Hot springs")
    perturbed = _tokens([*words, "lava", "Relevant:", "</s>"], "Hot springs lava")
    alignment = align(original.ids, perturbed.ids, original.word_starts(), perturbed.word_starts())
    golden = golden_result()
    pair = replace(
        golden.pair,
        query="why",
        doc="Hot springs",
        changed="Hot springs lava",
        stack="encoder",
        base=spread(original, alignment.original, [99], ["the"], masked=False, segment="doc"),
        source=perturbed,
        alignment=alignment,
        filler="the",
    )
    return replace(golden, pair=pair, stack="cross", provenance={"ranker": "golden", "ranker_kind": "MonoT5"})


def cross_patterns(layer: int) -> np.ndarray:
    """Attention of one query to nine keys; it sums to 1 and is exact in float16."""
    weights = np.zeros((2, 4, 1, 9), dtype=np.float32)
    for run in range(2):
        for head in range(4):
            weights[run, head, 0] = 0.03125
            weights[run, head, 0, (run + head + layer) % 9] += 0.5
            weights[run, head, 0, 6] += 0.125 + 0.0625 * run
            weights[run, head, 0, 8] += 0.09375 - 0.0625 * run
    return weights


def patterns(layer: int) -> np.ndarray:
    """Attention that differs by run, head and row; every row sums to 1 and is exact in float16."""
    n = 7
    weights = np.zeros((2, 4, n, n), dtype=np.float32)
    for run in range(2):
        for head in range(4):
            for row in range(n):
                weights[run, head, row, (row + head + layer) % n] += 0.5
                weights[run, head, row, (row + run) % n] += 0.25
                weights[run, head, row, 0] += 0.25
    return weights


#: Of every other token: the document.
_SEGMENTS = {
    "[CLS]": "cls",
    "[SEP]": "sep",
    "</s>": "sep",
    "why": "query",
    **dict.fromkeys(("Query:", "Document:", "Relevant:"), "prompt"),
}


def _tokens(strings: list[str], text: str) -> Tokens:
    ids = [sum(map(ord, string)) for string in strings]
    segments = tuple(_SEGMENTS.get(string, "doc") for string in strings)
    offsets, words, at, word = [], [], 0, -1
    for string, segment in zip(strings, segments, strict=True):
        piece = string.removeprefix("##")
        start = text.lower().index(piece, at) if segment == "doc" else -1
        if segment == "doc":
            at = start + len(piece)
            word += not string.startswith("##")
        offsets.append((start, at) if segment == "doc" else (-1, -1))
        words.append(word if segment == "doc" else -1)
    return Tokens(
        ids=np.array(ids),
        strings=tuple(strings),
        labels=tuple(string if start < 0 else text[start:end] for string, (start, end) in zip(strings, offsets, strict=True)),
        offsets=np.array(offsets),
        words=np.array(words),
        segments=segments,
        types=np.zeros(len(strings), dtype=np.int64),
        mask=np.ones(len(strings), dtype=bool),
        fillers=np.zeros(len(strings), dtype=bool),
    )


#: What each file holds.
FIXTURES: dict[Path, Callable[[], dict[str, Any]]] = {
    PATH: build,
    CROSS_PATH: build_cross,
    CURVES_PATH: build_curves,
    PATH.with_name("passages.json"): golden_probes.build_passages,
    PATH.with_name("tree.json"): golden_probes.build_tree,
    PATH.with_name("relation.json"): golden_probes.build_relation,
    PATH.with_name("tensor.json"): golden_probes.build_tensor,
    PATH.with_name("atlas.json"): golden_probes.build_atlas,
}


def _base64(arrays: dict[str, np.ndarray]) -> dict[str, str]:
    return {name: base64.b64encode(wire.to_bytes(array)).decode() for name, array in arrays.items()}


if __name__ == "__main__":
    for path, state in FIXTURES.items():
        path.write_text(json.dumps(plain(state()), indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
        print(path)
