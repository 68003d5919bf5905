import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

import mechviz as mv
from mechviz.errors import InputError
from mechviz.interventions.subspaces import Basis
from mechviz.probes import concepts
from mechviz.probes.labelled import labelled
from mechviz.probes.sparse import MEAN, REGRESSION, control_labels, direction_probe, sparse_probe
from tests.probes import planted


@pytest.fixture(scope="module")
def sparse():
    return sparse_probe(planted.ranker(), concepts.query_term(), planted.pairs(), ks=(4, 1, 2))


def test_one_neuron_is_enough_where_one_was_planted(sparse):
    assert sparse.auc["probe"].values.tolist() == ["k = 1", "k = 2", "k = 4"]
    assert sparse.found[0, "k = 1"] == (planted.PLANTED[1],)
    assert float(sparse.auc.sel(layer=0, probe="k = 1")) == 1.0
    assert float(sparse.selectivity.sel(layer=0, probe="k = 1")) > 0.2
    assert "layer 0" in repr(sparse)


def test_areas_are_those_of_scikit_learn_on_the_same_split(sparse):
    given = labelled(planted.ranker(), concepts.query_term(), planted.pairs(), None, None, [1], "mlp_post", "max", 4000, 32, 0)
    out = given.split(0.5, 0)
    values = given.features[:, 0].astype(float)
    columns = list(sparse.found[1, "k = 2"])
    scaled = StandardScaler().fit(values[~out][:, columns])
    model = LogisticRegression(max_iter=1000).fit(scaled.transform(values[~out][:, columns]), given.labels[~out])
    wanted = roc_auc_score(given.labels[out], model.decision_function(scaled.transform(values[out][:, columns])))
    assert float(sparse.auc.sel(layer=1, probe="k = 2")) == pytest.approx(wanted, abs=1e-9)


def test_curves_are_by_layer_beside_the_control(sparse):
    curves = sparse.curves()
    assert list(curves.curves) == ["k = 1", "k = 2", "k = 4", "control labels, k = 4"]
    np.testing.assert_array_equal(curves.curves["k = 2"].values, sparse.auc.sel(probe="k = 2"))
    assert sparse.show().curves.title == "Probes of few neurons: query term"
    assert set(sparse.to_dataframe()) == {"layer", "probe", "auc", "low", "high", "control", "selectivity"}


def test_directions_read_what_is_in_the_stream():
    found = direction_probe(planted.ranker(), concepts.query_term(), planted.pairs(), layers=[0], site="resid_mid")
    assert found.auc.sizes == {"layer": 1, "probe": 2}
    assert float(found.auc.sel(probe=REGRESSION).item()) > 0.95
    basis = found.found[0, MEAN]
    assert isinstance(basis, Basis)
    given = labelled(planted.ranker(), concepts.query_term(), planted.pairs(), None, None, [0], "resid_mid", "mean", 4000, 32, 0)
    train = ~given.split(0.5, 0)
    rows = given.features[train, 0].astype(float)
    difference = rows[given.labels[train]].mean(axis=0) - rows[~given.labels[train]].mean(axis=0)
    np.testing.assert_allclose(basis.directions[:, 0], difference / np.linalg.norm(difference), atol=1e-5)


def test_a_probe_that_learns_by_heart_does_the_control_too():
    """A word's vector before any layer is the word: it holds random labels of words as well as anything."""
    texts = [text for docs in planted.TOPICS.values() for text in docs]
    ranker = mv.toys.compiled("bag", texts)
    many = [" ".join(np.random.default_rng(at).permutation(" ".join(texts).split())[:12]) for at in range(30)]
    lava = direction_probe(ranker, lambda doc, query: [(doc.index("lava"), doc.index("lava") + 4)] if "lava" in doc else [], many,
                           layers=[0], site="resid_pre")  # fmt: skip
    assert float(lava.control.sel(probe=REGRESSION).item()) > 0.95
    assert abs(float(lava.selectivity.sel(probe=REGRESSION).item())) < 0.06


def test_control_labels_belong_to_kinds():
    kinds = np.repeat(np.arange(40), 5)
    found = control_labels(kinds, 0.25, 0)
    assert len(set(zip(kinds.tolist(), found.tolist(), strict=True))) == 40
    assert found.mean() == pytest.approx(0.25)
    assert not (found == control_labels(kinds, 0.25, 1)).all()


def test_where_nothing_differs_areas_are_a_half():
    """CLS is the same in all texts before any layer."""
    docs = list(planted.TOPICS.values())
    texts = [text for own in docs for text in own]
    bag = mv.toys.compiled("bag", texts)
    found = direction_probe(bag, positive=docs[0] + docs[1], negative=docs[2] + docs[3], layers=[0], site="resid_pre", pool="cls")
    assert (found.auc == 0.5).all()
    assert found.found == {(0, MEAN): None, (0, REGRESSION): None}


def test_bad_input_is_said():
    texts = planted.pairs()
    for ks in ((), (0,), (5,), "1", (True,)):
        with pytest.raises(InputError, match="ks="):
            sparse_probe(planted.ranker(), concepts.query_term(), texts, ks=ks)
    with pytest.raises(InputError, match="attention only"):
        sparse_probe(mv.load("toy/cat-attn-only"), concepts.query_term(), texts)
    with pytest.raises(InputError, match="without heads"):
        direction_probe(planted.ranker(), concepts.query_term(), texts, site="z")
    with pytest.raises(InputError, match="no hook"):
        direction_probe(planted.ranker(), concepts.query_term(), texts, site="nonsense")
