import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.errors import InputError
from mechviz.patching.cells import CPU_POSITIONS, check_grid, even_rows, rows_per_batch


def test_the_heads_grid():
    check_grid("heads")
    with pytest.raises(InputError, match=r"grid='tails'.*'heads'"):
        check_grid("tails")


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
