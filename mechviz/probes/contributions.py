"""What the score of a pair is made of: the exact sum over what embeddings, heads, MLPs and biases write (direct attribution)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from mechviz.errors import InputError, shown
from mechviz.probes.frozen import FrozenRun, Share, by_source, frozen_run
from mechviz.probes.held import Written
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker
from mechviz.results import AttributionTree, Passage, PassageGroup, Passages
from mechviz.text.tokens import Tokens

if TYPE_CHECKING:
    from mechviz.views import View

By = Literal["component", "position", "source"]

HELD = (
    "Norms keep the scale and heads the pattern of this run; a curve of the readout (tanh, gelu, log-softmax) is the line "
    "through 0 and its point."
)
#: An error above this share of the score says that the readout is something else than these lines.
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class ScoreContributions:
    """A score as a sum.

    Attributes
    ----------
    score : float
    parts : DataFrame
        ``stack``, ``kind`` (``"embed"``, ``"head"``, ``"mlp"``, ``"bias"``, ``"rest"``), ``layer``, ``head``, ``pos`` (-1 where
        there is none), ``label`` and ``value``.
    by : ``"component"``, ``"position"`` or ``"source"``
    tokens : Tokens
        Of the text whose positions are counted.
    """

    score: float
    parts: pd.DataFrame
    by: By
    tokens: Tokens
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """The score less the sum of the parts: rounding, unless the score is no linear function of logits."""
        return self.score - float(self.parts["value"].sum())

    def heads(self, stack: str | None = None) -> xr.DataArray:
        """Return what each head adds, dims (layer, head); ``stack`` where there are heads of several."""
        rows = self.parts[self.parts["kind"] == "head"]
        known = list(dict.fromkeys(rows["stack"]))
        if stack is None and len(known) > 1:
            raise InputError(f"heads of {', '.join(map(repr, known))}; say which: heads(stack={known[-1]!r})")
        if stack is not None and stack not in known:
            raise InputError(f"stack={shown(stack)}; the heads are of {', '.join(map(repr, known))}")
        table = rows[rows["stack"] == (stack or known[0])].groupby(["layer", "head"])["value"].sum().unstack()
        coords = {"layer": table.index.to_numpy(), "head": table.columns.to_numpy()}
        return xr.DataArray(table.to_numpy(), dims=("layer", "head"), coords=coords, name="contribution")

    def to_dataframe(self) -> pd.DataFrame:
        """Return the parts, the largest first."""
        order = self.parts["value"].abs().sort_values(ascending=False, kind="stable").index
        return self.parts.loc[order].reset_index(drop=True)

    def tree(self) -> AttributionTree:
        """Return the parts as a tree of one level, as it is drawn."""
        root = {"id": 0, "parent": -1, "kind": "score", "label": "score", "layer": -1, "head": -1, "pos": -1, "via": ""}
        root |= {"value": self.score, "error": abs(self.error), "state": "open"}
        rows = self.to_dataframe().drop(columns="stack")
        rows = rows.assign(id=range(1, len(rows) + 1), parent=0, via="", error=0.0, state="leaf")
        nodes = pd.concat([pd.DataFrame([root]), rows[list(root)]], ignore_index=True)
        return AttributionTree(nodes, "score of the document", self.tokens.labels, self._note(), self.provenance)

    def passages(self) -> Passages:
        """Return the text with what is written at (``by="position"``), or read from (``by="source"``), each token.

        Raises
        ------
        InputError
            Parts without positions.
        """
        if self.by == "component":
            raise InputError('these parts have no positions; ask for by="position" or by="source"')
        placed = self.parts[self.parts["pos"] >= 0]
        totals = placed.groupby("pos")["value"].sum().reindex(range(len(self.tokens)), fill_value=0.0)
        passage = Passage.of(self.tokens.labels, totals, self.tokens.spaces(), value=float(totals.sum()), label="all parts")
        rest = self.score - float(totals.sum())
        title = "Where the score is written" if self.by == "position" else "From which tokens the score is read"
        note = f"{self._note()} {rest:.3g} of {self.score:.4g} belongs to no token (biases)."
        return Passages((PassageGroup(title, (passage,)),), "share of the score", True, title, note, provenance=self.provenance)

    def show(self, theme: str = "auto") -> View:
        """Return the parts as a tree, or, where they have positions, on the text."""
        from mechviz import views

        return views.tree(self.tree(), theme=theme) if self.by == "component" else views.passages(self.passages(), theme=theme)

    def _note(self) -> str:
        if abs(self.error) > _TOLERANCE * max(1.0, abs(self.score)):
            why = "the score is not a linear function of the logits, or the model computes in half precision"
            return f"{HELD} {self.error:.3g} of the score is in no part: {why}."
        return HELD

    def __repr__(self) -> str:
        return f"ScoreContributions({self.score:.4g} in {len(self.parts)} parts by {self.by}, error {self.error:.1g})"


def score_contributions(
    ranker: Ranker, query: str, doc: str, by: By = "component", stack: str | None = None, truncate: bool = False
) -> ScoreContributions:
    """Attribute a score to the components that write into the residual stream, by the direct path to the readout.

    The score is the sum over components of (what it writes) . (the derivative of the score there), with everything that is not
    linear held as it is in this run (`mechviz.probes.frozen`): scales of norms, the tanh of a pooler, the length of a vector
    that is normalised, the difference of two labels' logits inside a log-softmax. Where norms stand in the stream itself, as
    in BERT, the derivative goes through each of them. What a component does by way of later heads and MLPs counts for those;
    see `attribution_tree` for what they were made of.

    Parameters
    ----------
    ranker : Ranker
        Of any kind. Where two texts are read apart, the other one's vector, terms or token vectors are held.
    query, doc : str
    by : ``"component"``, ``"position"`` or ``"source"``
        ``"position"`` parts a component by the token where it writes; ``"source"`` parts a head by the token that it reads from
        instead (its values times its pattern).
    stack : str, optional
        ``"query"`` for the query's tower. Of MonoT5, ``"encoder"`` follows what the decoder's heads read back to what was written
        in the encoder; by default those heads are the parts.
    truncate : bool
        Cut texts that are too long instead of raising.

    Returns
    -------
    ScoreContributions

    Raises
    ------
    InputError, InputTypeError

    References
    ----------
    Elhage et al., "A mathematical framework for transformer circuits", Transformer Circuits Thread, 2021.
    """
    if by not in ("component", "position", "source"):
        raise InputError(f"by={shown(by)}; it is 'component', 'position' or 'source'")
    run = frozen_run(ranker, query, doc, stack, truncate)
    rows = [row for share in run.shares() for row in _rows(run, share, by)]
    parts = pd.DataFrame(rows, columns=["stack", "kind", "layer", "head", "pos", "label", "value"])
    return ScoreContributions(run.score, parts, by, run.tokens, {**provenance_of(ranker), "stack": run.stack})


def label_of(run: FrozenRun, of: Written, head: int = -1) -> str:
    """Return what a component is called: ``"2.7"``, ``"MLP 3"``, with its stack where a model has several."""
    stack = f"{of.stack} " if len(set(run.names.values())) > 1 and of.stack else ""
    if of.kind == "head":
        return f"{stack}{of.layer}.{head}"
    if of.kind == "mlp":
        return f"{stack}MLP {of.layer}"
    if of.kind == "embed":
        return f"{stack}embedding"
    return f"{stack}{'' if of.layer < 0 else f'{of.layer} '}{of.name}"


def has_text(run: FrozenRun, stack: str, keys: bool = False) -> bool:
    """Return whether positions of a stack are the text's: T5's decoder has one step, but its cross attention reads the text."""
    return stack not in ("decoder", "cross") or "cross" not in run.names or (keys and stack == "cross")


def _rows(run: FrozenRun, share: Share, by: By) -> Iterator[dict[str, Any]]:
    of = share.of
    common: dict[str, Any] = {"stack": of.stack, "kind": of.kind, "layer": of.layer, "head": -1, "pos": -1}
    if of.kind in ("bias", "rest"):
        yield {**common, "label": label_of(run, of), "value": float(share.values)}
        return
    heads = range(share.values.shape[1]) if of.kind == "head" else [-1]
    for head in heads:
        values = share.values if head < 0 else share.values[:, head]
        if by == "source" and head >= 0:
            values = source_values(run, share, head)
        placed = by != "component" and has_text(run, of.stack, keys=by == "source")
        named = {**common, "head": head, "label": label_of(run, of, head)}
        if placed:
            yield from ({**named, "pos": pos, "value": float(value)} for pos, value in enumerate(values))
        else:
            yield {**named, "value": float(np.sum(values))}


def source_values(run: FrozenRun, share: Share, head: int) -> NDArray[np.float64]:
    """Return what a head adds by the position that it reads from, dims (pos)."""
    reading = run.readings[share.of.stack, share.of.layer]
    v = reading.made["v"][0]
    values, _ = by_source(reading.pattern[head], v[:, key_head(reading.pattern, v, head)], share.factor[0, :, head])
    found: NDArray[np.float64] = values.cpu().numpy()
    return found


def key_head(pattern: Tensor, v: Tensor, head: int) -> int:
    """Return which of the key heads serves a head (grouped-query attention)."""
    return head // (len(pattern) // v.shape[-2])
