"""What the score of a pair is made of, for the rankers whose score is a sum or a comparison of two numbers."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch

from mechviz.rankers.colbert import ColBERT
from mechviz.rankers.dot import Dot
from mechviz.rankers.prompted import Prompted
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.splade import Splade


def score_parts(ranker: Ranker, query: str, doc: str) -> tuple[str, Any] | None:
    """Return what the score of a pair is made of.

    Returns
    -------
    tuple or None
        - ``"dimensions"`` and a DataFrame ``dimension``, ``query``, ``doc``, ``score``, for `Dot`: the product of both vectors
          by dimension, which sums to the score;
        - ``"terms"`` and `Splade.terms`;
        - ``"max_sim"`` and `ColBERT.max_sim_matrix`;
        - ``"labels"`` and a DataFrame ``label``, ``logit``, for `MonoT5` and `Generative`: the two logits that are compared.

        None for other rankers: their score is one logit.
    """
    if isinstance(ranker, Splade):
        return "terms", ranker.terms(query, doc)
    if isinstance(ranker, ColBERT):
        return "max_sim", ranker.max_sim_matrix(query, doc)
    if isinstance(ranker, Dot):
        return "dimensions", _dimensions(ranker, query, doc)
    if isinstance(ranker, Prompted):
        return "labels", _labels(ranker, query, doc)
    return None


def _dimensions(ranker: Dot, query: str, doc: str) -> pd.DataFrame:
    (inputs,) = ranker.checked_inputs([(query, doc)])
    with torch.no_grad():
        vectors = [ranker.vectors([inputs], stack)[0].cpu() for stack in ("query", "doc")]
    columns = {"query": vectors[0].numpy(), "doc": vectors[1].numpy(), "score": (vectors[0] * vectors[1]).numpy()}
    return pd.DataFrame({"dimension": range(len(vectors[0])), **columns})


def _labels(ranker: Prompted, query: str, doc: str) -> pd.DataFrame:
    (inputs,) = ranker.checked_inputs([(query, doc)])
    stack = ranker.stacks[-1]
    with torch.no_grad():
        logits = ranker.label_logits(*ranker.encode([inputs], stack))[0].cpu().numpy()
    return pd.DataFrame({"label": list(map(str, ranker.labels)), "logit": logits})
