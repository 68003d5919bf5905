"""What rankers share that score a prompt by the logits of two label tokens: MonoT5 and Generative."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor
from transformers import PreTrainedModel
from typing_extensions import override

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.rankers.conventions import Opened
from mechviz.rankers.families import Family
from mechviz.rankers.heads import TermLogits
from mechviz.rankers.opening import Options, open_model
from mechviz.rankers.pooling import last
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.readout import Readout
from mechviz.rankers.tokenize import fill_prompt, parse_prompt, tokenize
from mechviz.text.tokens import Tokens

#: Each takes logits of the labels for and against relevance, dims (row, 2), and gives scores, dims (row).
SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "log_softmax": lambda logits: torch.log_softmax(logits, dim=-1)[:, 0],
    "logit": lambda logits: logits[:, 0],
    "difference": lambda logits: logits[:, 0] - logits[:, 1],
}


class Prompted(Ranker):
    """A ranker that reads a prompt with both texts in it and weighs two label tokens against each other."""

    default_score: ClassVar[str]

    def __init__(
        self,
        name: str | PreTrainedModel,
        prompt: str | None = None,
        labels: tuple[str | int, str | int] | None = None,
        score: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        opened = open_model(name, self.kind, self.classes, options)
        super().__init__(opened, None, options)
        known_prompt, known_labels = self.known(opened, prompt is None, labels is None)
        self.prompt = known_prompt if prompt is None else prompt
        self._pieces = parse_prompt(self.prompt)
        self.label_ids = label_ids(self.tokenizer, known_labels if labels is None else labels)
        self.labels = tuple(self.tokenizer.convert_ids_to_tokens(list(self.label_ids)))
        self.score_name = self.default_score if score is None else score
        if self.score_name not in SCORES:
            raise InputError(f"score={shown(score)}; it is one of {', '.join(map(repr, SCORES))}")

    @staticmethod
    @abstractmethod
    def classes(family: Family) -> Sequence[str]:
        """Return the names of the classes that make such a score."""

    @abstractmethod
    def known(self, opened: Opened, prompt: bool, labels: bool) -> tuple[str, Any]:
        """Return the prompt and the labels of a checkpoint that is known; those that were not given are needed."""

    @override
    def tokenize_all(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Tokens]]:
        rows = [[fill_prompt(self._pieces, query=query, doc=doc)] for query, doc in pairs]
        return [{self.stacks[0]: tokens} for tokens in tokenize(self.tokenizer, rows)]

    def label_readout(self) -> Readout:
        """Return how a hidden state at the position that predicts the label becomes the score."""
        return Labels(self._label_logits(), SCORES[self.score_name])

    def label_logits(self, hidden: Tensor, reads: Tensor) -> Tensor:
        """Return the logits of the labels for and against relevance, dims (row, 2), from the last stack's hidden state."""
        return self._label_logits()(last(hidden, reads))

    def _label_logits(self) -> TermLogits:
        head = self.hooked.family.generative[type(self.model).__name__]
        ids = torch.tensor(self.label_ids, device=self.model.device)
        return TermLogits(self.model, head, ids)

    @override
    def describe(self) -> str:
        yes, no = self.labels
        score = {"log_softmax": f"log-softmax of {yes!r} over {no!r}", "logit": f"logit of {yes!r}"}
        return f", prompt={shown(self.prompt)}, score={score.get(self.score_name, f'logit {yes!r} - {no!r}')}"


class Labels(Readout):
    """The score of the last position that is read."""

    def __init__(self, logits: TermLogits, score: Callable[[Tensor], Tensor]) -> None:
        self.logits, self.score = logits, score

    def __call__(self, hidden: Tensor, reads: Tensor) -> Tensor:
        """Return the scores, dims (row)."""
        return self.score(self.logits(last(hidden, reads)))


def label_ids(tokenizer: Any, labels: object) -> tuple[int, int]:
    """Return the token ids of the labels for and against relevance.

    A label is a word that is one token, a vocabulary entry (``"▁true"``), or a token id.

    Raises
    ------
    InputError, InputTypeError
        Not two labels, or a label that is not one token of this tokenizer.
    """
    example = "give two, for and against relevance: labels=('true', 'false')"
    if not isinstance(labels, (tuple, list)) or any(isinstance(x, bool) or not isinstance(x, (str, int)) for x in labels):
        raise InputTypeError(f"labels={shown(labels)} must be words or token ids; {example}")
    if len(labels) != 2:
        raise InputError(f"labels={shown(labels)}; {example}")
    ids = [_label_id(tokenizer, label) for label in labels]
    if ids[0] == ids[1]:
        raise InputError(f"labels={shown(labels)} are the same token; {example}")
    return ids[0], ids[1]


def _label_id(tokenizer: Any, label: str | int) -> int:
    vocabulary = tokenizer.get_vocab()
    if isinstance(label, int):
        if not 0 <= label < len(tokenizer):
            raise InputError(f"the label {label} is no token id of this tokenizer, which has {len(tokenizer)} tokens")
        return label
    if label.startswith("▁") and label in vocabulary:
        return int(vocabulary[label])
    ids = tokenizer(label, add_special_tokens=False)["input_ids"]
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        pieces = tokenizer.convert_ids_to_tokens(ids)
        raise InputError(f"the label {label!r} must be one token of this tokenizer, but it is {pieces}; choose another word")
    return int(ids[0])
