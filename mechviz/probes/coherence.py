"""How alike the neurons are that lie near a neuron in weight space: a number of weights alone."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import nn

from mechviz.errors import InputError, shown
from mechviz.probes.labelled import check_neurons
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.stack import find


def neuron_weight_coherence(ranker: Ranker, layer: int, k: int = 50) -> xr.DataArray:
    """Return how coherent the k nearest input weights of each neuron are, c / sqrt(1 - c^2).

    A neuron's input weight is the vector by which it reads the residual stream (of the activation, not of its gate, where the
    MLP is gated). Its k nearest other neurons are those with the largest cosine; c is the length of the mean of their k unit
    vectors. So the number is the length of the mean over the root mean square distance from it: 0 for neighbours that point
    everywhere, inf for equal ones.

    It is the "polysemantic score" of Arrakis's Knowledge Prober under another name: it is high where neighbours agree, which is
    the opposite of many meanings, and no text takes part in it. What words mean inside is measured by
    `mechviz.probes.polysemy`, what neurons answer to by `mechviz.probes.find_concept_neurons`.

    Parameters
    ----------
    ranker : Ranker
    layer : int
        Of the stack that reads documents; from the end if negative.
    k : int

    Returns
    -------
    DataArray, dims (neuron)

    Raises
    ------
    InputError
        A ranker without MLPs, no such layer, or a k that is no number from 1 to the number of other neurons.
    """
    part = check_neurons(ranker)
    if type(layer) is not int or not -part.n_layers <= layer < part.n_layers:
        raise InputError(f"layer={shown(layer)}; this ranker has layers 0 to {part.n_layers - 1}")
    if type(k) is not int or not 1 <= k < part.d_mlp:
        raise InputError(f"k={shown(k)}; give a whole number from 1 to {part.d_mlp - 1} (a layer has {part.d_mlp} neurons)")
    layer %= part.n_layers
    module = find(part.layers[layer], part.blocks.mlp_in)
    with torch.no_grad():
        weight = module.weight.float()
        rows = (weight if isinstance(module, nn.Linear) else weight.T)[: part.d_mlp]
        units = nn.functional.normalize(rows, dim=1)
        near = units @ units.T
        near.fill_diagonal_(-torch.inf)
        c = units[near.topk(k, dim=1).indices].double().mean(dim=1).norm(dim=1).clamp(max=1).cpu().numpy()
    with np.errstate(divide="ignore"):
        found = c / np.sqrt(1 - c**2)
    return xr.DataArray(
        found,
        dims="neuron",
        coords={"neuron": np.arange(part.d_mlp)},
        name="weight coherence",
        attrs={**provenance_of(ranker), "layer": str(layer), "k": str(k)},
    )
