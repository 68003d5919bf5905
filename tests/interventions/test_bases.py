"""Directions, beside their definitions."""

import numpy as np
import pytest

from mechviz.errors import InputError
from mechviz.interventions import bases


@pytest.fixture
def cloud():
    random = np.random.default_rng(0)
    return random.normal(size=(200, 5)) * [5, 3, 1, 0.5, 0.1]


def test_principal_components_are_eigenvectors(cloud):
    values, vectors = np.linalg.eigh(np.cov(cloud.T))
    found = bases.pca(cloud, 2).directions
    np.testing.assert_allclose(np.abs(found.T @ vectors[:, np.argsort(-values)[:2]]), np.eye(2), atol=1e-4)


def test_a_mean_difference(cloud):
    wanted = cloud[:100].mean(0) - cloud[100:].mean(0)
    found = bases.mean_difference(cloud[:100], cloud[100:]).directions[:, 0]
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-5)


def test_a_probe_points_along_what_is_told_apart(cloud):
    found = bases.probe(cloud, cloud[:, 3] > 0).directions[:, 0]
    assert found[3] > 0.95


def test_what_has_no_direction(cloud):
    with pytest.raises(InputError, match="both of them present"):
        bases.probe(cloud, np.ones(200, dtype=bool))
    with pytest.raises(InputError, match="rank=6"):
        bases.pca(cloud, 6)
    with pytest.raises(InputError, match="not independent"):
        bases.mean_difference(cloud, cloud)
