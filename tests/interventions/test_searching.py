"""A variable that was planted is found where it lies, and nowhere else."""

import numpy as np
import pytest

from mechviz.errors import InputError
from mechviz.interventions import search
from mechviz.views import PatchingView
from tests.interventions.toy import MODEL, bag, pairs


def test_the_planted_variable_is_where_it_was_put():
    given = pairs(60)
    found = search(
        bag(), given, MODEL.targets(given, "tf"), sites=("resid_post", "mlp_out"), places=("cls", "sep", "prompt"),
        aligned=False, epochs=20, lr=5e-2, progress=False,
    )  # fmt: skip
    assert found.accuracy["place"].values.tolist() == ["cls", "sep"]  # no text has a prompt
    assert float(found.accuracy.sel(site="resid_post", place="cls")[0]) >= 0.98
    others = found.accuracy.copy()
    others.loc[{"site": "resid_post", "place": "cls"}] = np.nan
    elsewhere = others.values[np.isfinite(others.values)]
    np.testing.assert_array_equal(elsewhere, found.random.values[np.isfinite(others.values)])
    assert found.best is found.plans["resid_post", 0, "cls"]
    assert found.to_dataframe().iloc[0][["site", "place"]].tolist() == ["resid_post", "cls"]
    assert "best resid_post of layer 0 at 'cls'" in repr(found)
    assert isinstance(found.show(), PatchingView)


def test_where_there_is_nothing_to_search():
    with pytest.raises(InputError, match="nothing is left to search"):
        search(bag(), pairs(4), places=("prompt",), aligned=False, progress=False)
    with pytest.raises(InputError, match="places='nowhere'"):
        search(bag(), pairs(4), places=("nowhere",), aligned=False, progress=False)
