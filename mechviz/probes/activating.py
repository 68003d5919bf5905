"""Passages of a collection that activate a head, a neuron or a direction the most."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mechviz import results
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.interventions.checks import as_array
from mechviz.interventions.subspaces import Basis
from mechviz.probes.reading import Read, Text, read
from mechviz.rankers.provenance import provenance_of
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import Passage, PassageGroup
from mechviz.text.checks import whole_number
from mechviz.text.tokens import Tokens

if TYPE_CHECKING:
    from mechviz.views import View

By = Literal["output", "from", "to"]
_SAID = {
    "output": "length of what {} writes",
    "from": "largest attention of {} from the token to another",
    "to": "largest attention of {} to the token from another",
}
#: What turns what was read of one text into a number a position, dims (pos), and, for attention, the other end of each.
Measure = Callable[[Read, NDArray[np.bool_]], NDArray[np.float32]]


@dataclass(frozen=True)
class Head:
    """A head: ``by`` the length of what it writes at a token, or its largest attention ``"from"`` or ``"to"`` the token."""

    layer: int
    head: int
    by: By = "output"


@dataclass(frozen=True)
class Neuron:
    """A neuron of an MLP: its activation after the activation function."""

    layer: int
    index: int


@dataclass(frozen=True, eq=False)
class Along:
    """A direction at a hook: the activation's length along it.

    Attributes
    ----------
    hook : str
        A full name, such as ``blocks.3.hook_resid_post``; a head's sites are read head after head, dims (pos, head x d_head).
    direction : array, dims (feature), or Basis
        Of a basis with several coordinates the length of the part within it counts.
    """

    hook: str
    direction: Any


@dataclass(frozen=True, eq=False)
class Activating(results.Passages):
    """The passages; see `mechviz.results.Passages`."""

    def show(self, theme: str = "auto") -> View:
        """Return the passages as a view."""
        from mechviz import views

        return views.passages(self, theme=theme)

    __repr__ = results.Passages.__repr__


def activating(
    ranker: Ranker,
    texts: Sequence[Text],
    what: Head | Neuron | Along,
    n: int = 10,
    specials: bool = False,
    around: int = 30,
    batch_size: int = 32,
) -> Activating:
    """Return the passages in which something is activated the most.

    Texts are run batch by batch, and no more than ``n`` passages are held.

    Parameters
    ----------
    ranker : Ranker
    texts : sequence of str, or of (query, document)
    what : Head, Neuron or Along
        ``Head(3, 5)``, ``Head(3, 5, by="to")``, ``Neuron(2, 117)``, ``Along("blocks.3.hook_resid_post", vector)``.
    n : int
        How many; of each text the largest place counts, and of equal ones the text that was given first.
    specials : bool
        Whether special tokens and prompts count too, on which many heads rest.
    around : int
        Tokens on either side of the largest that a passage shows.
    batch_size : int

    Returns
    -------
    Activating
        One group, the largest first, with the activation at every token (NaN where it does not count) and the largest marked.

    Raises
    ------
    InputError, InputTypeError
        A layer, head or neuron that the ranker does not have; a direction that does not fit its hook.
    """
    check_ranker(ranker)
    for name, number, least in (("n", n, 1), ("around", around, 0)):
        whole_number(name, number, least)
    hooks, measure, said = _measured(ranker, what)
    best: list[tuple[float, int, Passage]] = []  # the number is negative, so that the heap never compares passages
    count = 0
    for one in read(ranker, texts, hooks, batch_size):
        count += 1
        counted = np.ones(len(one.tokens), dtype=bool) if specials else _own(one.tokens)
        values = np.where(counted, measure(one, counted), np.nan).astype(np.float32)
        if not np.isfinite(values).any():  # attention of a text with one token
            continue
        at = int(np.nanargmax(values))
        key = (float(values[at]), -one.number)
        if len(best) == n and key <= best[0][:2]:
            continue
        entry = (*key, _passage(one.tokens, values, at, around, one.number))
        if len(best) < n:
            heapq.heappush(best, entry)
        else:
            heapq.heapreplace(best, entry)
    if not best:
        raise InputError("no text has two tokens of its own, between which there could be attention; give longer ones")
    passages = tuple(passage for _, _, passage in sorted(best, key=lambda entry: entry[:2], reverse=True))
    group = PassageGroup(said[0].upper() + said[1:], passages, f"The largest of {count} texts.")
    signed = bool(np.nanmin(np.concatenate([passage.values for passage in passages])) < 0)
    return Activating((group,), said, signed, title="What activates most", provenance=provenance_of(ranker))


def _own(tokens: Tokens) -> NDArray[np.bool_]:
    """Return which tokens are of the texts, dims (pos)."""
    return np.isin(np.array(tokens.segments), ("query", "doc"))


def _passage(tokens: Tokens, values: NDArray[np.float32], at: int, around: int, number: int) -> Passage:
    rows = slice(max(0, at - around), at + around + 1)
    marks = np.arange(len(tokens)) == at
    label = f"text {number}"
    return Passage.of(tokens.labels[rows], values[rows], tokens.spaces()[rows], marks[rows], label, float(values[at]))


def _measured(ranker: Ranker, what: object) -> tuple[str, Measure, str]:
    """Return the hook to read, how its activation becomes a number a position, and what that number is."""
    part = ranker.stack(ranker.stack_of("doc"))
    if isinstance(what, Head):
        if what.by not in _SAID:
            raise InputError(f"by={shown(what.by)}; it is 'output', 'from' or 'to'")
        _check("layer", what.layer, part.n_layers)
        _check("head", what.head, part.n_heads)
        said = _SAID[what.by].format(f"head {what.layer}.{what.head}")
        if what.by == "output":
            return part.hook(what.layer, "z"), _written(part.w_o(what.layer)[what.head], what.head), said
        return part.hook(what.layer, "pattern"), _attended(what.head, what.by), said
    if isinstance(what, Neuron):
        if not part.d_mlp:
            raise InputError("this ranker's layers have no MLP, so no neurons")
        _check("layer", what.layer, part.n_layers)
        _check("index", what.index, part.d_mlp)
        hook, index = part.hook(what.layer, "mlp_post"), what.index
        return hook, lambda one, counted: one.arrays[hook][:, index], f"activation of neuron {what.layer}.{what.index}"
    if isinstance(what, Along):
        return what.hook, _along(ranker, what), f"activation at {what.hook} along the direction"
    raise InputTypeError(f"what must be a Head, a Neuron or an Along, not {shown(what)}")


def _check(name: str, value: object, size: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < size:
        raise InputError(f"{name}={shown(value)}; this ranker has 0 to {size - 1}")


def _written(w_o: Any, head: int) -> Measure:
    """Return the length of z @ W_O by the d_head x d_head products of W_O, which are smaller than what is written."""
    weight = w_o.detach().double().cpu().numpy()
    products = weight @ weight.T

    def measure(one: Read, counted: NDArray[np.bool_]) -> NDArray[np.float32]:
        (z,) = one.arrays.values()
        own = z[:, head].astype(np.float64)
        lengths: NDArray[np.float64] = np.sqrt(np.maximum(np.einsum("pd,de,pe->p", own, products, own), 0))
        return lengths.astype(np.float32)

    return measure


def _attended(head: int, by: By) -> Measure:
    def measure(one: Read, counted: NDArray[np.bool_]) -> NDArray[np.float32]:
        (pattern,) = one.arrays.values()
        between = np.where(counted[:, None] & counted, pattern[head], np.nan)
        np.fill_diagonal(between, np.nan)
        largest: NDArray[np.float32] = np.fmax.reduce(between, axis=0 if by == "to" else 1)
        return largest

    return measure


def _along(ranker: Ranker, what: Along) -> Measure:
    tower = ranker.towers[ranker.stack_of("doc")]
    names = tower.names(what.hook)
    if names != [what.hook]:
        raise InputError(f"hook={shown(what.hook)} is {len(names)} hooks; give the full name of one, such as {names[-1]!r}")
    if what.hook.endswith(("hook_pattern", "hook_attn_scores")):
        raise InputError(f"{what.hook} has no features to take a direction in; for attention ask for Head(layer, head, by='to')")
    basis = isinstance(what.direction, Basis)
    given = as_array("direction", what.direction.directions if basis else what.direction)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim != 1 + basis and given.ndim != 1:
        raise InputError(f"direction has shape {given.shape}; give dims (feature), or a Basis")
    if not np.abs(given).max():
        raise InputError("direction is 0 everywhere; it points nowhere")
    unit = given / np.linalg.norm(given, axis=0)

    width = _width(ranker, what.hook)
    if len(unit) != width:
        raise InputError(f"direction has {len(unit)} features, and {what.hook} has {width}")

    def measure(one: Read, counted: NDArray[np.bool_]) -> NDArray[np.float32]:
        (array,) = one.arrays.values()
        flat = array.reshape(len(array), -1)
        found: NDArray[np.float64] = flat @ unit
        return (found if found.ndim == 1 else np.linalg.norm(found, axis=1)).astype(np.float32, copy=False)

    return measure


def _width(ranker: Ranker, hook: str) -> int:
    """Return the number of features at a hook, from a run of the shortest text."""
    (one,) = read(ranker, ["a"], [hook])
    if hook not in one.arrays:
        raise InputError(f"{hook} is of another stack than that of the texts; give one of {ranker.stack_of('doc')!r}")
    return int(np.prod(one.arrays[hook].shape[1:]))
