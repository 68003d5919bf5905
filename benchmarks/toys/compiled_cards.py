"""The cards of the compiled toys: formula, circuit, how exact, and a picture by mechviz's own drawing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import mechviz as mv
from mechviz.rankers import Ranker
from mechviz.toys.compiled import BAG_WORDS, FILLER, SPECIAL, Vocabulary, count, words_of
from mechviz.toys.passages import PASSAGES

#: One change that every circuit is drawn for.
QUERY, DOC, WORD = "hot volcano spring", "the water of the sea rises in hot weather", "volcano"

_K = 0.5
_FORMULAS = {
    "exact_match": "sum of idf over the document's words that the query has, / (n_doc + 1)",
    "bm25": f"sum over the query's words of idf × tf / (tf + {_K}), / (n_query + 1): BM25's saturation, without its length",
    "bag": "sum over words of tf in the query × tf in the document, / ((n_query + 2) (n_doc + 2))",
}


def write(folder: Path, name: str) -> Path:
    """Write card and picture of one of them, as `mechviz.toys.compiled` calls it."""
    ranker = mv.toys.compiled(name, PASSAGES)
    shipped = mv.load(f"toy/compiled-{name.replace('_', '-')}")
    folder.mkdir(exist_ok=True)
    stem = shipped.name.removeprefix("toy/")
    circuit = mv.circuit(shipped, QUERY, DOC, mv.perturb.append(WORD))
    mv.views.CircuitView(circuit, theme="light").to_svg(folder / f"{stem}.svg", panel="circuit")
    error, pairs = largest_error(ranker, name)
    edges = "\n".join(f"| {e.from_id} | {e.to_id} | {e.kind} | {e.carries} |" for e in mv.toys.circuit_of(name))
    text = f"""---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-ranking
tags:
- mechviz
- mechanistic-interpretability
- information-retrieval
- toy-model
- compiled
---

# {shipped.name}

A ranker whose weights are written by hand: {type(shipped.model).__name__} of `transformers`, {shipped.hooked.main.n_layers} \
layer{"s" if shipped.hooked.main.n_layers > 1 else ""} of {shipped.hooked.main.n_heads} heads, \
{shipped.model.config.vocab_size - len(SPECIAL) - 1:,} words. It has no weights file: code makes it, in a moment, without a \
network or training.

```python
import mechviz as mv

ranker = mv.load("{shipped.name}")
mv.toys.compiled("{name}", texts)  # the same for words of your own
```

## Formula

{_FORMULAS[name]}

A word is a run of letters, digits and underscores, in lower case. tf counts it in a text, n counts a text's words; the filler \
`{FILLER}` and unknown words count in n only. idf = ln(1 + (N - df + 0.5) / (df + 0.5)).

## Exactness

The largest difference between score and formula is {error:.0e} over {pairs:,} pairs of mechviz's own passages (float32; \
float16 cannot hold these weights).

## Circuit

Every edge that the weights have (`mv.toys.circuit_of("{name}")`); there are no others.

| from | to | by | what it carries |
|---|---|---|---|
{edges}

What `mv.circuit` finds of it for the query *{QUERY}* and the document *{DOC}*, to which *{WORD}* is added:

![The circuit as mechviz draws it]({stem}.svg)

Faithfulness {circuit.faithfulness:.3f}, completeness {circuit.completeness:.3f}, minimality {circuit.minimality:.3f}.

## Limits

It knows the words of its texts and nothing of meaning. It is an oracle for methods, not a model of what trained rankers do.

## Licence

Apache-2.0, as all of mechviz's code.
"""
    path = folder / f"{stem}.md"
    path.write_text(text, encoding="utf-8")
    return path


def largest_error(ranker: Ranker, name: str) -> tuple[float, int]:
    """Return the largest difference from the formula, over all pairs of passages, and how many they are."""
    vocabulary = count(PASSAGES)
    pairs = [(" ".join(query.split()[:6]), doc) for query in PASSAGES for doc in PASSAGES]
    expected = np.array([formula(name, query, doc, vocabulary) for query, doc in pairs])
    scores = ranker.score([query for query, _ in pairs], [doc for _, doc in pairs])
    return float(np.abs(scores - expected).max()), len(pairs)


def formula(name: str, query: str, doc: str, vocabulary: Vocabulary) -> float:
    """Return what a ranker that was compiled from texts of a vocabulary computes, from words and counts alone."""
    asked, read = words_of(query), words_of(doc)
    if name == "exact_match":
        return sum(vocabulary.idf.get(word, 0.0) for word in read if word in asked) / (len(read) + 1)
    if name == "bm25":
        found = ((vocabulary.idf.get(word, 0.0), read.count(word)) for word in asked)
        return sum(idf * tf / (tf + _K) for idf, tf in found) / (len(asked) + 1)
    known = set(vocabulary.words[:BAG_WORDS])
    shared = sum(asked.count(word) * read.count(word) for word in known)
    return shared / ((len(asked) + 2) * (len(read) + 2))
