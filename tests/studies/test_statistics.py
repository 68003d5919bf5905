"""The statistics by themselves: against loops, against scipy, and by how often intervals and p-values are right."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from mechviz.studies import statistics
from mechviz.studies.statistics import Accumulator, Sums


def by_hand(patched, base, change, metric):
    """The metric over pairs, one cell, in plain Python; pairs without the cell left out."""
    above = below = 0.0
    for one, start, moved in zip(patched, base, change, strict=True):
        if np.isnan(one):
            continue
        if metric == "effect":
            above += (1 if moved > 0 else -1) * (one - start)
            below += abs(moved)
        else:
            above += (one - start) / (1 if metric == "raw" else (1 + moved * moved) ** 0.5)
            below += 1
    return above / below if below else np.nan


def some_pairs(seed, pairs=30, cells=4, gaps=False):
    rng = np.random.default_rng(seed)
    patched = rng.normal(size=(pairs, cells)).astype(np.float32)
    if gaps:
        patched[rng.random(patched.shape) < 0.3] = np.nan
        patched[:, -1] = np.nan
    return patched, rng.normal(size=pairs), rng.normal(size=pairs), rng.integers(0, 8, pairs)


def accumulated(metric, patched, base, change, units, gaps, batch=7, count=8):
    found = Accumulator(metric, count, patched.shape[1], gaps)
    for start in range(0, len(base), batch):
        part = slice(start, start + batch)
        found.add(patched[part], base[part], change[part], units[part])
    return found


@pytest.mark.parametrize("metric", ["effect", "raw", "robust"])
@pytest.mark.parametrize("gaps", [False, True])
def test_sums_give_the_metric_of_a_loop(metric, gaps):
    patched, base, change, units = some_pairs(1, gaps=gaps)
    found = accumulated(metric, patched, base, change, units, gaps)
    for cell in range(patched.shape[1]):
        column = patched[:, cell].astype(float)
        there = ~np.isnan(column)
        assert found.sums.estimate[cell] == pytest.approx(by_hand(column, base, change, metric), nan_ok=True)
        moved = [(one - start, step) for one, start, step in zip(column, base, change, strict=True) if not np.isnan(one)]
        assert found.pairs[cell] == len(moved)
        if moved:
            assert found.raw[cell] == pytest.approx(np.mean((column - base)[there]))
            assert found.ratio[cell] == pytest.approx(sum(a for a, _ in moved) / sum(d for _, d in moved))
            assert found.positive[cell] == pytest.approx(np.mean([a * d > 0 for a, d in moved]))
        else:
            assert np.isnan([found.raw[cell], found.ratio[cell], found.positive[cell]]).all()


def test_sums_of_units_are_those_of_their_pairs():
    patched, base, change, units = some_pairs(2)
    found = accumulated("effect", patched, base, change, units, False).sums
    for unit in range(8):
        mine = units == unit
        expected = (np.sign(change[mine]) * (patched[mine].astype(float).T - base[mine])).sum(axis=1)
        np.testing.assert_allclose(found.numerator[unit], expected, atol=1e-12)
        assert found.denominator[unit, 0] == pytest.approx(np.abs(change[mine]).sum())


@given(st.integers(1, 40))
def test_batches_change_nothing(batch):
    patched, base, change, units = some_pairs(3, gaps=True)
    one = accumulated("robust", patched, base, change, units, True, batch)
    whole = accumulated("robust", patched, base, change, units, True, 1000)
    np.testing.assert_allclose(one.sums.numerator, whole.sums.numerator, atol=1e-12)
    np.testing.assert_allclose(one.sums.denominator, whole.sums.denominator, atol=1e-12)


def studentised_by_hand(sums, signs, drawn, confidence):
    """The bootstrap-t of one cell, resample by resample, from its definition."""

    def told(weights):
        value, parts = 0.0, np.zeros(len(weights))
        for one, sign in zip(sums, signs, strict=True):
            above, below = one.numerator[:, 0], one.denominator[:, 0]
            total = (weights * below).sum()
            ratio = (weights * above).sum() / total
            value += sign * ratio
            parts += sign * (above - ratio * below) / total
        return value, np.sqrt((weights * parts**2).sum())

    estimate, error = told(np.ones(drawn.shape[1]))
    ts = []
    for weights in drawn:
        value, own = told(weights)
        if own > 1e-9:
            ts.append((value - estimate) / own)
    low, high = np.quantile(ts, [(1 - confidence) / 2, (1 + confidence) / 2])
    return estimate, estimate - high * error, estimate - low * error


@pytest.mark.parametrize("signs", [[1], [1, -1]])
@pytest.mark.parametrize("wide", [False, True])
def test_the_interval_is_the_bootstrap_t_of_its_definition(signs, wide):
    rng = np.random.default_rng(4)
    cells = 3
    below = [rng.lognormal(size=(15, cells if wide else 1)) for _ in signs]
    sums = [Sums(rng.normal(0.3, 1, (15, cells)) * one, one) for one in below]
    drawn = statistics.counts(np.zeros(15, dtype=int), 400, rng)
    found = statistics.interval(sums, signs, drawn, 0.9)
    for cell in range(cells):
        column = [Sums(one.numerator[:, [cell]], one.denominator[:, [cell if wide else 0]]) for one in sums]
        expected = studentised_by_hand(column, signs, drawn, 0.9)
        assert (found.estimate[cell], found.low[cell], found.high[cell]) == pytest.approx(expected)


def test_blocks_of_cells_change_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    sums = Sums(rng.normal(size=(9, 11)), rng.lognormal(size=(9, 11)))
    drawn = statistics.counts(np.zeros(9, dtype=int), 200, rng)
    whole = statistics.interval([sums], [1], drawn, 0.95)
    monkeypatch.setattr(statistics.bootstrap, "_BLOCK", 200 * 4)
    parts = statistics.interval([sums], [1], drawn, 0.95)
    np.testing.assert_allclose(parts.low, whole.low)
    np.testing.assert_allclose(parts.high, whole.high)


def test_the_interval_agrees_with_scipy_where_nothing_is_skewed():
    """With many queries and no skew, all bootstrap intervals are one; scipy's BCa is made by other code."""
    rng = np.random.default_rng(6)
    below = rng.uniform(1, 2, 300)
    above = below * 0.4 + rng.normal(0, 0.3, 300)
    drawn = statistics.counts(np.zeros(300, dtype=int), 4000, rng)
    found = statistics.interval([Sums(above[:, None], below[:, None])], [1], drawn, 0.95)
    theirs = scipy.stats.bootstrap(
        (above, below),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        n_resamples=4000,
        method="BCa",
        rng=np.random.default_rng(7),
    )
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert found.low[0] == pytest.approx(theirs.confidence_interval.low, abs=0.05 * width)
    assert found.high[0] == pytest.approx(theirs.confidence_interval.high, abs=0.05 * width)


def clusters(rng, queries):
    """A query's sums: skewed changes, of 1 to many pairs, and effects that queries have in common."""
    pairs = np.maximum(1, rng.lognormal(1.5, 0.8, queries).astype(int))
    query = np.repeat(np.arange(queries), pairs)
    change = rng.lognormal(0, 0.6, queries)[query] * rng.lognormal(0, 0.6, len(query))
    effect = 0.2 + 0.15 * rng.normal(size=queries)[query] + 0.3 * rng.normal(size=len(query))
    return Sums(np.bincount(query, effect * change)[:, None], np.bincount(query, change)[:, None])


@pytest.mark.parametrize(("queries", "least"), [(3, 0.9), (8, 0.87), (40, 0.89)])
def test_intervals_cover_the_truth_as_often_as_they_say(queries, least):
    """Effects are 0.2 whatever the change, so that 0.2 is the truth; 300 studies give the share to about 1.5 points."""
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(300):
        drawn = statistics.counts(np.zeros(queries, dtype=int), 300, rng)
        found = statistics.interval([clusters(rng, queries)], [1], drawn, 0.95)
        hits += found.low[0] <= 0.2 <= found.high[0]
    assert least <= hits / 300 <= 0.995


def test_intervals_of_differences_cover_the_truth_as_often_as_they_say():
    """Effects differ by 0.1; each study has 30 queries, of which 15 are shared and do the same to both."""
    rng = np.random.default_rng(21)
    strata = np.repeat([0, 1, 2], 15)
    hits = 0
    for _ in range(300):
        common = rng.normal(0, 0.2, 45)
        sums = []
        for mean, mine in ((0.3, strata != 2), (0.2, strata != 1)):
            below = rng.lognormal(0, 0.5, 45) * mine
            sums.append(Sums((below * (mean + common + 0.05 * rng.normal(size=45)))[:, None], below[:, None]))
        found = statistics.interval(sums, [1, -1], statistics.counts(strata, 300, rng), 0.95)
        hits += found.low[0] <= 0.1 <= found.high[0]
    assert 0.9 <= hits / 300 <= 0.995


def test_resampling_pairs_instead_of_queries_would_be_too_narrow():
    """What the bootstrap over queries is for: pairs of one query say the same, and repeating them adds no knowledge."""
    rng = np.random.default_rng(9)
    effect = rng.normal(0.2, 0.2, 20)
    by_query = Sums(10 * effect[:, None], np.full((20, 1), 10.0))
    by_pair = Sums(np.repeat(effect, 10)[:, None], np.ones((200, 1)))
    widths = []
    for sums in (by_query, by_pair):
        drawn = statistics.counts(np.zeros(len(sums.numerator), dtype=int), 1000, rng)
        found = statistics.interval([sums], [1], drawn, 0.95)
        widths.append(found.high[0] - found.low[0])
    assert widths[0] > 2.5 * widths[1]


def test_one_unit_has_no_interval_and_equal_ones_have_a_point():
    drawn = np.ones((100, 1), dtype=np.int16)
    found = statistics.interval([Sums(np.array([[0.5, 0.2]]), np.array([[1.0]]))], [1], drawn, 0.95)
    assert found.estimate.tolist() == [0.5, 0.2]
    assert np.isnan([found.low, found.high]).all()
    equal = Sums(np.full((6, 1), 0.1) * np.arange(1, 7)[:, None], np.arange(1.0, 7)[:, None])
    drawn = statistics.counts(np.zeros(6, dtype=int), 100, np.random.default_rng(0))
    found = statistics.interval([equal], [1], drawn, 0.95)
    assert (found.low[0], found.high[0]) == pytest.approx((0.1, 0.1))


def test_a_cell_that_one_query_has_gets_no_interval_among_cells_that_do():
    rng = np.random.default_rng(10)
    below = rng.lognormal(size=(12, 3))
    below[1:, 1], below[:, 2] = 0, 0
    found = statistics.interval(
        [Sums(0.3 * below + 0.1 * below * rng.normal(size=below.shape), below)],
        [1],
        statistics.counts(np.zeros(12, dtype=int), 200, rng),
        0.95,
    )
    assert np.isfinite(found.estimate).tolist() == [True, True, False]
    assert np.isfinite(found.low).tolist() == np.isfinite(found.high).tolist() == [True, False, False]


@given(st.integers(1, 6), st.integers(1, 6))
def test_counts_draw_as_many_units_of_each_stratum_as_it_has(first, second):
    drawn = statistics.counts(np.array([0] * first + [1] * second), 50, np.random.default_rng(0))
    assert (drawn[:, :first].sum(axis=1) == first).all()
    assert (drawn[:, first:].sum(axis=1) == second).all()


def test_counts_are_those_of_a_fair_draw():
    drawn = statistics.counts(np.zeros(20, dtype=int), 5000, np.random.default_rng(0))
    assert drawn.mean() == 1
    assert drawn.var() == pytest.approx(0.95, abs=0.02)  # n p (1 - p) of a multinomial draw


def test_p_values_go_through_all_sign_patterns_of_few_queries():
    rng = np.random.default_rng(11)
    sums = rng.normal(0.3, 1, (7, 3))
    found = statistics.sign_flips(sums, 1000, rng)
    for cell in range(3):
        seen = [
            abs(sum(s * x for s, x in zip(signs, sums[:, cell], strict=True))) for signs in itertools.product((1, -1), repeat=7)
        ]
        assert found[cell] == pytest.approx(np.mean([one >= abs(sums[:, cell].sum()) - 1e-9 for one in seen]))
    for cell in range(3):
        theirs = scipy.stats.permutation_test(
            (sums[:, cell], np.zeros(7)), lambda a, b: np.sum(a - b), permutation_type="samples", n_resamples=np.inf
        )
        assert found[cell] == pytest.approx(theirs.pvalue)


def test_p_values_of_many_queries_agree_with_scipy():
    rng = np.random.default_rng(12)
    sums = rng.normal(0.25, 1, (40, 2))
    found = statistics.sign_flips(sums, 5000, rng)
    for cell in range(2):
        theirs = scipy.stats.permutation_test(
            (sums[:, cell], np.zeros(40)),
            lambda a, b, axis: np.sum(a - b, axis=axis),
            permutation_type="samples",
            n_resamples=5000,
            vectorized=True,
            rng=np.random.default_rng(13),
        )
        assert found[cell] == pytest.approx(theirs.pvalue, abs=0.03)


def test_p_values_are_uniform_where_there_is_nothing():
    rng = np.random.default_rng(14)
    p = statistics.sign_flips(rng.standard_t(3, (30, 2000)), 2000, rng)
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.001
    assert 0.03 < (p <= 0.05).mean() < 0.07


def test_p_is_never_zero_and_one_query_proves_nothing():
    assert statistics.sign_flips(np.full((50, 1), 1.0), 999, np.random.default_rng(0)) == pytest.approx(0.001)
    assert statistics.sign_flips(np.ones((1, 1)), 999, np.random.default_rng(0)) == 1
    assert statistics.sign_flips(np.zeros((30, 1)), 999, np.random.default_rng(0)) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_q_values_are_those_of_benjamini_and_hochberg(values):
    found = statistics.false_discoveries(np.array([*values, np.nan]))
    assert np.isnan(found[-1])
    order = sorted(range(len(values)), key=values.__getitem__)
    for place, which in enumerate(order):
        expected = min(values[other] * len(values) / (later + 1) for later, other in enumerate(order) if later >= place)
        assert found[which] == pytest.approx(min(expected, 1))


def test_units_are_queries_until_there_are_too_many():
    assert statistics.units_of(5, 10, 0).tolist() == [0, 1, 2, 3, 4]
    grouped = statistics.units_of(1003, 100, 0)
    assert set(np.bincount(grouped)) == {10, 11}
    assert (grouped == statistics.units_of(1003, 100, 0)).all()
    assert not (grouped == statistics.units_of(1003, 100, 1)).all()
    assert statistics.most_units(72) == 2**14
    assert 16 * statistics.most_units(36_864) * 36_864 <= 2**30


def test_groups_of_queries_give_the_interval_of_queries():
    rng = np.random.default_rng(15)
    sums = clusters(rng, 5000)
    widths = []
    for limit in (5000, 1000):
        units = statistics.units_of(5000, limit, 0)
        grouped = Sums(*(np.bincount(units, one[:, 0])[:, None] for one in (sums.numerator, sums.denominator)))
        found = statistics.interval([grouped], [1], statistics.counts(np.zeros(limit, dtype=int), 1000, rng), 0.95)
        assert found.estimate[0] == pytest.approx(sums.estimate[0])
        widths.append(found.high[0] - found.low[0])
    assert widths[1] == pytest.approx(widths[0], rel=0.12)


def test_spearman_is_scipys():
    rng = np.random.default_rng(16)
    x = rng.integers(0, 9, 200).astype(float)
    y = x + rng.normal(0, 8, 200)
    r, p = statistics.spearman(x, y, np.arange(200))
    theirs = scipy.stats.spearmanr(x, y)
    assert r == pytest.approx(theirs.statistic)
    assert np.log10(p) == pytest.approx(np.log10(theirs.pvalue), abs=1)


def test_the_partial_correlation_is_that_of_three_correlations():
    rng = np.random.default_rng(17)
    z = rng.normal(size=150)
    x, y = z + rng.normal(size=150), z + rng.normal(size=150)
    r, _ = statistics.partial(x, y, z, np.arange(150))
    a, b, c = (scipy.stats.spearmanr(*two).statistic for two in ((x, y), (x, z), (y, z)))
    assert r == pytest.approx((a - b * c) / ((1 - b**2) * (1 - c**2)) ** 0.5)
    assert abs(r) < 0.25 < a


def test_p_values_of_correlations_know_that_pairs_of_a_query_belong_together():
    """Nothing goes with anything, but both go with the query: scipy's p is below 0.05 far too often, ours is not."""
    rng = np.random.default_rng(18)
    query = np.repeat(np.arange(40), 10)
    ours = theirs = 0
    for _ in range(300):
        x, y = (rng.normal(size=40)[query] + 0.3 * rng.normal(size=400) for _ in range(2))
        ours += statistics.spearman(x, y, query)[1] <= 0.05
        theirs += scipy.stats.spearmanr(x, y).pvalue <= 0.05
    assert theirs / 300 > 0.3
    assert 0.01 <= ours / 300 <= 0.1


def test_what_does_not_vary_has_no_correlation():
    x, query = np.arange(6.0), np.array([0, 0, 1, 1, 1, 1])
    assert np.isnan(statistics.spearman(x, np.ones(6), query)).all()
    assert np.isnan(statistics.partial(x, x[::-1].copy(), x, query)).all()
    r, p = statistics.spearman(x, x**2, query)
    assert r == pytest.approx(1)
    assert np.isnan(p), "two queries"
    assert statistics.spearman(x, -x, np.arange(6))[1] == 0
