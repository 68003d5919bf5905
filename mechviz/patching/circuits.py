"""Circuits: the graph of paths that carry the score change, grown from the score back, and tested as a whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.patching.edits import Edit, score_cells
from mechviz.patching.metrics import effect
from mechviz.patching.paths import Paths, path_session
from mechviz.patching.settings import Settings
from mechviz.rankers.ranker import Ranker
from mechviz.results.circuits import EDGES, VERTICES, Circuit
from mechviz.results.nodes import INPUTS, Node
from mechviz.results.pair import Pair


def circuit(
    ranker: Ranker, query: str, doc: str, perturb: object, *, threshold: float = 0.05, **settings: Unpack[Settings]
) -> Circuit:
    """Find the parts that carry a change of the score, and what they send to each other.

    Beginning at the score, every part that sends at least ``threshold`` of the score change to a part that is in the circuit
    (see `mechviz.path_patch`; all that a head reads taken together, MLPs frozen and parts of their own) joins it, down to the
    embedded text. Then the circuit is tested as a whole.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    perturb : callable or str
        As in `mechviz.patch`.
    threshold : float, default 0.05
        The smallest absolute effect of an edge; 1 is the whole score change.
    **settings
        ``direction``, ``filler``, ``truncate``, ``docs``, ``stack`` and ``memory``, as in `mechviz.patch`.

    Returns
    -------
    Circuit
        ``vertices`` and ``edges`` as tables, ``faithfulness``, ``completeness`` and ``minimality``; ``to_csv`` and
        ``to_graphml`` write it.

    Raises
    ------
    InputError
        The perturbation does not change the score, or the threshold is not above 0.

    Notes
    -----
    Faithfulness, completeness and minimality after Wang et al., "Interpretability in the wild", ICLR 2023, with the base text
    as what is resampled from.
    """
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not threshold > 0:
        raise InputError(f"threshold={shown(threshold)}; give a share of the score change, above 0")
    if "metric" in settings:
        raise InputError("metric does not apply to circuits: their effects are shares of the score change; leave it out")
    session = path_session(ranker, query, doc, perturb, settings)
    pair = session.pair
    if not pair.gate:
        raise InputError(f"the perturbation changes the score by {pair.change:.2g} only: there is no change to find a circuit of")
    found = _Growing(Paths(session), threshold)
    found.grow()
    heads_and_mlps = [node for node in found.nodes if node.kind in ("head", "mlp")]
    sets = [heads_and_mlps, *([one for one in heads_and_mlps if one != left] for left in heads_and_mlps)]
    rest = [node for node in found.paths.senders() if node.kind != "embed" and node not in heads_and_mlps]
    cells = [_resampled(found.paths, live) for live in [*sets, rest]]
    kept = _shares(pair, score_cells(ranker, session.base, cells, session.rows))
    drops = dict(zip(heads_and_mlps, (kept[0] - kept[1:-1]).tolist(), strict=True))
    return Circuit(
        pair=pair,
        stack=session.base.stack,
        threshold=float(threshold),
        vertices=_vertices(found.nodes, drops),
        edges=pd.DataFrame(found.edges, columns=list(EDGES)),
        faithfulness=float(kept[0]),
        completeness=float(1 - kept[-1]),
        minimality=min(drops.values(), default=float("nan")),
        provenance=session.provenance,
    )


class _Growing:
    """A circuit under way."""

    def __init__(self, paths: Paths, threshold: float) -> None:
        self.paths, self.threshold = paths, threshold
        self.nodes = [Node("score")]
        self.edges: list[tuple[Any, ...]] = []

    def grow(self) -> None:
        """Take the parts in from the score back; each is asked for its senders once all that it sends to is known."""
        everything = self.paths.senders()
        waiting = [Node("score")]
        while waiting:
            receiver = max(waiting, key=lambda node: (node.depth, -node.head))
            waiting.remove(receiver)
            before = [node for node in everything if node.depth < receiver.depth]
            effects = self._effects(before, receiver)
            chosen = [(node, effect) for node, effect in zip(before, effects, strict=True) if abs(effect) >= self.threshold]
            self._join(receiver, [node for node, _ in chosen], [effect for _, effect in chosen])
            new = [node for node, _ in chosen if node not in self.nodes]
            self.nodes += new
            waiting += [node for node in new if node.kind != "embed"]

    def _join(self, receiver: Node, senders: Sequence[Node], weights: Sequence[float]) -> None:
        if receiver.kind != "head":
            self.edges += [
                (str(node), str(receiver), weight, "in", np.nan, np.nan, np.nan)
                for node, weight in zip(senders, weights, strict=True)
            ]
            return
        inputs = [self._effects(senders, Node("head", receiver.layer, receiver.head, name)) for name in INPUTS]
        for node, weight, *alone in zip(senders, weights, *inputs, strict=True):
            carrying = [name for name, effect in zip(INPUTS, alone, strict=True) if abs(effect) >= self.threshold]
            self.edges.append((str(node), str(receiver), weight, "+".join(carrying) or "together", *alone))

    def _effects(self, senders: Sequence[Node], receiver: Node) -> list[float]:
        effects: list[float] = _shares(self.paths.session.pair, self.paths.scores(senders, receiver)).tolist()
        return effects


def _resampled(paths: Paths, live: Collection[Node]) -> list[Edit]:
    """Return the edits that read the source text and hold every head and MLP at the base run but those that live."""
    base, part = paths.base, paths.part
    edits = [Edit(part.hook(0, "resid_pre"), paths.source.resid_pre[0][0])]
    for layer in range(part.n_layers):
        heads = [head for head in range(part.n_heads) if Node("head", layer, head) not in live]
        if heads:
            edits.append(Edit(part.hook(layer, "z"), base.z[layer][0], heads=heads))
        if part.d_mlp and Node("mlp", layer) not in live:
            edits.append(Edit(part.hook(layer, "mlp_out"), base.values["mlp_out"][layer][0]))
    return edits


def _shares(pair: Pair, scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return scores as shares of the score change."""
    return effect(scores.astype(np.float64), pair.base_score, pair.source_score)


def _vertices(nodes: Sequence[Node], drops: dict[Node, float]) -> pd.DataFrame:
    order = sorted(nodes, key=lambda node: (node.depth, node.head))
    labels = {"embed": "the embedded text", "score": "the score"}
    rows = [
        (
            str(node),
            node.kind,
            node.layer,
            node.head,
            labels.get(node.kind) or (f"head {node}" if node.kind == "head" else f"MLP {node.layer}"),
            drops.get(node, np.nan),
        )
        for node in order
    ]
    return pd.DataFrame(rows, columns=list(VERTICES))
