"""From a text to `Tokens`: what the tokenizer says of each position, kept."""

from __future__ import annotations

import numpy as np
from transformers import PreTrainedTokenizerBase

from mechviz.text.tokens import Tokens


def tokenize(tokenizer: PreTrainedTokenizerBase, first: tuple[str, str], second: tuple[str, str] | None = None) -> Tokens:
    """Tokenise one text, or two as a pair, at full length.

    Parameters
    ----------
    tokenizer : a fast tokenizer
    first, second : (segment, text)
        For example ``("query", "what is a caldera")``.
    """
    parts = [first] if second is None else [first, second]
    # verbose=False: a long text is our error to raise, not the tokenizer's warning to print
    encoding = tokenizer(*(text for _, text in parts), return_offsets_mapping=True, truncation=False, verbose=False)
    ids = np.array(encoding["input_ids"], dtype=np.int64)
    owner = encoding.sequence_ids()
    words = encoding.word_ids()
    strings = tuple(tokenizer.convert_ids_to_tokens(ids.tolist()))
    special = {tokenizer.cls_token_id: "cls", tokenizer.bos_token_id: "cls"}
    segments, labels, offsets = [], [], []
    for position, part in enumerate(owner):
        start, end = encoding["offset_mapping"][position]
        if part is None:
            segments.append(special.get(int(ids[position]), "sep"))
        else:
            segments.append(parts[part][0])
        own = part is not None and end > start
        labels.append(parts[part][1][start:end] if own else strings[position])
        offsets.append((start, end) if own else (-1, -1))
    return Tokens(
        ids=ids,
        strings=strings,
        labels=tuple(labels),
        offsets=np.array(offsets, dtype=np.int64).reshape(-1, 2),
        words=np.array([-1 if word is None else word for word in words], dtype=np.int64),
        segments=tuple(segments),
        # What the tokenizer leaves out, the model takes as zeros: that is the score that its authors got.
        types=np.array(encoding.get("token_type_ids", np.zeros_like(ids)), dtype=np.int64),
        mask=np.array(encoding.get("attention_mask", np.ones_like(ids)), dtype=bool),
        fillers=np.zeros(len(ids), dtype=bool),
    )
