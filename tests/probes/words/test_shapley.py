from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mechviz as mv
from mechviz.errors import InputError
from mechviz.probes.words import kernel_shap
from mechviz.probes.words.shapley import shap_values, subsets
from tests.interventions.hand import DOCS, QUERY
from tests.probes.words.toy_functions import linear, shapley_by_orders, tangled


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_all_subsets_give_shapley_values(n):
    value = tangled(n, seed=n)
    found = shap_values(value, n)
    np.testing.assert_allclose(found.values, shapley_by_orders(value, n), atol=1e-10)
    assert np.isnan(found.low).all()


@given(n=st.integers(11, 25), samples=st.integers(80, 400), seed=st.integers(0, 1000))
def test_values_add_up_whatever_the_sample(n, samples, seed):
    value = tangled(n, seed=seed)
    found = shap_values(value, n, n_samples=samples, seed=seed)
    none, every = value(np.array([[False] * n, [True] * n]))
    assert found.values.sum() == pytest.approx(every - none, abs=1e-9 * abs(every))
    assert found.intercept == pytest.approx(none)


def test_a_linear_target_is_exact_from_a_sample():
    weights = np.random.default_rng(1).normal(size=20)
    found = shap_values(linear(weights, 2.0), 20, n_samples=200)
    np.testing.assert_allclose(found.values, weights, atol=1e-9)
    np.testing.assert_allclose(found.low, found.high, atol=1e-8)
    assert found.fit.weighted_r2 == pytest.approx(1)


def exact(value, n):
    """By the formula over subsets, one word at a time."""
    keep = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)
    target, size, found = value(keep), keep.sum(1), np.zeros(n)
    for word in range(n):
        lacking = np.flatnonzero(~keep[:, word])
        share = np.array([1 / (n * comb(n - 1, s)) for s in size[lacking]])
        found[word] = share @ (target[lacking + (1 << word)] - target[lacking])
    return found


def test_samples_near_the_truth_and_intervals_hold_it():
    n, value = 12, tangled(12, seed=5)
    truth = exact(value, n)
    np.testing.assert_allclose(shap_values(value, n, n_samples=5000).values, truth, atol=1e-9)  # suffices for all subsets
    held, errors = [], []
    for seed in range(60):
        found = shap_values(value, n, n_samples=400, seed=seed)
        held.append((found.low <= truth) & (truth <= found.high))
        errors.append(found.values - truth)
    assert 0.9 < np.mean(held) <= 0.995
    assert np.abs(np.mean(errors, axis=0)).max() < 0.2 * np.std(truth)
    few = np.std([shap_values(value, n, n_samples=80, seed=seed).values - truth for seed in range(20)])
    assert np.std(errors) < 0.7 * few


@given(n=st.integers(2, 40), budget=st.integers(100, 600), seed=st.integers(0, 50))
def test_subsets_have_the_kernels_weight(n, budget, seed):
    keep, weights, first = subsets(n, budget, np.random.default_rng(seed))
    size = keep.sum(1)
    assert len(keep) == len(weights) <= budget
    assert ((size > 0) & (size < n)).all()
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_array_equal(keep[first:][::2], ~keep[first:][1::2])  # pairs
    kernel = np.array([(n - 1) / (s * (n - s)) for s in range(1, n)])  # C(n, s) subsets of (n-1) / (C(n, s) s (n-s)) each
    mass = np.bincount(size, weights, minlength=n)[1:n]
    np.testing.assert_allclose(mass, kernel / kernel.sum(), atol=2.1 * weights[-1])
    whole, count = np.unique(size[:first], return_counts=True)
    assert all(number == comb(n, s) for s, number in zip(whole, count, strict=True))
    assert len(np.unique(keep[:first], axis=0)) == first


def test_on_a_ranker(cat):
    doc = "Hot water is rising again."
    found = kernel_shap(cat, QUERY, doc)
    assert found.masker == "[MASK]"
    wanted = shapley_by_orders(found.game, 5)
    np.testing.assert_allclose(found.values.values, wanted, atol=1e-5)
    assert found.values.values.sum() == pytest.approx(found.full - found.base, abs=1e-9)
    assert found.provenance["subsets"] == "all"
    # the full stop is left, so that even deletion has an empty coalition
    assert np.isfinite(kernel_shap(cat, QUERY, doc, masker="delete").values.values).all()


def test_many_words_on_a_ranker():
    ranker = mv.load("toy/dot")
    found = kernel_shap(ranker, QUERY, DOCS[0], n_samples=120)
    assert found.values.values.sum() == pytest.approx(found.full - found.base, abs=1e-9)
    assert found.provenance["subsets"] == "sampled"
    assert found.fit.n > 15
    assert found.words[1].text == "springs" == found.top(1)[0].text


def test_what_cannot_be(cat):
    with pytest.raises(InputError, match="masker='delete' leaves no text"):
        kernel_shap(cat, QUERY, "hot water", masker="delete")
    with pytest.raises(InputError, match=r"n_samples=20 is too few for 15 words; give at least 43"):
        kernel_shap(cat, QUERY, DOCS[0], n_samples=20)
    kernel_shap(cat, QUERY, DOCS[0], n_samples=43)
