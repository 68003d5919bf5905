"""Examples with labels: what a ranker's layers hold at tokens or texts of which a concept holds, or does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, shown
from mechviz.probes.concepts import Answer, Concept, Spans, as_concept, with_spans
from mechviz.probes.occurrences import positions_of
from mechviz.probes.reading import Read, Text, inputs_of, read
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.rankers.stack import Stack
from mechviz.text.checks import whole_number
from mechviz.text.tokens import Tokens

POOLS = ("max", "mean", "span", "cls")


@dataclass(frozen=True, eq=False)
class Labelled:
    """Examples of a concept.

    Attributes
    ----------
    name : str
        The concept.
    level : ``"token"`` or ``"text"``
        What an example is.
    texts : tuple of str, or of (query, document)
        Those that ran.
    spans : tuple of spans
        Of each text: where the concept holds, or what was pointed at; what is outlined.
    features : float32 array, dims (example, layer, feature)
    labels : bool array, dims (example)
    of : int64 array, dims (example)
        The text of each example.
    groups : int64 array, dims (example)
        What is held out and drawn together: the query, or the text where there is none.
    kinds : int64 array, dims (example)
        The token id, or the text's number: what a control label belongs to.
    """

    name: str
    level: Literal["token", "text"]
    texts: tuple[Text, ...]
    spans: tuple[Spans, ...]
    features: NDArray[np.float32]
    labels: NDArray[np.bool_]
    of: NDArray[np.int64]
    groups: NDArray[np.int64]
    kinds: NDArray[np.int64]

    @property
    def strata(self) -> NDArray[np.int64] | None:
        """Within what labels are dealt again: tokens within their text; texts freely."""
        return self.of if self.level == "token" else None

    def split(self, held_out: float, seed: int) -> NDArray[np.bool_]:
        """Return which examples are held out, whole groups, both kinds of label on either side, dims (example).

        Raises
        ------
        InputError
            Too few groups for that.
        """
        if isinstance(held_out, bool) or not isinstance(held_out, (int, float)) or not 0 < held_out < 1:
            raise InputError(f"held_out={shown(held_out)}; give a share between 0 and 1")
        random = np.random.default_rng(seed)
        positive = np.unique(self.groups[self.labels])
        both = np.intersect1d(positive, self.groups[~self.labels])
        alone = np.setdiff1d(positive, both), np.setdiff1d(self.groups, positive)
        out: list[int] = []
        for part in (both, *alone):
            out += random.permutation(part)[: _share(held_out, len(part))].tolist()
        found: NDArray[np.bool_] = np.isin(self.groups, out)
        for name, side in (("held-out", self.labels[found]), ("other", self.labels[~found])):
            if side.all() or not side.any():
                raise InputError(
                    f"{self.name}: the {name} part has one kind of label only; give more texts (or queries), or another held_out"
                )
        return found


def labelled(
    ranker: Ranker,
    concept: object,
    texts: Sequence[Text] | None,
    positive: Any,
    negative: Any,
    layers: Sequence[int],
    site: str,
    pool: str,
    most: int,
    batch_size: int,
    seed: int,
    see: Callable[[Read], None] | None = None,
) -> Labelled:
    """Read what layers hold at the examples of a concept, or at positive and negative texts.

    Parameters
    ----------
    ranker : Ranker
    concept, texts
        A concept and texts to ask it about; or else
    positive, negative
        Lists of texts, as `mechviz.probes.concepts.with_spans` takes them.
    layers : sequence of int
    site : str
    pool : str
        How the tokens of a text become one example; for examples that are texts.
    most : int
        Of more tokens than these, half of them positive where there are so many, a random sample is taken.
    batch_size, seed : int
    see : callable, optional
        Is shown all that is read.

    Raises
    ------
    InputError, InputTypeError
    """
    check_ranker(ranker)
    if pool not in POOLS:
        raise InputError(f"pool={shown(pool)}; it is one of {', '.join(map(repr, POOLS))}")
    whole_number("most", most, 4)
    name, given, answers, pointed = _asked(concept, texts, positive, negative)
    stack, inputs = inputs_of(ranker, given)
    tokens = [one[ranker.text_of(stack)] for one in inputs]
    level: Literal["token", "text"] = "token" if isinstance(answers[0], tuple) else "text"
    chosen = _tokens(tokens, answers, most, seed) if level == "token" else _pooled(tokens, answers, pointed, pool)
    labels = np.array([label for _, _, label in chosen], dtype=bool)
    if labels.all() or not labels.any():
        what = "positive" if len(labels) and labels[0] else "negative"
        raise InputError(f"{name}: all {len(labels)} examples ({level}s) are {what}; give texts of both kinds")
    hooks = [ranker.stack(stack).hook(layer, site) for layer in layers]
    features = _features(ranker, given, hooks, chosen, pool if level == "text" else "mean", batch_size, see)
    of = np.array([number for number, _, _ in chosen], dtype=np.int64)
    kinds = [int(tokens[number].ids[at[0]]) if level == "token" else number for number, at, _ in chosen]
    return Labelled(
        name, level, tuple(given), tuple(pointed), features, labels, of, _groups(given)[of], np.array(kinds, dtype=np.int64)
    )


#: An example: the number of its text, its positions, its label.
_Chosen = tuple[int, NDArray[np.int64], bool]


def _asked(
    concept: object, texts: Sequence[Text] | None, positive: Any, negative: Any
) -> tuple[str, list[Text], list[Answer], list[Spans]]:
    """Return the concept's name, the texts that run, what it says of each, and what is outlined."""
    by_hand = positive is not None or negative is not None
    if by_hand == (concept is not None or texts is not None):
        raise InputError("give a concept and texts=, or positive= and negative=")
    if by_hand:
        sides = [with_spans("positive", positive), with_spans("negative", negative)]
        both = [*sides[0], *sides[1]]
        labels: list[Answer] = [at < len(sides[0]) for at in range(len(both))]
        return "positive", [text for text, _ in both], labels, [spans or () for _, spans in both]
    made: Concept = as_concept(concept)
    if texts is None or isinstance(texts, str) or not isinstance(texts, Sequence):
        raise InputError(f"texts={shown(texts)}; give the texts that the concept {made.name!r} is looked for in, as a list")
    asked = [(text, answer) for text, answer in map(made.ask, texts) if answer is not None]
    if not asked:
        raise InputError(f"the concept {made.name!r} says nothing of any of the {len(texts)} texts; give others")
    if len({isinstance(answer, tuple) for _, answer in asked}) > 1:
        raise InputError(f"the concept {made.name!r} returned spans of some texts, True or False of others; return one kind")
    pointed = [answer if isinstance(answer, tuple) else () for _, answer in asked]
    return made.name, [text for text, _ in asked], [answer for _, answer in asked], pointed


def _tokens(tokens: Sequence[Tokens], answers: Sequence[Answer], most: int, seed: int) -> list[_Chosen]:
    sides: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for number, (own, spans) in enumerate(zip(tokens, answers, strict=True)):
        assert isinstance(spans, tuple)
        inside = set(positions_of(own, spans).tolist())
        for at in own.positions("doc").tolist():
            sides[at in inside].append((number, at))
    random = np.random.default_rng(seed)
    n_positive = min(len(sides[1]), max(most // 2, most - len(sides[0])))
    sizes = (min(len(sides[0]), most - n_positive), n_positive)
    found = []
    for label, (side, size) in enumerate(zip(sides, sizes, strict=True)):
        found += [(*side[at], bool(label)) for at in random.permutation(len(side))[:size].tolist()]
    return [(number, np.array([at]), label) for number, at, label in sorted(found)]


def _pooled(tokens: Sequence[Tokens], answers: Sequence[Answer], pointed: Sequence[Spans], pool: str) -> list[_Chosen]:
    found = []
    for number, (own, answer, spans) in enumerate(zip(tokens, answers, pointed, strict=True)):
        if pool == "span":
            positions = positions_of(own, spans)
            if not len(positions):
                raise InputError(
                    f'pool="span", and text {number} has no span that was read; give (text, [(start, end), ...]), or another pool'
                )
        elif pool == "cls":
            positions = own.positions("cls")[:1]
            if not len(positions):
                raise InputError('pool="cls", and this ranker\'s texts have no such token; use "max" or "mean"')
        else:
            positions = own.positions("doc")
        found.append((number, positions, bool(answer)))
    return found


def _features(
    ranker: Ranker,
    texts: Sequence[Text],
    hooks: list[str],
    chosen: Sequence[_Chosen],
    pool: str,
    batch_size: int,
    see: Callable[[Read], None] | None,
) -> NDArray[np.float32]:
    """Return features, dims (example, layer, feature); only texts with examples run."""
    by_text: dict[int, list[int]] = {}
    for row, (number, _, _) in enumerate(chosen):
        by_text.setdefault(number, []).append(row)
    numbers = sorted(by_text)
    found: NDArray[np.float32] | None = None
    for one in read(ranker, [texts[number] for number in numbers], hooks, batch_size):
        if see is not None:
            see(one)
        if found is None:
            found = np.empty((len(chosen), len(hooks), one.arrays[hooks[0]].shape[-1]), dtype=np.float32)
        for row in by_text[numbers[one.number]]:
            at = chosen[row][1]
            for layer, hook in enumerate(hooks):
                own = one.arrays[hook][at]
                found[row, layer] = own.max(axis=0) if pool == "max" else own.mean(axis=0)
    assert found is not None
    return found


def _groups(texts: Sequence[Text]) -> NDArray[np.int64]:
    """Return the group of each text: its query, or itself where all texts have one query or none; equal texts are one."""
    names = [text[0] if isinstance(text, tuple) else text for text in texts]
    if len(set(names)) < 2:
        names = [str(text) for text in texts]
    found: NDArray[np.int64] = np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)
    return found


def _share(held_out: float, n: int) -> int:
    return min(max(1, round(held_out * n)), n - 1) if n > 1 else 0


def chosen_layers(part: Stack, layers: Sequence[int] | None) -> list[int]:
    """Return layers, default all.

    Raises
    ------
    InputError
    """
    chosen = list(range(part.n_layers)) if layers is None else [layers] if isinstance(layers, int) else list(layers)
    if not chosen or any(type(layer) is not int or not -part.n_layers <= layer < part.n_layers for layer in chosen):
        raise InputError(f"layers={shown(layers)}; give whole numbers from 0 to {part.n_layers - 1} (this ranker's layers)")
    return list(dict.fromkeys(layer % part.n_layers for layer in chosen))


def check_neurons(ranker: Ranker) -> Stack:
    """Return the stack that reads documents.

    Raises
    ------
    InputError
        Its layers have no MLP.
    """
    check_ranker(ranker)
    part = ranker.stack(ranker.stack_of("doc"))
    if not part.d_mlp:
        raise InputError(f"{ranker.name} has attention only: its layers have no MLP, and so no neurons")
    return part


def check_neuron(part: Stack, neuron: object) -> tuple[int, int]:
    """Return (layer, index) of a neuron that exists.

    Raises
    ------
    InputError
    """
    both = tuple(neuron) if isinstance(neuron, (tuple, list)) else ()
    if (
        len(both) != 2
        or any(isinstance(one, bool) or not isinstance(one, (int, np.integer)) for one in both)
        or not -part.n_layers <= both[0] < part.n_layers
        or not 0 <= both[1] < part.d_mlp
    ):
        raise InputError(
            f"neuron={shown(neuron)}; give (layer, index), layers 0 to {part.n_layers - 1}, indices 0 to {part.d_mlp - 1}"
        )
    return int(both[0]) % part.n_layers, int(both[1])
