"""What crosses to the drawing of probes: arrays as views reduce them, and specs without texts."""

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mechviz import wire
from mechviz.errors import InputError
from mechviz.views.checks import plain
from tests import golden_probes as golden

#: The same reductions by numpy, over lists of what is known.
ORACLES = {
    "mean": np.mean,
    "sum": np.sum,
    "norm": lambda known: np.sqrt(np.sum(np.square(known))),
    "max": np.max,
    "min": np.min,
}

VALUES = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=4, max_side=4),
    elements=st.one_of(st.just(np.nan), st.floats(-8, 8, width=16)),
)


@settings(deadline=None, max_examples=60)
@given(VALUES, st.sampled_from(list(ORACLES)), st.data())
def test_one_dim_is_reduced_over_what_is_known(values, how, data):
    dims = [f"d{at}" for at in range(values.ndim)]
    which = data.draw(st.integers(0, values.ndim - 1))
    rest = [dim for dim in dims if dim != dims[which]]
    axes = dict(zip(rest, ("x", "y", "facet"), strict=False))
    array = xr.DataArray(values, dims=dims)
    found = wire.reduced(array, {dim: axes.get(dim, how) for dim in dims})
    moved = np.moveaxis(values, which, -1)
    wanted = np.full(moved.shape[:-1], np.nan)
    for place in np.ndindex(*wanted.shape):
        known = moved[place][~np.isnan(moved[place])]
        if known.size:
            wanted[place] = ORACLES[how](known)
    # (facet, y, x) against the order of the dims that are left: x is the first of them here.
    wanted = wanted.T.reshape(found.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_an_index_is_taken_before_anything_is_reduced():
    array = golden.golden_tensor()
    roles = {"layer": 1, "head": "mean", "query_pos": "y", "key_pos": "x"}
    np.testing.assert_allclose(wire.reduced(array, roles)[0], np.nanmean(array.values[1], axis=0), rtol=1e-6)


def test_the_last_dims_are_axes_and_a_small_one_stands_side_by_side():
    def first(*shape):
        return list(wire.first_roles(xr.DataArray(np.zeros(shape), dims=[f"d{i}" for i in range(len(shape))])).values())

    assert first(9) == ["x"]
    assert first(3, 3) == ["y", "x"]
    assert first(12, 9, 9) == [0, "y", "x"]
    assert first(12, 3, 9, 9) == [0, "facet", "y", "x"]
    assert first(2, 9, 1, 5) == ["facet", 0, "y", "x"]


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"layer": "x"}, "roles has 'layer'; the dims are"),
        ({"layer": "x", "head": "x", "query_pos": 0, "key_pos": 0}, "x is given to two dims"),
        ({"layer": 2, "head": 0, "query_pos": "y", "key_pos": "x"}, r"roles\['layer'\]=2; give .* below 2"),
        ({"layer": True, "head": 0, "query_pos": "y", "key_pos": "x"}, r"roles\['layer'\]=True"),
        ({"layer": "median", "head": 0, "query_pos": "y", "key_pos": "x"}, "'median'"),
    ],
)
def test_roles_that_cannot_be_are_refused(roles, message):
    with pytest.raises(InputError, match=message):
        wire.check_roles(golden.golden_tensor(), roles)


def test_more_cells_than_can_be_drawn_are_refused():
    array = xr.DataArray(np.broadcast_to(np.float32(0), (2000, 2000)), dims=("a", "b"))
    with pytest.raises(InputError, match="4,000,000 cells are more than can be drawn"):
        wire.check_roles(array, {"a": "y", "b": "x"})


def test_places_are_called_by_words_along_their_dim_else_by_their_numbers():
    array = golden.golden_tensor()
    assert wire.labels_of_dim(array, "layer") == (["3", "7"], False)
    assert wire.labels_of_dim(array, "head") == (None, False)
    assert wire.labels_of_dim(array, "query_pos") == (["a", golden.HOSTILE, "c", "d"], True)


def test_a_layer_in_16_bits_is_finer_than_a_screen():
    atlas = golden.golden_atlas()
    whole, small = wire.pack_layer(atlas, 1), wire.pack_layer(atlas, 1, small=True)
    (at,), (short,) = whole.arrays.values(), small.arrays.values()
    back = np.array(small.entry["low"]) + short / 65535 * np.array(small.entry["span"])
    np.testing.assert_allclose(back, at, atol=2e-5 * max(small.entry["span"]))
    assert small.nbytes * 2 == whole.nbytes


def test_labels_are_cut_where_that_is_asked_for_and_nul_separates_them():
    packed = wire.pack_points(golden.golden_atlas(), most=6)
    labels = packed.arrays["atlas.labels"].tobytes().decode().split("\0")
    assert labels == ["hot s…", "cold …", "</scr…", "lava …", "rock …", "été"]


WORDS = {
    "passages": (golden.build_passages, ["bank", "script", "plain", "w100", "Sense", "text 1", "Of 3 texts"]),
    "tree": (golden.build_tree, ['"hot"', "script"]),
    "relation": (golden.build_relation, ['"hot"', "spring", "script"]),
    "tensor": (golden.build_tensor, ["script"]),
    "atlas": (golden.build_atlas, ["springs", "rock", "script"]),
}


@pytest.mark.parametrize("kind", WORDS)
def test_no_word_of_the_texts_is_left_where_they_are_left_out(kind):
    build, words = WORDS[kind]
    spec = build()["spec"]
    whole, hidden = json.dumps(plain(spec)), json.dumps(plain(wire.without_texts(spec)))
    assert any(word in whole for word in words)
    assert [word for word in words if word in hidden] == []
    assert json.dumps(plain(spec)) == whole, "what was given stays as it is"
