"""From a score down through heads, MLPs and tokens: a tree of shares that opens node by node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import torch

from mechviz import results
from mechviz.errors import InputError, shown
from mechviz.probes.contributions import HELD
from mechviz.probes.frozen import frozen_run
from mechviz.probes.tree_shares import Entry, Runs, Source
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker
from mechviz.text.checks import whole_number

if TYPE_CHECKING:
    from mechviz.views import View

Through = Literal["v", "qkv"]


@dataclass(frozen=True, eq=False)
class AttributionTree(results.AttributionTree):
    """A tree that can be opened further; see `mechviz.results.AttributionTree`."""

    builder: TreeBuilder | None = field(default=None, repr=False)

    def expand(self, node: int) -> AttributionTree:
        """Return the tree with the nodes below one more.

        Raises
        ------
        InputError
            No such node, or one that nothing is below.
        """
        assert self.builder is not None
        self.builder.expand(node)
        return self.builder.tree()

    def show(self, theme: str = "auto") -> View:
        """Return the tree as a view, in which a node is opened by a click."""
        from mechviz import views

        return views.tree(self, theme=theme, expand=self.expand)

    __repr__ = results.AttributionTree.__repr__


class TreeBuilder:
    """Holds the runs that a tree is made from, and opens nodes.

    Parameters
    ----------
    runs : Runs
        Of the document, and of the one that it is compared with.
    title : str
    through : ``"v"`` or ``"qkv"``
    least : float
    provenance : dict
    """

    def __init__(self, runs: Runs, title: str, through: Through, least: float, provenance: dict[str, Any]) -> None:
        self.runs, self.title, self.through, self.least, self.provenance = runs, title, through, least, provenance
        signs = [1.0, -1.0][: len(runs.runs)]
        sources = [
            Source(number, run.out, torch.full_like(run.out, sign))
            for number, (run, sign) in enumerate(zip(runs.runs, signs, strict=True))
        ]
        value = sum(sign * run.score for run, sign in zip(runs.runs, signs, strict=True))
        self._entries = [Entry("score", title, value, sources=sources)]
        self._rows: list[dict[str, Any]] = [self._row(0, -1)]

    def tree(self) -> AttributionTree:
        """Return what is open now."""
        tokens = tuple(label for run in self.runs.runs for label in run.tokens.labels)
        note = HELD
        if self.through == "qkv":
            note += " What the pattern adds to even attention is half the query's and half the key's (integrated gradients)."
        nodes = pd.DataFrame(self._rows, columns=list(AttributionTree.COLUMNS))
        return AttributionTree(nodes, self.title, tokens, note, self.provenance, builder=self)

    def expand(self, node: int) -> None:
        """Open a node; one that is open stays so.

        Raises
        ------
        InputError
        """
        if isinstance(node, bool) or not isinstance(node, int) or not 0 <= node < len(self._entries):
            raise InputError(f"node={shown(node)}; the tree has the nodes 0 to {len(self._entries) - 1}")
        row, entry = self._rows[node], self._entries[node]
        if row["state"] == "open":
            return
        if row["state"] == "leaf":
            raise InputError(f"node {node} ({entry.label}) is a leaf: nothing is below it")
        below = self.runs.open(entry, self.through == "qkv")
        row["error"] = abs(entry.value - sum(one.value for one in below))
        row["state"] = "open"
        for one in below if entry.kind == "rest" else self._large(below):
            self._entries.append(one)
            self._rows.append(self._row(len(self._rows), node))

    def expand_to(self, depth: int) -> None:
        """Open every node down to a depth."""
        level = [0]
        for _ in range(depth):
            before = len(self._rows)
            for node in level:
                if self._rows[node]["state"] == "closed" and self._rows[node]["kind"] != "rest":
                    self.expand(node)
            level = list(range(before, len(self._rows)))

    def _large(self, below: list[Entry]) -> list[Entry]:
        """Return the entries by falling size, the small ones together as one that opens into them."""
        ordered = sorted(below, key=lambda entry: -abs(entry.value))
        limit = self.least * sum(abs(entry.value) for entry in below)
        small = [entry for entry in ordered if abs(entry.value) < limit]
        if len(small) < 2:
            return ordered
        rest = Entry("rest", f"{len(small)} smaller parts", sum(entry.value for entry in small), below=small)
        return [*ordered[: len(ordered) - len(small)], rest]

    def _row(self, node: int, parent: int) -> dict[str, Any]:
        entry = self._entries[node]
        names = ("kind", "label", "layer", "head", "pos", "via", "value")
        own = {name: getattr(entry, name) for name in names}
        return {"id": node, "parent": parent, **own, "error": 0.0, "state": "closed" if entry.opens else "leaf"}


def attribution_tree(
    ranker: Ranker,
    query: str,
    doc: str,
    against: str | None = None,
    depth: int = 1,
    least: float = 0.01,
    through: Through = "v",
    stack: str | None = None,
    truncate: bool = False,
) -> AttributionTree:
    """Share out a score, or the margin between two documents, down to heads, MLPs, tokens and what those were made of.

    A node's value is (what a component wrote) . (the factor that it has in the node above), with norms and patterns held as in
    `score_contributions`. Below the score are the components by their direct paths; below a head, the tokens that it reads
    from (exact: its values times its pattern); below such a token, the earlier components whose writing the value there was
    made from (exact, through the held norms); below an MLP, its neurons; below embeddings, tokens. Children sum to their
    parent, up to the parent's ``error``.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    against : str, optional
        Another document: the root is score(doc) - score(against), positions of the second text follow those of the first, and
        its shares are counted negatively.
    depth : int
        Levels that are opened at once; the rest opens on request (`AttributionTree.expand`, or a click).
    least : float
        Nodes smaller than this share of the sum of the absolute values of their siblings become one that opens into them.
    through : ``"v"`` or ``"qkv"``
        With ``"qkv"`` a head opens into its three inputs instead: what it would add if it attended evenly (``v``), and what its
        pattern adds to that, half by the query and half by the key, by integrated gradients over the attention scores; each
        opens into earlier components, exactly. What position and mask add to scores is a node of its own.
    stack : str, optional
        As in `score_contributions`.
    truncate : bool
        Cut texts that are too long instead of raising.

    Returns
    -------
    AttributionTree

    Raises
    ------
    InputError, InputTypeError

    References
    ----------
    Elhage et al., "A mathematical framework for transformer circuits", Transformer Circuits Thread, 2021.
    Sundararajan et al., "Axiomatic attribution for deep networks", ICML 2017.
    """
    whole_number("depth", depth, 0)
    if isinstance(least, bool) or not isinstance(least, (int, float)) or not 0 <= least < 1:
        raise InputError(f"least={shown(least)}; give a share from 0, below 1")
    if through not in ("v", "qkv"):
        raise InputError(f"through={shown(through)}; it is 'v' or 'qkv'")
    found = [frozen_run(ranker, query, one, stack, truncate) for one in (doc, against) if one is not None]
    runs = Runs(found, [0, len(found[0].tokens)][: len(found)])
    title = "score of the document" if against is None else "margin between the two documents"
    builder = TreeBuilder(runs, title, through, float(least), {**provenance_of(ranker), "stack": found[0].stack})
    builder.expand_to(depth)
    return builder.tree()
