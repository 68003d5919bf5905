"""Learning: the planted variable is found where it is and nowhere else, and nothing but the plan is changed."""

import math

import numpy as np
import pytest
import torch

from mechviz.errors import InputError, InputTypeError, NonFiniteError
from mechviz.interventions import DAS, Boundless, Intervention, Mask, Plan
from mechviz.interventions.controls import randomized
from mechviz.interventions.settings import How
from tests.interventions.hand import PAIRS
from tests.interventions.toy import MODEL, bag, pairs, plan, targets

GIVEN = pairs(72)
OPTIONS = {"epochs": 20, "lr": 5e-2, "progress": False, "held_out": 0.34}


def test_the_toy_is_its_formula():
    scores = bag().score([q for q, _, _ in GIVEN], [d for _, d, _ in GIVEN])
    np.testing.assert_allclose(scores, [MODEL.run(query=q, doc=d)["score"] for q, d, _ in GIVEN], atol=1e-6)


def test_das_finds_the_planted_variable():
    ranker, mine = bag(), plan()
    before = {name: value.clone() for name, value in ranker.model.state_dict().items()}
    wanted = [parameter.requires_grad for parameter in ranker.model.parameters()]
    fitted = mine.fit(ranker, GIVEN, targets=targets(GIVEN), controls=True, **OPTIONS)
    assert fitted.evaluation.value >= 0.98
    fresh = pairs(40, seed=9)
    assert mine.evaluate(ranker, fresh, "accuracy", targets=targets(fresh)).value >= 0.98
    directions = mine.coordinates["#0"].directions.detach()
    np.testing.assert_allclose(directions.T @ directions, np.eye(1), atol=1e-5)
    names = [one.name for one in fitted.controls]
    assert names[:2] == ["random subspace", "placebo"]
    assert {"shuffled targets", "random weights"} <= set(names)
    random = {one.name: one.value for one in fitted.controls}
    assert random["random subspace"] < 0.7
    assert random["placebo"] < 0.7
    assert fitted.to_dataframe()["name"].tolist() == ["plan", *names]
    assert "accuracy" in repr(fitted)
    assert fitted.history["loss"].iloc[-1] < 0.2 * fitted.history["loss"].iloc[0]
    assert fitted.n_used + fitted.evaluation.n_used + fitted.n_dropped == len(GIVEN)
    assert all(torch.equal(before[name], value) for name, value in ranker.model.state_dict().items())
    assert [parameter.requires_grad for parameter in ranker.model.parameters()] == wanted
    assert all(parameter.grad is None for parameter in ranker.model.parameters())
    assert all(parameter.grad is None for parameter in mine.parameters())


@pytest.mark.parametrize("where", [{"positions": "sep"}, {"hook": "blocks.0.hook_mlp_out"}])
def test_das_finds_nothing_where_there_is_nothing(where):
    mine = plan(**where)
    fitted = mine.fit(bag(), GIVEN, targets=targets(GIVEN), controls=["random subspace"], **{**OPTIONS, "epochs": 4})
    found = mine.run(bag(), GIVEN[:4])
    np.testing.assert_allclose(found.patched, found.base_score, atol=1e-6)  # neither is read: nothing can move
    assert fitted.evaluation.value == fitted.controls[0].value < 0.7


@pytest.mark.parametrize(("subspace", "lr"), [(Boundless(0.02), 2e-2), (Mask(), 0.3), ("rotated", 5e-2)], ids=str)
def test_the_others_find_it_too(subspace, lr):
    held_out = 0 if subspace == "rotated" else 0.34  # a whole rotation would need more pairs to be general
    subspace = Mask(rotated=True) if subspace == "rotated" else subspace
    mine = plan(subspace)
    fitted = mine.fit(bag(), GIVEN, targets=targets(GIVEN), **{**OPTIONS, "lr": lr, "epochs": 30, "held_out": held_out})
    assert fitted.evaluation.value >= 0.9
    for module in mine.coordinates.values():
        for one in (module, getattr(module, "rotation", None)):
            if hasattr(one, "directions"):
                directions = one.directions.detach()
                np.testing.assert_allclose(directions.T @ directions, np.eye(directions.shape[1]), atol=1e-5)


def test_margin_is_met_halfway():
    mine = plan()
    fitted = mine.fit(bag(), GIVEN, targets=targets(GIVEN), objective="margin", **OPTIONS)
    assert fitted.evaluation.value >= 0.9


def test_the_objective_is_what_is_said():
    """The first loss, at the start, against the formula on what `run` says."""
    wanted = targets(GIVEN)
    start = plan().run(bag(), GIVEN)
    change = start.source_score.values[:, 0] - start.base_score.values
    used = np.abs(change) > 1e-5
    own = {
        "source": ((start.patched.values - wanted)[used] / math.sqrt((change[used] ** 2).mean())) ** 2,
        "mine": np.abs(start.patched.values - wanted)[used],
    }
    for name, objective in (("source", "source"), ("mine", lambda patched, base, wanted: (patched - wanted).abs())):
        fitted = plan().fit(
            bag(), GIVEN, targets=wanted, objective=objective, epochs=1, held_out=0, batch_size=99, progress=False
        )
        assert fitted.history["loss"].iloc[0] == pytest.approx(own[name].mean(), rel=1e-4)
        assert math.isnan(fitted.history["held_out"].iloc[0])


def test_learning_goes_on_from_where_it_is_and_is_the_same_again():
    runs = []
    for _ in range(2):
        mine = plan()
        mine.fit(bag(), GIVEN, targets=targets(GIVEN), epochs=3, progress=False)
        runs.append(mine.coordinates["#0"].weight.detach().clone())
    assert torch.equal(*runs)
    mine.fit(bag(), GIVEN, targets=targets(GIVEN), epochs=1, progress=False)
    assert not torch.equal(runs[0], mine.coordinates["#0"].weight)


def test_batches_that_do_not_fit_memory_are_made_anew(monkeypatch):
    first, second = plan(), plan()
    first.fit(bag(), GIVEN[:24], epochs=2, progress=False)
    monkeypatch.setattr("mechviz.interventions.fitting.MEMORY", 0)
    second.fit(bag(), GIVEN[:24], epochs=2, progress=False)
    np.testing.assert_allclose(*(one.coordinates["#0"].weight.detach() for one in (first, second)), atol=1e-6)


def test_one_query_holds_pairs_out():
    one = [("lava rock ash", d, c) for _, d, c in GIVEN[:20]]
    fitted = plan().fit(bag(), one, targets=targets(one), epochs=1, progress=False)
    assert fitted.evaluation.n_used >= 1
    assert math.isnan(fitted.evaluation.low)
    assert fitted.n_used > 0


def test_pairs_may_be_a_generator_with_controls():
    fitted = plan().fit(bag(), (pair for pair in GIVEN[:24]), epochs=1, controls=True, progress=False)
    assert all(one.n_used + one.n_dropped > 0 for one in fitted.controls)


def test_random_weights_are_others():
    twin = randomized(bag())
    assert twin.weight_hash() != bag().weight_hash()
    assert "random weights" in twin.name


def test_rates_and_temperatures():
    how = How(lr=1.0, warmup=0.2)
    assert [how.rate(step, 10) for step in (0, 1, 2, 6, 9)] == pytest.approx([0.5, 1, 1, 0.5, 0.125])
    assert How(lr=1.0, warmup=0, schedule="constant").rate(7, 10) == 1
    assert How(lr=1.0, warmup=0.2, schedule="cosine").rate(6, 10) == pytest.approx(0.5)
    assert [How().temperature(step, 3) for step in (0, 1, 2)] == pytest.approx([50, math.sqrt(5), 0.1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "mse"}, "objective='mse'"),
        ({"objective": 3}, "objective must be"),
        ({"objective": "counterfactual"}, "needs targets="),
        ({"objective": lambda p, b, w: (p - w).mean()}, "the objective returned"),
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": True}, "epochs=True"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"seed": -1}, "seed=-1"),
        ({"patience": 0}, "patience=0"),
        ({"lr": 0}, "lr=0"),
        ({"lr": math.nan}, "lr=nan"),
        ({"warmup": 1}, "warmup=1"),
        ({"held_out": 1.0}, "held_out=1.0"),
        ({"schedule": "step"}, "schedule='step'"),
        ({"temperatures": 3}, "temperatures=3"),
        ({"temperatures": (1, "x")}, "temperatures="),
        ({"temperatures": (1, 0)}, "temperatures="),
        ({"learning_rate": 1}, "no option 'learning_rate'; it has"),
        ({"targets": [1.0, 2.0]}, "targets has 2 scores for 6 pairs"),
        ({"targets": ["x"]}, "targets must be"),
        ({"objective": lambda p, b, w: p * math.inf}, "the loss became"),
    ],
)
def test_a_fit_that_cannot_be_is_refused(options, words):
    with pytest.raises((InputError, InputTypeError, NonFiniteError), match=words):
        plan().fit(bag(), GIVEN[:6], **{"epochs": 1, "progress": False, **options})
    assert not bag().hooked.active()


def test_what_has_nothing_to_learn_is_refused(cat):
    hook = "blocks.0.hook_resid_post"
    for intervention in (Intervention(hook), Intervention(hook, "collect", subspace="das")):
        with pytest.raises(InputError, match="nothing to learn"):
            Plan(intervention).fit(cat, PAIRS, progress=False)
    with pytest.raises(InputError, match="no pair can be run"):
        plan().fit(bag(), [("lava", "rock")], progress=False)
    with pytest.raises(InputError, match="no pair can be used"):
        plan().fit(bag(), [("lava", "rock", "rock")], progress=False)
    chain = [Intervention(hook, positions="cls", subspace="das", source=at) for at in (0, 1)]
    with pytest.raises(InputError, match="in a serial plan only what acts in the base run"):
        Plan(chain, mode="serial", aligned=False).fit(bag(), [("lava", "rock", ["lava", "lava lava"])], progress=False)


def test_several_sources_with_columns():
    """Counts of A from the first text and of B from the second, each by a direction of its own."""
    given = [(q, d, [c, e]) for (q, d, c), (_, e, _) in zip(pairs(60), pairs(60, seed=5), strict=True)]
    wanted = [
        MODEL.run(query=q, doc=d)["score"]
        + (one.split().count("lava") - d.split().count("lava") + two.split().count("rock") - d.split().count("rock")) / 50
        for q, d, (one, two) in given
    ]
    where = {"hook": "blocks.0.hook_resid_post", "positions": "cls", "key": "both"}
    mine = Plan([Intervention(subspace=DAS(2, (at, at + 1)), source=at, **where) for at in (0, 1)], aligned=False)
    before = mine.evaluate(bag(), given, lambda patched, base, wanted: (patched - wanted) ** 2, targets=wanted).value
    mine.fit(bag(), given, targets=wanted, **{**OPTIONS, "held_out": 0.0})
    after = mine.evaluate(bag(), given, lambda patched, base, wanted: (patched - wanted) ** 2, targets=wanted).value
    assert after < 0.35 * before
