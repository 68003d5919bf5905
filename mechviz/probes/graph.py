"""Graphs for other tools: a ranker's weights, or its activations on one input, as vertices and edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.probes.arrays import arrays
from mechviz.probes.labelled import check_neurons
from mechviz.probes.reading import Text
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.stack import find, mlp_out_of
from mechviz.results import Graph
from mechviz.text.checks import whole_number

VERTICES = ("id", "kind", "layer", "index", "label", "bias", "value")
EDGES = ("from_id", "to_id", "weight", "kind")


def graph_of_weights(ranker: Ranker, layers: Sequence[int] | None = None, most: int = 20) -> Graph:
    """Return the neurons of MLPs, with the weights that they read and write by.

    Vertices are the features of the residual stream (one set: all layers read and write the same), and each layer's
    neurons with their bias. An edge from a feature to a neuron is the weight by which it is read (of a gated MLP the one that
    goes through the activation), from a neuron to a feature the one by which it is written; norms between are not in them.

    Parameters
    ----------
    ranker : Ranker
        The stack that reads documents.
    layers : sequence of int, optional
        Default all.
    most : int
        Weights kept of each neuron on either side, the largest by absolute value.

    Raises
    ------
    InputError
        A ranker without MLPs, or layers that it does not have.
    """
    part = check_neurons(ranker)
    whole_number("most", most)
    chosen = list(range(part.n_layers)) if layers is None else list(layers)
    if not chosen or any(type(layer) is not int or not 0 <= layer < part.n_layers for layer in chosen):
        raise InputError(f"layers={shown(layers)}; give whole numbers from 0 to {part.n_layers - 1} (this ranker's layers)")
    vertices, edges, width = [], [], 0
    for layer in chosen:
        reads = find(part.layers[layer], part.blocks.mlp_in)
        writes = mlp_out_of(part.layers[layer], part.blocks)
        into, out = _weight(reads, part.d_mlp, 0), _weight(writes, part.d_mlp, 1)  # (neuron, feature)
        bias = getattr(reads, "bias", None)
        biases = np.full(part.d_mlp, np.nan) if bias is None else bias.detach().float().cpu().numpy()[: part.d_mlp]
        width = into.shape[1]
        neurons = np.array([f"mlp.{layer}.{index}" for index in range(part.d_mlp)])
        features = np.array([f"resid.{index}" for index in range(width)])
        vertices.append(_vertices(neurons, "neuron", layer, biases))
        for weights, kind in ((into, "read"), (out, "write")):
            rows, columns = _largest(weights, most)
            ends = (features[columns], neurons[rows]) if kind == "read" else (neurons[rows], features[columns])
            edges.append(pd.DataFrame(dict(zip(EDGES, (*ends, weights[rows, columns], kind), strict=True))))
    stream = _vertices(np.array([f"resid.{index}" for index in range(width)]), "feature", -1, np.full(width, np.nan))
    return Graph(
        pd.concat([stream, *vertices], ignore_index=True),
        pd.concat(edges, ignore_index=True),
        {**provenance_of(ranker), "most": str(most)},
    )


def graph_of_activations(ranker: Ranker, text: Text, least: float = 0.05, weighted: bool = False) -> Graph:
    """Return one text's tokens layer by layer, and what attention moves between them.

    Vertices are the positions of the residual stream before each layer and after the last, with its length as ``value``. An
    edge of kind ``"2.7"`` is attention of that head, from the position that is read to the one that reads; of kind
    ``"stream"`` what stays at a position, with weight 1.

    Parameters
    ----------
    ranker : Ranker
    text : str, or (query, document)
    least : float
        Smaller weights are left out.
    weighted : bool
        Attention times the length of what is moved, instead of attention.

    Raises
    ------
    InputError, InputTypeError
    """
    if isinstance(least, bool) or not isinstance(least, (int, float)) or not least >= 0:
        raise InputError(f"least={shown(least)}; give a number, at least 0")
    attention, before, after = arrays(ranker, ("weighted_pattern" if weighted else "pattern", "resid_pre", "resid_post"), text)
    stream = np.concatenate([before.values, after.values[-1:]])
    n_layers, n = attention.sizes["layer"], attention.sizes["key_pos"]
    labels = [str(label) for label in attention["key_pos"].values]
    ids = np.array([[f"{layer}:{pos}" for pos in range(n)] for layer in range(n_layers + 1)])
    vertices = pd.DataFrame(
        {
            "id": ids.ravel(),
            "kind": "token",
            "layer": np.repeat(np.arange(n_layers + 1), n),
            "index": np.tile(np.arange(n), n_layers + 1),
            "label": labels * (n_layers + 1),
            "bias": np.nan,
            "value": np.linalg.norm(stream, axis=-1).ravel(),
        }
    )
    layer, head, query, key = np.nonzero(attention.values >= max(least, np.finfo(np.float32).tiny))
    moved = pd.DataFrame(
        {
            "from_id": ids[layer, key],
            "to_id": ids[layer + 1, query],
            "weight": attention.values[layer, head, query, key],
            "kind": [f"{one}.{other}" for one, other in zip(layer, head, strict=True)],
        }
    )
    stays = pd.DataFrame({"from_id": ids[:-1].ravel(), "to_id": ids[1:].ravel(), "weight": 1.0, "kind": "stream"})
    return Graph(vertices, pd.concat([moved, stays], ignore_index=True), dict(attention.attrs))


def _vertices(ids: NDArray[Any], kind: str, layer: int, bias: NDArray[Any]) -> pd.DataFrame:
    index = np.arange(len(ids))
    label = [f"{layer}.{one}" if layer >= 0 else str(one) for one in index]
    columns = (ids, kind, layer, index, label, bias, np.nan)
    return pd.DataFrame(dict(zip(VERTICES, columns, strict=True)))


def _weight(linear: Any, d_mlp: int, axis: int) -> NDArray[np.float32]:
    """Return a product's weight, dims (neuron, feature); ``axis`` is that of the neurons in a Linear's own weight."""
    import torch

    weight = linear.weight.detach().float().cpu()
    stored = weight if isinstance(linear, torch.nn.Linear) else weight.T  # GPT-2 stores the transpose
    found: NDArray[np.float32] = (stored if axis == 0 else stored.T)[:d_mlp].numpy()
    return found


def _largest(weights: NDArray[np.float32], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of each row's largest weights."""
    kept = min(most, weights.shape[1])
    columns = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :kept]
    return np.repeat(np.arange(len(weights)), kept), columns.ravel()
