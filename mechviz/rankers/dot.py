"""Dot: the bi-encoder, which reads query and document apart and compares two vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel
from typing_extensions import override

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.rankers.checks import Inputs
from mechviz.rankers.conventions import Said
from mechviz.rankers.families import Family
from mechviz.rankers.opening import Options, open_model
from mechviz.rankers.pooling import POOLINGS
from mechviz.rankers.readout import Readout
from mechviz.rankers.towers import TwoTexts
from mechviz.text.tokens import Tokens


class Dot(TwoTexts):
    """A bi-encoder: the score is the dot product of the pooled query and the pooled document.

    Parameters
    ----------
    name : str, PreTrainedModel or SentenceTransformer
        A local directory, a hub id, or a model without a head (then give ``tokenizer``), of the document where
        ``query_name`` is given.
    pooling : ``"cls"``, ``"mean"`` (over positions that are not masked), ``"max"`` or ``"last"``, optional
        Default: what the sentence-transformers files of the checkpoint say; required where there are none.
    normalize : bool, optional
        Whether vectors are scaled to length 1, which makes the score a cosine. Default likewise.
    query_prefix, doc_prefix : str, optional
        Put before each text (``"query: "`` and ``"passage: "`` for E5). Default: the checkpoint's prompts for
        ``query`` and for ``document``, ``passage`` or ``corpus``.
    query_name : str or PreTrainedModel, optional
        A second model for queries.
    **options
        ``tokenizer``, ``max_length``, ``device`` (such as ``"cuda"``), ``dtype`` (``"bfloat16"``, ``"float16"``); see
        `mechviz.rankers.opening.Options`.

    Raises
    ------
    InputError
        The checkpoint does not say how it pools and ``pooling`` was not given.
    UnsupportedModelError
        A class without a family file, or sentence-transformers modules that mechviz does not have.
    MechvizError
        Weights or tokenizer are missing or do not fit.
    """

    kind = "Dot"

    def __init__(
        self,
        name: str | PreTrainedModel,
        pooling: str | None = None,
        normalize: bool | None = None,
        query_prefix: str | None = None,
        doc_prefix: str | None = None,
        query_name: str | PreTrainedModel | None = None,
        **options: Unpack[Options],
    ) -> None:
        opened = open_model(name, self.kind, _classes, options)
        query = None if query_name is None else open_model(query_name, self.kind, _classes, options)
        said = opened.said
        super().__init__(opened, query, options.get("max_length"))
        if query is not None and query.model.config.hidden_size != opened.model.config.hidden_size:
            raise InputError("the two models make vectors of different sizes; their dot product is not defined")
        self.pooling = _pooling(pooling, said, self.name)
        self.normalize = bool(said.normalize) if normalize is None else normalize
        self.prefixes = {
            "query": _prefix("query_prefix", query_prefix, (query or opened).said.query_prefix),
            "doc": _prefix("doc_prefix", doc_prefix, said.doc_prefix),
        }
        self.include_prompt = said.include_prompt
        self.extra = nn.ModuleList(said.projections).to(opened.model.device)

    @override
    def reads(self, stack: str, tokens: Tokens) -> NDArray[np.bool_]:
        if self.include_prompt or not self.prefixes[stack]:
            return tokens.mask
        # As sentence-transformers does it, the special token before the prompt is left out with it.
        reads: NDArray[np.bool_] = tokens.mask & (np.arange(len(tokens)) >= tokens.positions(stack)[0])
        return reads

    @override
    def readout(self, stack: str, inputs: Inputs) -> Readout:
        other = "doc" if stack == "query" else "query"
        with torch.no_grad():
            return _Compare(self, self.vectors([inputs], other)[0])

    @override
    def represent(self, hidden: Tensor, reads: Tensor, stack: str) -> Tensor:
        """Return one vector a row, dims (row, d_model); float32."""
        pooled = POOLINGS[self.pooling](hidden.float(), reads)
        for layer in self.extra:
            pooled = layer(pooled)
        return nn.functional.normalize(pooled, dim=-1) if self.normalize else pooled

    @override
    def compare(self, queries: Tensor, docs: Tensor, batch: Sequence[Inputs]) -> Tensor:
        return (queries * docs).sum(-1)

    @override
    def describe(self) -> str:
        prefixes = "".join(f", {side}_prefix={prefix!r}" for side, prefix in self.prefixes.items() if prefix)
        towers = ", two models" if len(set(self.towers.values())) > 1 else ""
        dense = f", {len(self.extra)} projection{'s' if len(self.extra) > 1 else ''}" if len(self.extra) else ""
        score = "cosine" if self.normalize else "dot product"
        return f", pooling={self.pooling!r}{dense}{prefixes}{towers}, score={score}"


class _Compare(Readout):
    def __init__(self, ranker: Dot, other: Tensor) -> None:
        self.ranker, self.other = ranker, other
        self.position = 0 if ranker.pooling == "cls" else None

    def __call__(self, hidden: Tensor, reads: Tensor) -> Tensor:
        return self.ranker.represent(hidden, reads, "doc") @ self.other


def _classes(family: Family) -> tuple[str, ...]:
    return (family.base,)


def _pooling(given: str | None, said: Said, label: str) -> str:
    pooling = given or said.pooling
    if pooling not in POOLINGS:
        raise InputError(
            f"pooling={pooling!r}: {label} "
            + ("does not say how it pools" if pooling is None else "cannot be pooled so")
            + f"; pass pooling= one of {', '.join(map(repr, POOLINGS))}"
        )
    return pooling


def _prefix(name: str, given: object, said: str) -> str:
    if given is not None and not isinstance(given, str):
        raise InputTypeError(f"{name} must be a string, not {shown(given)}")
    return said if given is None else given
