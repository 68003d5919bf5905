"""Neurons that answer to a concept: one that is named, or all of them, each with its statistics.

A neuron is one output of an MLP's non-linearity, the product with its gate included where there is one (site ``mlp_post``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from mechviz.probes.concepts import Spans
from mechviz.probes.labelled import check_neuron, check_neurons, chosen_layers, labelled
from mechviz.probes.neuron_statistics import area_interval, areas, areas_and_p, effect_sizes, threshold, tied
from mechviz.probes.occurrences import positions_of
from mechviz.probes.reading import Read, Text, read
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker
from mechviz.results.passages import Passage, PassageGroup, Passages
from mechviz.text.checks import whole_number
from mechviz.text.tokens import Tokens

if TYPE_CHECKING:
    from mechviz.views.view import View

#: Neurons whose held-out area gets an interval.
_INTERVALS = 20
#: Tokens on either side of the largest, in a passage.
_AROUND = 30


@dataclass(frozen=True, eq=False)
class KnowledgeProbe:
    """What one neuron says of two kinds of texts.

    Attributes
    ----------
    neuron : tuple of int
        Layer and index.
    positive, negative : DataArray, dims (text)
        Its activation in each text, in the order given.
    auc, low, high : float
        How often it is larger in a positive text than in a negative one, with its 95 % bootstrap interval over texts (over
        queries, where there are several).
    d : float
        Cohen's d; NaN where the neuron never changes.
    threshold, accuracy : float
        The value that tells the texts apart best, and the mean of sensitivity and specificity there, on the same texts.
    pool : str
    contexts : Passages
        The texts of each kind in which it is largest, with its activation at every token.
    """

    neuron: tuple[int, int]
    positive: xr.DataArray
    negative: xr.DataArray
    auc: float
    low: float
    high: float
    d: float
    threshold: float
    accuracy: float
    pool: str
    contexts: Passages = field(repr=False)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a text: ``text`` (its number in its list), ``positive`` and ``activation``."""
        sides = [
            pd.DataFrame({"text": range(len(side)), "positive": label, "activation": side.values})
            for label, side in ((True, self.positive), (False, self.negative))
        ]
        return pd.concat(sides, ignore_index=True)

    def show(self, theme: str = "auto") -> View:
        """Return the texts in which the neuron is largest as a view."""
        from mechviz import views

        return views.passages(self.contexts, theme=theme)

    def __repr__(self) -> str:
        layer, index = self.neuron
        return (
            f"KnowledgeProbe(neuron {layer}.{index}, {len(self.positive)} positive and {len(self.negative)} negative texts: "
            f"AUC {self.auc:.3f} [{self.low:.3f}, {self.high:.3f}], d {self.d:.2f})"
        )


@dataclass(frozen=True, eq=False)
class ConceptNeurons:
    """Every neuron with how well it tells where a concept holds.

    Attributes
    ----------
    concept : str
    level : ``"token"`` or ``"text"``
        What an example is.
    table : DataFrame
        One row a neuron, the best first: ``layer``, ``neuron``; on the examples that were chosen on, ``auc``, ``d`` (Cohen's),
        ``p`` (permutation), ``p_max`` (corrected by the largest of all neurons) and ``q`` (of ``p``, Benjamini-Hochberg); on the
        others, ``auc_held_out``, ``d_held_out`` and, of the first 20, the 95 % bootstrap interval over texts or queries, ``low``
        and ``high``. An AUC below 0.5 is of a neuron that is smaller where the concept holds.
    n_train, n_held_out : int
        Examples.
    pool : str
    provenance : dict
    """

    concept: str
    level: str
    table: pd.DataFrame = field(repr=False)
    n_train: int
    n_held_out: int
    pool: str
    provenance: dict[str, str] = field(repr=False)
    _ranker: Ranker = field(repr=False)
    _held_out: tuple[tuple[Text, Spans], ...] = field(repr=False)

    @property
    def auc(self) -> xr.DataArray:
        """AUC on the examples that were chosen on, dims (layer, neuron)."""
        return self._grid("auc")

    @property
    def auc_held_out(self) -> xr.DataArray:
        """AUC on the held-out examples, dims (layer, neuron)."""
        return self._grid("auc_held_out")

    def top(self, n: int = 10) -> pd.DataFrame:
        """Return the first n rows of the table."""
        return self.table.head(n).copy()

    def neurons(self, n: int = 10) -> list[tuple[int, int]]:
        """Return (layer, index) of the first n neurons."""
        return [(int(layer), int(index)) for layer, index in self.table[["layer", "neuron"]].head(n).to_numpy()]

    def to_dataframe(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.table.copy()

    def passages(self, n: int = 3, contexts: int = 5) -> Passages:
        """Return the held-out texts in which each of the first n neurons is largest, the concept outlined; runs them again."""
        for name, number in (("n", n), ("contexts", contexts)):
            whole_number(name, number)
        chosen = self.neurons(n)
        part = self._ranker.stack(self._ranker.stack_of("doc"))
        hooks = {layer: part.hook(layer, "mlp_post") for layer, _ in chosen}
        found: dict[tuple[int, int], list[Passage]] = {neuron: [] for neuron in chosen}
        for one in read(self._ranker, [text for text, _ in self._held_out], list(hooks.values())):
            for layer, index in chosen:
                values = one.arrays[hooks[layer]][:, index]
                spans = self._held_out[one.number][1]
                found[layer, index].append(_passage(one.tokens, values, spans, f"held-out text {one.number}"))
        rows = {(row.layer, row.neuron): row for row in self.table.head(n).itertuples()}
        groups = tuple(
            PassageGroup(
                f"neuron {neuron[0]}.{neuron[1]}",
                tuple(sorted(own, key=lambda passage: (-passage.value, passage.label))[:contexts]),
                f"AUC {rows[neuron].auc_held_out:.3f} on held-out {self.level}s, d {rows[neuron].d_held_out:.2f}.",
            )
            for neuron, own in found.items()
        )
        values = np.concatenate([passage.values for group in groups for passage in group.passages])
        return Passages(
            groups,
            unit="activation",
            signed=bool(np.nanmin(values) < 0),
            title=f"Neurons of {self.concept!r}",
            note=f"Where each is largest among {len(self._held_out)} held-out texts; outlined is where the concept holds.",
            provenance=self.provenance,
        )

    def show(self, n: int = 3, theme: str = "auto") -> View:
        """Return the top contexts of the first n neurons as a view."""
        from mechviz import views

        return views.passages(self.passages(n), theme=theme)

    def _grid(self, column: str) -> xr.DataArray:
        wide = self.table.pivot(index="layer", columns="neuron", values=column)
        return xr.DataArray(
            wide.to_numpy(), dims=("layer", "neuron"), coords={"layer": wide.index.to_numpy(), "neuron": wide.columns.to_numpy()}
        )

    def __repr__(self) -> str:
        first = self.table.iloc[0]
        return (
            f"ConceptNeurons({self.concept}, {len(self.table)} neurons, {self.n_train} + {self.n_held_out} {self.level}s; first "
            f"{first.layer:.0f}.{first.neuron:.0f}: AUC {first.auc:.3f}, held out {first.auc_held_out:.3f}, p {first.p_max:.3g})"
        )


def knowledge_probe(
    ranker: Ranker,
    positive: Sequence[Any],
    negative: Sequence[Any],
    neuron: tuple[int, int],
    pool: str = "max",
    contexts: int = 5,
    batch_size: int = 32,
    seed: int = 0,
) -> KnowledgeProbe:
    """Ask whether one neuron tells two kinds of texts apart.

    Parameters
    ----------
    ranker : Ranker
    positive, negative : sequences of str, of (query, document), or of (text, spans) with either
        ``spans`` are (start, end) of characters in the document.
    neuron : (layer, index)
    pool : ``"max"``, ``"mean"``, ``"span"`` or ``"cls"``
        What a text's number is: the largest activation at the document's tokens, their mean, the mean at the tokens of its spans,
        or that at CLS.
    contexts : int
        Texts of each kind that are kept to be shown.
    batch_size, seed : int

    Returns
    -------
    KnowledgeProbe

    Raises
    ------
    InputError, InputTypeError
        A ranker without MLPs, a neuron that it does not have, texts that cannot be used.
    """
    part = check_neurons(ranker)
    layer, index = check_neuron(part, neuron)
    whole_number("contexts", contexts)
    hook = part.hook(layer, "mlp_post")
    seen: list[tuple[int, Tokens, NDArray[np.float32]]] = []

    def see(one: Read) -> None:
        seen.append((one.number, one.tokens, one.arrays[hook][:, index].copy()))

    found = labelled(ranker, None, None, positive, negative, [layer], "mlp_post", pool, 4, batch_size, seed, see)
    values, labels = found.features[:, 0, index], found.labels
    passages: list[tuple[int, Passage]] = []
    for number, tokens, own in seen:
        label = f"{'positive' if labels[number] else 'negative'} text {number - (0 if labels[number] else labels.sum())}"
        passages.append((number, _passage(tokens, own, found.spans[number], label, float(values[number]))))
    groups = [
        PassageGroup(title, _largest([passage for number, passage in passages if labels[number] == side], contexts))
        for title, side in (("positive", True), ("negative", False))
    ]
    auc, d = float(areas(values[:, None], labels)[0]), float(effect_sizes(values[:, None], labels)[0])
    low, high = area_interval(values, labels, found.groups, seed=seed)
    bound, accuracy = threshold(values, labels)
    shown_values = np.concatenate([passage.values for group in groups for passage in group.passages])
    return KnowledgeProbe(
        neuron=(layer, index),
        positive=xr.DataArray(values[labels], dims="text"),
        negative=xr.DataArray(values[~labels], dims="text"),
        auc=auc,
        low=low,
        high=high,
        d=d,
        threshold=bound,
        accuracy=accuracy,
        pool=pool,
        contexts=Passages(
            tuple(groups),
            unit=f"activation of neuron {layer}.{index}",
            signed=bool(np.nanmin(shown_values) < 0),
            title=f"Neuron {layer}.{index} in two kinds of texts",
            note=f"AUC {auc:.3f} [{low:.3f}, {high:.3f}], d {d:.2f}; the largest of {labels.sum()} and {(~labels).sum()} texts.",
            provenance=provenance_of(ranker),
        ),
    )


def find_concept_neurons(
    ranker: Ranker,
    concept: Any = None,
    texts: Sequence[Text] | None = None,
    positive: Sequence[Any] | None = None,
    negative: Sequence[Any] | None = None,
    layers: Sequence[int] | None = None,
    pool: str = "max",
    held_out: float = 0.5,
    permutations: int = 200,
    most: int = 4000,
    batch_size: int = 32,
    seed: int = 0,
) -> ConceptNeurons:
    """Find the neurons that tell where a concept holds, among all of them.

    Neurons are ranked by |AUC - 1/2| (then by |d|) on one part of the examples, and reported on the other, which shares no
    text or query with it. Activations that differ by less than 1e-5 of a neuron's largest count as equal.

    Parameters
    ----------
    ranker : Ranker
    concept : Concept or callable
        Of `mechviz.probes.concepts`, or your function of ``(doc, query)``; with ``texts``.
    texts : sequence of str, or of (query, document)
    positive, negative : sequences
        Instead of these two: texts of two kinds, as in `knowledge_probe`.
    layers : sequence of int, optional
        Default all.
    pool : str
        What a text's number is, where examples are texts; as in `knowledge_probe`.
    held_out : float
        Share of the queries (or texts) on which the neurons are reported.
    permutations : int
        Draws of the test; the labels of tokens are dealt within their text.
    most : int
        Where examples are tokens: how many, at most, half of them positive if there are so many. Memory is 12 bytes a token
        and neuron.
    batch_size, seed : int

    Returns
    -------
    ConceptNeurons

    Raises
    ------
    InputError, InputTypeError
        A ranker without MLPs; texts of one kind only, or too few of them to hold some out.
    """
    part = check_neurons(ranker)
    chosen = chosen_layers(part, layers)
    whole_number("permutations", permutations)
    found = labelled(ranker, concept, texts, positive, negative, chosen, "mlp_post", pool, most, batch_size, seed)
    out = found.split(held_out, seed)
    flat = tied(found.features.reshape(len(out), -1))
    train, test = (flat[~out], found.labels[~out]), (flat[out], found.labels[out])
    strata = None if found.strata is None else found.strata[~out]
    auc, p, p_max = areas_and_p(*train, draws=permutations, seed=seed, strata=strata)
    width = found.features.shape[2]
    table = pd.DataFrame(
        {
            "layer": np.repeat(chosen, width),
            "neuron": np.tile(np.arange(width), len(chosen)),
            "auc": auc,
            "d": effect_sizes(*train),
            "p": p,
            "p_max": p_max,
            "q": stats.false_discovery_control(p),
            "auc_held_out": areas(*test),
            "d_held_out": effect_sizes(*test),
            "low": np.nan,
            "high": np.nan,
        }
    )
    order = np.lexsort((np.nan_to_num(-table["d"].abs()), -np.round((table["auc"] - 0.5).abs(), 12)))
    table = table.iloc[order]
    for at, column in zip(range(min(_INTERVALS, len(table))), order.tolist(), strict=False):
        table.iloc[at, -2:] = area_interval(test[0][:, column], test[1], found.groups[out], seed=seed)
    kept = sorted(set(found.of[out].tolist()))
    said = {"texts": str(len(found.texts)), "permutations": str(permutations), "seed": str(seed)}
    return ConceptNeurons(
        concept=found.name,
        level=found.level,
        table=table.reset_index(drop=True),
        n_train=int((~out).sum()),
        n_held_out=int(out.sum()),
        pool=pool if found.level == "text" else "token",
        provenance={**provenance_of(ranker), **said},
        _ranker=ranker,
        _held_out=tuple((found.texts[number], found.spans[number]) for number in kept),
    )


def _largest(passages: list[Passage], n: int) -> tuple[Passage, ...]:
    return tuple(sorted(passages, key=lambda passage: -passage.value)[:n])


def _passage(tokens: Tokens, values: NDArray[np.float32], spans: Spans, label: str, value: float | None = None) -> Passage:
    """Return what stands around the document's token with the largest value; spans are outlined."""
    own = tokens.positions("doc")
    at = int(own[np.argmax(values[own])])
    rows = np.arange(max(0, at - _AROUND), min(len(tokens), at + _AROUND + 1))
    read_here = np.isin(np.array(tokens.segments), ("query", "doc"))
    marks = np.zeros(len(tokens), dtype=bool)
    marks[positions_of(tokens, spans)] = True
    return Passage.of(
        [tokens.labels[row] for row in rows],
        np.where(read_here, values, np.nan)[rows],
        tokens.spaces()[rows],
        marks[rows],
        label,
        float(values[at]) if value is None else value,
    )
