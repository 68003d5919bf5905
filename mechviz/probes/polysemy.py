"""Polysemy inside a ranker: whether the uses of a word have different neighbours in a layer, and into which senses they fall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.probes.neighbours import METHODS
from mechviz.probes.occurrences import STATIC, Use, bank_of, context, sampled
from mechviz.probes.reading import Text, inputs_of
from mechviz.probes.uses import Sense, check_enough, measured, polysemy_of
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results.curves import MOST_CURVES, Curves
from mechviz.results.passages import PassageGroup, Passages
from mechviz.text.checks import whole_number
from mechviz.text.words import terms

if TYPE_CHECKING:
    from mechviz.views import CurvesView, PassagesView

__all__ = ["Polysemy", "Sense", "polysemy", "polysemy_of"]

#: Contexts that are shown of a sense.
_EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class Polysemy:
    """How different the uses of words are inside a ranker.

    Attributes
    ----------
    table : DataFrame
        One row a word and layer:

        - ``occurrences``, and ``pieces``, the mean number of tokens of a use (above 1: its vector is a mean of several);
        - ``polysemy``: the Jensen-Shannon divergence of its uses' neighbour words, in bits: 0 where all uses have the same, 1
          for two equally frequent senses without a common neighbour; ``low``, ``high``: its 95 % bootstrap interval over uses;
        - ``null``: what is left of it when the same neighbours are dealt to the uses at random, and ``excess``, the difference:
          the divergence of uses that are each coherent, not only few of many possible neighbours;
        - ``neighbour_entropy``: of all neighbour words, from 0 (one word) to 1 (all different words alike);
        - ``self_similarity``: mean cosine of two uses, less that of any two points of the layer;
        - ``own_type_rate``: share of the same word among the k nearest points of any word;
        - ``senses``, ``effective_senses`` (exp of the entropy of their shares), ``silhouette`` and ``sense_p``: see
          `mechviz.probes.senses.clusters`.
    found : mapping of (str, int) to tuple of Sense
        By word and layer, the largest sense first.
    texts : sequence of str, or of (query, document)
    uses : tuple of Use
        What `Sense.uses` counts.
    k : int
    provenance : dict
    """

    table: pd.DataFrame
    found: Mapping[tuple[str, int], tuple[Sense, ...]] = field(repr=False)
    texts: Sequence[Text] = field(repr=False)
    uses: tuple[Use, ...] = field(repr=False)
    k: int
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers, ascending; -1 is the table of word embeddings."""
        return tuple(sorted(set(self.table["layer"].tolist())))

    def to_dataframe(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.table.copy()

    def curves(self, words: Sequence[str] | None = None) -> Curves:
        """Return polysemy less its null by layer, of up to 8 words (by default those with the most in the last layer).

        Raises
        ------
        InputError
            A word that was not measured.
        """
        if words is None:
            last = self.table[self.table["layer"] == self.layers[-1]]
            words = last.sort_values(["excess", "word"], ascending=[False, True])["word"].head(MOST_CURVES).tolist()
        elif isinstance(words, str):
            words = [words]
        rows = {word: self._rows(word).sort_values("layer") for word in words}

        def of(column: str) -> dict[str, xr.DataArray]:
            return {
                word: xr.DataArray((own[column] - own["null"]).to_numpy(), dims="x", coords={"x": own["layer"].to_numpy()})
                for word, own in rows.items()
            }

        return Curves(
            x="layer (-1: the table of word embeddings)" if STATIC in self.layers else "layer",
            y="polysemy less its null (bits)",
            curves=of("polysemy"),
            low=of("low"),
            high=of("high"),
            reference={"neighbours dealt at random": 0.0},
            title=f"Polysemy in {self.provenance.get('ranker', 'the ranker')}",
            note=f"Divergence of the {self.k} nearest other words between uses; bands: 95% bootstrap intervals over "
            "uses, the null held fixed.",
        )

    def senses(self, word: str, layer: int | None = None) -> Passages:
        """Return the senses of a word in a layer (default the last), each with its 3 most typical contexts.

        Raises
        ------
        InputError
            A word or layer that was not measured.
        """
        layer = self.layers[-1] if layer is None else layer
        rows = self._rows(word)
        if layer not in self.layers:
            raise InputError(f"layer={shown(layer)}; measured were {', '.join(map(str, self.layers))}")
        row = rows[rows["layer"] == layer].iloc[0]
        groups = []
        for number, sense in enumerate(self.found[row["word"], layer]):
            shown_uses = [self.uses[at] for at in sense.uses[:_EXAMPLES]]
            groups.append(
                PassageGroup(
                    f"sense {number + 1}: {sense.share:.0%} of {row['occurrences']} uses",
                    tuple(context(self.texts[use.text], use) for use in shown_uses),
                    f"nearest words: {', '.join(sense.neighbours)}",
                )
            )
        return Passages(
            tuple(groups),
            unit="no value: contexts of a word",
            title=f"Senses of {row['word']!r} at layer {layer}",
            note=f"Polysemy {row['polysemy']:.2f} bits, {row['null']:.2f} of them by chance; silhouette {row['silhouette']:.2f}, "
            f"p = {row['sense_p']:.2f} against one sense.",
            provenance=self.provenance,
        )

    def show(self, word: str | None = None, layer: int | None = None, theme: str = "auto") -> CurvesView | PassagesView:
        """Return curves over layers as a view, or the senses of a word in a layer (default the last)."""
        from mechviz import views

        if word is None:
            return views.curves(self.curves(), theme=theme)
        return views.passages(self.senses(word, layer), theme=theme)

    def _rows(self, word: str) -> pd.DataFrame:
        wanted = "".join(terms(word)) if isinstance(word, str) else word
        rows = self.table[self.table["word"] == wanted]
        if rows.empty:
            raise InputError(f"{shown(word)} was not measured; see to_dataframe() for the words that were")
        return rows

    def __repr__(self) -> str:
        last = self.table[self.table["layer"] == self.layers[-1]].sort_values("excess", ascending=False)
        said = ", ".join(f"{row.word} {row.excess:.2f}" for row in last.head(3).itertuples())
        layers = ", ".join(map(str, self.layers))
        return f"Polysemy({len(last)} words, layers {layers}; most at the last, above the null: {said})"


def polysemy(
    ranker: Ranker,
    texts: Sequence[Text],
    layer: int | Sequence[int] | None = None,
    k: int = 50,
    words: Sequence[str] | None = None,
    most: int = 50,
    min_occurrences: int = 20,
    components: int = 2,
    site: str = "resid_post",
    search: str = "auto",
    batch_size: int = 32,
    seed: int = 0,
) -> Polysemy:
    """Measure whether the uses of words have different neighbours inside a ranker.

    Every use of a word is a point; near it lie uses of other words, in other texts. Where a word has one meaning, all its uses
    have the same neighbours; where it has several, groups of uses have different ones. The number is the Jensen-Shannon
    divergence of the uses' distributions over the words of their k neighbours, JSD = H(mean of p) - mean of H(p), in bits (base
    2). It grows with the number of uses (at most log2 of it), so compare words with as many.

    Parameters
    ----------
    ranker : Ranker
    texts : sequence of str, or of (query, document)
        Documents, whose words are looked at. The more, the better the neighbours.
    layer : int or sequence of int, optional
        By the number of the layer whose output it is; default all. -1 is the table of word embeddings, before positions and
        layers, where polysemy is 0: equal tokens have equal vectors there.
    k : int
        Neighbours of a use.
    words : sequence of str, optional
        Which words are measured; by default all with enough occurrences. All words are neighbours, except stopwords (but those
        asked for) and words of one text.
    most : int
        Uses of one word, at most, drawn so that they are from as many texts as can be.
    min_occurrences : int
        Words with fewer are not measured.
    components : int
        Principal components that are taken off, besides the mean; see `mechviz.probes.neighbours.isotropic`.
    site : str
        What is read of each layer: a site with dims (pos, feature).
    search : ``"auto"``, ``"exact"`` or ``"faiss"``
        How neighbours are found; see `mechviz.probes.neighbours.nearest`.
    batch_size, seed : int

    Returns
    -------
    Polysemy

    Raises
    ------
    InputError, InputTypeError
        Texts, layers or words that cannot be used; fewer than ``k`` points that could be neighbours.
    MechvizError
        More than 200,000 points without faiss.

    Notes
    -----
    A word with another form in the texts (its plural) has that as the nearest neighbour of most uses, which makes all numbers of
    neighbours small: compare words of one kind. Senses are clusters of whatever the layer holds: where a vector is added for
    every position, they can be places in the text, however sure ``sense_p`` is. Read their examples. Memory is 4 bytes a use,
    layer and feature. The neighbour-space view of polysemy is Arrakis's (Srivastava), who promised it.
    """
    check_ranker(ranker)
    if search not in METHODS:
        raise InputError(f"search={shown(search)}; it is one of {', '.join(map(repr, METHODS))}")
    for name, number, least in (("k", k, 1), ("most", most, 2), ("min_occurrences", min_occurrences, 2)):
        whole_number(name, number, least)
    if most < min_occurrences:
        raise InputError(f"most={most} is below min_occurrences={min_occurrences}; no word could have enough")
    part = ranker.stack(ranker.stack_of("doc"))
    layers = _layers(layer, part.n_layers)
    wanted = _words(words)
    if not isinstance(site, str) or site in ("q", "k", "v", "z", "pattern", "attn_scores"):
        raise InputError(f"site={shown(site)}; give one without heads, such as 'resid_post', 'attn_out' or 'mlp_post'")
    for number in set(layers) - {STATIC}:
        ranker.towers[ranker.stack_of("doc")].names(part.hook(number, site))
    inputs_of(ranker, texts)
    uses = sampled(texts, most, wanted or (), seed)
    check_enough(uses, wanted, min_occurrences)
    bank = bank_of(ranker, texts, uses, layers, site, batch_size)
    chosen = check_enough(bank.uses, wanted, min_occurrences)
    names = [use.word for use in bank.uses]
    where = np.array([use.text for use in bank.uses], dtype=np.int64)
    tables, found = [], {}
    for at, number in enumerate(layers):
        own, senses = measured(bank.vectors[at], names, where, chosen, k, components, search, seed)
        tables.append(own.assign(layer=number))
        found.update({(word, number): one for word, one in senses.items()})
    table = pd.concat(tables, ignore_index=True)
    pieces = pd.Series(bank.pieces).groupby(names).mean()
    table.insert(2, "pieces", pieces.loc[table["word"]].to_numpy())
    table.insert(1, "layer", table.pop("layer"))
    said = {"texts": str(len(texts)), "site": site, "k": str(k), "components": str(components), "seed": str(seed)}
    return Polysemy(table, found, texts, bank.uses, k, {**provenance_of(ranker), **said})


def _layers(layer: int | Sequence[int] | None, n_layers: int) -> list[int]:
    chosen = list(range(n_layers)) if layer is None else [layer] if isinstance(layer, int) else list(layer)
    if not chosen or any(type(one) is not int or not STATIC <= one < n_layers for one in chosen):
        raise InputError(
            f"layer={shown(layer)}; give numbers from 0 to {n_layers - 1} (this ranker's layers), or -1, the word embeddings"
        )
    return list(dict.fromkeys(chosen))


def _words(words: Sequence[str] | None) -> list[str] | None:
    if words is None:
        return None
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise InputTypeError(f"words must be a list of strings, not {shown(words)}")
    split = [terms(word) for word in words]
    wrong = [word for word, parts in zip(words, split, strict=True) if len(parts) != 1]
    if wrong or not words:
        raise InputError(f"words={shown(wrong or words)}; give single words, of letters and digits, at least one")
    return list(dict.fromkeys(parts[0] for parts in split))
