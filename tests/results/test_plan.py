"""The result of a plan, made of arrays of one's own."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mechviz.results import Evaluation, PlanResult


def made(base, sources, patched, **more):
    coords = {"pair": np.arange(len(base))}
    array = lambda values: xr.DataArray(np.array(values, dtype=np.float32), dims="pair", coords=coords)  # noqa: E731
    source = xr.DataArray(np.array(sources, dtype=np.float32), dims=("pair", "source"), coords=coords)
    pairs = pd.DataFrame({"query": "q", "doc": "d", "query_id": "q", "doc_id": "", "number": np.arange(len(base))})
    return PlanResult(array(base), source, array(patched), pairs=pairs, **more)


def test_effects_are_shares_of_the_change():
    result = made([1, 2, 3], [[3, 0], [2, 4], [4, 3]], [2, 3, 3])
    np.testing.assert_allclose(result.raw, [1, 1, 0])
    np.testing.assert_allclose(result.effects, [[0.5, -1], [np.nan, 0.5], [0, np.nan]])
    assert result.effects.dims == ("pair", "source")


def test_the_table_has_one_row_a_pair():
    one = made([1.0], [[3.0]], [2.0]).to_dataframe()
    assert one.loc[0, ["base_score", "patched", "source_score", "effect"]].tolist() == [1, 2, 3, 0.5]
    two = made([1.0], [[3.0, 5.0]], [2.0]).to_dataframe()
    assert two.loc[0, ["effect_0", "effect_1", "source_score_1"]].tolist() == [0.5, 0.25, 5]
    none = made([1.0], np.zeros((1, 0)), [2.0]).to_dataframe()
    assert not [name for name in none.columns if name.startswith(("effect", "source"))]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (made([1.0], [[3.0]], [2.0]), "PlanResult(1 pair, mean change 1, mean effect 0.5)"),
        (made([1.0, 1], [[1.0], [1.0]], [2.0, 4], reasons={3: "x"}), "PlanResult(2 pairs, mean change 2, 1 could not be run)"),
    ],
)
def test_it_says_what_it_is(result, words):
    assert repr(result) == words


def test_what_was_collected_is_said():
    collected = {"a.b": xr.DataArray(np.zeros((1, 1, 1)), dims=("pair", "unit", "feature"))}
    assert repr(made([1.0], [[3.0]], [2.0], collected=collected)).endswith("collected a.b)")


def test_an_evaluation_says_how_sure_it_is():
    assert repr(Evaluation("effect", 0.5, 0.25, 0.75, 9, 2, 0.9, "mine")) == (
        "mine: effect 0.5 [0.25, 0.75] (90% over queries, 9 pairs, 2 dropped)"
    )
