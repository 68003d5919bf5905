"""What crosses from Python to the drawing: one small JSON spec and named little-endian buffers.

The same form travels by widget traits and inside an HTML snapshot; ``js/src/wire.ts`` is its reader, and both are
tested on the files in ``tests/fixtures/wire``. Effects and scores are float32, attention float16. Attention is sent
as its strongest edges, never as a full matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError
from mechviz.results import Pair, PatchResult
from mechviz.text import Tokens

FORMAT = 1

#: Edges of a row are kept until they hold this share of its attention; a single row is kept whole.
EDGE_MASS = 0.7
#: Edges of one head and run at most; SVG stays fast below it.
EDGE_CAP = 4000

#: Heads whose attention is computed together.
_BLOCK = 16

#: Stacks whose queries are not positions of the text where an encoder read it, and what that one position is called.
_DECODERS = ("decoder", "cross")
_STEP = "decoder, first step"

#: Values of the ``state`` buffer.
EMPTY, PREVIEW, EXACT = 0, 1, 2

#: A change below this share of the competitors' score spread is called weak.
_WEAK = 0.05
#: Fillers that move the change by more than this share of it are told of.
_RIVAL = 0.5

_DTYPES = {np.dtype("<f4"): "f4", np.dtype("<f2"): "f2", np.dtype("<u2"): "u2", np.dtype("<u1"): "u1", np.dtype("<i4"): "i4"}

#: Attention of one layer in both runs, dims (run, head, query_pos, key_pos); run 0 is the base.
Patterns = Callable[[int], NDArray[np.float32]]


@dataclass(frozen=True)
class HeadEdges:
    """The attention lines of one head in both runs, packed.

    Attributes
    ----------
    entry : dict
        Layer, head, and for each run how many edges are kept, of how many, and their share of the attention.
    arrays : dict of str to array
    """

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


def pack_head(layer: int, head: int, base: NDArray[np.float32], source: NDArray[np.float32]) -> HeadEdges:
    """Pack the strongest attention edges of one head.

    Parameters
    ----------
    layer, head : int
    base, source : float32 arrays, dims (query_pos, key_pos)
        Attention of the two runs.
    """
    entry: dict[str, Any] = {"layer": layer, "head": head}
    arrays: dict[str, NDArray[Any]] = {}
    for run, pattern in (("base", base), ("source", source)):
        if pattern.ndim != 2 or max(pattern.shape) > np.iinfo(np.uint16).max:
            raise InputError(f"attention must have dims (query_pos, key_pos), each at most 65,535, not shape {pattern.shape}")
        query_pos, key_pos = strongest_edges(pattern)
        weight = pattern[query_pos, key_pos]
        name = f"attention.{layer}.{head}.{run}"
        arrays[f"{name}.query_pos"] = query_pos.astype("<u2")
        arrays[f"{name}.key_pos"] = key_pos.astype("<u2")
        arrays[f"{name}.weight"] = weight.astype("<f2")
        arrays[f"{name}.received"] = pattern.mean(0).astype("<f2")
        total = float(pattern.sum())
        entry[run] = {"edges": len(weight), "of": int(pattern.size), "mass": float(weight.sum()) / total if total else 0.0}
    return HeadEdges(entry, arrays)


def pack_heads(patterns: Patterns, heads: Sequence[tuple[int, int]], budget: int) -> list[HeadEdges]:
    """Pack heads in the order given until ``budget`` bytes are full."""
    packed: list[HeadEdges] = []
    # A block at a time: each layer's attention is computed once for the block, and none is for heads that will not fit.
    for start in range(0, len(heads), _BLOCK):
        for edges in _pack_block(patterns, heads[start : start + _BLOCK]):
            budget -= edges.nbytes
            if budget < 0:
                return packed
            packed.append(edges)
    return packed


def _pack_block(patterns: Patterns, heads: Sequence[tuple[int, int]]) -> list[HeadEdges]:
    packed: dict[tuple[int, int], HeadEdges] = {}
    for layer in dict.fromkeys(layer for layer, _ in heads):
        pattern = patterns(layer)
        for head in (head for at, head in heads if at == layer):
            packed[layer, head] = pack_head(layer, head, pattern[0, head], pattern[1, head])
    return [packed[head] for head in heads]


def strongest_edges(pattern: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the edges to draw, strongest first: of each row those that hold `EDGE_MASS` of it, `EDGE_CAP` in all.

    A single row is drawn as bars, where one that is left out would read as zero, so all of it is kept.
    """
    order = np.argsort(-pattern, axis=1, kind="stable")
    sorted_rows = np.take_along_axis(pattern, order, axis=1)
    before = np.cumsum(sorted_rows, axis=1) - sorted_rows
    kept = (before < EDGE_MASS * sorted_rows.sum(1, keepdims=True)) | (len(pattern) == 1)
    row, column = np.nonzero(kept & (sorted_rows > 0))
    strongest = np.argsort(-sorted_rows[row, column], kind="stable")[:EDGE_CAP]
    return row[strongest], order[row[strongest], column[strongest]]


def pack_cells(result: PatchResult, exact: NDArray[np.bool_] | None = None) -> dict[str, NDArray[Any]]:
    """Pack the grid: ``effects``, ``patched`` and what each cell is (``state``).

    Parameters
    ----------
    result : PatchResult
    exact : bool array, dims as the grid, optional
        Which cells are exact while a computation runs; default what the result says.
    """
    patched = result.patched.values
    known = result.exact.values if exact is None else exact
    state = np.where(known, EXACT, np.where(np.isfinite(patched), PREVIEW, EMPTY))
    return {
        "effects": result.effects.values.astype("<f4"),
        "patched": patched.astype("<f4"),
        "state": state.astype("<u1"),
    }


def pack_spec(result: PatchResult, heads: list[HeadEdges]) -> dict[str, Any]:
    """Return the JSON part: everything that does not change while cells are computed."""
    pair = result.pair
    arrays = {name: array for head in heads for name, array in head.arrays.items()}
    provenance = dict(result.provenance)
    return {
        "format": FORMAT,
        "kind": "patching",
        "ranker": {
            "name": provenance.get("ranker", "ranker"),
            "kind": provenance.get("ranker_kind", ""),
            "n_layers": int(result.effects.shape[0]),
            "n_heads": int(result.effects.shape[1]),
        },
        "query": pair.query,
        "doc": pair.doc,
        "perturbation": pair.perturbation,
        "side": pair.side,
        "direction": pair.direction,
        "filler": pair.filler,
        "truncated": pair.truncated or None,
        "scores": {name: getattr(pair, f"{name}_score") for name in ("original", "perturbed", "base", "source")},
        "gate": {"open": pair.gate, "message": "" if pair.gate else gate_message(result)},
        "banners": banners(result),
        "ranks": ranks(result),
        "grid": {
            "name": result.grid,
            "dims": list(result.effects.dims),
            "shape": list(result.effects.shape),
            "stack": result.stack,
            "metric": result.metric,
        },
        "tokens": {"base": _tokens(pair.base), "source": _tokens(pair.source)},
        "alignment": list(pair.alignment.kinds),
        "attention": {
            "label": attention_label(result),
            "heads": [head.entry for head in heads],
            # Where attention does not run from position to position of the text: what its ends are called.
            "query_labels": [_STEP] if result.stack in _DECODERS and pair.stack == "encoder" else None,
            "key_labels": [_STEP] if result.stack == "decoder" and pair.stack == "encoder" else None,
        },
        "buffers": describe(arrays),
        "provenance": provenance,
    }


def gate_message(result: PatchResult) -> str:
    """Say why effects are not defined."""
    pair = result.pair
    return (
        f"The perturbation did not change the score of the runs ({pair.base_score:.6g} and {pair.source_score:.6g}), so there is "
        "no change to share out: effects are not defined. Differences of scores are shown instead."
    )


def banners(result: PatchResult) -> list[dict[str, str]]:
    """Return what a reader must know before reading the numbers."""
    pair = result.pair
    found: list[dict[str, str]] = []
    if not pair.gate:
        found.append({"level": "warn", "text": gate_message(result)})
    if pair.gate:
        found += [{"level": "warn", "text": text} for text in (_weak(result), _filler_cost(pair)) if text]
    if not pair.masks_equal:
        found.append(
            {"level": "info", "text": "The filler is masked out: attention differs between the runs by more than the texts."}
        )
    if not pair.reads_equal:
        found.append(
            {
                "level": "info",
                "text": "The score reads other positions of one run than of the other (a skip list of tokens): patching "
                "everything would not give the source score exactly.",
            }
        )
    if pair.truncated:
        found.append({"level": "info", "text": f"Truncated: {pair.truncated}."})
    return found


def _weak(result: PatchResult) -> str:
    pair = result.pair
    spread = float(np.ptp(result.competitors[0])) if result.competitors.size else 0.0
    if abs(pair.change) >= _WEAK * spread:
        return ""
    return (
        f"Weak change: {abs(pair.change):.3g} is {100 * abs(pair.change) / spread:.1f}% of the competitors' score spread "
        f"({spread:.3g}). Effects divide by it, so read them with care."
    )


def _filler_cost(pair: Pair) -> str:
    sign = 1 if pair.direction == "perturbed->original" else -1
    texts, runs = sign * (pair.perturbed_score - pair.original_score), pair.change
    if abs(runs - texts) <= _RIVAL * abs(runs):
        return ""
    turned = ", with the other sign" if texts * runs < 0 else ""
    return (
        f"The filler matters here: between the texts the score changes by {sign * texts:+.3g}, between the two runs that are "
        f"patched by {sign * runs:+.3g}{turned}. Effects are shares of the latter; try another filler."
    )


def ranks(result: PatchResult) -> dict[str, Any] | None:
    """Return the rank of both texts among the competitors, 1 the best; ties count for the competitor."""
    if not result.competitors.size:
        return None
    pair = result.pair

    def rank(score: float, competitors: NDArray[np.float32]) -> int:
        return int((competitors >= np.float32(score)).sum()) + 1

    return {
        "original": rank(pair.original_score, result.competitors[0]),
        "perturbed": rank(pair.perturbed_score, result.competitors[1]),
        "of": result.competitors.shape[1] + 1,
        "competitors": [float(score) for score in result.competitors[0]],
    }


def attention_label(result: PatchResult) -> str:
    """Say whose attention the lines are."""
    stack, text = result.stack, result.pair.stack
    if stack in ("doc", "query"):
        tower = "document" if stack == "doc" else "query"
        return f"Attention within the {tower} tower: this ranker reads query and document apart"
    if stack == "cross":
        return "Attention of the decoder's first step to the text that the encoder read"
    if stack == "decoder" and text == "encoder":
        return "The decoder's self-attention at its first step, which sees one position only"
    if stack == "decoder":
        return "Self-attention over query and document together; a token sees only those before it"
    return "Self-attention over query and document together"


def _tokens(tokens: Tokens) -> dict[str, Any]:
    return {
        "labels": list(tokens.labels),
        "strings": list(tokens.strings),
        "segments": list(tokens.segments),
        "words": tokens.words.tolist(),
        "spaces": tokens.spaces().astype(int).tolist(),
        "fillers": tokens.fillers.astype(int).tolist(),
    }
