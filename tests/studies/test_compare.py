"""The difference of two studies; `test_statistics` has how often its intervals are right."""

from dataclasses import replace

import numpy as np
import pytest

from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.studies.compare import compare
from tests.studies.made import HEADER, made

FAST = {"draws": 300, "flips": 200}


def two(tmp_path, first, second, **analysis):
    return [pairs.study(tmp_path / name, **{**FAST, **analysis}) for name, pairs in (("first", first), ("second", second))]


def named(pairs, prefix):
    """The same pairs of queries with other names."""
    columns = {"query_id": [f"{prefix}{one}" for one in pairs.query], "query": [f"{prefix} {one}" for one in pairs.query]}
    return replace(pairs, columns={**pairs.columns, **columns})


def test_the_difference_is_that_of_the_effects(tmp_path):
    first, second = two(tmp_path, made(0), made(1, pairs=30, queries=9))
    found = first.compare(second)
    np.testing.assert_allclose(found.cells["first"], first.effects)
    np.testing.assert_allclose(found.cells["second"], second.effects)
    np.testing.assert_allclose(found.cells["difference"], first.effects - second.effects)
    assert (found.cells["low"] < found.cells["difference"]).all()
    assert (found.cells["difference"] < found.cells["high"]).all()
    assert found.cells["low"].dims == ("layer", "head")
    assert (found.n_used, found.n_queries, found.n_shared, found.paired) == ((40, 30), (12, 9), 9, True)
    assert found.pairing == (
        "paired by 9 shared queries, which are resampled jointly; 3 queries that only one has are resampled by themselves"
    )
    assert "paired by 9 shared queries" in repr(found)
    frame = found.to_dataframe()
    assert list(frame) == ["layer", "head", "first", "second", "difference", "low", "high"]
    assert len(frame) == 6
    reverse = compare(second, first)
    np.testing.assert_allclose(reverse.cells["difference"], -found.cells["difference"])


def test_a_study_does_not_differ_from_itself(tmp_path):
    study, same = two(tmp_path, made(2), made(2))
    found = study.compare(same)
    for name in ("difference", "low", "high"):
        np.testing.assert_allclose(found.cells[name], 0, atol=1e-12)
    assert "0 of 6 cells with an interval beside 0" in repr(found)


def test_a_difference_that_is_rounding_has_no_width(tmp_path):
    """All heads carry the whole change, but for the last digit of one score: resamples without it have no error at all."""
    exact = made(5)
    base, change = np.round(64 * exact.base) / 64, np.round(64 * exact.change + np.sign(exact.change)) / 64
    patched = (base + change)[:, None].repeat(6, axis=1).astype(np.float32)
    nudged = patched.copy()
    nudged[0] = np.nextafter(nudged[0], np.float32(np.inf))
    first, second = two(tmp_path, *(replace(exact, base=base, change=change, patched=one) for one in (patched, nudged)))
    found = first.compare(second)
    assert (found.cells["difference"] != 0).all()
    for name in ("difference", "low", "high"):
        np.testing.assert_allclose(found.cells[name], 0, atol=1e-6)


def test_pairing_takes_out_what_queries_do_to_both(tmp_path):
    pairs = made(3, pairs=120, queries=60)
    shifted = replace(pairs, patched=pairs.patched + 0.05 * pairs.change[:, None])
    first, paired = two(tmp_path, pairs, shifted)
    apart = named(shifted, "other").study(tmp_path / "apart", **FAST)
    found, loose = first.compare(paired), first.compare(apart)
    np.testing.assert_allclose(found.cells["difference"], -0.05, atol=1e-6)
    np.testing.assert_allclose(loose.cells["difference"], -0.05, atol=1e-6)
    widths = [(one.cells["high"] - one.cells["low"]).values for one in (found, loose)]
    assert (widths[0] < 0.01 * widths[1]).all()
    assert not loose.paired
    assert loose.pairing == "unpaired: they share no query, and each is resampled by itself"


def test_ids_that_two_collections_have_by_chance_pair_nothing(tmp_path):
    pairs = made(4)
    other = replace(pairs, columns={"query": [f"something else {one}" for one in pairs.query]})
    first, second = two(tmp_path, pairs, other)
    assert first.compare(second).n_shared == 0


def units_of(pairs):
    """Sums by query of one cell, in a dictionary."""
    found = {}
    for query, moved, change in zip(pairs.query, pairs.difference[:, 0], pairs.change, strict=True):
        above, below = found.get(query, (0.0, 0.0))
        found[query] = above + np.sign(change) * moved, below + abs(change)
    return found


def test_the_unpaired_interval_is_that_of_two_independent_bootstraps(tmp_path):
    one, other = made(5, pairs=300, queries=150), named(made(6, pairs=300, queries=150), "other")
    first, second = two(tmp_path, one, other, draws=2000)
    found = first.compare(second)
    rng = np.random.default_rng(0)
    values = []
    for pairs in (one, other):
        sums = np.array(list(units_of(pairs).values()))
        drawn = sums[rng.integers(0, len(sums), (4000, len(sums)))].sum(axis=1)
        values.append(drawn[:, 0] / drawn[:, 1])
    low, high = np.quantile(values[0] - values[1], [0.025, 0.975])
    width = high - low
    assert found.cells["low"].values[0, 0] == pytest.approx(low, abs=0.1 * width)
    assert found.cells["high"].values[0, 0] == pytest.approx(high, abs=0.1 * width)


def test_what_cannot_be_compared_is_refused(tmp_path):
    wide = replace(HEADER, dims=(("layer", 3), ("head", 2)))
    sites = replace(HEADER, grid="head_inputs", dims=(("site", 2), ("head", 3)), coords={"site": ["q", "k"]})
    first, second = two(tmp_path, made(8), made(8, header=wide))
    with pytest.raises(InputError, match=r"has grid 'heads' of 2 layer x 3 head, .* has grid 'heads' of 3 layer x 2 head"):
        first.compare(second)
    third = made(8, header=sites).study(tmp_path / "third", **FAST)
    with pytest.raises(InputError, match=r"grid 'head_inputs' of 2 site x 3 head \(site q, k\)"):
        first.compare(third)
    with pytest.raises(InputError, match=r"tells effect, .* raw; use study.using"):
        first.compare(first.using(metric="raw"))
    with pytest.raises(InputTypeError, match="compare takes two studies, not 'second'"):
        first.compare("second")
    with pytest.raises(MechvizError, match="no pair can be used, so there is nothing to compare"):
        first.compare(first.where(min_change=1000))


def test_other_directions_and_rankers_can_be_compared(tmp_path):
    turned = replace(HEADER, direction="original->perturbed", ranker="other", weights_sha256="f" * 16)
    first, second = two(tmp_path, made(9), made(9, header=turned))
    found = first.compare(second)
    assert found.names == ("TFC1 on tiny", "TFC1 on other")


def test_many_queries_are_compared_in_groups(tmp_path, monkeypatch):
    pairs = made(10, pairs=150, queries=120)
    shifted = replace(pairs, patched=pairs.patched + 0.05 * pairs.change[:, None])
    first, second = two(tmp_path, pairs, shifted)
    alone = first.compare(second)
    monkeypatch.setattr("mechviz.studies.statistics.most_units", lambda cells: 40)
    found = first.compare(second)
    np.testing.assert_allclose(found.cells["difference"], alone.cells["difference"])
    np.testing.assert_allclose(found.cells["low"], -0.05, atol=1e-5)
