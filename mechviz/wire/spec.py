"""The JSON part of what crosses from Python to the drawing: everything that does not change while cells are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mechviz.results import AttentionResult, Circuit, Pair, PatchResult, RankingResult, StackShape
from mechviz.text import Tokens
from mechviz.wire.buffers import Packed, describe
from mechviz.wire.cells import pack_grid
from mechviz.wire.ranking import pack_ranking

FORMAT = 2

#: A change below this share of the competitors' score spread is called weak.
_WEAK = 0.05
#: Fillers that move the change by more than this share of it are told of.
_RIVAL = 0.5


def pack_patching(results: Sequence[PatchResult]) -> dict[str, Any]:
    """Return the spec of a pair's results, the main one first."""
    main = results[0]
    pair = main.pair
    provenance = dict(main.provenance)
    stacks = {result.stack: _patched_stack(result) for result in results if "head" in result.effects.dims}
    return {
        **frame_of("patching", provenance),
        "query": pair.query,
        "doc": pair.doc,
        "perturbation": pair.perturbation,
        "side": pair.side,
        "direction": pair.direction,
        "filler": pair.filler,
        "truncated": pair.truncated or None,
        "scores": {name: getattr(pair, f"{name}_score") for name in ("original", "perturbed", "base", "source")},
        "gate": {"open": pair.gate, "message": "" if pair.gate else gate_message(main)},
        "banners": banners(main),
        "ranks": ranks(main),
        "grids": [pack_grid(result) for result in results],
        "stacks": list(stacks.values()),
        "texts": {
            pair.stack: {
                "base": tokens_of(pair.base),
                "source": tokens_of(pair.source),
                "alignment": list(pair.alignment.kinds),
                "classes": list(pair.classes()),
            }
        },
        "text": pair.stack,
    }


def pack_attention(result: AttentionResult) -> dict[str, Any]:
    """Return the spec of one text's attention."""
    return {
        **frame_of("attention", dict(result.provenance)),
        "query": result.query,
        "doc": result.doc,
        "score": result.score,
        "grids": [],
        "stacks": [_stack(shape) for shape in result.stacks],
        "texts": {name: unpaired(tokens) for name, tokens in result.tokens.items()},
        "text": result.main.text,
    }


def pack_circuit(circuit: Circuit) -> dict[str, Any]:
    """Return a circuit's graph as JSON values."""
    shares = ("faithfulness", "completeness", "minimality")
    return {
        "stack": circuit.stack,
        "threshold": circuit.threshold,
        **{name: finite(getattr(circuit, name)) for name in shares},
        **{
            name: [{key: finite(value) for key, value in row.items()} for row in getattr(circuit, name).to_dict("records")]
            for name in ("vertices", "edges")
        },
    }


def finite(value: Any) -> Any:
    """Return a value, or None for NaN, which JSON does not have."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def with_held(spec: Mapping[str, Any], packed: Sequence[Packed]) -> dict[str, Any]:
    """Return a spec that tells what comes with it: entries by key, and the shapes of their buffers."""
    arrays = {name: array for one in packed for name, array in one.arrays.items()}
    return {**spec, "held": {one.key: one.entry for one in packed}, "buffers": describe(arrays)}


def pack_ranked(result: RankingResult) -> dict[str, Any]:
    """Return the spec of a ranked list alone."""
    return {
        **bare("ranking", result.provenance, result.query),
        "perturbation": result.perturbation,
        "ranking": pack_ranking(result),
    }


def pack_circuit_alone(circuit: Circuit) -> dict[str, Any]:
    """Return the spec of a circuit alone."""
    pair = circuit.pair
    return {
        **bare("circuit", circuit.provenance, pair.query),
        "doc": pair.doc,
        "perturbation": pair.perturbation,
        "circuit": pack_circuit(circuit),
    }


def frame_of(kind: str, provenance: dict[str, str]) -> dict[str, Any]:
    """Return what every spec begins with."""
    return {
        "format": FORMAT,
        "kind": kind,
        "ranker": {"name": provenance.get("ranker", ""), "kind": provenance.get("ranker_kind", "")},
        "banners": [],
        "provenance": provenance,
    }


def bare(kind: str, provenance: Mapping[Any, Any], query: str = "") -> dict[str, Any]:
    """Return the spec of what has neither grids nor texts of its own."""
    # Anybody's provenance: what JSON does not have is told in words.
    told: dict[str, Any] = {
        str(key): value if isinstance(value, (str, int, float)) else str(value) for key, value in provenance.items()
    }
    return {**frame_of(kind, told), "query": query, "doc": "", "grids": [], "stacks": [], "texts": {}, "text": ""}


def _patched_stack(result: PatchResult) -> dict[str, Any]:
    sizes = result.effects.sizes
    return _stack(StackShape.of(result.stack, result.pair.stack, sizes["layer"], sizes["head"]))


def _stack(shape: StackShape) -> dict[str, Any]:
    return {
        "name": shape.name,
        "title": shape.title,
        "text": shape.text,
        "n_layers": shape.n_layers,
        "n_heads": shape.n_heads,
        "label": shape.label,
        "query_labels": None if shape.query_labels is None else list(shape.query_labels),
        "key_labels": None if shape.key_labels is None else list(shape.key_labels),
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
        "rivals": [float(score) for score in result.competitors[int(pair.direction == "original->perturbed")]],
    }


def tokens_of(tokens: Tokens) -> dict[str, Any]:
    """Return a sequence of tokens as JSON values."""
    return {
        "labels": list(tokens.labels),
        "strings": list(tokens.strings),
        "segments": list(tokens.segments),
        "words": tokens.words.tolist(),
        "spaces": tokens.spaces().astype(int).tolist(),
        "fillers": tokens.fillers.astype(int).tolist(),
    }


def unpaired(tokens: Tokens) -> dict[str, Any]:
    """Return a text that is compared with no other."""
    return {"base": tokens_of(tokens), "source": None, "alignment": ["equal"] * len(tokens), "classes": None}


def layers_of(array: xr.DataArray) -> NDArray[Any]:
    """Return the numbers of an array's layers."""
    found: NDArray[Any] = array["layer"].values if "layer" in array.coords else np.arange(array.sizes["layer"])
    return found
