"""From texts to `Tokens`: what the tokenizer says of each position, kept, and whose text each position is."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text.tokens import Tokens

#: One sequence as its parts in order: (segment, text), for example ``("query", "what is a caldera")``.
Parts = Sequence[tuple[str, str]]

#: What a prompt must hold for a ranker that reads query and document in one sequence.
PAIR_FIELDS = ("query", "doc")


def tokenize(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[Parts]]) -> list[Tokens]:
    """Tokenise rows of one sequence, or of two as a pair, at full length.

    Parameters
    ----------
    tokenizer : a fast tokenizer
    rows : sequence of rows, each of one or two `Parts`
        All rows have equally many.
    """
    if not rows:
        return []
    columns = [["".join(text for _, text in parts) for parts in column] for column in zip(*rows, strict=True)]
    # verbose=False: a long text is our error to raise, not the tokenizer's warning to print
    batch = tokenizer(*columns, return_offsets_mapping=True, padding=False, truncation=False, verbose=False)
    # What the tokenizer leaves out, the model takes as zeros: that is the score that its authors got.
    typed = "token_type_ids" in batch
    special = {tokenizer.cls_token_id: "cls", tokenizer.bos_token_id: "cls"}
    return [_tokens(encoding, row, special, typed) for encoding, row in zip(batch.encodings or [], rows, strict=True)]


def parse_prompt(prompt: object, fields: Sequence[str] = PAIR_FIELDS) -> list[tuple[str, str | None]]:
    """Cut a prompt at its fields.

    Returns
    -------
    list of (segment, text)
        ``("prompt", text)``, or a field's name with None where a text of the user's goes.

    Raises
    ------
    InputError, InputTypeError
        No string, a field that is missing, comes twice or is not known, or a lone brace.
    """
    example = "'Query: {query} Document: {doc} Relevant:'"
    if not isinstance(prompt, str):
        raise InputTypeError(f"a prompt is a string such as {example}, not {shown(prompt)}")
    pieces: list[tuple[str, str | None]] = []
    try:
        for text, field, form, conversion in string.Formatter().parse(prompt):
            if text:
                pieces.append(("prompt", text))
            if form or conversion:
                raise ValueError(f"a field has no format, but {field!r} has")
            if field is not None:
                pieces.append((field, None))
    except ValueError as error:
        raise InputError(f"the prompt {shown(prompt)} cannot be read ({error}); write a brace that is text twice") from error
    found = [name for name, text in pieces if text is None]
    if sorted(found) != sorted(fields):
        raise InputError(
            f"the prompt {shown(prompt)} has the fields {found or 'none'}; it must hold "
            f"{' and '.join(f'{{{name}}}' for name in fields)} once each, for example {example}"
        )
    return pieces


def fill_prompt(pieces: Sequence[tuple[str, str | None]], **texts: str) -> Parts:
    """Put texts into the fields of a prompt that `parse_prompt` cut."""
    return [(name, texts[name] if text is None else text) for name, text in pieces]


def add_position(tokens: Tokens, at: int, token_id: int, token: str, masked: bool = False, count: int = 1) -> Tokens:
    """Return a sequence with ``count`` positions of the ranker's own (segment ``prompt``) before position ``at``."""

    def wider(values: tuple[str, ...], new: str) -> tuple[str, ...]:
        return (*values[:at], *[new] * count, *values[at:])

    arrays = {"ids": token_id, "words": -1, "types": 0, "mask": not masked, "fillers": False, "offsets": -1}
    fields: dict[str, Any] = {
        name: np.insert(getattr(tokens, name), [at] * count, value, axis=0) for name, value in arrays.items()
    }
    fields |= {"strings": wider(tokens.strings, token), "labels": wider(tokens.labels, token)}
    return replace(tokens, **fields, segments=wider(tokens.segments, "prompt"))


def stacked(arrays: Sequence[NDArray[Any]], pad: int, device: torch.device) -> Tensor:
    """Return rows of unequal length as one int64 tensor, padded on the right."""
    rows = np.full((len(arrays), max(map(len, arrays))), pad, dtype=np.int64)
    for row, array in zip(rows, arrays, strict=True):
        row[: len(array)] = array
    return torch.as_tensor(rows, device=device)


def _tokens(encoding: Any, row: Sequence[Parts], special: dict[int | None, str], typed: bool) -> Tokens:
    ids = np.array(encoding.ids, dtype=np.int64)
    segments, labels, offsets = [], [], []
    sequences = [_Sequence(parts) for parts in row]
    for spelled, token_id, owner, span in zip(
        encoding.tokens, encoding.ids, encoding.sequence_ids, encoding.offsets, strict=True
    ):
        if owner is None:
            segments.append(special.get(token_id, "sep"))
            labels.append(spelled)
            offsets.append((-1, -1))
            continue
        # T5 writes `a` as two tokens over one character: the first is the space before it.
        segment, start, end, label = sequences[owner].find(span[0], span[0] if spelled == "▁" else span[1])
        segments.append(segment)
        labels.append(label or " ")
        offsets.append((start, end))
    return Tokens(
        ids=ids,
        strings=tuple(encoding.tokens),
        labels=tuple(labels),
        offsets=np.array(offsets, dtype=np.int64).reshape(-1, 2),
        words=_words(encoding.word_ids, segments, offsets, row),
        segments=tuple(segments),
        types=np.array(encoding.type_ids if typed else np.zeros_like(ids), dtype=np.int64),
        mask=np.ones(len(ids), dtype=bool),
        fillers=np.zeros(len(ids), dtype=bool),
    )


class _Sequence:
    """The parts of one sequence, and whose text a span of its characters is."""

    def __init__(self, parts: Parts) -> None:
        self.text = "".join(text for _, text in parts)
        self.parts = [segment for segment, _ in parts]
        self.ends = list(accumulate(len(text) for _, text in parts))
        self.starts = [0, *self.ends[:-1]]

    def find(self, start: int, end: int) -> tuple[str, int, int, str]:
        """Return segment, start and end within its text, and the characters of a token; of white space alone, none."""
        part = self._part(min(start, len(self.text) - 1))
        while start < end and self.text[start].isspace():  # some tokenizers count the space before a word to it
            start += 1
        if start < end:
            part = self._part(start)
            if self.parts[part] == "prompt":  # a token over its border belongs to the user's text: none of that is lost
                part = self._part(end - 1)
        at = self.starts[part]
        start, end = (min(max(position, at), self.ends[part]) for position in (start, end))
        if self.parts[part] == "prompt":
            at = 0  # the text that the ranker wrote is the whole sequence
        return self.parts[part], start - at, end - at, self.text[start:end]

    def _part(self, position: int) -> int:
        return next(i for i, end in enumerate(self.ends) if position < end)


def _words(
    word_ids: Sequence[int | None], segments: Sequence[str], offsets: Sequence[tuple[int, int]], row: Sequence[Parts]
) -> NDArray[np.int64]:
    """Return the index of each position's word within its segment's text, -1 where there is none."""
    words = np.array([-1 if word is None else word for word in word_ids], dtype=np.int64)
    for segment, text in (part for parts in row for part in parts):
        mine = np.array([s == segment for s in segments]) & (words >= 0)
        if not mine.any() or segment == "prompt":
            continue
        if len(set(words[mine])) == 1 and len(text.split()) > 1:  # a tokenizer that does not cut at words first
            words[mine] = [len(text[: max(start, 0) + 1].split()) - 1 for start, _ in np.array(offsets)[mine]]
        words[mine] -= words[mine].min()
    return words
