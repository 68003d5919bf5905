"""Dot: the bi-encoder, which reads query and document apart and compares two vectors."""

from __future__ import annotations

from typing import Unpack, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel
from typing_extensions import override

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.rankers.checks import Inputs
from mechviz.rankers.conventions import Said, width_of
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
        A second model for queries, with the settings of its own checkpoint; ``query_tokenizer`` goes with a model.
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
        query = None if query_name is None else open_model(query_name, self.kind, _classes, options, query=True)
        super().__init__(opened, query, options)
        if normalize is not None and not isinstance(normalize, bool):
            raise InputTypeError(f"normalize must be True or False, not {shown(normalize)}")
        said = {"query": (query or opened).said, "doc": opened.said}
        self.poolings = {side: _pooling(pooling, one, self.name) for side, one in said.items()}
        self.normalize = bool(opened.said.normalize) if normalize is None else normalize
        if normalize is None and bool(said["query"].normalize) != self.normalize:
            raise InputError(
                "one of the two models says that its vectors are scaled to length 1, the other does not: pass normalize="
            )
        self.prefixes = {
            "query": _prefix("query_prefix", query_prefix, said["query"].query_prefix),
            "doc": _prefix("doc_prefix", doc_prefix, said["doc"].doc_prefix),
        }
        self._pools_prompt = {side: one.include_prompt for side, one in said.items()}
        layers = {side: nn.ModuleList(one.projections).to(opened.model.device) for side, one in said.items()}
        self.extra = nn.ModuleDict(layers)
        sizes = {side: width_of(self.towers[side].model, layers[side], self.name) for side in said}
        if sizes["query"] != sizes["doc"]:
            raise InputError(f"the two models make vectors of other sizes: {sizes}")

    def _layers(self, side: str) -> nn.ModuleList:
        return cast(nn.ModuleList, cast(nn.ModuleDict, self.extra)[side])

    @property
    def pooling(self) -> str:
        """How vectors are pooled; of the document where two models pool differently."""
        return self.poolings["doc"]

    @override
    def reads(self, stack: str, tokens: Tokens) -> NDArray[np.bool_]:
        if self._pools_prompt[stack] or not self.prefixes[stack]:
            return tokens.mask
        # As sentence-transformers does it, the special token before the prompt is left out with it.
        reads: NDArray[np.bool_] = tokens.mask & (np.arange(len(tokens)) >= tokens.positions(stack)[0])
        return reads

    @override
    def readout(self, stack: str, inputs: Inputs) -> Readout:
        return _Compare(self, stack, self.fixed(stack, inputs)[0])

    @override
    def represent(self, hidden: Tensor, reads: Tensor, stack: str) -> Tensor:
        """Return one vector a row, dims (row, d_model); float32."""
        pooled = POOLINGS[self.poolings[stack]](hidden.float(), reads)
        for layer in self._layers(stack):
            pooled = layer(pooled)
        return nn.functional.normalize(pooled, dim=-1) if self.normalize else pooled

    @override
    def describe(self) -> str:
        same = len(set(self.poolings.values())) == 1
        pooling = f"pooling={self.pooling!r}" if same else f"pooling={self.poolings}"
        n = len(self._layers("doc"))
        dense = f", {n} projection{'s' if n > 1 else ''}" if n else ""
        return f", {pooling}{dense}{self.describe_texts()}, score={'cosine' if self.normalize else 'dot product'}"


class _Compare(Readout):
    def __init__(self, ranker: Dot, stack: str, other: Tensor) -> None:
        self.ranker, self.stack, self.other = ranker, stack, other
        self.position = 0 if ranker.poolings[stack] == "cls" else None

    def __call__(self, hidden: Tensor, reads: Tensor) -> Tensor:
        return self.ranker.represent(hidden, reads, self.stack) @ self.other


def _classes(family: Family) -> tuple[str, ...]:
    return (family.base,)


def _pooling(given: str | None, said: Said, label: str) -> str:
    if given is not None and not isinstance(given, str):
        raise InputTypeError(f"pooling must be one of {', '.join(map(repr, POOLINGS))}, not {shown(given)}")
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
