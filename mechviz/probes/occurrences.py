"""Uses of words in texts: which are looked at, and what a layer holds at them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mechviz.probes.reading import Text, doc_of, read
from mechviz.rankers.ranker import Ranker
from mechviz.results.passages import Passage
from mechviz.text.tokens import Tokens
from mechviz.text.words import STOPWORDS, terms, words

#: The number of the layer that is the table of word embeddings.
STATIC = -1
#: Words of a context on either side.
_AROUND = 12


class Use(NamedTuple):
    """One occurrence of a word: the text's number, and its characters."""

    word: str
    text: int
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Bank:
    """Uses with their vectors.

    Attributes
    ----------
    uses : tuple of Use
    vectors : float32 array, dims (layer, use, feature)
    pieces : int64 array, dims (use)
        Tokens of each use, whose mean its vector is.
    """

    uses: tuple[Use, ...]
    vectors: NDArray[np.float32]
    pieces: NDArray[np.int64]


def sampled(texts: Sequence[Text], most: int, also: Collection[str] = (), seed: int = 0) -> list[Use]:
    """Choose uses of all words: at most so many a word, from as many texts as can be, in the order of the texts.

    Stopwords are left out, but for those in ``also``, and so are words that are in one text only, and copies of a text.
    """
    by_word: dict[str, list[Use]] = {}
    first: dict[Text, int] = {}
    for number, text in enumerate(texts):
        doc = doc_of(text)
        if first.setdefault(text, number) < number:
            continue
        for word, (start, end) in zip(terms(doc), words(doc), strict=True):
            if word not in STOPWORDS or word in also:
                by_word.setdefault(word, []).append(Use(word, number, start, end))
    random = np.random.default_rng(seed)
    found: list[Use] = []
    for word in sorted(by_word):
        own = by_word[word]
        if own[0].text != own[-1].text:
            found += _spread(own, most, random)
    return sorted(found, key=lambda use: (use.text, use.start))


def _spread(uses: list[Use], most: int, random: np.random.Generator) -> list[Use]:
    if len(uses) <= most:
        return uses
    seen: Counter[int] = Counter()
    ranked = []
    for at in random.permutation(len(uses)).tolist():
        ranked.append((seen[uses[at].text], at))
        seen[uses[at].text] += 1
    return [uses[at] for _, at in sorted(ranked, key=lambda pair: pair[0])[:most]]


def bank_of(
    ranker: Ranker, texts: Sequence[Text], uses: Sequence[Use], layers: Sequence[int], site: str, batch_size: int
) -> Bank:
    """Read what layers hold at uses; those that lie beyond what the ranker reads of a text are left out."""
    stack = ranker.stack_of("doc")
    part, tower = ranker.stack(stack), ranker.towers[stack]
    hooks = {layer: part.hook(layer, site) for layer in layers if layer != STATIC}
    embedding: Any = tower.model.get_input_embeddings()
    by_text: dict[int, list[int]] = {}
    for at, use in enumerate(uses):
        by_text.setdefault(use.text, []).append(at)
    chosen = sorted(by_text)
    vectors: dict[int, NDArray[np.float32]] = {}
    pieces = np.zeros(len(uses), dtype=np.int64)
    for one in read(ranker, [texts[number] for number in chosen], list(hooks.values()), batch_size):
        rows = dict(one.arrays)
        if STATIC in layers:
            with torch.no_grad():
                ids = torch.as_tensor(one.tokens.ids.copy(), device=embedding.weight.device)
                rows["static"] = embedding.weight[ids].float().cpu().numpy()
        for at in by_text[chosen[one.number]]:
            positions = positions_of(one.tokens, [(uses[at].start, uses[at].end)])
            pieces[at] = len(positions)
            for layer in layers if len(positions) else ():
                own = rows[hooks.get(layer, "static")][positions].mean(axis=0)
                if layer not in vectors:
                    vectors[layer] = np.empty((len(uses), len(own)), dtype=np.float32)
                vectors[layer][at] = own
    kept = np.flatnonzero(pieces)
    if not len(kept):
        return Bank((), np.empty((len(layers), 0, part.d_model), dtype=np.float32), pieces[kept])
    return Bank(tuple(uses[at] for at in kept.tolist()), np.stack([vectors[layer][kept] for layer in layers]), pieces[kept])


def positions_of(tokens: Tokens, spans: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Return the positions of the document that share a character with any of the spans, ascending."""
    own = tokens.positions("doc")
    starts, ends = tokens.offsets[own, 0], tokens.offsets[own, 1]
    inside = np.zeros(len(own), dtype=bool)
    for start, end in spans:
        inside |= (starts < end) & (ends > start) & (ends > starts)
    found: NDArray[np.int64] = own[inside & ~tokens.fillers[own]]
    return found


def context(text: Text, use: Use, value: float = float("nan")) -> Passage:
    """Return what stands around a use, as a passage in which it is outlined."""
    doc = doc_of(text)
    spans = words(doc)
    at = next(number for number, span in enumerate(spans) if span == (use.start, use.end))
    first, last = max(0, at - _AROUND), min(len(spans), at + _AROUND + 1)
    before, after = "… " if first else "", " …" if last < len(spans) else ""
    begin, end = spans[first][0], spans[last - 1][1]
    parts = [before + doc[begin : use.start], doc[use.start : use.end], doc[use.end : end] + after]
    kept = [(" ".join(part.split()), part, at == 1) for at, part in enumerate(parts) if part.strip()]
    return Passage.of(
        [part for part, _, _ in kept],
        spaces=[at > 0 and (raw[:1].isspace() or kept[at - 1][1][-1:].isspace()) for at, (_, raw, _) in enumerate(kept)],
        marks=[mark for _, _, mark in kept],
        label=f"text {use.text}",
        value=value,
    )
