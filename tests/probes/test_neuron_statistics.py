import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import roc_auc_score

from mechviz.errors import InputError
from mechviz.probes import neuron_statistics
from mechviz.probes.neuron_statistics import area_interval, areas, areas_and_p, effect_sizes, threshold


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_areas_are_scikit_learns_ties_included(data):
    n, m = data.draw(st.integers(2, 30)), data.draw(st.integers(1, 6))
    few = st.sampled_from([-1.5, 0.0, 0.1, 0.25, 3.0])
    many = st.floats(-1e6, 1e6, width=32)
    values = data.draw(arrays(np.float32, (n, m), elements=data.draw(st.sampled_from([few, many]))))
    labels = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    labels[:2] = [True, False]
    found = areas(values, labels)
    assert found == pytest.approx([roc_auc_score(labels, values[:, column]) for column in range(m)], abs=1e-12)


def test_blocks_change_nothing(monkeypatch):
    values, labels = drawn(0)
    whole = areas(values, labels), *areas_and_p(values, labels, 20, 0)[1:]
    monkeypatch.setattr(neuron_statistics, "_BLOCK", 3)
    for one, other in zip(whole, (areas(values, labels), *areas_and_p(values, labels, 20, 0)[1:]), strict=True):
        np.testing.assert_array_equal(one, other)


def drawn(seed, n=40, m=8, apart=0.0):
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 4 == 0
    values = random.standard_normal((n, m)).astype(np.float32)
    values[labels, 0] += apart
    return values, labels


def test_effect_sizes_are_differences_in_pooled_deviations():
    values, labels = drawn(1, apart=2)
    values[:, 3] = 7
    found = effect_sizes(values, labels)
    a, b = values[labels].astype(float), values[~labels].astype(float)
    pooled = np.sqrt((a.var(axis=0, ddof=1) * (len(a) - 1) + b.var(axis=0, ddof=1) * (len(b) - 1)) / (len(a) + len(b) - 2))
    other = np.arange(8) != 3
    np.testing.assert_allclose(found[other], ((a.mean(axis=0) - b.mean(axis=0)) / np.where(pooled > 0, pooled, 1))[other])
    assert np.isnan(found[3])


def test_p_is_that_of_mann_whitney_and_the_correction_is_of_the_largest():
    values, labels = drawn(2, apart=1.2)
    p, corrected = areas_and_p(values, labels, 4000, 0)[1:]
    exact = [stats.mannwhitneyu(values[labels, at], values[~labels, at], method="exact").pvalue for at in range(8)]
    np.testing.assert_allclose(p, exact, atol=0.03)
    assert (corrected >= p).all()
    assert p.argmin() == corrected.argmin() == 0
    assert corrected[0] < 0.05 < corrected[1:].min()


def test_p_max_is_right_by_chance_alone():
    """The smallest corrected p of neurons that say nothing is below 0.2 in about a fifth of the cases."""
    smallest = [areas_and_p(*drawn(seed, m=30), draws=99, seed=seed)[2].min() for seed in range(60)]
    assert 0.08 < np.mean(np.array(smallest) <= 0.2) < 0.35


def test_labels_are_dealt_within_their_stratum():
    labels, strata = np.array([1, 0, 0, 1, 1, 0], dtype=bool), np.array([2, 0, 2, 0, 2, 1])
    dealt = neuron_statistics._dealt(labels, 50, np.random.default_rng(0), strata)
    for stratum in range(3):
        own = strata == stratum
        assert (dealt[:, own].sum(axis=1) == labels[own].sum()).all()
    assert len({tuple(row) for row in dealt.tolist()}) == 6
    # A value that is the stratum says nothing within it.
    values = np.repeat(np.arange(10), 4)[:, None].astype(float)
    own = np.arange(40) % 4 < np.repeat(np.arange(10) % 3 + 1, 4)
    assert areas_and_p(values, own, 50, 0, np.repeat(np.arange(10), 4))[1] == [1]


def test_an_interval_is_that_of_resampling_groups():
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), 5)
    labels = np.arange(60) % 2 == 0
    values = np.round(random.standard_normal(60) + labels + np.repeat(random.standard_normal(12), 5), 1)
    low, high = area_interval(values, labels, groups, draws=3000)
    by_hand = []
    for _ in range(600):
        rows = np.concatenate([np.flatnonzero(groups == one) for one in random.integers(0, 12, 12)])
        by_hand.append(roc_auc_score(labels[rows], values[rows]))
    np.testing.assert_allclose([low, high], np.quantile(by_hand, [0.025, 0.975]), atol=0.03)


def test_an_interval_needs_two_groups_of_either_kind():
    values, labels = np.arange(4.0), np.array([True, True, False, False])
    assert np.isnan(area_interval(values, labels, np.array([0, 0, 1, 2]))).all()
    assert area_interval(values, labels, np.arange(4)) == (0.0, 0.0)


def test_a_threshold_tells_apart_best():
    values, labels = np.array([1.0, 2, 3, 4, 5]), np.array([False, False, True, False, True])
    assert threshold(values, labels) == (3.0, pytest.approx((1 + 2 / 3) / 2))


def test_bad_input_is_said():
    values, labels = drawn(0)
    with pytest.raises(InputError, match="all 40 examples are positive"):
        areas(values, np.ones(40, dtype=bool))
    with pytest.raises(InputError, match="NaN or inf"):
        areas(values * np.nan, labels)
    with pytest.raises(InputError, match="dims"):
        areas(values[0], labels)
