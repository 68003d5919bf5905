import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import silhouette_score

from mechviz.errors import InputError
from mechviz.probes.senses import clusters, silhouette


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_silhouettes_are_scikit_learns(seed, number):
    random = np.random.default_rng(seed)
    vectors, labels = (
        random.standard_normal((20, 3)),
        np.concatenate([np.arange(number), random.integers(0, number, 20 - number)]),
    )
    assert silhouette(squareform(pdist(vectors)), labels) == pytest.approx(silhouette_score(vectors, labels))


def mixture(sizes, seed, features=8, noise=0.15):
    random = np.random.default_rng(seed)
    centres = np.linalg.qr(random.standard_normal((features, features)))[0]
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return (centres[labels] + noise * random.standard_normal((len(labels), features))).astype(np.float32), labels


@pytest.mark.parametrize("sizes", [(30, 20), (20, 15, 10), (12, 12, 12, 12)])
def test_planted_senses_are_found_the_largest_first(sizes):
    vectors, labels = mixture(sizes, 0)
    found = clusters(vectors)
    assert found.labels.tolist() == labels.tolist()
    assert found.p == 0.05
    np.testing.assert_allclose(found.shares, np.array(sizes) / sum(sizes))
    assert found.effective == pytest.approx(np.exp(-np.sum(found.shares * np.log(found.shares))))


def test_one_sense_is_mostly_one():
    found = [clusters(mixture((40,), seed)[0], seed=seed) for seed in range(20)]
    assert sum(len(one.shares) > 1 for one in found) <= 3
    assert found[0].effective == 1


def test_equal_uses_and_few_uses_have_one_sense():
    for vectors in (np.ones((9, 3), np.float32), np.eye(3, dtype=np.float32)):
        found = clusters(vectors)
        assert not found.labels.any()
        assert np.isnan(found.silhouette)
    with pytest.raises(InputError, match="most=0"):
        clusters(np.ones((9, 3), np.float32), most=0)
