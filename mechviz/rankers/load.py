"""Open any ranker by name."""

from __future__ import annotations

from typing import Any

from mechviz.errors import UnsupportedModelError
from mechviz.rankers.cat import Cat
from mechviz.rankers.checkpoint import Checkpoint, open_checkpoint
from mechviz.rankers.colbert import ColBERT
from mechviz.rankers.dot import Dot
from mechviz.rankers.generative import Generative, named_qwen3_reranker
from mechviz.rankers.monot5 import MonoT5, known_labels
from mechviz.rankers.ranker import Ranker
from mechviz.rankers.sentence_transformers import is_live, open_live
from mechviz.rankers.splade import Splade
from mechviz.rankers.toy_names import is_toy, keeper

KINDS: dict[str, type[Ranker]] = {cls.__name__: cls for cls in (Dot, Cat, MonoT5, Splade, ColBERT, Generative)}


def load(name: Any, **settings: Any) -> Ranker:
    """Open a ranker; its class and settings are picked from the checkpoint's own files.

    Parameters
    ----------
    name : str, or a live ``SentenceTransformer``, ``SparseEncoder``, ``CrossEncoder`` or PyLate ``ColBERT``
        A toy that comes with mechviz (``"toy/cat"``; `mechviz.toys.NAMES`), a local directory, a hub id, or an object that
        is used as it is.
    **settings
        Passed to the class that is picked: `Dot`, `Cat`, `MonoT5`, `Splade`, `ColBERT` or `Generative`.

    Returns
    -------
    Ranker
        The repr says what was inferred. In this order: what sentence-transformers, PyLate or ColBERT files say; `Cat`
        for a classification head; `MonoT5`, `Generative` and `Splade` for published checkpoints that are known by name;
        `Dot` for a model without a head.

    Raises
    ------
    UnsupportedModelError
        None fits, or the checkpoint does not say how it ranks.
    InputError, InputTypeError
        A toy that is not there (those that are get listed), or a name that is none.
    """
    if is_toy(name):
        compiled: Ranker | None = keeper().compiled_toy(name, **settings)
        if compiled is not None:
            return compiled
    if is_live(name):
        said = open_live(name).said.kind
        return KINDS[said or "Cat"](name, **settings)
    checkpoint: Any = open_checkpoint(name)
    return KINDS[_kind(checkpoint)](checkpoint, **settings)  # not the name: its files are read once


def _kind(checkpoint: Checkpoint) -> str:
    family, architecture = checkpoint.family, checkpoint.architecture
    if checkpoint.said.kind is not None:
        return checkpoint.said.kind
    if architecture in family.heads:
        return "Cat"
    names = (checkpoint.label, str(checkpoint.config.get("_name_or_path", "")))
    if architecture in family.generative and family.causal:
        if named_qwen3_reranker(*names):
            return "Generative"
        raise _unsaid(
            checkpoint, "mv.Generative(name, prompt=..., labels=...) for a reranker, mv.Dot(name, pooling='last') for an embedder"
        )
    if architecture in family.generative:
        if known_labels(*names) is not None:
            return "MonoT5"
        raise _unsaid(checkpoint, "mv.MonoT5(name, labels=('true', 'false'))")
    if architecture in family.masked:
        if "splade" in " ".join(names).lower():
            return "Splade"
        raise _unsaid(checkpoint, "mv.Splade(name) for a sparse ranker, mv.Dot(name, pooling='cls' or 'mean') for a bi-encoder")
    if architecture == family.base:
        return "Dot"
    raise _unsaid(checkpoint, "mv.Dot(name, pooling='cls' or 'mean') for a bi-encoder")


def _unsaid(checkpoint: Checkpoint, way_out: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{checkpoint.name} was saved as {checkpoint.architecture}, which does not say how it ranks. "
        f"If you know, say so: {way_out}"
    )
