import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.errors import InputError
from mechviz.patching.cells import CPU_POSITIONS, GRIDS, even_rows, find_grid, rows_per_batch, select, top_of

SIZES = {"site": 3, "layer": 2, "head": 4, "pos": 5, "neuron": 6}


def shape_of(grid):
    return {dim: len(GRIDS[grid].sites) if dim == "site" else SIZES[dim] for dim in GRIDS[grid].dims}


def test_a_grid_by_its_name():
    assert find_grid("heads").dims == ("layer", "head")
    for name in ("tails", None, ["heads"]):
        with pytest.raises(InputError, match=r"grid=.*'heads', 'blocks'"):
            find_grid(name)


@given(
    st.sampled_from(list(GRIDS)),
    st.none() | st.lists(st.integers(0, 1), min_size=1),
    st.none() | st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=1),
    st.none() | st.lists(st.integers(0, 4) | st.sampled_from(["cls", "other"]), min_size=1),
)
def test_a_selection_is_the_cells_that_fit_all_of_it(grid, layers, heads, positions):
    classes = ["cls", "other", "other", "query", "other"]
    dims = GRIDS[grid].dims
    heads = heads if "head" in dims else None
    chosen = select(GRIDS[grid], shape_of(grid), layers, heads, positions, 5, classes)
    wanted = None if positions is None else {p for p in range(5) if p in positions or classes[p] in positions}
    for index in np.ndindex(chosen.cells.shape):
        at = dict(zip(dims, index, strict=True))
        fits = (layers is None or at["layer"] in layers) and (heads is None or (at["layer"], at["head"]) in heads)
        fits = fits and (wanted is None or at.get("pos") in (*wanted, None))
        assert chosen.cells[index] == fits
    if wanted is not None and "pos" not in dims:
        assert set(chosen.positions.tolist()) == wanted
    else:
        assert chosen.positions is None


@pytest.mark.parametrize(("heads", "count"), [(None, 0), ([(0, 1)], 0), ("top:12", 12)])
def test_the_top_of_the_heads(heads, count):
    assert top_of(heads) == count


@pytest.mark.parametrize("heads", ["top", "top:", "top:0", "top:-1", "best:3"])
def test_no_other_word_chooses_heads(heads):
    with pytest.raises(InputError, match="give 'top:8'"):
        top_of(heads)


@given(st.integers(1, 9000), st.integers(8, 4096), st.integers(8, 16384), st.booleans(), st.integers(1, 2**32))
def test_a_batch_stays_within_the_budget(positions, d_model, d_mlp, cpu, budget):
    rows = rows_per_batch(positions, d_model, d_mlp, cpu, budget)
    assert rows >= 1
    assert rows == 1 or rows * 4 * positions * (2 * d_mlp + 6 * d_model) <= budget
    assert rows == 1 or not cpu or rows * positions <= CPU_POSITIONS


@given(st.integers(1, 500), st.integers(1, 500))
def test_batches_are_even_and_as_few_as_can_be(cells, max_rows):
    rows = even_rows(cells, max_rows)
    assert 1 <= rows <= max_rows
    assert -(-cells // rows) == -(-cells // max_rows)
