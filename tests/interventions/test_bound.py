"""A plan as a module of another model, and at work while a ranker scores or generates."""

import numpy as np
import pytest
import torch
from torch import nn

import mechviz as mv
from mechviz.errors import InputError
from mechviz.interventions import DAS, Intervention, Plan, ops
from tests.cases import CASES, Case
from tests.interventions.hand import DOCS, PAIRS, QUERY
from tests.interventions.toy import bag, pairs, plan

#: As many layers in the decoder as in the encoder: `generate` makes no cache for more.
T5 = Case(
    "t5",
    "MonoT5",
    "T5ForConditionalGeneration",
    {"labels": ("true", "false")},
    {"num_decoder_layers": 2, "tie_word_embeddings": True},
    "even",
)
DECODERS = [next(name for name in CASES if name.startswith(f"Generative {family}")) for family in ("gpt2", "llama")]
VECTOR = np.random.default_rng(0).standard_normal(32)


class Outer(nn.Module):
    def __init__(self, bound):
        super().__init__()
        self.bound, self.scale = bound, nn.Linear(1, 1)

    def forward(self, given):
        return self.scale(self.bound(given)[:, None])[:, 0]


def test_a_step_of_a_model_around_moves_the_plan_only():
    ranker, mine, given = bag(), plan(), pairs(6)
    outer = Outer(mine.bind(ranker))
    learned = {id(one) for one in outer.bound.parameters()}
    assert learned == {id(one) for one in mine.parameters()}
    assert len(list(outer.parameters())) == len(learned) + 2
    np.testing.assert_array_equal(outer.bound(given).detach(), mine.run(ranker, given).patched)
    weights = {name: value.clone() for name, value in ranker.model.state_dict().items()}
    before = [one.detach().clone() for one in mine.parameters()]
    optimizer = torch.optim.SGD(outer.parameters(), lr=1.0)
    outer(given).square().sum().backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in mine.parameters())
    assert all(one.grad is None and one.requires_grad for one in ranker.model.parameters())
    optimizer.step()
    assert not torch.equal(before[0], next(mine.parameters()))
    assert all(torch.equal(weights[name], value) for name, value in ranker.model.state_dict().items())


def test_the_gradient_is_that_of_the_score(cat):
    """Against a difference of two runs, in double steps along one direction."""
    mine = Plan(Intervention("blocks.1.hook_resid_post", subspace=DAS(2)))
    bound = mine.bind(cat)
    bound(PAIRS[:2]).sum().backward()
    (weight,) = mine.parameters()
    towards = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    sums = []
    for step in (1e-2, -2e-2):
        with torch.no_grad():
            weight.add_(step * towards)
            sums.append(float(bound(PAIRS[:2]).sum()))
    assert float((weight.grad * towards).sum()) == pytest.approx((sums[0] - sums[1]) / 2e-2, rel=5e-2, abs=1e-3)


def test_pairs_of_one_batch_have_as_many_sources(cat):
    bound = Plan(Intervention("blocks.1.hook_resid_post", positions="cls"), aligned=False).bind(cat)
    with pytest.raises(InputError, match="different numbers of perturbed texts"):
        Plan(Intervention("blocks.1.hook_resid_post", "zero"), aligned=False).bind(cat)([PAIRS[0], PAIRS[0][:2]])
    with pytest.raises(InputError, match="takes activations from 1 source run"):
        bound([PAIRS[0][:2]])


PLANS = [
    Plan(Intervention("blocks.1.hook_resid_post", source=VECTOR, positions=[0, 3])),
    Plan([Intervention("blocks.0.attn.hook_z", "zero", heads=[1, 2]), Intervention("blocks.1.hook_mlp_out", ops.Scale(2))]),
    Plan(Intervention("blocks.1.hook_resid_post", ops.Add(2), source=VECTOR, subspace=DAS(3))),
    Plan(Intervention("blocks.1.hook_resid_post", "skip", positions=(1, 4))),
    Plan(Intervention("blocks.1.attn.hook_pattern", "zero", positions=[1], heads=[0])),
]


@pytest.mark.parametrize("name", ["Cat bert", "Dot bert mean", "Splade bert", "ColBERT bert stanford", DECODERS[1]])
@pytest.mark.parametrize("mine", PLANS, ids=range(len(PLANS)))
def test_active_scores_are_those_of_run(opened, name, mine):
    ranker = opened(CASES[name])
    mine = Plan(mine.interventions)
    docs = [DOCS[0], DOCS[2]]
    wanted = mine.run(ranker, [(QUERY, doc) for doc in docs])
    plain = ranker.score(QUERY, docs)
    with mine.active(ranker):
        np.testing.assert_allclose(ranker.score(QUERY, docs), wanted.patched, atol=2e-5 * max(1, np.abs(plain).max()))
        assert ranker.rank(QUERY, docs).order.tolist() == np.argsort(-wanted.patched.values).tolist()
    np.testing.assert_array_equal(ranker.score(QUERY, docs), plain)
    assert np.abs(wanted.raw.values).max() > 1e-4 or len(mine.interventions) == 1  # some positions are not read above


def test_active_is_over_after_an_exception(cat):
    plain = cat.score(QUERY, DOCS[0])
    with pytest.raises(ZeroDivisionError), Plan(Intervention("blocks.1.hook_resid_post", "zero")).active(cat):
        _ = 1 / 0
    assert not cat.hooked.active()
    np.testing.assert_array_equal(cat.score(QUERY, DOCS[0]), plain)


def greedy(model, start, edit, count, encoded=None):
    """Generate by running the whole sequence anew in every step; ``edit`` places hooks for a sequence of some length."""
    ids = start
    with torch.no_grad():
        for _ in range(count):
            handle = edit(start.shape[1])
            try:
                logits = model(input_ids=ids, use_cache=False).logits if encoded is None else encoded(ids)
            finally:
                handle.remove()
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], 1)
    return ids


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize(
    ("steps", "positions"), [("every", None), ("prompt", None), ("every", [1, 14, 15]), ("prompt", (2, 10**9))]
)
def test_a_decoder_generates_under_a_plan(opened, name, steps, positions):
    ranker = opened(CASES[name])
    model = ranker.model
    ids = torch.tensor([ranker.tokenizer("hot water makes tides and warm bread because the moon")["input_ids"][:12]]).to(
        model.device
    )
    vector = torch.tensor(VECTOR, dtype=torch.float32) * 3
    mine = Plan(Intervention("blocks.0.hook_resid_post", source=vector, positions=positions))
    layer = model.transformer.h[0] if hasattr(model, "transformer") else model.model.layers[0]

    def edit(prompt):
        def change(_, args, output):
            whole = output[0] if isinstance(output, tuple) else output
            new, end = whole.clone(), prompt if steps == "prompt" else whole.shape[1]
            chosen = range(end) if positions is None else positions if isinstance(positions, list) else range(*positions)
            for at in (at for at in (range(end)) if at in chosen):
                new[:, at] = vector.to(new)
            return (new, *output[1:]) if isinstance(output, tuple) else new

        return layer.register_forward_hook(change)

    wanted = greedy(model, ids, edit, 6)
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    mask = torch.ones_like(ids)
    plain = model.generate(ids, attention_mask=mask, **options)
    with mine.active(ranker, steps=steps):
        found = model.generate(ids, attention_mask=mask, **options)
    assert found.tolist() == wanted.tolist()
    assert model.generate(ids, attention_mask=mask, **options).tolist() == plain.tolist()
    assert not ranker.hooked.active()


@pytest.mark.parametrize(
    ("hook", "steps", "positions", "stack"),
    [
        ("encoder_blocks.0.hook_resid_post", "every", [1, 2], "encoder"),
        ("encoder_blocks.0.hook_resid_post", "prompt", None, None),
        ("decoder_blocks.1.hook_resid_post", "every", None, None),
        ("decoder_blocks.1.hook_resid_post", "prompt", None, "decoder"),
        ("decoder_blocks.1.hook_resid_post", "every", [0, 2, 3], None),
    ],
)
def test_a_t5_generates_under_a_plan(opened, hook, steps, positions, stack):
    ranker = opened(T5)
    model = ranker.model
    ids = torch.tensor([ranker.tokenizer("hot water makes tides")["input_ids"]]).to(model.device)
    vector = torch.tensor(VECTOR, dtype=torch.float32) * 2
    mine = Plan(Intervention(hook, source=vector, positions=positions), stack=stack)
    side, layer = hook.split("_")[0], int(hook.split(".")[1])
    block = getattr(model, side).block[layer]

    def edit(prompt):
        def change(_, args, output):
            new = (output[0] if isinstance(output, tuple) else output).clone()
            chosen = range(new.shape[1]) if positions is None else positions
            for at in range(new.shape[1]):
                if at in chosen and (side == "encoder" or steps == "every" or at < prompt):
                    new[:, at] = vector.to(new)
            return (new, *output[1:]) if isinstance(output, tuple) else new

        return block.register_forward_hook(change)

    start = torch.tensor([[model.config.decoder_start_token_id]], device=model.device)
    wanted = greedy(
        model, start, edit, 6, lambda decoded: model(input_ids=ids, decoder_input_ids=decoded, use_cache=False).logits
    )
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    with mine.active(ranker, steps=steps):
        found = model.generate(ids, **options)
    assert found.tolist() == wanted.tolist()


def test_two_towers_edit_what_run_edits(checkpoint):
    docs, queries = (str(checkpoint(CASES[name])) for name in ("Dot distilbert mean", "Dot bert mean"))
    twin = mv.Dot(docs, pooling="mean", query_name=queries)
    for stack in (None, "doc", "query"):
        mine = Plan(Intervention("blocks.1.hook_resid_post", source=VECTOR, positions=[0, 1]), stack=stack)
        with mine.active(twin):
            found = twin.score(QUERY, DOCS[:1])
        np.testing.assert_allclose(found, mine.run(twin, (QUERY, DOCS[0])).patched, atol=1e-4)


@pytest.mark.parametrize(
    ("intervention", "steps", "words"),
    [
        (Intervention("blocks.1.hook_resid_post"), "every", "takes activations from a source run"),
        (Intervention("blocks.1.hook_resid_post", "mean"), "every", "the op 'mean' needs the text without its padding"),
        (Intervention("blocks.1.hook_resid_post", "zero", positions="cls"), "every", "positions are whole numbers"),
        (Intervention("blocks.1.hook_resid_post", "zero", positions=-1), "every", "positions are whole numbers"),
        (Intervention("blocks.1.hook_resid_post", "zero"), "some", "steps='some'"),
        (Intervention("blocks.9.hook_resid_post", "zero"), "every", "is no hook of this ranker"),
        (Intervention("blocks.1.attn.hook_pattern", source=np.ones(3)), "every", "stored source has 3 features"),
    ],
)
def test_what_cannot_be_active_is_refused(cat, intervention, steps, words):
    with pytest.raises(InputError, match=words), Plan(intervention).active(cat, steps):
        cat.score(QUERY, DOCS[0])
    assert not cat.hooked.active()
