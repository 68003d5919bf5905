"""Every op against its formula, by hooks of one's own on the plain model; and in any batch."""

import numpy as np
import pytest
import torch

from mechviz.errors import InputError, InputTypeError
from mechviz.interventions import Intervention, Plan, ops
from tests.interventions.hand import PAIRS, full, noise, runs

#: Op -> what becomes of what is there, from (base, source, base tokens, mask), dims (pos, feature).
FORMULAS = {
    "swap": (ops.Swap(), lambda x, s, t, m: s),
    "add": (ops.Add(0.5), lambda x, s, t, m: x + 0.5 * s),
    "subtract": (ops.Subtract(2), lambda x, s, t, m: x - 2 * s),
    "zero": (ops.Zero(), lambda x, s, t, m: 0 * x),
    "mean": (ops.Mean(), lambda x, s, t, m: x[m].mean(0).expand_as(x)),
    "noise": (ops.Noise(0.5, seed=3), lambda x, s, t, m: x + 0.5 * x[m].std(correction=0) * noise(t, 3, x.shape)),
    "scale": (ops.Scale(-2), lambda x, s, t, m: -2 * x),
    "clamp": (ops.Clamp(-0.1, 0.2), lambda x, s, t, m: x.clamp(-0.1, 0.2)),
    "clamp low": (ops.Clamp(low=0), lambda x, s, t, m: x.clamp(min=0)),
    "collect": (ops.Collect(), lambda x, s, t, m: x),
    "fn": (lambda x: x.sin(), lambda x, s, t, m: x.sin()),
    "fn of both": (ops.Fn(lambda x, s: x * s, from_source=True), lambda x, s, t, m: x * s),
}
SITES = ["hook_resid_pre", "attn.hook_z", "attn.hook_k", "hook_attn_out", "mlp.hook_post", "hook_mlp_out", "hook_resid_post"]


def expected(hand, cat, pair, site, layer, formula):
    base, source = runs(cat, pair)
    taken, mask = hand.at(source, site, layer), torch.tensor(base.mask.copy())
    return hand.score(base, [(site, layer, lambda x: formula(x, taken, base, mask))])


@pytest.mark.parametrize("name", list(FORMULAS))
def test_an_op_is_its_formula(hand, cat, name):
    op, formula = FORMULAS[name]
    site = SITES[list(FORMULAS).index(name) % len(SITES)]
    result = Plan(Intervention(full(site, 1), op)).run(cat, PAIRS)
    wanted = [expected(hand, cat, pair, site, 1, formula) for pair in PAIRS]
    np.testing.assert_allclose(result.patched, wanted, atol=2e-5)
    base = [hand.score(runs(cat, pair)[0]) for pair in PAIRS]
    np.testing.assert_allclose(result.base_score, base, atol=2e-5)
    np.testing.assert_allclose(result.source_score[:, 0], [hand.score(runs(cat, pair)[1]) for pair in PAIRS], atol=2e-5)
    assert (np.abs(result.raw.values).max() > 1e-3) == (name != "collect")


@pytest.mark.parametrize("site", SITES)
def test_every_site_is_where_it_is_said_to_be(hand, cat, site):
    result = Plan(Intervention(full(site, 2))).run(cat, PAIRS[:2])
    wanted = [expected(hand, cat, pair, site, 2, lambda x, s, t, m: s) for pair in PAIRS[:2]]
    np.testing.assert_allclose(result.patched, wanted, atol=2e-5)


@pytest.mark.parametrize(
    ("ranker", "name"), [*(("cat", name) for name in FORMULAS), ("dot", "noise"), ("dot", "mean")], indirect=["ranker"]
)
def test_batches_change_nothing(ranker, name):
    """Ragged lengths, padding, any batch size and any order give what one pair alone gives."""
    plan = Plan([Intervention("blocks.1.attn.hook_z", FORMULAS[name][0], heads=[1, 2])])
    alone = np.array([float(plan.run(ranker, pair).patched[0]) for pair in PAIRS])
    np.testing.assert_allclose(plan.run(ranker, PAIRS).patched, alone, atol=1e-5)
    back = plan.run(ranker, PAIRS[::-1], batch_size=2)
    np.testing.assert_allclose(back.patched[::-1], alone, atol=1e-5)
    assert back.pairs["doc"].tolist() == [pair[1] for pair in PAIRS[::-1]]


def test_noise_is_of_the_text_and_the_seed(cat):
    def run(seed, pairs):
        return Plan(Intervention("hook_embed", ops.Noise(seed=seed))).run(cat, pairs).patched.values

    assert run(0, PAIRS[0])[0] == pytest.approx(run(0, [PAIRS[1], PAIRS[0]])[1], abs=1e-5)
    assert abs(run(0, PAIRS[0])[0] - run(1, PAIRS[0])[0]) > 1e-3


def test_skip_leaves_a_module_out(hand, cat):
    pair = PAIRS[0]
    base, _ = runs(cat, pair)
    entered = hand.at(base, "hook_resid_pre", 1)
    wanted = {
        "hook_resid_post": hand.score(base, [("hook_resid_post", 1, lambda x: entered)]),
        "hook_attn_out": hand.score(base, [("hook_attn_out", 1, torch.zeros_like)]),
        "hook_mlp_out": hand.score(base, [("hook_mlp_out", 1, torch.zeros_like)]),
    }
    for site, score in wanted.items():
        found = Plan(Intervention(full(site, 1), "skip")).run(cat, pair)
        assert float(found.patched[0]) == pytest.approx(score, abs=2e-5)
    some = hand.score(base, [("hook_resid_post", 1, lambda x: torch.cat([entered[:2], x[2:]]))])
    found = Plan(Intervention("blocks.1.hook_resid_post", "skip", positions=(0, 2))).run(cat, pair)
    assert float(found.patched[0]) == pytest.approx(some, abs=2e-5)


def test_skip_in_a_subspace(hand, cat):
    base, _ = runs(cat, PAIRS[0])
    entered = hand.at(base, "hook_resid_pre", 1)

    def some(x):
        new = x.clone()
        new[:, [0, 5]] = entered[:, [0, 5]]
        return new

    found = Plan(Intervention("blocks.1.hook_resid_post", "skip", subspace=[0, 5])).run(cat, PAIRS[0])
    assert float(found.patched[0]) == pytest.approx(hand.score(base, [("hook_resid_post", 1, some)]), abs=2e-5)


def test_an_op_has_several_spellings():
    said = [ops.as_op(one) for one in ("noise", ops.Noise(), {"name": "noise", "deviations": 3.0}, ops.Noise().to_dict())]
    assert said == [ops.Noise()] * 4
    assert all(ops.as_op(name).name == name for name in ops.OPS if name not in ("fn", "clamp"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ops.as_op("swop"), r"op='swop'; there are 'swap'"),
        (lambda: ops.as_op("fn"), "hand over the function itself"),
        (lambda: ops.as_op({"name": []}), r"op=\[\]"),
        (lambda: ops.as_op({"name": "zero", "by": 1}), "'zero' has no 'by'"),
        (lambda: ops.as_op(3), "op must be"),
        (lambda: ops.as_op(ops.Zero), "op=Zero is a class"),
        (lambda: ops.Add("2"), "scale='2'"),
        (lambda: ops.Scale(float("nan")), "by=nan"),
        (lambda: ops.Scale(10**400), "by="),
        (lambda: ops.Noise(True), "deviations=True"),
        (lambda: ops.Noise(seed=-1), "seed=-1"),
        (lambda: ops.Clamp(), "low, high"),
        (lambda: ops.Clamp(2, 1), "low=2 is above high=1"),
        (lambda: ops.Clamp(high="x"), "high='x'"),
        (lambda: ops.Fn(1), "function must be callable"),
    ],
)
def test_an_op_that_cannot_be_is_refused(make, words):
    with pytest.raises((InputError, InputTypeError), match=words):
        make()


@pytest.mark.parametrize("function", [lambda x: x[:, :1], lambda x: 3, lambda x: None])
def test_a_function_must_return_what_it_got(cat, function):
    with pytest.raises(InputError, match="must return a tensor of dims"):
        Plan(Intervention("blocks.1.hook_resid_pre", function)).run(cat, PAIRS[0])
    assert not cat.hooked.active()
