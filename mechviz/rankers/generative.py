"""Generative: a decoder-only reranker, scored at the last position of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from mechviz.errors import InputError
from mechviz.rankers.checks import Inputs
from mechviz.rankers.conventions import Opened
from mechviz.rankers.families import Family
from mechviz.rankers.prompted import Prompted
from mechviz.rankers.readout import Readout

INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"

#: Qwen3-Reranker (Zhang et al. 2025), as its model card has it.
QWEN3_RERANKER = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    f"<Instruct>: {INSTRUCTION}\n<Query>: {{query}}\n<Document>: {{doc}}"
    "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
)


class Generative(Prompted):
    """A decoder-only reranker: the score is the difference of two label tokens' logits at the end of a prompt.

    Parameters
    ----------
    name : str, PreTrainedModel or CrossEncoder
        A local directory, a hub id, or a model that predicts the next token (then give ``tokenizer``).
    prompt : str, optional
        With the fields ``{query}`` and ``{doc}``. Default: that of Qwen3-Reranker for checkpoints of this name, or the
        checkpoint's own chat template where it has roles for query and document.
    labels : (str or int, str or int), optional
        The tokens for and against relevance. Default: ``yes`` and ``no`` for Qwen3-Reranker, or what the checkpoint's
        files say.
    score : ``"difference"`` (default), ``"logit"`` or ``"log_softmax"``
    **options
        ``tokenizer``, ``max_length``, ``device`` (such as ``"cuda"``), ``dtype`` (``"bfloat16"``, ``"float16"``); see
        `mechviz.rankers.opening.Options`.

    Raises
    ------
    InputError
        A checkpoint that does not say its prompt or labels; labels that are not one token; a prompt without its fields.
    UnsupportedModelError
        Another class.
    MechvizError
        Weights or tokenizer are missing or do not fit.
    """

    kind = "Generative"
    default_score = "difference"

    @staticmethod
    @override
    def classes(family: Family) -> Sequence[str]:
        return tuple(family.generative) if family.causal else ()

    @override
    def known(self, opened: Opened, prompt: bool, labels: bool) -> tuple[str, Any]:
        qwen = named_qwen3_reranker(*opened.names)
        known_prompt = template_prompt(self.tokenizer, opened.said.instruction) or (QWEN3_RERANKER if qwen else None)
        known_labels = opened.said.labels or (("yes", "no") if qwen else None)
        for needed, known, word, example in (
            (prompt, known_prompt, "prompt", "prompt='Query: {query} Document: {doc} Relevant:'"),
            (labels, known_labels, "labels", "labels=('yes', 'no')"),
        ):
            if needed and known is None:
                raise InputError(
                    f"{opened.label} does not say its {word}; give the one that it was trained with, such as {example}"
                )
        return known_prompt or "", known_labels

    @override
    def readout(self, stack: str, inputs: Inputs) -> Readout:
        return self.label_readout()


def named_qwen3_reranker(*names: str) -> bool:
    """Return whether one of a checkpoint's names is that of Qwen3-Reranker."""
    return any(name.rstrip("/").rpartition("/")[2].lower().startswith("qwen3-reranker") for name in names)


def template_prompt(tokenizer: Any, instruction: str | None = None) -> str | None:
    """Return the prompt of a chat template that has roles for query and document, None where there is no such template.

    ``instruction`` goes where the template puts what the system says.
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    marks = ("\ue000", "\ue001")  # characters that no template holds

    def rendered(*roles: str) -> str:
        messages = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
        system = [] if instruction is None else [{"role": "system", "content": instruction}]
        try:
            return str(tokenizer.apply_chat_template([*system, *messages], tokenize=False))
        except Exception:  # a template of another kind raises whatever it likes
            return ""

    text = rendered("query", "document")
    # A template of a conversation prints whatever role it is given; these two it must know.
    if any(text.count(mark) != 1 for mark in marks) or any(mark in rendered("role a", "role b") for mark in marks):
        return None
    escaped = text.replace("{", "{{").replace("}", "}}")
    return escaped.replace(marks[0], "{query}").replace(marks[1], "{doc}")
