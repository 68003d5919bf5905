import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from mechviz.errors import InputError, MechvizError
from mechviz.probes import neighbours
from mechviz.probes.neighbours import isotropic, nearest, points_of


def made(seed, n=60, types=6, texts=12, features=5):
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((n, features)).astype(np.float32)
    return vectors, random.integers(0, types, n), random.integers(0, texts, n)


def by_loop(vectors, types, texts, row, k):
    near = vectors @ vectors[row]
    order = np.argsort(-near, kind="stable")
    return [at for at in order if types[at] != types[row] and texts[at] != texts[row]][:k], [
        at for at in order if texts[at] != texts[row]
    ][:k]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_neighbours_are_those_of_a_loop(seed, k):
    vectors, types, texts = made(seed)
    points = points_of(vectors, types, texts)
    found = nearest(points, np.arange(len(types)), texts, k)
    for row in range(len(types)):
        others, any_type = by_loop(vectors, types, texts, row, k)
        assert set(found.points[row]) == set(others)
        assert (np.diff(found.similarity[row]) <= 0).all()
        assert found.own_type[row] == pytest.approx(np.mean(types[any_type] == types[row]))


def test_chunks_change_nothing(monkeypatch):
    vectors, types, texts = made(1)
    points = points_of(vectors, types, texts)
    whole = nearest(points, np.arange(60), texts, 7)
    monkeypatch.setattr(neighbours, "_CHUNK", 300)
    parts = nearest(points, np.arange(60), texts, 7)
    np.testing.assert_array_equal(whole.points, parts.points)
    np.testing.assert_allclose(whole.similarity, parts.similarity, atol=1e-6)


def test_equal_vectors_of_a_type_are_one_point_that_no_text_owns():
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=np.float32)
    points = points_of(vectors, np.array([0, 0, 1, 1]), np.array([5, 6, 7, 7]))
    assert points.of.tolist() == [0, 0, 1, 2]
    assert points.texts.tolist() == [-1, 7, 7]


def test_isotropic_takes_off_mean_and_principal_components():
    vectors = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32) * [9, 5, 1, 1, 1, 1] + 3
    found = isotropic(vectors.astype(np.float32), 2)
    pca = PCA(2, svd_solver="full").fit(vectors)
    left = vectors - pca.inverse_transform(pca.transform(vectors))
    np.testing.assert_allclose(found, left / np.linalg.norm(left, axis=1, keepdims=True), atol=1e-4)


def test_a_vector_of_which_nothing_is_left_stays_0():
    assert not isotropic(np.ones((4, 3), dtype=np.float32), 0).any()


def test_too_few_points_are_said():
    vectors, types, texts = made(2)
    points = points_of(vectors, types, texts)
    with pytest.raises(InputError, match="points of other words; give more texts"):
        nearest(points, np.arange(60), texts, 59)
    with pytest.raises(InputError, match="in other texts"):
        nearest(points, np.arange(60), texts, int(60 - np.bincount(types).max()))
    for bad in (0, 1.5, True):
        with pytest.raises(InputError, match="k="):
            nearest(points, np.arange(60), texts, bad)
    with pytest.raises(InputError, match="method='annoy'"):
        nearest(points, np.arange(60), texts, 3, "annoy")
    with pytest.raises(InputError, match="0 to 4"):
        isotropic(vectors, 5)


def test_without_faiss_the_extra_is_named_where_it_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    vectors, types, texts = made(3)
    points = points_of(vectors, types, texts)
    with pytest.raises(MechvizError, match=r'pip install "mechviz-ir\[faiss\]"'):
        nearest(points, np.arange(60), texts, 3, "faiss")
    nearest(points, np.arange(60), texts, 3)
    monkeypatch.setattr(neighbours, "MOST_EXACT", 50)
    with pytest.raises(MechvizError, match="beyond 50 points"):
        nearest(points, np.arange(60), texts, 3)
    nearest(points, np.arange(60), texts, 3, "exact")


def test_faiss_finds_the_same():
    pytest.importorskip("faiss")
    vectors, types, texts = made(4, n=200)
    points = points_of(vectors, types, texts)
    exact, other = (nearest(points, np.arange(200), texts, 9, method) for method in ("exact", "faiss"))
    np.testing.assert_array_equal(exact.points, other.points)
    np.testing.assert_allclose(exact.own_type, other.own_type)
