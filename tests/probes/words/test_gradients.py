"""Integrated gradients beside formulas, and beside a loop over the plain model."""

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.errors import InputError
from mechviz.probes.words import integrated_gradients, margin_to, rank_among
from mechviz.probes.words.gradients import path_integral
from tests.cases import CASES
from tests.interventions.hand import DOCS, QUERY

DOC = DOCS[2]


def autograd(function):
    def gradient(points):
        points = points.detach().requires_grad_()
        return torch.autograd.grad(function(points).sum(), points)[0]

    return gradient


def test_formulas():
    rng = torch.Generator().manual_seed(0)
    start, end = (torch.randn(3, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    weight = torch.randn(3, 4, generator=rng, dtype=torch.float64)
    linear = path_integral(autograd(lambda x: (x * weight).sum((1, 2))), start, end, steps=1)
    torch.testing.assert_close(linear, weight * (end - start))
    quadratic = path_integral(autograd(lambda x: (weight * x**2).sum((1, 2))), start, end, steps=3, rows=2)
    torch.testing.assert_close(quadratic, weight * (end**2 - start**2))
    product = path_integral(autograd(lambda x: x[:, 0, 0] * x[:, 0, 1]), torch.zeros_like(end), end, steps=5)
    assert product[0, 0] == pytest.approx(float(end[0, 0] * end[0, 1] / 2))
    # a cubic: the middle of each part is not exact, and nears it with more of them
    errors = [
        abs(float(path_integral(autograd(lambda x: (x**3).sum((1, 2))), start, end, steps).sum() - (end**3 - start**3).sum()))
        for steps in (2, 20)
    ]
    assert errors[1] < errors[0] / 50


def test_beside_a_loop_on_the_plain_model(cat_folder, cat):
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(cat_folder, attn_implementation="eager").eval()
    table = model.get_input_embeddings().weight.detach()
    tokens = cat.checked_inputs([(QUERY, DOC)])[0]["encoder"]
    spans = [unit.spans[0] for unit in integrated_gradients(cat, QUERY, DOC, steps=1).words]
    owner = [
        next((number for number, (start, end) in enumerate(spans) if start <= tokens.offsets[at, 0] < end), -1)
        if tokens.segments[at] == "doc"
        else -1
        for at in range(len(tokens))
    ]
    away = [cat.tokenizer.mask_token_id if unit >= 0 else int(token) for unit, token in zip(owner, tokens.ids, strict=True)]
    end, start = table[torch.tensor(tokens.ids.copy())], table[torch.tensor(away)]
    types = torch.tensor(tokens.types.copy())[None]
    total = torch.zeros_like(end)
    for step in range(7):
        point = (start + (step + 0.5) / 7 * (end - start)).requires_grad_()
        model(inputs_embeds=point[None], token_type_ids=types).logits[0, 0].backward()
        total += point.grad / 7
    by_token = (total * (end - start)).sum(1).numpy()
    wanted = [by_token[np.array(owner) == number].sum() for number in range(len(spans))]
    found = integrated_gradients(cat, QUERY, DOC, steps=7, batch_size=3)
    np.testing.assert_allclose(found.values.values, wanted, atol=1e-4)
    with torch.no_grad():
        ends = [float(model(inputs_embeds=one[None], token_type_ids=types).logits[0, 0]) for one in (start, end)]
    assert (found.base, found.full) == pytest.approx(ends, abs=1e-4)
    assert found.gap == pytest.approx(sum(wanted) - (ends[1] - ends[0]), abs=2e-4)


def kinds():
    """Each family once, and each kind of ranker."""
    chosen = {}
    for name, case in CASES.items():
        chosen.setdefault(case.family, name)
        chosen.setdefault(case.kind, name)
    return list(dict.fromkeys(chosen.values()))


@pytest.mark.parametrize("name", kinds())
@pytest.mark.parametrize("side", ["doc", "query"])
def test_values_add_up_for_every_ranker(name, side, opened):
    ranker = opened(CASES[name])
    few, many = (integrated_gradients(ranker, QUERY, DOC, baseline="the", steps=steps, side=side) for steps in (4, 200))
    assert many.full == pytest.approx(ranker.score(QUERY, DOC)[0], abs=1e-3)
    assert many.values.values.sum() - (many.full - many.base) == pytest.approx(many.gap, abs=1e-4)
    # tiny random models bend sharply; the integral nears the change all the same
    size = np.abs(many.values.values).sum() + 1e-3
    assert abs(many.gap) < 0.1 * size
    assert np.abs(many.values.values).max() > 1e-5
    assert abs(many.gap) < abs(few.gap) + 0.05 * size


@pytest.mark.parametrize("side", ["doc", "query"])
def test_a_margin_is_the_difference_of_two_scores(dot, side):
    margin = integrated_gradients(dot, QUERY, DOC, target=margin_to(DOCS[0]), side=side)
    own = integrated_gradients(dot, QUERY, DOC, side=side)
    wanted = own.values.values
    if side == "query":
        wanted = wanted - integrated_gradients(dot, QUERY, DOCS[0], side=side).values.values
    np.testing.assert_allclose(margin.values.values, wanted, atol=1e-6)
    first, second = dot.score(QUERY, [DOC, DOCS[0]])
    assert margin.full == pytest.approx(first - second, abs=1e-5)
    assert margin.values.values.sum() - margin.gap == pytest.approx(margin.full - margin.base, abs=1e-5)


def test_the_base_is_a_text_of_masks(cat):
    from mechviz.probes.words import occlusion

    assert integrated_gradients(cat, QUERY, DOC).base == pytest.approx(occlusion(cat, QUERY, DOC, masker="[MASK]").base, abs=1e-4)


def test_nothing_is_left_in_the_model(cat):
    before = [len(module._forward_hooks) for module in cat.model.modules()]
    weights = [weight.grad for weight in cat.model.parameters()]
    integrated_gradients(cat, QUERY, DOC, steps=2)
    assert [len(module._forward_hooks) for module in cat.model.modules()] == before
    assert [weight.grad for weight in cat.model.parameters()] == weights


def test_too_few_steps_are_said():
    ranker = mv.load("toy/cat")
    assert "give more steps than 1" in integrated_gradients(ranker, QUERY, DOCS[0], steps=1).warning
    good = integrated_gradients(ranker, QUERY, DOCS[0], steps=32)
    assert good.warning == ""
    assert "misses the change by" in good.passages().groups[0].note


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": rank_among([DOCS[1]])}, "has no gradient"),
        ({"target": lambda queries, docs: [0.0] * len(docs)}, "has no gradient"),
        ({"steps": 0}, "steps=0"),
        ({"baseline": "delete"}, "has no embedding"),
        ({"baseline": "unbelievable"}, "must be one token"),
    ],
)
def test_what_cannot_be(cat, change, said):
    with pytest.raises(InputError, match=said):
        integrated_gradients(**{"ranker": cat, "query": QUERY, "doc": DOC, **change})
