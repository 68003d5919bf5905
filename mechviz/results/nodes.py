"""The parts of a ranker that a path goes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mechviz.errors import InputError, shown

#: What a head reads.
INPUTS = ("q", "k", "v")


@dataclass(frozen=True)
class Node:
    """A part of a ranker: the embedded text, a head, an MLP or the score.

    Attributes
    ----------
    kind : ``"embed"``, ``"head"``, ``"mlp"`` or ``"score"``
    layer, head : int
        -1 where it has none.
    input : ``""``, ``"q"``, ``"k"`` or ``"v"``
        As a receiver, which input of a head is meant; empty for all that it reads.
    """

    kind: str
    layer: int = -1
    head: int = -1
    input: str = ""

    @property
    def depth(self) -> float:
        """Where it stands in the computation: a node can send to those of a larger depth."""
        return {"embed": -1.0, "head": 2.0 * self.layer, "mlp": 2.0 * self.layer + 1, "score": float("inf")}[self.kind]

    @property
    def whole(self) -> Node:
        """The node without the mention of one of its inputs."""
        return Node(self.kind, self.layer, self.head)

    def __str__(self) -> str:
        if self.kind == "head":
            return f"{self.layer}.{self.head}{'.' * bool(self.input)}{self.input}"
        return f"mlp.{self.layer}" if self.kind == "mlp" else self.kind


def parse_node(node: Any) -> Node:
    """Return a node from what a person writes.

    Parameters
    ----------
    node : Node, str or tuple
        ``"embed"``, ``"score"``, ``"mlp.3"``, ``"1.6"`` or ``(1, 6)`` for a head, ``"1.6.q"`` or ``(1, 6, "q")`` for one of
        its inputs.

    Raises
    ------
    InputError
    """
    if isinstance(node, Node):
        return node
    parts = node.split(".") if isinstance(node, str) else list(node) if isinstance(node, Sequence) else []
    words = [str(part) for part in parts]
    if words in (["embed"], ["score"]):
        return Node(words[0])
    if len(words) == 2 and words[0] == "mlp" and words[1].isdecimal():
        return Node("mlp", int(words[1]))
    if len(words) in (2, 3) and all(word.isdecimal() for word in words[:2]) and set(words[2:]) <= set(INPUTS):
        return Node("head", int(words[0]), int(words[1]), "".join(words[2:]))
    raise InputError(
        f"{shown(node)} is no part of a ranker; write 'embed', 'score', 'mlp.3', '1.6' or (1, 6) for a head, and '1.6.q' for "
        "one of its inputs q, k, v"
    )
