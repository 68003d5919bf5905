import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

import mechviz as mv
from mechviz import experiments
from mechviz.errors import InputError, InputTypeError, MechvizError

VALUES = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("layer", "pair"), coords={"pair": ["a", "b", "c"]})


def made(seed, scale=1.0):
    noise = np.random.default_rng(seed).standard_normal(VALUES.shape)
    return {"effects": VALUES * scale + noise, "best": "1.6", "share": 0.5 * scale}


@pytest.fixture
def kept(tmp_path):
    return experiments.run("heads", made, folder=tmp_path, seed=3, scale=2.0)


@pytest.fixture(scope="module")
def patched():
    return mv.patch(mv.load("toy/cat"), "volcano", "lava flows from the mountain", mv.perturb.append("volcano"))


def test_what_a_function_gave_is_read_again_by_name(kept):
    again = experiments.load(kept.folder)
    assert dict(again)["best"] == "1.6"
    xr.testing.assert_identical(again["effects"], made(3, 2.0)["effects"])
    assert (again.state, again.settings, again.meta["seed"]) == ("finished", {"scale": 2.0}, 3)
    assert again.meta["versions"]["mechviz"] == mv.__version__
    assert list(again) == ["effects", "best", "share"]
    with pytest.raises(KeyError, match="this run kept 'effects'"):
        again["nothing"]


def test_every_kind_of_result_comes_back(tmp_path, patched):
    table = pd.DataFrame({"word": ["a", "b"], "value": [1.0, 2.0]})
    given = {
        "patch": patched,
        "table": table,
        "numbers": np.arange(4),
        "data": xr.Dataset({"x": VALUES}),
        "view": mv.views.curves(mv.Curves("layer", "effect", {"one": xr.DataArray([1.0, 2.0], dims="x", coords={"x": [0, 1]})})),
    }
    found = experiments.run("all", lambda: given, folder=tmp_path)
    np.testing.assert_array_equal(found["patch"].effects, patched.effects)
    assert found["patch"].pair.doc == patched.pair.doc
    pd.testing.assert_frame_equal(found["table"], table)
    np.testing.assert_array_equal(found["numbers"], np.arange(4))
    xr.testing.assert_identical(found["data"], given["data"])
    assert "<html" in found.views["view"].read_text(encoding="utf-8")


def test_equal_runs_have_equal_contents_whenever_they_ran(tmp_path):
    runs = [experiments.run("heads", made, folder=tmp_path, seed=seed) for seed in (1, 1, 2)]
    contents = experiments.runs(tmp_path)["content"].tolist()
    assert len({run.folder for run in runs}) == 3, "nothing is written over"
    assert contents[0] == contents[1] != contents[2]


def test_rankers_and_objects_are_kept_by_what_they_are(tmp_path):
    ranker = mv.load("toy/cat")
    found = experiments.run("with", lambda **_: None, folder=tmp_path, ranker=ranker, how=mv.perturb.append("x"), at=np.arange(3))
    assert found.settings["ranker"] == {"ranker": "toy/cat", "kind": "Cat", "weights_sha256": ranker.weight_hash()}
    assert "append" in found.settings["how"]
    assert found.settings["at"]["array"] == [3]
    assert not re.search(r"0x[0-9a-f]{6}", json.dumps(found.settings))


def test_equal_arrays_of_objects_are_equal_settings(tmp_path):
    words = [np.array(["lava" * 9, "".join(["la", "va"]) * 9], dtype=object) for _ in range(2)]
    one, two = (experiments.run("o", lambda at: None, folder=tmp_path, at=given) for given in words)
    assert one.meta["settings_sha256"] == two.meta["settings_sha256"]


def test_a_run_that_fails_is_kept_with_its_error_and_nothing_is_lost(tmp_path):
    def failing():
        raise ValueError("no such layer")

    with pytest.raises(ValueError, match="no such layer") as raised:
        experiments.run("bad", failing, folder=tmp_path)
    assert "is kept in" in raised.value.__notes__[0]
    (row,) = experiments.runs(tmp_path).to_dict("records")
    assert row["state"] == "failed"
    assert "no such layer" in experiments.load(row["folder"]).meta["error"]


def test_a_run_that_is_killed_is_known_as_not_finished(tmp_path):
    code = f"import os; from mechviz import experiments; experiments.run('killed', lambda: os._exit(9), folder={str(tmp_path)!r})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert experiments.runs(tmp_path)["state"].tolist() == ["running"]


def test_what_cannot_be_kept_is_said_and_kept_as_words(tmp_path):
    with pytest.warns(UserWarning, match="only the repr is kept of odd"):
        found = experiments.run("odd", lambda: {"odd": object, "fine": 1}, folder=tmp_path)
    assert found["odd"] == repr(object)
    assert found["fine"] == 1


def test_a_class_of_somebody_else_is_not_imported_by_its_name_in_a_file(kept):
    meta = json.loads((kept.folder / "meta.json").read_text())
    meta["kept"]["effects"] |= {"kind": "saved", "class": "os.path:join"}
    (kept.folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(MechvizError, match="none of mechviz"):
        experiments.load(kept.folder)["effects"]


def test_a_broken_file_is_named_and_the_others_are_read(kept):
    kept_file = kept.folder / kept.meta["kept"]["effects"]["file"]
    kept_file.write_bytes(b"half")
    with pytest.raises(MechvizError, match=r"effects\.nc cannot be read"):
        kept["effects"]
    assert kept["best"] == "1.6"


# -- two runs --------------------------------------------------------------------------------------------------------


def test_what_differs_is_what_was_changed(tmp_path):
    first, second = (experiments.run("heads", made, folder=tmp_path, seed=1, scale=scale) for scale in (1.0, 2.0))
    found = experiments.compare(first, second.folder)
    assert found.settings.to_dict("records") == [{"setting": "scale", "a": 1.0, "b": 2.0}]
    effects = found.arrays.set_index("name").loc["effects"]
    assert effects["max_difference"] == pytest.approx(5.0)
    assert effects["difference"] == pytest.approx(2.5)
    assert effects["correlation"] == pytest.approx(
        np.corrcoef(first["effects"].values.ravel(), second["effects"].values.ravel())[0, 1]
    )
    assert (effects["unit"], effects["units"]) == ("pair", 3)
    assert not found.same
    assert experiments.compare(first, first).same


def test_the_p_value_is_that_of_all_sign_flips(tmp_path):
    values = np.random.default_rng(0).normal(0.4, 1, 8)
    runs = [
        experiments.run("one", lambda v: xr.DataArray(v, dims="query"), folder=tmp_path, v=given)
        for given in (np.zeros(8), values)
    ]
    row = experiments.compare(*runs).arrays.iloc[0]
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)
    means = (signs * values[:, None]).mean(axis=0)
    assert row["p"] == pytest.approx((np.abs(means) >= abs(values.mean()) - 1e-12).mean())
    exact = scipy.stats.norm.interval(0.95, values.mean(), values.std() / np.sqrt(8))
    assert row["low"] == pytest.approx(exact[0], abs=0.15)
    assert row["high"] == pytest.approx(exact[1], abs=0.15)


def test_places_that_are_no_units_get_no_p_value_and_other_shapes_no_number(tmp_path):
    one = experiments.run("x", lambda: {"grid": np.ones((2, 2)), "other": np.ones(3)}, folder=tmp_path)
    two = experiments.run("x", lambda: {"grid": np.zeros((2, 2)), "other": np.ones(4)}, folder=tmp_path)
    found = experiments.compare(one, two).arrays.set_index("name")
    assert np.isnan(found.loc["grid", "p"])
    assert found.loc["grid", "max_difference"] == 1
    assert np.isnan(found.loc["other", "max_difference"])


def test_tables_are_compared_by_their_units(tmp_path):
    table = pd.DataFrame({"query_id": ["q1", "q1", "q2"], "score": [1.0, 3.0, 5.0]})
    one, two = (
        experiments.run("t", lambda by: table.assign(score=table["score"] + by), folder=tmp_path, by=by) for by in (0.0, 1.0)
    )
    row = experiments.compare(one, two).arrays.iloc[0]
    assert (row["name"], row["unit"], row["units"], row["difference"]) == ("result.score", "query_id", 2, 1.0)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", 3])
def test_names_that_are_no_folders(tmp_path, name):
    with pytest.raises(InputError, match="letter or digit first"):
        experiments.run(name, dict, folder=tmp_path)


def test_bad_input(tmp_path):
    with pytest.raises(InputTypeError, match="callable"):
        experiments.run("x", 3, folder=tmp_path)
    with pytest.raises(InputTypeError, match="whole number"):
        experiments.run("x", dict, folder=tmp_path, seed=0.5)
    with pytest.raises(InputError, match="no run"):
        experiments.load(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        experiments.runs(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="another folder"):
        experiments.run("x", dict, folder=tmp_path / "file")
