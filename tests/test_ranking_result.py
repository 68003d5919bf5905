import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechviz.errors import InputError
from mechviz.results import RankingResult

SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


def made(original, perturbed=None, **more):
    docs = tuple(f"doc {number}" for number in range(len(original)))
    as_scores = lambda values: None if values is None else np.array(values, dtype=np.float32)  # noqa: E731
    return RankingResult("q", docs, as_scores(original), as_scores(perturbed), **more)


@given(SCORES)
def test_ranks_keep_the_order_given_among_equal_scores(scores):
    ranks = made(scores).ranks()
    for i, one in enumerate(scores):
        better = sum(other > one or (other == one and j < i) for j, other in enumerate(scores))
        assert ranks[i] == better + 1


def overlap_by_definition(first, second, p):
    """Webber, Moffat and Zobel 2010, equation 32, from the orders themselves."""
    k = len(first)
    agreements = [len(set(first[:d]) & set(second[:d])) / d for d in range(1, k + 1)]
    return agreements[-1] * p**k + (1 - p) / p * sum(a * p**d for d, a in enumerate(agreements, start=1))


@given(st.permutations(range(7)), st.permutations(range(7)), st.sampled_from([0.5, 0.9]))
def test_the_overlap_is_that_of_its_definition(first, second, p):
    scores = [[-order.index(doc) for doc in range(7)] for order in (first, second)]
    assert made(*scores).overlap(p) == pytest.approx(overlap_by_definition(first, second, p))


def test_equal_orders_overlap_whole_and_nothing_perturbed_too():
    assert made([3, 2, 1], [30, 20, 10]).overlap() == pytest.approx(1)
    assert made([3, 2, 1]).overlap() == 1


def test_ndcg_is_that_of_scikit_learn():
    from sklearn.metrics import ndcg_score

    generator = np.random.default_rng(0)
    for _ in range(20):
        grades = generator.integers(0, 4, 9)
        scores = generator.permutation(9).astype(float)
        result = made(scores, scores[::-1].copy(), grades=tuple(grades.tolist()))
        expected = ndcg_score([2.0**grades - 1], [scores], k=5)
        assert result.ndcg(k=5) == pytest.approx(expected)
        assert result.ndcg(perturbed=True, k=5) == pytest.approx(ndcg_score([2.0**grades - 1], [scores[::-1]], k=5))
    assert made([1, 2], grades=(0, 0)).ndcg() is None
    assert made([1, 2]).ndcg() is None


def test_the_table_tells_what_moved():
    frame = made([3, 2, 1], [3, 2, 9], changed=np.array([False, False, True]), perturbation="append").to_dataframe()
    assert frame["rank_change"].tolist() == [-1, -1, 2]
    assert frame["changed"].tolist() == [False, False, True]
    assert "grade" not in frame
    assert "append on 1" in repr(made([3, 2], [2, 3], changed=np.array([False, True]), perturbation="append"))


def test_columns_of_other_lengths_are_refused():
    with pytest.raises(InputError, match="grades has 1 entries for 2 documents"):
        made([1, 2], grades=(1,))
