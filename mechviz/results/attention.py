"""Where one text attends: every stack, layer and head, read when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.text import Tokens

#: Stacks whose queries are not positions of the text where an encoder read it, and what that one position is called.
_DECODERS = ("decoder", "cross")
_STEP = ("decoder, first step",)

_TITLES = {
    "encoder": "encoder",
    "decoder": "decoder's self-attention",
    "cross": "decoder's cross-attention",
    "query": "query tower",
    "doc": "document tower",
}


@dataclass(frozen=True)
class StackShape:
    """What a stack of heads is called, what it reads, and how large it is.

    Attributes
    ----------
    name : str
    text : str
        Name of the token sequence that its positions are.
    n_layers, n_heads : int
    title : str
        In a reader's words.
    label : str
        Whose attention it is, as a sentence without its point.
    query_labels, key_labels : tuple of str or None
        Where what attends, or what is attended to, is no position of the text: what these ends are called.
    """

    name: str
    text: str
    n_layers: int
    n_heads: int
    title: str = ""
    label: str = ""
    query_labels: tuple[str, ...] | None = None
    key_labels: tuple[str, ...] | None = None

    @classmethod
    def of(cls, name: str, text: str, n_layers: int, n_heads: int) -> StackShape:
        """Describe a ranker's stack."""
        step = text == "encoder" and name in _DECODERS
        return cls(
            name=name,
            text=text,
            n_layers=n_layers,
            n_heads=n_heads,
            title="" if name == text and name in ("encoder", "decoder") else _TITLES.get(name, name),
            label=_label(name, text),
            query_labels=_STEP if step else None,
            key_labels=_STEP if step and name == "decoder" else None,
        )


def _label(stack: str, text: str) -> str:
    if stack in ("doc", "query"):
        tower = "document" if stack == "doc" else "query"
        return f"Attention within the {tower} tower: this ranker reads query and document apart"
    if stack == "cross":
        return "Attention of the decoder's first step to the text that the encoder read"
    if stack == "decoder" and text == "encoder":
        return "The decoder's self-attention at its first step, which sees one position only"
    if stack == "decoder":
        return "Self-attention over query and document together; a token sees only those before it"
    return "Self-attention over query and document together"


@dataclass(frozen=True, eq=False)
class AttentionResult:
    """The attention of a ranker, or of anybody's arrays, on one query and document.

    Attributes
    ----------
    query, doc : str
    score : float or None
        What the ranker says of the pair.
    tokens : mapping of text to Tokens
        The sequences that the stacks read.
    stacks : tuple of StackShape
    layer : callable
        Stack and layer -> attention, float32, dims (head, query_pos, key_pos).
    provenance : mapping of str to str
    """

    query: str
    doc: str
    score: float | None
    tokens: Mapping[str, Tokens]
    stacks: tuple[StackShape, ...]
    layer: Callable[[str, int], NDArray[np.float32]] = field(repr=False)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{one.name} {one.n_layers} layers x {one.n_heads} heads" for one in self.stacks)
        lengths = ", ".join(f"{len(tokens)} tokens" for tokens in self.tokens.values())
        return f"AttentionResult({sizes}; {lengths})"

    def shape(self, stack: str | None = None) -> StackShape:
        """Return a stack's description; that of the document where none is named.

        Raises
        ------
        InputError
        """
        named = {one.name: one for one in self.stacks}
        name = self.main.name if stack is None else stack
        if name not in named:
            raise InputError(f"stack={shown(stack)}; there are {', '.join(map(repr, named))}")
        return named[name]

    @property
    def main(self) -> StackShape:
        """The stack that reads the document."""
        return next((one for one in self.stacks if one.name == "doc"), self.stacks[0])

    def pattern(self, layer: int, stack: str | None = None) -> xr.DataArray:
        """Return the attention of one layer, dims (head, query_pos, key_pos).

        Raises
        ------
        InputError
            No such stack or layer.
        """
        shape = self.shape(stack)
        if type(layer) is not int or not 0 <= layer < shape.n_layers:
            raise InputError(f"layer={shown(layer)}; there are 0 to {shape.n_layers - 1}")
        return xr.DataArray(self.layer(shape.name, layer), dims=("head", "query_pos", "key_pos"))

    def patterns(self, stack: str | None = None) -> xr.DataArray:
        """Return the attention of every layer, dims (layer, head, query_pos, key_pos)."""
        layers = [self.pattern(layer, stack) for layer in range(self.shape(stack).n_layers)]
        return xr.concat(layers, dim="layer")
