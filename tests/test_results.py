import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mechviz as mv
from mechviz.errors import InputError, MechvizError
from mechviz.results import DIRECTIONS, Pair, PatchResult
from mechviz.text import Alignment, Tokens
from mechviz.text.tokens import SEGMENTS
from tests.golden import golden_result

ANY_TEXT = st.text(max_size=12)  # control characters, NUL, lone surrogates: a result must not lose them
FLOATS = st.floats(width=32)


@st.composite
def token_sequences(draw, n):
    def array(elements, *shape):
        return draw(hnp.arrays(np.int64, (n, *shape), elements=elements))

    return Tokens(
        ids=array(st.integers(0, 2**40)),
        strings=tuple(draw(st.lists(ANY_TEXT, min_size=n, max_size=n))),
        labels=tuple(draw(st.lists(ANY_TEXT, min_size=n, max_size=n))),
        offsets=array(st.integers(-1, 999), 2),
        words=array(st.integers(-1, 99)),
        segments=tuple(draw(st.lists(st.sampled_from(SEGMENTS), min_size=n, max_size=n))),
        types=array(st.integers(0, 1)),
        mask=array(st.integers(0, 1)).astype(bool),
        fillers=array(st.integers(0, 1)).astype(bool),
    )


@st.composite
def results(draw):
    n = draw(st.integers(1, 4))
    index = np.arange(n)
    pair = Pair(
        **{name: draw(ANY_TEXT) for name in ("query", "doc", "changed", "perturbation", "filler", "truncated")},
        **{f"{name}_score": draw(st.floats(allow_nan=False)) for name in ("original", "perturbed", "base", "source")},
        side="doc",
        stack="doc",
        direction=draw(st.sampled_from(DIRECTIONS)),
        base=draw(token_sequences(n)),
        source=draw(token_sequences(n)),
        alignment=Alignment(index, index, ("equal",) * n),
    )
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 4)))

    def grid():
        values = draw(hnp.arrays(np.float32, shape, elements=FLOATS))
        return xr.DataArray(values, dims=("layer", "head"), coords={"layer": np.arange(shape[0]), "head": np.arange(shape[1])})

    return PatchResult(
        pair=pair,
        grid="heads",
        method=draw(st.sampled_from(["exact", "attribution"])),
        metric="effect",
        effects=grid(),
        patched=grid(),
        attribution=draw(st.none() | st.builds(grid)),
        exact=draw(st.none() | st.builds(lambda: grid() > 0)),
        competitors=draw(hnp.arrays(np.float32, st.tuples(st.just(2), st.integers(0, 3)), elements=FLOATS)),
        provenance=draw(st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=2)),
    )


def assert_identical(a: PatchResult, b: PatchResult) -> None:
    assert repr(a.pair.to_dict()) == repr(b.pair.to_dict())
    assert (a.grid, a.method, a.metric, dict(a.provenance)) == (b.grid, b.method, b.metric, dict(b.provenance))
    for name in ("effects", "patched", "attribution", "exact"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None)
        if x is not None:
            assert x.identical(y)
            assert x.values.tobytes() == y.values.tobytes(), "to the bit, NaN payloads and minus zero included"
    assert a.competitors.tobytes() == b.competitors.tobytes()


@settings(max_examples=60, deadline=None)
@given(result=results())
def test_save_and_load_is_the_identity(tmp_path_factory, result):
    path = tmp_path_factory.mktemp("nc") / "r.nc"
    result.save(path)
    assert_identical(result, PatchResult.load(path))
    assert [p.name for p in path.parent.iterdir()] == ["r.nc"]


def test_a_computed_result_survives(tmp_path, dot):
    result = mv.patch(dot, "tea", "Tea leaves turn black.", mv.perturb.append("green"))
    result.save(tmp_path / "r.nc")
    assert_identical(result, mv.PatchResult.load(tmp_path / "r.nc"))


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "r.nc"
    golden_result().save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(MechvizError, match=r"r\.nc is not a complete mechviz result"):
        PatchResult.load(path)


def test_a_foreign_netcdf_file_is_named(tmp_path):
    xr.Dataset({"x": 1}).to_netcdf(tmp_path / "r.nc")
    with pytest.raises(MechvizError, match="not a complete mechviz result"):
        PatchResult.load(tmp_path / "r.nc")


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        PatchResult.load(tmp_path / "r.nc")


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "r.nc"
    golden_result().save(path)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(OSError, match="disk full"):
        golden_result().save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.nc"]


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        golden_result().save(tmp_path / "nowhere" / "r.nc")


def test_a_file_of_ours_without_a_part_is_named(tmp_path):
    path = tmp_path / "r.nc"
    golden_result().save(path)
    xr.load_dataset(path).drop_vars("effects").to_netcdf(tmp_path / "part.nc")
    with pytest.raises(MechvizError, match="not a complete mechviz result"):
        PatchResult.load(tmp_path / "part.nc")


def test_the_repr_says_what_was_not_computed():
    assert "1 of 8 not computed" in repr(golden_result())


def test_top_and_table():
    result = golden_result()
    top = result.top(3)
    assert top[["layer", "head"]].to_numpy().tolist() == [[1, 2], [0, 3], [1, 1]]
    assert top["effect"].tolist() == [1.0, -0.5, 0.5]
    frame = result.to_dataframe()
    assert len(frame) == 8
    assert frame["difference"].tolist()[1] == 0.125
    assert len(result.top(99)) == 7, "the cell that was not computed is not ranked"


def test_where_effects_are_not_defined_top_uses_differences():
    golden = golden_result()
    closed = PatchResult(
        pair=golden.pair, grid="heads", method="exact", metric="effect", effects=golden.effects * np.nan, patched=golden.patched
    )
    assert closed.top(1)[["layer", "head"]].to_numpy().tolist() == [[1, 2]]


def test_results_are_read_only():
    result = golden_result()
    for values in (result.effects.values, result.competitors, result.pair.base.ids):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1
    with pytest.raises(AttributeError):
        result.method = "guess"


def test_shapes_and_directions_are_checked():
    golden = golden_result()
    with pytest.raises(InputError, match="same named dimensions"):
        PatchResult(golden.pair, "heads", "exact", "effect", golden.effects, golden.patched.T)
    with pytest.raises(InputError, match="direction='up'"):
        Pair.from_dict({**golden.pair.to_dict(), "direction": "up"})
    with pytest.raises(InputError, match="they must be equal"):
        Pair.from_dict({**golden.pair.to_dict(), "base": Tokens.pick(golden.pair.base, np.arange(3)).to_dict()})


def test_agreement_is_pearsons():
    golden = golden_result()
    estimate = golden.patched * 2 + 1
    result = PatchResult(golden.pair, "heads", "exact", "effect", golden.effects, golden.patched, attribution=estimate)
    assert result.agreement() == pytest.approx(1)
    assert golden.agreement() is None
    assert "append('lava')" in repr(result)
