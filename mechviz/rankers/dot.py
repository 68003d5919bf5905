"""Dot: the bi-encoder, which reads query and document apart and compares two vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from typing_extensions import override

from mechviz.errors import InputError, UnsupportedModelError
from mechviz.rankers.checkpoint import Checkpoint, load_model, load_tokenizer, open_checkpoint
from mechviz.rankers.ranker import Inputs, Ranker, Readout
from mechviz.rankers.tokenize import tokenize
from mechviz.text.tokens import Tokens

POOLINGS = ("cls", "mean")


class Dot(Ranker):
    """A bi-encoder: the score is the dot product of the pooled query and the pooled document.

    Parameters
    ----------
    name : str or PreTrainedModel
        A local directory, a hub id, or a model without a head (then give ``tokenizer``).
    pooling : ``"cls"`` or ``"mean"`` (over positions that are not masked), optional
        Default: what the sentence-transformers files of the checkpoint say; required where there are none.
    normalize : bool, optional
        Whether vectors are scaled to length 1, which makes the score a cosine. Default likewise.
    tokenizer : PreTrainedTokenizerBase, optional
        Default: the checkpoint's own.
    max_length : int, optional
        Lowers the limit on tokens.

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
    stacks = ("query", "doc")

    def __init__(
        self,
        name: str | PreTrainedModel,
        pooling: str | None = None,
        normalize: bool | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        max_length: int | None = None,
    ) -> None:
        said: dict[str, Any] = {}
        if isinstance(name, PreTrainedModel):
            model, label = name, type(name).__name__
        else:
            checkpoint = open_checkpoint(name)
            label = checkpoint.label
            said = read_sentence_transformers(checkpoint)
            model = load_model(checkpoint, checkpoint.family.base, add_pooling_layer=False)
            tokenizer = load_tokenizer(checkpoint) if tokenizer is None else tokenizer
        super().__init__(label, model, tokenizer, max_length)
        self.max_length = min(self.max_length, int(said.get("max_length") or self.max_length))
        if type(model).__name__ != self.encoder.family.base:
            raise UnsupportedModelError(
                f"Dot takes {self.encoder.family.base}, not {type(model).__name__}; for a classification head use mv.Cat"
            )
        pooling = pooling or said.get("pooling")
        if pooling not in POOLINGS:
            raise InputError(
                f"pooling={pooling!r}: {label} "
                + ("does not say how it pools" if pooling is None else "cannot be pooled so")
                + f"; pass pooling= one of {', '.join(map(repr, POOLINGS))}"
            )
        self.pooling = pooling
        self.normalize = bool(said.get("normalize", False)) if normalize is None else normalize

    @override
    def tokenize(self, query: str, doc: str) -> dict[str, Tokens]:
        return {side: tokenize(self.tokenizer, (side, text)) for side, text in (("query", query), ("doc", doc))}

    @override
    def stack_of(self, side: str) -> str:
        return side

    @override
    def score_inputs(self, batch: Sequence[Inputs]) -> Tensor:
        # Scoring one query against many documents is the common case: each different query is encoded once.
        different = list({inputs["query"].ids.tobytes(): inputs["query"] for inputs in batch}.items())
        row = {key: index for index, (key, _) in enumerate(different)}
        queries = self._vectors([tokens for _, tokens in different])
        docs = self._vectors([inputs["doc"] for inputs in batch])
        return (queries[[row[inputs["query"].ids.tobytes()] for inputs in batch]] * docs).sum(-1)

    @override
    def readout(self, stack: str, others: Inputs) -> Readout:
        with torch.no_grad():
            return _Compare(self, self._vectors([others["doc" if stack == "query" else "query"]])[0])

    def pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return one vector a row, dims (row, d_model); float32."""
        hidden = hidden.float()
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            weight = mask[..., None].to(hidden.dtype)
            pooled = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(pooled, dim=-1) if self.normalize else pooled

    @override
    def describe(self) -> str:
        return f", pooling={self.pooling!r}, score={'cosine' if self.normalize else 'dot product'}"

    def _vectors(self, batch: Sequence[Tokens]) -> Tensor:
        return self.pool(*self.encode(batch))


class _Compare(Readout):
    def __init__(self, ranker: Dot, other: Tensor) -> None:
        self.ranker, self.other = ranker, other
        self.position = 0 if ranker.pooling == "cls" else None

    def __call__(self, hidden: Tensor, mask: Tensor) -> Tensor:
        return self.ranker.pool(hidden, mask) @ self.other


def read_sentence_transformers(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what the sentence-transformers files of a checkpoint say of ``pooling``, ``normalize``, ``max_length``.

    Raises
    ------
    UnsupportedModelError
        A module, or a pooling, that mechviz does not have.
    """
    modules = checkpoint.read_json("modules.json")
    if modules is None:
        return {}
    more = checkpoint.read_json("config_sentence_transformers.json") or {}
    if any((more.get("prompts") or {}).values()):
        raise UnsupportedModelError(f"{checkpoint.name} puts prompts before its texts ({more['prompts']}); mechviz does not yet")
    said: dict[str, Any] = {"normalize": more.get("similarity_fn_name") == "cosine"}
    for module in modules:
        kind, path = str(module["type"]).rpartition(".")[2], module.get("path", "")
        if kind == "Transformer":
            said["max_length"] = (checkpoint.read_json("sentence_bert_config.json") or {}).get("max_seq_length")
        elif kind == "Pooling":
            said["pooling"] = _pooling(checkpoint, f"{path or '.'}/config.json")
        elif kind == "Normalize":
            said["normalize"] = True
        else:
            raise UnsupportedModelError(
                f"{checkpoint.name} has the sentence-transformers module {kind}; mechviz has no such step"
            )
    return said


def _pooling(checkpoint: Checkpoint, file: str) -> str:
    settings = checkpoint.read_json(file) or {}
    if "pooling_mode" in settings:  # the short form that newer sentence-transformers write
        chosen = [str(settings["pooling_mode"])]
    else:
        names = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
        chosen = [names.get(key, key) for key, on in settings.items() if key.startswith("pooling_mode_") and on]
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        raise UnsupportedModelError(
            f"{checkpoint.name} pools by {' and '.join(chosen) or 'nothing'}; mechviz has {', '.join(POOLINGS)}"
        )
    return chosen[0]
