"""One pair on one ranker, with its two runs at hand: the parts of `patch`, step by step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import cache, cached_property, partial
from importlib.metadata import version
from typing import Any, Unpack, cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import mechviz
from mechviz.errors import InputError, InputTypeError, NonFiniteError, shown
from mechviz.patching.attribution import Gradients, carriers, differences, estimate, integrated, of_cells
from mechviz.patching.cells import GRIDS, Grid, Selection, Sizes, find_grid, rows_per_batch, select, top_of
from mechviz.patching.edits import Edit, run_cells, score_cells
from mechviz.patching.metrics import measure, metric_name
from mechviz.patching.pairs import pair_settings, record_pair
from mechviz.patching.reading import Reading
from mechviz.patching.runs import Run
from mechviz.patching.settings import Settings, complete
from mechviz.patching.sources import SourceSettings, Values, raw_values
from mechviz.rankers.checks import check_docs
from mechviz.rankers.ranker import Ranker, check_ranker
from mechviz.results import DIRECTIONS, Pair, PatchResult
from mechviz.text import perturb as perturbations

#: Share of the memory that the rows of one batch may take; the runs and the gradient take the rest.
_ROWS_SHARE = 0.25

#: Coordinates of one cell, in the order of the grid's dims.
Cell = tuple[Any, ...]


class Session:
    """One pair on one ranker, with its base and source run at hand.

    Parameters
    ----------
    ranker, query, doc, perturb, **settings
        As in `patch`.
    gradient : bool
        Whether `attribution` will be asked for.
    keep : sequence of str
        Sites that the runs keep beside what the grid needs.
    more : sequence of str
        Names of other grids that `turned` will be asked for.
    recorded : (Pair, Run, Run), optional
        The pair with its base and source run, where they were recorded with those of other pairs.

    Attributes
    ----------
    pair : Pair
    base, source : Run
    grid : Grid
    shape : dict of str to int
        Named sizes of the grid.
    selection : Selection
        Which of its cells are patched.
    values : Values
        What is patched in.
    """

    def __init__(
        self,
        ranker: Ranker,
        query: str,
        doc: str,
        perturb: object,
        gradient: bool = True,
        keep: Sequence[str] = (),
        more: Sequence[str] = (),
        recorded: tuple[Pair, Run, Run] | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        chosen = self.settings = complete(settings)
        self.ranker = check_ranker(ranker)
        self.name, self.grid = chosen["grid"], find_grid(chosen["grid"], chosen["sites"])
        self.metric = chosen["metric"]
        metric_name(self.metric)
        top = top_of(chosen["heads"])
        if recorded is None:
            recorded = record_pair(ranker, query, doc, perturb, pair_settings(chosen, gradient, keep, more))
        self.pair, self.base, self.source = recorded
        self.stack = ranker.stack(self.base.stack)
        self.grid = self._grid(self.name, chosen["sites"])
        self.shape = self._sizes(self.grid)
        self.values = self._values(self.grid)
        self.selection = self._select(self._top_heads(top) if top else cast(Any, chosen["heads"]))
        self.docs = check_docs(chosen["docs"])
        self.competitors = self._score_competitors(chosen["truncate"])

    def turned(self, name: str) -> Session:
        """Return a session of another grid over the same runs, whose name was in ``more``."""
        new = copy(self)
        for cached in ("_moving", "provenance"):
            new.__dict__.pop(cached, None)
        new.settings = {**self.settings, "grid": name, "sites": None, "heads": None}
        new.name, new.grid = name, new._grid(name)
        new.shape, new.values = new._sizes(new.grid), new._values(new.grid)
        new.selection = new._select(None)
        return new

    # -- values -----------------------------------------------------------------------------------------------------

    def attribution(self) -> NDArray[np.float32]:
        """Return the gradient estimate of every cell's patched score, dims as `shape`; NaN where a cell is not chosen."""
        return self._estimate(self.base.gradients)

    def integrated(self) -> NDArray[np.float32]:
        """Return the estimate by gradients averaged on the way from the base text to the source text, dims as `shape`."""
        if self.settings["source"] is not None:
            raise InputError(
                f"method='integrated' goes from one text's embedding to the other's, and source={shown(self.settings['source'])} "
                "has none; use 'attribution'"
            )
        sites = carriers(self.grid)
        return self._estimate(integrated(self.ranker, self.base, self.source, sites, self.settings["steps"]))

    def exact(self, cells: NDArray[np.bool_] | None = None) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Patch every chosen cell, the top layers first.

        Parameters
        ----------
        cells : bool array, dims as `shape`, optional
            Only these of the chosen ones.

        Yields
        ------
        tuple
            Cells by their flat index (row-major in `shape`), and their scores, dims (cell).

        Raises
        ------
        NonFiniteError
            A patched score is NaN or inf.
        """
        same, flat, edits = self.plan(cells)
        if len(same):
            yield same, np.full(len(same), self.pair.base_score, dtype=np.float32)
        for chosen, scores in run_cells(self.ranker, self.base, [[edit] for edit in edits], self.rows):
            self.check_finite(flat[chosen], scores)
            yield flat[chosen], scores

    def plan(self, cells: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Edit]]:
        """Return which of the chosen cells have the base score, since what is patched in is what is there; and the others.

        Returns
        -------
        tuple
            The former by their flat index, the latter likewise, and the edit of each of the latter.
        """
        wanted = self.selection.cells if cells is None else self.selection.cells & cells
        flat = np.flatnonzero(wanted & self._moving)
        return np.flatnonzero(wanted & ~self._moving), flat, [self._edit(self._cell(int(index))) for index in flat]

    def check_finite(self, flat: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Raise `NonFiniteError` if a patched score is NaN or inf."""
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            cell = self._cell(int(flat[bad[0]]))
            raise NonFiniteError(f"patching {self._in_words(cell)} gave the score {scores[bad[0]]}")

    def together(self, sets: Sequence[Sequence[Cell]]) -> NDArray[np.float32]:
        """Patch the cells of each set in one run, and return the scores, dims (set).

        Raises
        ------
        InputError, InputTypeError
            A cell that does not exist, or a grid whose cells are not independent of each other.
        """
        if self.name in ("head_positions", "head_inputs"):
            raise InputError(f"cells of grid={self.name!r} cannot be patched together; use heads, blocks, mlps or neurons")
        edits = [[self._edit(self.check_cell(cell)) for cell in cells] for cells in sets]
        return score_cells(self.ranker, self.base, edits, self.rows)

    @property
    def reading(self) -> Reading:
        """The heads of both runs, run 0 the base."""
        return Reading(self.ranker, (self.base, self.source))

    # -- results ----------------------------------------------------------------------------------------------------

    def result(
        self,
        method: str,
        patched: NDArray[np.float32],
        attribution: NDArray[np.float32] | None = None,
        exact: NDArray[np.bool_] | None = None,
    ) -> PatchResult:
        """Return a result for patched scores, dims as `shape`, NaN where not computed."""
        return self.named_result(self.name, method, self.named, patched, attribution, exact)

    def joint_result(self, sets: Sequence[Sequence[Cell]]) -> PatchResult:
        """Return the result of cells that are patched together, dims (cell), each a set of them."""
        patched = self.together(sets)
        names = [" + ".join(".".join(map(str, self.check_cell(cell))) for cell in cells) for cells in sets]
        return self.named_result(self.name, "exact", partial(xr.DataArray, dims=("cell",), coords={"cell": names}), patched)

    def named_result(
        self,
        grid: str,
        method: str,
        named: Callable[[NDArray[Any]], xr.DataArray],
        patched: NDArray[np.float32],
        attribution: NDArray[np.float32] | None = None,
        exact: NDArray[np.bool_] | None = None,
    ) -> PatchResult:
        """Return a result for patched scores of whatever dims ``named`` gives them."""
        return PatchResult(
            pair=self.pair,
            grid=grid,
            stack=self.base.stack,
            method=method,
            metric=metric_name(self.metric),
            effects=named(measure(self.pair, self.metric, patched, self._rivals)),
            patched=named(patched),
            attribution=None if attribution is None else named(attribution),
            exact=cast(Any, None) if exact is None else named(exact),
            competitors=self.competitors,
            docs=tuple(self.docs[number] for number in self.competing),
            provenance={**self.provenance, "grid": grid, "method": method},
            joint=self._joint if grid == self.name else None,
        )

    @cached_property
    def provenance(self) -> dict[str, str]:
        """Ranker, weights, texts, settings and versions."""
        pair, chosen = self.pair, self.settings
        texts = "\x00".join((pair.query, pair.doc, pair.changed))
        source = chosen["source"]
        return {
            "ranker": self.ranker.name,
            "ranker_kind": self.ranker.kind,
            "ranker_repr": repr(self.ranker),
            "weights_sha256": self.ranker.weight_hash(),
            "texts_sha256": hashlib.sha256(texts.encode()).hexdigest()[:16],
            "stack": self.base.stack,
            "metric": metric_name(self.metric),
            "direction": pair.direction,
            "filler": pair.filler,
            "source": "the other text" if source is None else source if isinstance(source, str) else "stored activations",
            **{name: str(chosen[name]) for name in ("layers", "heads", "positions") if chosen[name] is not None},
            "dtype": str(self.ranker.model.dtype).removeprefix("torch."),
            "device": str(self.ranker.model.device),
            "mechviz": mechviz.__version__,
            **_versions(),
        }

    @property
    def _joint(self) -> Any:
        """What patches cells together later on; it holds the texts, not the runs, which are large."""
        pair = self.pair
        perturb: Any = pair.changed if pair.side == "doc" else perturbations.on_query(lambda _: pair.changed)
        settings: Settings = {**self.settings, "layers": None, "heads": None}
        return partial(_patch_sets, self.ranker, pair.query, pair.doc, perturb, settings)

    def named(self, values: NDArray[Any]) -> xr.DataArray:
        """Return values of the grid's cells with the names of its dims."""
        coords = {name: list(self.grid.sites) if name == "site" else np.arange(size) for name, size in self.shape.items()}
        return xr.DataArray(values, dims=tuple(self.shape), coords=coords)

    # -- cells ------------------------------------------------------------------------------------------------------

    def check_cell(self, cell: object) -> Cell:
        """Return a cell's coordinates; a layer alone may be a number.

        Raises
        ------
        InputError, InputTypeError
        """
        given = (cell,) if isinstance(cell, int) else cell
        dims = self.grid.dims
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != len(dims):
            raise InputTypeError(f"a cell of grid={self.name!r} is ({', '.join(dims)}), not {shown(cell)}")
        for dim, value in zip(dims, given, strict=True):
            exists = range(self.shape[dim]) if dim != "site" else self.grid.sites
            if value not in exists:
                there = f"0 to {self.shape[dim] - 1}" if dim != "site" else ", ".join(map(repr, exists))
                raise InputError(f"cell {shown(cell)}: {dim} {shown(value)} does not exist; there are {there}")
        return tuple(given)

    def _cell(self, flat: int) -> Cell:
        index = np.unravel_index(flat, tuple(self.shape.values()))
        return tuple(self.grid.sites[int(i)] if dim == "site" else int(i) for dim, i in zip(self.grid.dims, index, strict=True))

    def _edit(self, cell: Cell) -> Edit:
        at = dict(zip(self.grid.dims, cell, strict=True))
        site, layer = at.get("site", self.grid.sites[0]), at["layer"]
        positions = (at["pos"],) if "pos" in at else self.selection.positions
        return Edit(
            self.values.hook(site, layer),
            self.values.new(site, layer),
            heads=(at["head"],) if "head" in at else None,
            positions=None if positions is None else tuple(int(position) for position in positions),
            neurons=(at["neuron"],) if "neuron" in at else None,
        )

    def _in_words(self, cell: Cell) -> str:
        return ", ".join(f"{dim} {value}" for dim, value in zip(self.grid.dims, cell, strict=True))

    @cached_property
    def _moving(self) -> NDArray[np.bool_]:
        """Where what is patched in differs at all from what is there; elsewhere the score is the base score."""
        moving = np.zeros(self.selection.cells.shape, dtype=bool)
        for where, _, _, moved in differences(self.grid, self.values, self.selection):
            moving[where] = of_cells(moved.abs(), self.grid, self.selection) != 0
        return moving

    @property
    def rows(self) -> int:
        """How many rows one batch may have."""
        cpu = self.base.hidden.device.type == "cpu"
        budget = int(self.settings["memory"] * _ROWS_SHARE * 2**30)
        return rows_per_batch(self.base.hidden.shape[1], self.stack.d_model, self.stack.d_mlp, cpu, budget)

    # -- what a session is made of ------------------------------------------------------------------------------------

    def _grid(self, name: str, sites: Sequence[str] | None = None) -> Grid:
        return find_grid(name, sites, mlps=self.stack.d_mlp > 0)

    def _values(self, grid: Grid) -> Values:
        chosen = self.settings
        source = SourceSettings(chosen["source"], chosen["pairs"], chosen["seed"])
        return Values(self.ranker, self.base, raw_values(self.ranker, self.base, self.source, source, (*grid.sites, "z")))

    def _sizes(self, grid: Grid) -> Sizes:
        stack = self.stack
        sizes = {"site": len(grid.sites), "layer": stack.n_layers, "head": stack.n_heads, "neuron": stack.d_mlp}
        sizes["pos"] = self.base.hidden.shape[1]
        return {dim: sizes[dim] for dim in grid.dims}

    def _select(self, heads: Sequence[tuple[int, int]] | None) -> Selection:
        classes = self.pair.classes() if self.base.stack == self.pair.stack else None
        layers, positions = self.settings["layers"], self.settings["positions"]
        selection = select(self.grid, self.shape, layers, heads, positions, self.base.hidden.shape[1], classes)
        for number, site in enumerate(self.grid.sites):
            if not self.stack.offers(site):  # the decoder's own attention sees one position: its q and k have no effect
                selection.cells[number] = False
        return selection

    def _top_heads(self, count: int) -> list[tuple[int, int]]:
        """Return the heads with the largest estimated effects, as (layer, head)."""
        grid = GRIDS["heads"]
        everything = select(grid, self._sizes(grid), None, None, None, 0, None)
        moved = np.abs(estimate(grid, self.values, self.base.gradients, everything, 0.0))
        best = np.argsort(-moved, axis=None, kind="stable")[:count]
        return [(int(flat) // moved.shape[1], int(flat) % moved.shape[1]) for flat in best]

    def _estimate(self, gradients: Gradients) -> NDArray[np.float32]:
        found = estimate(self.grid, self.values, gradients, self.selection, self.base.score)
        if not np.isfinite(found[self.selection.cells]).all():
            raise NonFiniteError("NaN or inf in the gradients of the score; check the weights and the dtype")
        return found

    def _score_competitors(self, truncate: bool) -> NDArray[np.float32]:
        pair = self.pair
        docs = [self.docs[number] for number in self.competing]
        if not docs:
            return np.empty((2, 0), dtype=np.float32)
        original = self.ranker.score(pair.query, docs, truncate=truncate)
        changed = self.ranker.score(pair.changed, docs, truncate=truncate) if pair.side == "query" else original
        return np.stack([original, changed])

    @cached_property
    def competing(self) -> list[int]:
        """The numbers of the competing documents; nobody competes with itself."""
        return [number for number, doc in enumerate(self.docs) if doc not in (self.pair.doc, self.pair.changed)]

    @cached_property
    def _rivals(self) -> NDArray[np.float64]:
        """Scores of all documents that were given, beside the base run's query; NaN for the document itself."""
        rivals = np.full(len(self.docs), np.nan)
        rivals[self.competing] = self.competitors[int(self.pair.direction == DIRECTIONS[1])]
        return rivals


def _patch_sets(
    ranker: Ranker, query: str, doc: str, perturb: object, settings: Settings, sets: Sequence[Sequence[Cell]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Patch sets of cells of a pair that is run anew; return their metric and their scores, dims (set)."""
    session = Session(ranker, query, doc, perturb, gradient=False, **settings)
    patched = session.together(sets)
    return measure(session.pair, session.metric, patched, session._rivals), patched


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "transformers", "transformer-lens", "numpy", "xarray")}
