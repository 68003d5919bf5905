"""Causal models: order, interchange, targets; and metrics by hand."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError
from mechviz.interventions import CausalModel
from mechviz.interventions.metrics import evaluation, sum_up
from mechviz.results import PlanResult

MODEL = CausalModel(
    {
        "score": lambda a, b, c: 100 * a + 10 * b + c,
        "c": lambda a, b: a * b,
        "a": lambda query: len(query),
        "b": lambda doc: len(doc),
    }
)


def test_parents_come_first():
    assert set(MODEL.inputs) == {"query", "doc"}
    assert MODEL.parents["c"] == ("a", "b")
    assert MODEL.variables.index("c") > max(MODEL.variables.index(one) for one in "ab")
    assert MODEL.variables[-1] == "score"
    assert "c <- a, b" in repr(MODEL)
    assert MODEL.run(query="xx", doc="yyy")["score"] == 236
    assert MODEL.run({"a": 5}, query="xx", doc="yyy")["score"] == 500 + 30 + 15


def test_interchange_with_two_sources():
    base, one, two = ({"query": "q" * n, "doc": "d" * m} for n, m in ((1, 2), (3, 4), (5, 6)))
    found = MODEL.interchange(base, {"a": one, "c": two})
    assert (found["a"], found["b"], found["c"], found["score"]) == (3, 2, 30, 350)


def test_targets_of_either_side():
    pairs = [("q", "dd", "ddd"), TextPair("q", "dd", "qqqq", side="query"), ("q", "dd", ["ddd", "dddd"])]
    np.testing.assert_array_equal(MODEL.targets(pairs[:2], "a"), [122, 400 + 20 + 8])
    np.testing.assert_array_equal(MODEL.targets(pairs[:2], ["b", "c"]), [133, 128])
    np.testing.assert_array_equal(MODEL.targets(pairs[2:], ["b", "c"]), [100 + 30 + 4])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CausalModel({}), "a causal model is a mapping"),
        (lambda: CausalModel({"a": 1}), "a causal model is a mapping"),
        (lambda: CausalModel([len]), "a causal model is a mapping"),
        (lambda: CausalModel({"a": lambda b: b, "b": lambda a: a}), "depend on each other in a circle"),
        (lambda: CausalModel({"a": dict}), "'a' does not say its parameters"),
        (lambda: MODEL.run(query="x"), "needs doc"),
        (lambda: MODEL.run({"z": 1}, query="x", doc="y"), "z is no variable"),
        (lambda: MODEL.interchange({"query": "", "doc": ""}, {"z": {}}), "z is no variable"),
        (lambda: MODEL.targets(("q", "d", "e"), "z"), "z is no variable"),
        (lambda: MODEL.targets(("q", "d", "e"), "a", score="z"), "z is no variable"),
        (lambda: MODEL.targets(("q", "d", "e"), []), r"variables=\[\]"),
        (lambda: MODEL.targets(("q", "d"), "a"), "0 perturbed texts"),
        (lambda: MODEL.targets(("q", "d", ["e", "f"]), "a"), "2 perturbed texts for the variables a"),
    ],
)
def test_a_causal_model_that_cannot_be_is_refused(make, words):
    with pytest.raises((InputError, InputTypeError), match=words):
        make()


def result(base, source, patched, queries, reasons=None):
    n = len(base)
    coords = {"pair": np.arange(n)}
    array = lambda values: xr.DataArray(np.array(values, dtype=np.float32), dims="pair", coords=coords)  # noqa: E731
    frame = pd.DataFrame({"query": queries, "doc": "", "query_id": queries, "doc_id": "", "number": np.arange(n)})
    sources = np.array(source, dtype=np.float32).reshape(n, -1)
    return PlanResult(array(base), xr.DataArray(sources, dims=("pair", "source")), array(patched), {}, frame, reasons or {})


BASE, SOURCE, PATCHED = [1.0, 1, 1, 1], [2.0, 0, 1, 5], [1.6, 0.8, 3, 2]


def test_metrics_by_hand():
    found = result(BASE, SOURCE, PATCHED, list("aabb"), {7: "why"})
    effect = evaluation(found, "effect")
    assert effect.value == pytest.approx((0.6 + 0.2 + 1) / (1 + 1 + 4))
    assert (effect.n_used, effect.n_dropped) == (3, 2)  # one has no change, one could not be run
    raw = evaluation(found, "raw")
    assert raw.value == pytest.approx((0.6 - 0.2 + 2 + 1) / 4)
    assert (raw.n_used, raw.n_dropped) == (4, 1)
    right = evaluation(found, "accuracy")
    assert right.value == pytest.approx(1 / 3)
    own = evaluation(found, lambda patched, base, wanted: wanted - patched)
    assert own.value == pytest.approx(np.mean([0.4, -0.8, -2, 3]))
    assert own.metric == "<lambda>"


def test_targets_take_the_place_of_source_scores():
    found = result(BASE, SOURCE, PATCHED, list("aabb"))
    right = evaluation(found, "accuracy", targets=[1.4, 1.2, 3, 8])
    assert right.value == pytest.approx(2 / 3)  # within half of the change from base to source
    with pytest.raises(InputError, match="targets has 3 scores for 4 pairs"):
        evaluation(found, "accuracy", targets=[1, 2, 3])


def test_the_interval_draws_whole_queries():
    """Two queries: a resample has one, the other or both, so that the interval's ends are the single ones."""
    found = evaluation(result(BASE, [2.0] * 4, [1.1, 1.3, 1.9, 1.9], list("aabb")), "effect", confidence=0.9)
    assert (found.low, found.high) == pytest.approx((0.2, 0.9))
    assert found.value == pytest.approx(0.55)
    one = evaluation(result(BASE, [2.0] * 4, PATCHED, list("aaaa")), "raw")
    assert np.isnan([one.low, one.high]).all()
    assert "nan" in repr(one)


def test_nothing_to_measure_is_no_number():
    found = evaluation(result(BASE, BASE, PATCHED, list("aabb")), "effect")
    assert np.isnan(found.value)
    assert (found.n_used, found.n_dropped) == (0, 4)
    nan = np.full(2, np.nan)
    assert sum_up("raw", nan, nan, nan, nan, np.array(["a", "b"])).n_used == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": "efect"}, "metric='efect'; there are 'effect', 'raw', 'accuracy'"),
        ({"metric": 3}, "metric must be"),
        ({"metric": lambda patched, base, wanted: 1.0}, "return one number a pair"),
        ({"metric": "raw", "confidence": 2}, "confidence=2"),
        ({"metric": "raw", "targets": "x"}, "targets must be"),
    ],
)
def test_a_metric_that_cannot_be_is_refused(options, words):
    with pytest.raises((InputError, InputTypeError), match=words):
        evaluation(result(BASE, SOURCE, PATCHED, list("aabb")), **options)
