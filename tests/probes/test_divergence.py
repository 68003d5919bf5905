import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from mechviz.probes.divergence import counts_of, divergence, entropies, interval, null_divergence


def dealt(n, k, points, types, seed):
    """Uses that hold k different points each, drawn alike from all."""
    random = np.random.default_rng(seed)
    drawn = np.array([random.choice(points, k, replace=False) for _ in range(n)])
    return drawn, drawn % types


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_divergence_is_entropy_of_the_mean_less_mean_of_entropies(seed):
    counts = counts_of(np.random.default_rng(seed).integers(0, 9, (7, 12)))
    shares = counts / 12
    by_hand = entropy(shares.mean(axis=0), base=2) - np.mean([entropy(row, base=2) for row in shares])
    assert divergence(counts) == pytest.approx(by_hand, abs=1e-12)
    np.testing.assert_allclose(entropies(counts), [entropy(row, base=2) for row in shares])


def test_of_two_uses_it_is_scipys():
    counts = counts_of(np.random.default_rng(0).integers(0, 5, (2, 30)))
    assert divergence(counts) == pytest.approx(jensenshannon(*counts, base=2) ** 2)


def test_counts_are_those_of_a_loop():
    types = np.array([[3, 3, 9], [9, 5, 3]])
    assert counts_of(types).tolist() == [[2, 0, 1], [1, 1, 1]]


@pytest.mark.parametrize("n", [3, 7, 49])
def test_equal_uses_are_0_to_the_last_bit(n):
    types = np.tile([0, 0, 1, 2, 3, 4, 4], (n, 1))
    assert divergence(counts_of(types)) == 0.0
    assert interval(counts_of(types), 50, 0) == (0.0, 0.0)


def test_uses_that_share_nothing_are_log2_of_their_number():
    assert divergence(counts_of(np.arange(40).reshape(8, 5))) == pytest.approx(3)


def test_the_null_is_what_dealing_gives_and_senses_are_above_it():
    points, types = dealt(40, 30, 60, 10, 0)
    one_meaning = divergence(counts_of(types))
    assert null_divergence(points, types, 400, 0) == pytest.approx(one_meaning, abs=0.05)
    other, kinds = dealt(40, 30, 60, 10, 1)
    both = np.concatenate([points[:20], other[20:] + 60]), np.concatenate([types[:20], kinds[20:] + 10])
    assert divergence(counts_of(both[1])) - null_divergence(*both, 400, 0) > 0.5


def test_a_null_of_uses_with_all_neighbours_in_common_is_0():
    points = np.tile(np.arange(6), (5, 1))
    assert null_divergence(points, points // 2, 20, 0) == pytest.approx(0, abs=1e-12)


def test_an_interval_holds_its_value_and_narrows_with_uses():
    widths = []
    for n in (10, 160):
        _, types = dealt(n, 10, 60, 20, 3)
        low, high = interval(counts_of(types), 300, 0)
        assert low <= divergence(counts_of(types)) <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    assert np.isnan(interval(np.ones((1, 3), dtype=np.int64), 10, 0)).all()
