"""Path patching: what one part sends to another, all that lies between them frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from mechviz.errors import InputError, NonFiniteError, UnsupportedModelError, shown
from mechviz.patching.chunks import Rows, in_chunks
from mechviz.patching.fused import upper
from mechviz.patching.kernel import Change, Upper
from mechviz.patching.session import Session
from mechviz.patching.settings import Settings
from mechviz.patching.sources import z_reading
from mechviz.rankers.ranker import Ranker
from mechviz.results import PatchResult
from mechviz.results.nodes import INPUTS, Node, parse_node

#: Settings of `patch` that say which pair, and how its score is measured; the others choose cells, and paths have none.
ALLOWED = ("direction", "metric", "filler", "truncate", "docs", "stack", "memory")
MLPS = ("frozen", "free")


def path_patch(
    ranker: Ranker,
    query: str,
    doc: str,
    perturb: object,
    *,
    sender: Any = None,
    receiver: Any = "score",
    mlps: str = "frozen",
    **settings: Unpack[Settings],
) -> PatchResult:
    """Patch what a sender sends to a receiver, and nothing else.

    The sender takes its value from the source run. What lies between it and the receiver is frozen at the base run: every
    other head, and the MLPs too unless they are ``"free"``. Norms are computed anew. What the receiver then reads is put into
    the base run, where all above the receiver is free; the score of that run is the result.

    Parameters
    ----------
    ranker : Ranker
    query, doc : str
    perturb : callable or str
        As in `mechviz.patch`.
    sender : node or sequence of nodes, optional
        ``"1.6"`` or ``(1, 6)`` for a head, ``"mlp.3"``, ``"embed"`` for the embedded text. Default: all of them.
    receiver : node or sequence of nodes, default ``"score"``
        ``"4.2"`` for all that a head reads, ``"4.2.q"`` or ``(4, 2, "q")`` for one of its inputs ``q``, ``k``, ``v``,
        ``"mlp.5"``, or ``"score"``, which is the sender's direct effect.
    mlps : ``"frozen"`` (default) or ``"free"``
        Whether MLPs between the two are parts of their own, or part of the path (as in Wang et al.); the result says which,
        unless the ranker has none.
    **settings
        ``direction``, ``metric``, ``filler``, ``truncate``, ``docs``, ``stack`` and ``memory``, as in `mechviz.patch`.

    Returns
    -------
    PatchResult
        ``effects`` and ``patched``, float32, dims (sender, receiver); NaN where a sender does not come before a receiver.

    Raises
    ------
    InputError
        A part that does not exist, or a sender that was named and does not come before any receiver.
    UnsupportedModelError
        A stack of T5's decoder, whose layers have two attentions.

    Notes
    -----
    Wang et al., "Interpretability in the wild: a circuit for indirect object identification in GPT-2 small", ICLR 2023.
    """
    if mlps not in MLPS:
        raise InputError(f"mlps={shown(mlps)}; it is one of {', '.join(map(repr, MLPS))}")
    session = path_session(ranker, query, doc, perturb, settings)
    paths = Paths(session, mlps == "free")
    receivers = [paths.check(node, as_receiver=True) for node in _nodes(receiver)]
    senders = paths.senders() if sender is None else [paths.check(node) for node in _nodes(sender)]
    for node in senders if sender is not None else ():
        if not any(node.depth < other.depth for other in receivers):
            names = ", ".join(map(str, receivers))
            raise InputError(
                f"sender {node} does not come before {names}: a part sends to later layers, a head to the MLP of its own too"
            )
    patched = np.full((len(senders), len(receivers)), np.nan, dtype=np.float32)
    for column, node in enumerate(receivers):
        before = [row for row, one in enumerate(senders) if one.depth < node.depth]
        patched[before, column] = paths.scores([senders[row] for row in before], node)
    coords = {"sender": [str(node) for node in senders], "receiver": [str(node) for node in receivers]}
    named = partial(xr.DataArray, dims=("sender", "receiver"), coords=coords)
    grid = f"paths, MLPs {mlps}" if session.stack.d_mlp else "paths"
    return session.named_result(grid, "exact", named, patched)


def path_session(ranker: Ranker, query: str, doc: str, perturb: object, settings: Settings) -> Session:
    """Return a session that holds what paths need.

    Raises
    ------
    InputError
        A setting that chooses cells.
    """
    unknown = sorted(set(settings) - set(ALLOWED))
    if unknown:
        raise InputError(f"{', '.join(unknown)} does not apply to paths; they take {', '.join(ALLOWED)}")
    return Session(ranker, query, doc, perturb, gradient=False, keep=(*INPUTS, "mlp_out"), **settings)


class Paths:
    """What parts of a ranker send to each other, in one pair.

    Parameters
    ----------
    session : Session
        Made by `path_session`.
    mlps_free : bool
        Whether MLPs between sender and receiver are part of the path.
    """

    def __init__(self, session: Session, mlps_free: bool = False) -> None:
        self.session, self.mlps_free = session, mlps_free
        self.ranker, self.base, self.source, self.part = session.ranker, session.base, session.source, session.stack
        if len(self.part.blocks.attentions) > 1:
            raise UnsupportedModelError(
                f"stack={self.base.stack!r}: its layers have two attentions; paths are computed in the encoder: leave stack out"
            )
        with self.ranker.towers[self.base.stack].lock:
            fast = upper(self.ranker, self.base)
        if fast is None:
            raise InputError("there are forward hooks or adapters inside the layers, which paths would leave out: remove them")
        self.fast: Upper = fast
        self._rows = Rows(session.rows)

    def senders(self) -> list[Node]:
        """Return every part that can send, from the embedded text up."""
        found = [Node("embed")]
        for layer in range(self.part.n_layers):
            found += [Node("head", layer, head) for head in range(self.part.n_heads)]
            found += [Node("mlp", layer)] if self.part.d_mlp else []
        return found

    def check(self, node: object, as_receiver: bool = False) -> Node:
        """Return a node of this ranker.

        Raises
        ------
        InputError
            It does not exist, or cannot be a sender (or receiver).
        """
        found = parse_node(node)
        if found.layer >= self.part.n_layers or found.head >= self.part.n_heads:
            there = f"layers 0 to {self.part.n_layers - 1}, heads 0 to {self.part.n_heads - 1}"
            raise InputError(f"{found} does not exist; there are {there}")
        if found.kind == "mlp" and not self.part.d_mlp:
            raise InputError(f"{found} does not exist: the layers of this ranker have no MLPs; it has heads, 'embed' and 'score'")
        if as_receiver and found.kind == "embed":
            raise InputError("the embedded text receives nothing; a receiver is a head, an MLP or 'score'")
        if not as_receiver and (found.kind == "score" or found.input):
            raise InputError(f"{found} cannot send; a sender is 'embed', a head such as '1.6', or an MLP such as 'mlp.3'")
        return found

    def scores(self, senders: Sequence[Node], receiver: Node) -> NDArray[np.float32]:
        """Return the score with what each sender sends to the receiver patched, dims (sender).

        Every sender must come before the receiver.

        Raises
        ------
        NonFiniteError
            A score is NaN or inf.
        """
        found = np.full(len(senders), np.nan, dtype=np.float32)

        def work(rows: Sequence[int]) -> Tensor:
            with self.ranker.towers[self.base.stack].lock, torch.no_grad(), self.ranker.running(self.base.stack):
                return self._received(self._sent([senders[row] for row in rows], receiver), receiver)

        # Senders of one layer side by side: a batch starts at its lowest one.
        order = sorted(range(len(senders)), key=lambda row: -senders[row].depth)
        for rows, values in in_chunks(order, self._rows, work):
            found[rows] = values.cpu().numpy()
        if not np.isfinite(found).all():
            raise NonFiniteError(f"a path to {receiver} gave a score that is NaN or inf; check the weights and the dtype")
        return found

    def _sent(self, senders: Sequence[Node], receiver: Node) -> Tensor:
        """Return the residual stream that the receiver reads, dims (sender, pos, d_model), deepest sender first.

        That is what enters a head's layer, what an MLP reads after the attention of its layer, or what leaves the last layer.
        """
        base, fast = self.base, self.fast
        top = self.part.n_layers if receiver.kind == "score" else receiver.layer
        waiting = list(senders)

        def joining(node: Node, rows: Tensor, make: Callable[[Node], Tensor]) -> Tensor:
            """Put the rows of the senders that are like a node before those that are under way."""
            new = []
            while waiting and waiting[-1].depth == node.depth:
                new.append(make(waiting.pop()))
            return torch.cat([*reversed(new), rows]) if new else rows

        hidden = joining(Node("embed"), base.resid_pre[0][:0], lambda _: self.source.resid_pre[0])
        for layer in range(top + (receiver.kind == "mlp")):
            middle = joining(Node("head", layer), hidden + base.values["attn_out"][layer], self._head_changed)
            if receiver.kind == "mlp" and layer == top:
                return middle
            if self.mlps_free or not self.part.d_mlp:
                hidden = fast.after_mlp(layer, middle)
            else:
                hidden = fast.joined(layer, middle, base.values["mlp_out"][layer])
            hidden = joining(Node("mlp", layer), hidden, self._mlp_changed)
        return hidden

    def _head_changed(self, head: Node) -> Tensor:
        """Return the residual stream after attention with one head of the source run, dims (1, pos, d_model)."""
        z = self.source.z[head.layer] - self.base.z[head.layer]
        base = self.base.resid_after[head.layer]
        return base + (z[:, :, head.head] @ self.fast.w_o[head.layer][head.head]).to(base.dtype)

    def _mlp_changed(self, mlp: Node) -> Tensor:
        """Return what leaves a layer with the source run's output of its MLP, dims (1, pos, d_model)."""
        return self.fast.joined(mlp.layer, self.base.resid_after[mlp.layer], self.source.values["mlp_out"][mlp.layer])

    def _received(self, sent: Tensor, receiver: Node) -> Tensor:
        """Return the score of the base run when the receiver reads what was sent, dims (sender)."""
        base, fast, layer = self.base, self.fast, receiver.layer
        if receiver.kind == "score":
            return base.readout(fast.above(self.part.n_layers, sent), base.reads)
        if receiver.kind == "mlp":
            hidden = fast.joined(layer, base.resid_after[layer], fast.mlp(layer, sent))
            return base.readout(fast.above(layer + 1, hidden), base.reads)
        others = {site: base.values[site][layer][0] for site in INPUTS if receiver.input and site != receiver.input}
        z = z_reading(self.ranker, base, layer, others, sent)
        moved = z[:, :, receiver.head] - base.z[layer][:, :, receiver.head]
        return base.readout(fast.finish([Change(layer, [receiver.head], row) for row in moved]), base.reads)


def _nodes(given: Any) -> Iterable[Any]:
    """Return one node, or several, as several: a tuple of numbers is one head."""
    return given if isinstance(given, list) else [given]
