"""Curves as a result and on the wire."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from mechviz import wire
from mechviz.errors import InputError, InputTypeError
from mechviz.results import Curves
from tests import golden


def line(values, x=None):
    places = np.arange(len(values)) if x is None else x
    return xr.DataArray(np.asarray(values, dtype=float), dims=("x",), coords={"x": places})


def curves(**more):
    return Curves(**{"x": "layer", "y": "accuracy", "curves": {"a": line([0.5, 1.0])}, **more})


def test_the_table_has_a_row_for_each_point():
    frame = golden.golden_curves().to_dataframe()
    assert list(frame.columns) == ["curve", "x", "value", "low", "high"]
    assert frame["curve"].tolist() == ["probe </script>"] * 4 + ["random"] * 2
    assert frame["x"].tolist() == [0, 1, 2, 3.5, 2, 0]
    np.testing.assert_array_equal(frame["value"], [0.5, 0.75, np.nan, 1.0, 0.625, 0.5])
    np.testing.assert_array_equal(frame["high"], [0.625, 0.875, np.nan, 1.125, np.nan, np.nan])


def test_places_are_those_of_all_curves():
    assert curves(curves={"a": line([1, 2], [5, 1]), "b": line([1], [3])}).places == (1, 3, 5)
    named = curves(curves={"a": line([1, 2], ["low", "high"]), "b": line([1, 2, 3], ["low", "middle", "high"])})
    assert named.places == ("low", "high", "middle")
    assert repr(curves()) == "Curves(1 curve of accuracy by layer, 2 places)"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"x": " "}, "say in words what the x axis is"),
        ({"y": 3}, "y=3; say in words"),
        ({"curves": {}}, "curves is empty; give at least one"),
        ({"curves": {str(i): line([1]) for i in range(9)}}, "9 curves cannot be told apart; give at most 8"),
        ({"curves": {"": line([1])}}, "a curve is called ''"),
        ({"curves": {"a": line([])}}, "has no points"),
        ({"curves": {"a": xr.DataArray([1.0], dims=("layer",))}}, r"has dims \('layer',\); give dims \('x',\)"),
        ({"curves": {"a": xr.DataArray([1.0], dims=("x",))}}, "and coords="),
        ({"curves": {"a": xr.DataArray([[1.0]], dims=("x", "y"))}}, "has dims"),
        ({"curves": {"a": line([1, 2], [3, 3])}}, "holds a place twice"),
        ({"curves": {"a": line([1, 2], [3, np.nan])}}, "x of .* holds NaN or inf"),
        ({"curves": {"a": line([1], np.array(["2020-01-01"], dtype="datetime64[ns]"))}}, "give numbers or strings"),
        ({"curves": {"a": line([1, np.inf])}}, "holds inf; give NaN for a gap"),
        ({"curves": {"a": line([1]).astype(str)}}, "give numbers, NaN for a gap"),
        ({"curves": {"a": line([1], ["one"]), "b": line([1])}}, "x of 'a' is strings, x of 'b' numbers"),
        ({"low": {"a": line([0, 0])}}, "low and high differ in 'a'; an interval needs both"),
        ({"low": {"b": line([0, 0])}, "high": {"b": line([1, 1])}}, "low has 'b'; the curves are 'a'"),
        ({"low": {"a": line([0])}, "high": {"a": line([1])}}, r"low\['a'\] has shape \(1,\) and its curve \(2,\)"),
        ({"low": {"a": line([0, 0], [1, 0])}, "high": {"a": line([1, 1])}}, "give a bound at each x of the curve"),
        ({"low": {"a": line([0, 2])}, "high": {"a": line([1, 1])}}, "exchange them"),
        ({"reference": {"chance": np.nan}}, r"reference\['chance'\]=nan; give a finite number"),
        ({"reference": {"chance": "half"}}, "give a finite number"),
    ],
)
def test_what_cannot_be_drawn_is_refused(more, message):
    with pytest.raises(InputError, match=message):
        curves(**more)


def test_a_list_is_no_curve():
    with pytest.raises(InputTypeError, match=r"curves\['a'\] is \[1, 2\]; give xr.DataArray"):
        curves(curves={"a": [1, 2]})
    with pytest.raises(InputTypeError, match=r"high\['a'\]"):
        curves(low={"a": line([0, 0])}, high={"a": [1, 1]})


def test_every_number_finds_its_place_on_the_wire():
    given = golden.golden_curves()
    packed = wire.pack_curve_values(given)
    names = {"value": given.curves, "low": given.low, "high": given.high}
    for row, name in enumerate(given.curves):
        for column, place in enumerate(given.places):
            there = place in given.curves[name]["x"].values
            assert packed.arrays["curves.points"][row, column] == there
            for variable, of in names.items():
                wanted = float(of[name].sel(x=place)) if there and name in of else np.nan
                np.testing.assert_equal(packed.arrays[f"curves.{variable}"][row, column], np.float32(wanted))


def test_the_spec_is_json_whatever_the_numbers_are():
    given = curves(
        curves={"a": xr.DataArray(np.array([1, 2], dtype=np.int64), dims=("x",), coords={"x": np.array([3, 4], dtype=np.int32)})},
        reference={"chance": np.float32(0.5)},
    )
    assert json.loads(json.dumps(wire.pack_curves(given), allow_nan=False))["curves"]["reference"] == [["chance", 0.5]]
    named = replace(given, curves={"a": line([1, 2], np.array(["a", "b"], dtype=object))})
    assert wire.pack_curves(named)["curves"]["places"] == ["a", "b"]
