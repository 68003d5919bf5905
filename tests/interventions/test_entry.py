"""Where the base run is entered again, which changes no score."""

import numpy as np
import pytest

from mechviz.interventions import Intervention, Plan, ops
from tests.cases import CASES

PAIRS = [
    ("hot spring", "a spring near the volcano is hot", "a spring near the river is cold"),
    ("what is lava", "lava is molten rock", "ash is broken rock"),
]
POST, NEXT = "blocks.0.hook_resid_post", "blocks.1.hook_resid_pre"


@pytest.fixture(scope="module", params=["Cat gpt2", "Cat bert", "Dot bert mean"])
def ranker(request, opened):
    return opened(next(case for name, case in CASES.items() if name.startswith(request.param)))


def scores(ranker, *interventions):
    return Plan(list(interventions)).run(ranker, PAIRS).patched.values


def entry(ranker, *interventions):
    plan = Plan(list(interventions))
    return plan.compile(ranker, plan.lay(ranker, PAIRS)[0]).entry


def test_what_leaves_a_layer_enters_the_next(ranker):
    for op in ("swap", ops.Scale(by=0.5), "mean"):
        post, following = Intervention(POST, op, positions=[1, 3]), Intervention(NEXT, op, positions=[1, 3])
        assert entry(ranker, post) == entry(ranker, following) == 1
        np.testing.assert_array_equal(scores(ranker, post), scores(ranker, following))
    assert entry(ranker, Intervention(POST, "skip")) == 0
    top = ranker.stack(ranker.stack_of("doc")).n_layers - 1
    assert entry(ranker, Intervention(f"blocks.{top}.hook_resid_post")) == top


def test_edits_at_both_are_made_in_the_order_of_the_model(ranker):
    double, clamp = Intervention(POST, ops.Scale(by=2.0)), Intervention(NEXT, ops.Clamp(low=-0.5, high=0.5))
    together = scores(ranker, double, clamp)
    np.testing.assert_array_equal(scores(ranker, clamp, double), together)
    one = Intervention(NEXT, lambda base: (2 * base).clamp(-0.5, 0.5))
    np.testing.assert_allclose(together, scores(ranker, one), rtol=1e-5)
