"""What a model family is to mechviz: the places of its parts, as data.

A family file names module paths of one `transformers` architecture; the hooked encoder and the patching engine
read them and contain no architecture of their own. To add a family, write one file like ``bert.py``, name it in
``families/__init__.py`` and add its row to ``tests/rankers/test_families.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Head:
    """How a class turns the last hidden state into its outputs: modules applied one after the other, dropout left out."""

    modules: tuple[str, ...]
    #: The one position that the first module reads; None if it reads all.
    reads: int | None


@dataclass(frozen=True)
class Family:
    """Module paths of one architecture with post-layer-norm blocks.

    Attributes
    ----------
    model_type : str
        As in the checkpoint's ``config.json``.
    base : str
        Name of the class without a head.
    prefix : str
        Path of the base model inside the classes with a head.
    heads : mapping
        Class name to its `Head`.
    embeddings, layers : str
        Paths inside the base model.
    query, key, value, attn_out, attn_norm, mlp_in, mlp_act, mlp_out, mlp_norm : str
        Paths inside one layer; ``attn_out`` is the output projection of attention.
    attention : str
        Path of the module that calls the attention function.
    unused : tuple of str
        Prefixes of weights that a checkpoint may hold and a score never reads.
    """

    model_type: str
    base: str
    prefix: str
    heads: Mapping[str, Head]
    embeddings: str
    layers: str
    attention: str
    query: str
    key: str
    value: str
    attn_out: str
    attn_norm: str
    mlp_in: str
    mlp_act: str
    mlp_out: str
    mlp_norm: str
    unused: tuple[str, ...] = ()
