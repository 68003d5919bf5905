"""MonoT5: a sequence-to-sequence reranker, scored at the decoder's first step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from mechviz.errors import InputError
from mechviz.rankers.checks import Inputs
from mechviz.rankers.conventions import Opened
from mechviz.rankers.families import Family
from mechviz.rankers.prompted import Prompted
from mechviz.rankers.readout import Readout

PROMPT = "Query: {query} Document: {doc} Relevant:"

#: Label tokens for and against relevance of the published checkpoints, by a pattern of their name without the
#: organisation, as pygaggle (castorini/pygaggle, rerank/transformer.py) and rerankers list them.
LABELS: dict[str, tuple[str, str]] = {
    r"monot5|inranker": ("▁true", "▁false"),
    r"mt5-(3b|13b)-mmarco": ("▁true", "▁"),
    r"mt5-base-.*(msmarco|mmarco)": ("▁yes", "▁no"),
    r"ptt5-base-.*msmarco": ("▁sim", "▁não"),
    r"monoptt5": ("▁Sim", "▁Não"),
}


class MonoT5(Prompted):
    """A T5 or mT5 reranker: the score is made of two label tokens' logits at decoder step 0 (Nogueira et al. 2020).

    Activations can be patched in three stacks: ``encoder``, ``decoder`` (its self-attention) and ``cross`` (the
    decoder's attention to the encoder).

    Parameters
    ----------
    name : str or PreTrainedModel
        A local directory, a hub id, or a ``T5ForConditionalGeneration`` (then give ``tokenizer``).
    prompt : str, optional
        With the fields ``{query}`` and ``{doc}``. Default: that of MonoT5 and mMARCO,
        ``"Query: {query} Document: {doc} Relevant:"``.
    labels : (str or int, str or int), optional
        The tokens for and against relevance. Default: those of the known checkpoints (``true`` and ``false``; ``yes``
        and ``no`` for mMARCO's mT5), and ``true`` and ``false`` for any other T5.
    score : ``"log_softmax"`` (default), ``"logit"`` or ``"difference"``
        The log-probability of the first label among the two, its raw logit, or the difference of both logits.
    **options
        ``tokenizer``, ``max_length``, ``device`` (such as ``"cuda"``), ``dtype`` (``"bfloat16"``, ``"float16"``); see
        `mechviz.rankers.opening.Options`.

    Raises
    ------
    InputError
        Labels that are not one token, a prompt without its fields, an mT5 whose labels are not known.
    UnsupportedModelError
        Another class.
    MechvizError
        Weights or tokenizer are missing or do not fit.
    """

    kind = "MonoT5"
    default_score = "log_softmax"

    @staticmethod
    @override
    def classes(family: Family) -> Sequence[str]:
        return () if family.causal else tuple(family.generative)

    @override
    def known(self, opened: Opened, prompt: bool, labels: bool) -> tuple[str, Any]:
        found = known_labels(*opened.names)
        if found is not None and not set(found) <= self.tokenizer.get_vocab().keys():
            found = None  # of that name, with a vocabulary of its own
        if found is None and opened.model.config.model_type == "t5":
            found = ("true", "false")
        if found is None and labels:
            raise InputError(
                f"{opened.label}: the label tokens of this mT5 are not known; say them: labels=('yes', 'no') for those "
                "trained on mMARCO"
            )
        return PROMPT, found

    @override
    def stack(self, name: str) -> Any:
        return self.hooked.stacks[name]

    @override
    def text_of(self, stack: str) -> str:
        return "encoder"

    @override
    def encode(self, batch: Sequence[Inputs], stack: str) -> tuple[Tensor, Tensor]:
        with self.running(stack):
            hidden, mask = super().encode(batch, "encoder")
            if stack == "encoder":
                return hidden, mask
            decoded = self.decode(hidden, mask)
            return decoded, torch.ones_like(decoded[..., 0], dtype=torch.bool)

    def decode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the decoder's last hidden state at step 0, dims (row, 1, d_model)."""
        start = self.model.config.decoder_start_token_id
        ids = torch.full((len(hidden), 1), 0 if start is None else int(start), device=hidden.device)
        mask = mask.expand(len(hidden), -1).long()
        with self.running("decoder"):
            decoder: Any = self.stack("decoder").runner
            output = decoder(input_ids=ids, encoder_hidden_states=hidden, encoder_attention_mask=mask, use_cache=False)
        return output.last_hidden_state  # type: ignore[no-any-return]

    @override
    def readout(self, stack: str, inputs: Inputs) -> Readout:
        labels = self.label_readout()
        return _Decode(self, labels) if stack == "encoder" else labels


class _Decode(Readout):
    """From the encoder's last hidden state, through the decoder."""

    def __init__(self, ranker: MonoT5, labels: Readout) -> None:
        self.ranker, self.labels = ranker, labels

    def __call__(self, hidden: Tensor, reads: Tensor) -> Tensor:
        decoded = self.ranker.decode(hidden, reads)
        return self.labels(decoded, torch.ones_like(decoded[..., 0], dtype=torch.bool))


def known_labels(*names: str) -> tuple[str, str] | None:
    """Return the label tokens of a published checkpoint, by any of its names; None where none is known."""
    for name in (name.rstrip("/").rpartition("/")[2].lower() for name in names):
        for pattern, labels in LABELS.items():
            if re.match(pattern, name):
                return labels
    return None
