"""Which cells a grid has, which of them are chosen, and how many fit one batch: plain arithmetic, no tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, shown
from mechviz.text.classes import TOKEN_CLASSES

#: Positions of one batch on a CPU: with more, activations leave its caches and the products get no faster.
CPU_POSITIONS = 1536

#: Dimension -> its size.
Sizes = dict[str, int]


@dataclass(frozen=True)
class Grid:
    """A named set of cells.

    Attributes
    ----------
    dims : tuple of str
        In the order of the result's dimensions.
    sites : tuple of str
        What is patched.
    says : str
        In words, what one cell is.
    """

    dims: tuple[str, ...]
    sites: tuple[str, ...]
    says: str


GRIDS = {
    "heads": Grid(("layer", "head"), ("z",), "z of one head"),
    "blocks": Grid(
        ("site", "layer", "pos"),
        ("resid_pre", "attn_out", "mlp_out"),
        "the residual stream, attention's output or the MLP's output of one layer at one position",
    ),
    "head_positions": Grid(
        ("site", "layer", "head", "pos"), ("z", "pattern"), "z, or the row of the pattern, of one head at one position"
    ),
    "head_inputs": Grid(("site", "layer", "head"), ("q", "k", "v"), "the queries, keys or values that one head reads"),
    "mlps": Grid(("layer",), ("mlp_out",), "the output of one MLP"),
    "neurons": Grid(("layer", "neuron"), ("mlp_post",), "one neuron of an MLP, after its non-linearity"),
}

#: Those of a ranker whose layers have no MLPs.
_WITHOUT_MLPS = {
    name: replace(grid, sites=sites)
    for name, grid in GRIDS.items()
    if (sites := tuple(site for site in grid.sites if not site.startswith("mlp")))
}

#: Which heads: some (layer, head), or the ``"top:8"`` by attribution.
Heads = Sequence[tuple[int, int]] | str
#: Which positions: numbers, or names of `TOKEN_CLASSES`.
Positions = Sequence[int | str] | str


def find_grid(name: object, sites: Sequence[str] | None = None, mlps: bool = True) -> Grid:
    """Return a grid by its name, with some of its sites or all; ``mlps`` says whether the ranker's layers have MLPs.

    Raises
    ------
    InputError
        Lists those that there are.
    """
    if not isinstance(name, str) or name not in GRIDS:
        raise InputError(f"grid={shown(name)}; mechviz has {', '.join(map(repr, GRIDS))}")
    there = GRIDS if mlps else _WITHOUT_MLPS
    if name not in there:
        raise InputError(f"grid={name!r}: the layers of this ranker have no MLPs; it has {', '.join(map(repr, there))}")
    grid = there[name]
    if sites is None:
        return grid
    chosen = (sites,) if isinstance(sites, str) else tuple(sites)
    wrong = [site for site in chosen if site not in grid.sites]
    if wrong or not chosen:
        raise InputError(f"sites={shown(sites)}; grid={name!r} has {', '.join(map(repr, grid.sites))}")
    return replace(grid, sites=tuple(site for site in grid.sites if site in chosen))


@dataclass(frozen=True)
class Selection:
    """Which cells of a grid are patched, and where.

    Attributes
    ----------
    cells : bool array, dims as the grid
    positions : int64 array or None
        Where a cell applies, in grids without positions; None for everywhere.
    """

    cells: NDArray[np.bool_]
    positions: NDArray[np.int64] | None


def select(
    grid: Grid,
    shape: Sizes,
    layers: Sequence[int] | None,
    heads: Sequence[tuple[int, int]] | None,
    positions: Positions | None,
    n_positions: int,
    classes: Sequence[str] | None,
) -> Selection:
    """Choose cells.

    Parameters
    ----------
    grid : Grid
    shape : dict of str to int
        Size of each of its dims.
    layers, heads, positions
        As in `mechviz.patch`; ``heads`` are (layer, head).
    n_positions : int
    classes : sequence of str or None
        The class of each position; None where the stack has none (a decoder's one position).

    Raises
    ------
    InputError, InputTypeError
        A layer, head, position or class that does not exist, or heads where the grid has none.
    """
    cells = np.ones(tuple(shape.values()), dtype=bool)
    if layers is not None:
        chosen = numbers("layers", layers, shape["layer"])
        cells &= _along(np.isin(np.arange(shape["layer"]), chosen), grid.dims, ("layer",), shape)
    if heads is not None:
        if "head" not in grid.dims:
            raise InputError(f"heads={shown(heads)}: a cell of this grid is {grid.says}, which has no head; leave heads out")
        allowed = np.zeros((shape["layer"], shape["head"]), dtype=bool)
        for head in heads:
            allowed[check_head(head, shape["layer"], shape["head"])] = True
        cells &= _along(allowed, grid.dims, ("layer", "head"), shape)
    where = None if positions is None else _positions(positions, n_positions, classes)
    if where is not None and "pos" in grid.dims:
        cells &= _along(np.isin(np.arange(shape["pos"]), where), grid.dims, ("pos",), shape)
        where = None
    return Selection(cells, where)


def check_head(head: object, layers: int, heads: int) -> tuple[int, int]:
    """Return a head as (layer, head).

    Raises
    ------
    InputError, InputTypeError
    """
    if not isinstance(head, Sequence) or isinstance(head, str) or len(head) != 2 or not all(map(is_number, head)):
        raise InputTypeError(f"a head is (layer, head), such as (1, 6), not {shown(head)}")
    layer, number = int(head[0]), int(head[1])
    if not (0 <= layer < layers and 0 <= number < heads):
        raise InputError(f"head {layer}.{number} does not exist; there are layers 0 to {layers - 1} and heads 0 to {heads - 1}")
    return layer, number


def top_of(heads: object) -> int:
    """Return k of ``"top:k"``; 0 where heads are not chosen so.

    Raises
    ------
    InputError
        A string that is not of that form.
    """
    if not isinstance(heads, str):
        return 0
    word, _, count = heads.partition(":")
    if word != "top" or not count.isdecimal() or int(count) < 1:
        raise InputError(f"heads={heads!r}; give 'top:8' for the eight heads of the largest estimated effect, or (layer, head)s")
    return int(count)


def numbers(word: str, chosen: object, size: int) -> list[int]:
    """Return chosen indices as a list.

    Raises
    ------
    InputError, InputTypeError
    """
    if isinstance(chosen, str) or not isinstance(chosen, (Sequence, np.ndarray, range)) or not all(map(is_number, chosen)):
        raise InputTypeError(f"{word} must be a list of whole numbers, not {shown(chosen)}")
    found = [int(index) for index in chosen]
    wrong = [index for index in found if not 0 <= index < size]
    if wrong:
        raise InputError(f"{word} {wrong} do not exist; there are 0 to {size - 1}")
    if not found:
        raise InputError(f"{word}=[]: nothing is chosen; leave it out for all")
    return found


def is_number(value: object) -> bool:
    """Return whether something is a whole number."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _positions(chosen: Positions, size: int, classes: Sequence[str] | None) -> NDArray[np.int64]:
    items: list[object] = [chosen] if isinstance(chosen, str) else list(chosen)
    names = [item for item in items if isinstance(item, str)]
    unknown = [name for name in names if name not in TOKEN_CLASSES]
    if unknown:
        raise InputError(f"positions={shown(unknown[0])}; a class of tokens is one of {', '.join(map(repr, TOKEN_CLASSES))}")
    if names and classes is None:
        raise InputError(f"positions={names}: this stack reads no text of its own; give numbers of its positions")
    rest = [item for item in items if not isinstance(item, str)]
    found = numbers("positions", rest, size) if rest else []
    found += [row for row, name in enumerate(classes or ()) if name in names]
    if not found:
        there = ", ".join(sorted(set(classes or ())))
        raise InputError(f"positions={shown(chosen)}: this pair has no such token; it has {there}")
    return np.unique(found)


def _along(allowed: NDArray[np.bool_], dims: Sequence[str], of: Sequence[str], shape: Sizes) -> NDArray[np.bool_]:
    """Return a mask over some dims of a grid as one that broadcasts to all of them."""
    return allowed.reshape([shape[dim] if dim in of else 1 for dim in dims])


def rows_per_batch(positions: int, d_model: int, d_mlp: int, cpu: bool, budget: int) -> int:
    """Return how many rows may run at once within a budget of bytes, at least 1.

    A row holds, in float32 at its widest point, the MLP's activation before and after its non-linearity beside a few
    hidden states.
    """
    rows = budget // (4 * positions * (2 * d_mlp + 6 * d_model))
    return max(1, min(rows, CPU_POSITIONS // positions) if cpu else rows)


def even_rows(cells: int, max_rows: int) -> int:
    """Return the batch size that splits ``cells`` into as few batches, the last not much smaller than the others."""
    return -(-cells // -(-cells // max_rows))
