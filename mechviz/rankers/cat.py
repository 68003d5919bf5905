"""Cat: the cross-encoder, which reads query and document in one sequence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from typing_extensions import override

from mechviz.errors import UnsupportedModelError
from mechviz.rankers.checkpoint import load_model, load_tokenizer, open_checkpoint
from mechviz.rankers.encoder import supported
from mechviz.rankers.families import Head
from mechviz.rankers.ranker import Inputs, Ranker, Readout
from mechviz.rankers.tokenize import tokenize
from mechviz.text.tokens import Tokens


class Cat(Ranker):
    """A cross-encoder with a sequence-classification head.

    One label scores its raw logit (no sigmoid), two labels ``logit[1] - logit[0]``.

    Parameters
    ----------
    name : str or PreTrainedModel
        A local directory, a hub id, or a model with a classification head (then give ``tokenizer``).
    tokenizer : PreTrainedTokenizerBase, optional
        Default: the checkpoint's own.
    max_length : int, optional
        Lowers the limit on tokens.

    Raises
    ------
    UnsupportedModelError
        A class without a family file, a checkpoint without a classification head, or one with three labels or more.
    MechvizError
        Weights or tokenizer are missing or do not fit.
    """

    kind = "Cat"
    stacks = ("encoder",)

    def __init__(
        self, name: str | PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None = None, max_length: int | None = None
    ) -> None:
        if isinstance(name, PreTrainedModel):
            model, label = name, type(name).__name__
        else:
            checkpoint = open_checkpoint(name)
            label = checkpoint.label
            if checkpoint.architecture not in checkpoint.family.heads:
                raise UnsupportedModelError(
                    f"{name} was saved as {checkpoint.architecture}, which has no classification head: "
                    f"its score would be random. Cat opens {', '.join(checkpoint.family.heads)}; for an encoder use mv.Dot"
                )
            model = load_model(checkpoint, checkpoint.architecture)
            tokenizer = load_tokenizer(checkpoint) if tokenizer is None else tokenizer
        super().__init__(label, model, tokenizer, max_length)
        heads = self.encoder.family.heads
        if type(model).__name__ not in heads:
            raise UnsupportedModelError(
                f"{type(model).__name__} has no classification head; mechviz opens {', '.join(supported())}"
            )
        self._head = heads[type(model).__name__]
        self.n_labels = int(model.config.num_labels or 0)
        if self.n_labels not in (1, 2):
            raise UnsupportedModelError(
                f"{label} has {self.n_labels} labels, and which of them means relevance cannot be known; "
                "Cat takes one label (its logit) or two (logit[1] - logit[0])"
            )

    @override
    def tokenize(self, query: str, doc: str) -> dict[str, Tokens]:
        return {"encoder": tokenize(self.tokenizer, ("query", query), ("doc", doc))}

    @override
    def stack_of(self, side: str) -> str:
        return "encoder"

    @override
    def score_inputs(self, batch: Sequence[Inputs]) -> Tensor:
        return self.readout("encoder", {})(*self.encode([inputs["encoder"] for inputs in batch]))

    @override
    def readout(self, stack: str, others: Inputs) -> Readout:
        return _Classify(self.model, self._head)

    @override
    def describe(self) -> str:
        return ", score=logit" if self.n_labels == 1 else ", score=logit[1] - logit[0]"


class _Classify(Readout):
    def __init__(self, model: nn.Module, head: Head) -> None:
        self.modules = [model.get_submodule(path) for path in head.modules]
        self.position = head.reads

    def __call__(self, hidden: Tensor, mask: Tensor) -> Tensor:
        for module in self.modules:
            hidden = module(hidden)
        logits = hidden.float()
        return logits[:, 0] if logits.shape[1] == 1 else torch.diff(logits, dim=1)[:, 0]
