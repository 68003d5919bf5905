"""Attention for the drawing: a head's strongest edges, thumbnails of all heads, and what one score is made of.

Never a full matrix of every head: 12 x 12 heads at 512 tokens would be 75 MB even in float16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError
from mechviz.wire.buffers import Packed

#: Edges of a row are kept until they hold this share of its attention; a single row is kept whole.
EDGE_MASS = 0.9
#: Edges of one head and run at most; SVG stays fast below it.
EDGE_CAP = 4000
#: Side of a thumbnail at most.
THUMB_SIDE = 48

#: Heads whose attention is computed together.
_BLOCK = 16

#: Attention of one layer of a stack in each run, dims (run, head, query_pos, key_pos); run 0 is the base.
Patterns = Callable[[str, int], NDArray[np.float32]]

#: Stack, layer and head.
Head = tuple[str, int, int]

RUNS = ("base", "source")


def pack_head(stack: str, layer: int, head: int, patterns: NDArray[np.float32]) -> Packed:
    """Pack the strongest attention edges of one head, and the largest differences between its two runs.

    Parameters
    ----------
    stack : str
    layer, head : int
    patterns : float32 array, dims (run, query_pos, key_pos)
        One run, or two.
    """
    if patterns.ndim != 3 or len(patterns) not in (1, 2) or max(patterns.shape) > np.iinfo(np.uint16).max:
        raise InputError(
            f"attention must have dims (run, query_pos, key_pos), one run or two, each position below 65,536, not shape "
            f"{patterns.shape}"
        )
    key = f"attention.{stack}.{layer}.{head}"
    entry: dict[str, Any] = {"stack": stack, "layer": layer, "head": head}
    arrays: dict[str, NDArray[Any]] = {}
    for run, pattern in zip(RUNS, patterns, strict=False):
        query_pos, key_pos = strongest_edges(pattern)
        weight = pattern[query_pos, key_pos]
        arrays |= _edges(f"{key}.{run}", query_pos, key_pos, weight)
        arrays[f"{key}.{run}.received"] = pattern.mean(0).astype("<f2")
        arrays[f"{key}.{run}.row_sum"] = pattern.sum(1).astype("<f2")
        entry[run] = _count(weight, pattern)
    if len(patterns) == 2:
        moved = patterns[1] - patterns[0]
        query_pos, key_pos = largest_differences(moved)
        weight = moved[query_pos, key_pos]
        arrays |= _edges(f"{key}.difference", query_pos, key_pos, weight)
        entry["difference"] = _count(np.abs(weight), np.abs(moved))
    return Packed(key, entry, arrays)


def _edges(name: str, query_pos: NDArray[Any], key_pos: NDArray[Any], weight: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {
        f"{name}.query_pos": query_pos.astype("<u2"),
        f"{name}.key_pos": key_pos.astype("<u2"),
        f"{name}.weight": weight.astype("<f2"),
    }


def _count(weight: NDArray[np.float32], matrix: NDArray[np.float32]) -> dict[str, Any]:
    total = float(matrix.sum())
    return {"edges": len(weight), "of": int(matrix.size), "mass": float(weight.sum()) / total if total else 0.0}


def pack_heads(patterns: Patterns, heads: Sequence[Head], budget: int) -> list[Packed]:
    """Pack lines of heads in the order given until ``budget`` bytes are full."""
    return _pack_all(pack_head, patterns, heads, budget)


def pack_matrices(patterns: Patterns, heads: Sequence[Head], budget: int) -> list[Packed]:
    """Pack the whole attention of heads in the order given until ``budget`` bytes are full."""
    return _pack_all(pack_matrix, patterns, heads, budget)


def _pack_all(pack: Callable[..., Packed], patterns: Patterns, heads: Sequence[Head], budget: int) -> list[Packed]:
    packed: list[Packed] = []
    # A block at a time: each layer's attention is computed once for the block, and none is for heads that will not fit.
    for start in range(0, len(heads), _BLOCK):
        for one in _pack_block(pack, patterns, heads[start : start + _BLOCK]):
            budget -= one.nbytes
            if budget < 0:
                return packed
            packed.append(one)
    return packed


def _pack_block(pack: Callable[..., Packed], patterns: Patterns, heads: Sequence[Head]) -> list[Packed]:
    packed: dict[Head, Packed] = {}
    for stack, layer in dict.fromkeys(at[:2] for at in heads):
        pattern = patterns(stack, layer)
        for at in heads:
            if at[:2] == (stack, layer):
                packed[at] = pack(*at, pattern[:, at[2]])
    return [packed[head] for head in heads]


def strongest_edges(pattern: NDArray[np.float32], mass: float | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the edges to draw, strongest first: of each row those that hold ``mass`` of it, `EDGE_CAP` in all.

    A single row is drawn as bars, where one that is left out would read as zero, so all of it is kept. ``mass`` is
    `EDGE_MASS` by default.
    """
    order = np.argsort(-pattern, axis=1, kind="stable")
    sorted_rows = np.take_along_axis(pattern, order, axis=1)
    before = np.cumsum(sorted_rows, axis=1) - sorted_rows
    share = EDGE_MASS if mass is None else mass
    kept = (before < share * sorted_rows.sum(1, keepdims=True)) | (len(pattern) == 1)
    row, column = np.nonzero(kept & (sorted_rows > 0))
    strongest = np.argsort(-sorted_rows[row, column], kind="stable")[:EDGE_CAP]
    return row[strongest], order[row[strongest], column[strongest]]


def largest_differences(moved: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the entries of a difference of two patterns to draw, largest first: those that hold `EDGE_MASS` of all its size."""
    size = np.abs(moved)
    order = np.argsort(-size, axis=None, kind="stable")[:EDGE_CAP]
    before = np.cumsum(size.flat[order]) - size.flat[order]
    kept = order[(before < EDGE_MASS * size.sum()) & (size.flat[order] > 0)]
    row, column = np.unravel_index(kept, moved.shape)
    return row.astype(np.int64), column.astype(np.int64)


def pack_matrix(stack: str, layer: int, head: int, patterns: NDArray[np.float32]) -> Packed:
    """Pack the whole attention of one head, dims (run, query_pos, key_pos), as bytes: 255 times the square root of a weight."""
    key = f"matrix.{stack}.{layer}.{head}"
    arrays = {f"{key}.{run}": _to_bytes(pattern) for run, pattern in zip(RUNS, patterns, strict=False)}
    rows, columns = patterns.shape[1:]
    return Packed(key, {"stack": stack, "layer": layer, "head": head, "rows": rows, "columns": columns}, arrays)


def _to_bytes(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = np.round(255 * np.sqrt(np.clip(weights, 0, 1))).astype(np.uint8)
    return found


def pack_thumbs(stack: str, n_layers: int, patterns: Patterns) -> Packed:
    """Pack a thumbnail of every head of a stack in each run: max-pooled, so that no single strong cell vanishes.

    A byte is 255 times the square root of the weight.
    """
    thumbs: list[NDArray[np.uint8]] = []
    for layer in range(n_layers):
        pooled = max_pool(patterns(stack, layer), THUMB_SIDE)
        thumbs.append(_to_bytes(pooled))
    runs = np.stack(thumbs, axis=1)  # (run, layer, head, row, column)
    key = f"thumbs.{stack}"
    arrays = {f"{key}.{run}": one for run, one in zip(RUNS, runs, strict=False)}
    return Packed(key, {"stack": stack, "rows": runs.shape[-2], "columns": runs.shape[-1]}, arrays)


def max_pool(matrices: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Shrink the last two dimensions to at most ``side`` each, by the maximum of near-equal pieces."""
    for axis in (-2, -1):
        length = matrices.shape[axis]
        if length > side:
            starts = np.arange(side) * length // side
            matrices = np.maximum.reduceat(matrices, starts, axis=axis)
    return matrices


def pack_scores(stack: str, layer: int, head: int, pos: int, made_of: dict[str, Any]) -> Packed:
    """Pack what the scores of one position are made of.

    Parameters
    ----------
    stack : str
    layer, head, pos : int
    made_of : dict
        ``scale``, and arrays by run: ``q``, dims (run, d_head), ``k``, dims (run, key_pos, d_head), ``scores`` and
        ``pattern``, dims (run, key_pos).
    """
    key = f"scores.{stack}.{layer}.{head}.{pos}"
    arrays = {
        f"{key}.{run}.{name}": np.asarray(made_of[name][number]).astype("<f4")
        for name in ("q", "k", "scores", "pattern")
        for number, run in zip(range(len(made_of["q"])), RUNS, strict=False)
    }
    entry = {"stack": stack, "layer": layer, "head": head, "pos": pos, "scale": float(made_of["scale"])}
    return Packed(key, entry, arrays)
