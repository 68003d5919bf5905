"""Interventions on modules of any kind, against torch hooks written by hand."""

import copy
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

from mechviz.errors import InputError
from mechviz.interventions import DAS, Boundless, Intervention, Mask, Plan, ops, wrap

IDS, OTHER = (torch.arange(24).reshape(3, 8) * step % 90 + 1 for step in (7, 11))


@pytest.fixture(scope="module")
def gpt2():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=97, n_positions=32, n_embd=32, n_layer=3, n_head=4, initializer_range=0.3)
    return GPT2LMHeadModel(config).eval()


@pytest.fixture(scope="module")
def bert():
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=97, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48, initializer_range=0.3
    )
    return BertModel(config).eval()


@pytest.fixture
def mlp():
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)).eval()


@contextmanager
def hooked(module, change, entering=False):
    """The oracle: ``change`` of the first tensor that a module returns, or is called with."""

    def leaving(_, args, output):
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    def before(_, args):
        return (change(args[0]), *args[1:])

    handle = module.register_forward_pre_hook(before) if entering else module.register_forward_hook(leaving)
    try:
        yield
    finally:
        handle.remove()


def seen(root, module, *args, **kwargs):
    """What a module returns, its first tensor."""
    kept = []
    with hooked(module, lambda value: kept.append(value.detach().clone()) or value), torch.no_grad():
        root(*args, **kwargs)
    return kept[0]


def put(value, positions, new):
    value = value.clone()
    value[:, positions] = new
    return value


def test_a_swap_in_gpt2(gpt2):
    block = gpt2.transformer.h[1]
    theirs = seen(gpt2, block, OTHER)
    with hooked(block, lambda value: put(value, [2, 5], theirs[:, [2, 5]])), torch.no_grad():
        wanted = gpt2(IDS).logits
    wrapped = wrap(gpt2, Intervention("transformer.h.1", positions=[2, -3]))
    with torch.no_grad():
        for source in ((OTHER,), OTHER, {"input_ids": OTHER}, ((OTHER,), {}), ((), {"input_ids": OTHER})):
            torch.testing.assert_close(wrapped(input_ids=IDS, sources=[source]).logits, wanted, rtol=0, atol=1e-6)
    assert not torch.allclose(wanted, gpt2(IDS).logits)


def test_the_values_of_a_head_are_features(gpt2):
    project = gpt2.transformer.h[0].attn.c_proj
    kept = []
    with hooked(project, lambda value: kept.append(value) or value, entering=True), torch.no_grad():
        gpt2(OTHER)

    def change(value):
        value = value.clone()
        value[..., 8:16] = kept[0][..., 8:16]
        return value

    with hooked(project, change, entering=True), torch.no_grad():
        wanted = gpt2(IDS).logits
    wrapped = wrap(gpt2, Intervention("transformer.h.0.attn.c_proj.input", subspace=range(8, 16)))
    torch.testing.assert_close(wrapped(IDS, sources=[OTHER]).logits, wanted, rtol=0, atol=1e-5)


def test_each_row_has_positions_of_its_own(bert):
    theirs = seen(bert, bert.encoder.layer[1], OTHER)

    def change(value):
        value = value.clone()
        value[0, 1], value[0, 4], value[1, 7] = theirs[0, 2], theirs[0, 3], theirs[1, 0]
        return value

    with hooked(bert.encoder.layer[1], change), torch.no_grad():
        wanted = bert(IDS).last_hidden_state
    rows, others = np.array([[1, 4], [7, -1], [-1, -1]]), np.array([[2, 3], [0, -1], [-1, -1]])
    wrapped = wrap(bert, Intervention("encoder.layer.1", positions=rows, source_positions=others))
    torch.testing.assert_close(wrapped(IDS, sources=[OTHER]).last_hidden_state, wanted, rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="given for 3 rows, and there are 2"):
        wrapped(IDS[:2], sources=[OTHER[:2]])


def test_the_whole_path_goes_before_its_last_word(bert):
    """BERT has a module that is called "output"; it is no layer's output."""
    inner, outer = bert.encoder.layer[0].output, bert.encoder.layer[0].attention
    for hook, module in (("encoder.layer.0.output", inner), ("encoder.layer.0.attention.output.output", outer.output)):
        with hooked(module, torch.zeros_like), torch.no_grad():
            wanted = bert(IDS).last_hidden_state
        torch.testing.assert_close(wrap(bert, Intervention(hook, "zero"))(IDS).last_hidden_state, wanted)


PLAIN = {
    "zero": lambda value, own: torch.zeros_like(value),
    ops.Scale(by=3.0): lambda value, own: 3 * value,
    ops.Clamp(low=-0.1, high=0.2): lambda value, own: value.clamp(-0.1, 0.2),
    "mean": lambda value, own: torch.stack([row[kept].mean(0) for row, kept in zip(value, own, strict=True)])[:, None],
    torch.sin: lambda value, own: value.sin(),
}


@pytest.mark.parametrize("op", PLAIN, ids=lambda op: getattr(op, "__name__", str(op)))
def test_ops_without_a_source(bert, op):
    own = torch.tensor([[True] * 8, [True] * 5 + [False] * 3, [True] * 8])
    module = bert.encoder.layer[1].intermediate
    with hooked(module, lambda value: put(value, slice(1, 4), PLAIN[op](value, own)[:, :3] if op == "mean" else
                                          PLAIN[op](value, own)[:, 1:4])), torch.no_grad():  # fmt: skip
        wanted = bert(IDS, attention_mask=own.long()).last_hidden_state
    wrapped = wrap(bert, Intervention("encoder.layer.1.intermediate", op, positions=(1, 4)))
    found = wrapped(IDS, attention_mask=own.long(), mask=own).last_hidden_state
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_ops_with_a_stored_source(gpt2):
    vector = torch.linspace(-1, 1, 32)
    with hooked(gpt2.transformer.h[2].mlp, lambda value: value - 2 * vector), torch.no_grad():
        wanted = gpt2(IDS).logits
    one = Intervention("transformer.h.2.mlp", ops.Subtract(scale=2.0), source=vector)
    torch.testing.assert_close(wrap(gpt2, one)(IDS).logits, wanted, rtol=0, atol=1e-5)
    with pytest.raises(InputError, match="32 features, and the module at hook 'lm_head' 97"):
        wrap(gpt2, Intervention("lm_head", "add", source=vector))(IDS)


def test_noise_does_not_depend_on_the_rows_below(mlp):
    wrapped = wrap(mlp, Intervention("0", ops.Noise(deviations=2.0, seed=3)))
    rows = torch.randn(4, 6)
    torch.testing.assert_close(wrapped(rows)[:2], wrapped(rows[:2]))
    assert (wrapped(rows) - mlp(rows)).abs().max() > 0.1


def test_skipping(gpt2, mlp):
    with hooked(gpt2.transformer.h[1], lambda value: value), torch.no_grad():
        without = copy.deepcopy(gpt2)
    without.transformer.h[1] = nn.Identity()
    without.transformer.h[1].forward = lambda hidden, *args, **kwargs: hidden
    wrapped = wrap(gpt2, Intervention("transformer.h.1.output", "skip"))
    torch.testing.assert_close(wrapped(IDS).logits, without(IDS).logits, rtol=0, atol=1e-6)
    short = wrap(mlp, Intervention("2", "skip"))
    rows = torch.randn(3, 6)
    torch.testing.assert_close(short(rows), mlp[4](mlp[3](mlp[1](mlp[0](rows)))))
    with pytest.raises(InputError, match=r"skip at hook '0': .* \(3, 6\), and what leaves it \(3, 1, 8\)"):
        wrap(mlp, Intervention("0", "skip"))(rows)
    with pytest.raises(InputError, match="hook the module's output"):
        wrap(mlp, Intervention("2.input", "skip"))


def test_what_is_skipped_is_what_was_edited(mlp):
    rows = torch.randn(3, 6)
    both = wrap(mlp, [Intervention("2", "skip"), Intervention("2.input", ops.Scale(by=2.0))])
    torch.testing.assert_close(both(rows), mlp[4](mlp[3](2 * mlp[1](mlp[0](rows)))))


def test_collecting(bert):
    collect = [
        Intervention("encoder.layer.0", "collect", positions=[0, 2]),
        Intervention("pooler.dense", "collect", subspace=[3]),
    ]
    wrapped = wrap(bert, collect)
    torch.testing.assert_close(wrapped(IDS).last_hidden_state, bert(IDS).last_hidden_state)
    assert list(wrapped.collected) == ["encoder.layer.0", "pooler.dense"]
    torch.testing.assert_close(wrapped.collected["encoder.layer.0"], seen(bert, bert.encoder.layer[0], IDS)[:, [0, 2]])
    torch.testing.assert_close(wrapped.collected["pooler.dense"], seen(bert, bert.pooler.dense, IDS)[:, None, [3]])


def test_two_sources_and_two_edits_at_one_hook(gpt2):
    third = IDS.flip(1)
    mlp = gpt2.transformer.h[1].mlp
    first, second = (seen(gpt2, mlp, ids) for ids in (OTHER, third))
    with hooked(mlp, lambda value: put(put(value, 1, first[:, 1]), 3, value[:, 3] + second[:, 3])), torch.no_grad():
        wanted = gpt2(IDS).logits
    wrapped = wrap(
        gpt2,
        [
            Intervention("transformer.h.1.mlp", positions=1, source=0),
            Intervention("transformer.h.1.mlp", "add", positions=3, source=1),
        ],
    )
    torch.testing.assert_close(wrapped(IDS, sources=[OTHER, third]).logits, wanted, rtol=0, atol=1e-5)


class Counter(nn.Module):
    """A recurrent classifier."""

    def __init__(self):
        super().__init__()
        self.recurrent = nn.GRU(4, 6, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, rows):
        return self.head(self.recurrent(rows)[0][:, -1])


def test_a_recurrent_network_returns_a_tuple():
    torch.manual_seed(4)
    model, base, source = Counter().eval(), torch.randn(3, 5, 4), torch.randn(3, 5, 4)
    theirs = seen(model, model.recurrent, source)
    with hooked(model.recurrent, lambda value: put(value, 4, theirs[:, 4])), torch.no_grad():
        wanted = model(base)
    torch.testing.assert_close(wrap(model, Intervention("recurrent", positions=-1))(base, sources=[source]), wanted)
    alone = wrap(model.recurrent, Intervention("output", "zero", positions=4))
    output, last = alone(base)
    assert (output[:, 4] == 0).all()
    torch.testing.assert_close(last, model.recurrent(base)[1])


def test_a_learned_swap_is_that_of_a_hand_written_hook(gpt2):
    wrapped = wrap(gpt2, Intervention("transformer.h.1", subspace=DAS(rank=3), positions=4), example=IDS)
    q = wrapped.coordinates["#0"].directions.detach()
    torch.testing.assert_close(q.T @ q, torch.eye(3))
    theirs = seen(gpt2, gpt2.transformer.h[1], OTHER)[:, 4]
    change = lambda value: put(value, 4, value[:, 4] + (theirs - value[:, 4]) @ q @ q.T)  # noqa: E731
    with hooked(gpt2.transformer.h[1], change), torch.no_grad():
        wanted = gpt2(IDS).logits
    torch.testing.assert_close(wrapped(IDS, sources=[OTHER]).logits, wanted, rtol=0, atol=1e-5)


def test_it_learns_inside_another_model(mlp):
    """Parameters of the plan and of the model around it, trained together; the module inside is left as it was."""

    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = wrap(mlp, Intervention("0", subspace=DAS(rank=2)))
            self.head = nn.Linear(2, 1)

        def forward(self, base, source):
            return self.head(self.inner(base, sources=[source]))

    torch.manual_seed(5)
    around = Around().train()
    for parameter in around.inner.module.parameters():
        parameter.requires_grad_(False)
    before = copy.deepcopy(around.state_dict())
    optimizer = torch.optim.Adam([one for one in around.parameters() if one.requires_grad], lr=0.02)
    base, source = torch.randn(16, 6), torch.randn(16, 6)
    losses = []
    for _ in range(30):
        loss = (around(base, source) - source.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 1.2
    changed = {name for name, value in around.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"inner.coordinates.#0.weight", "head.weight", "head.bias"}


def test_the_module_learns_too(mlp):
    wrapped = wrap(mlp, Intervention("2", ops.Scale(by=0.5))).train()
    wrapped(torch.randn(4, 6)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in wrapped.parameters())
    assert {name for name, _ in wrapped.named_parameters()} == {f"module.{name}" for name, _ in mlp.named_parameters()}


def test_sources_are_without_gradient(mlp):
    source = torch.randn(4, 6, requires_grad=True)
    wrapped = wrap(mlp, Intervention("0"))
    wrapped(torch.randn(4, 6), sources=[source]).sum().backward()
    assert source.grad is None
    assert mlp[0].weight.grad is None
    assert mlp[2].weight.grad is not None


def test_state_can_be_loaded(mlp):
    ways = [Intervention("0", subspace=Boundless()), Intervention("2", subspace=Mask(rotated=True)), Intervention("4", "zero")]
    first, second = wrap(copy.deepcopy(mlp), ways), wrap(copy.deepcopy(mlp), ways)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    assert second.load_state_dict(first.state_dict()).missing_keys == []
    rows, sources = torch.randn(2, 6), [torch.randn(2, 6)]
    torch.testing.assert_close(first(rows, sources=sources), second(rows, sources=sources))
    assert first.penalty().item() > 0
    first.set_temperature(7.0)
    assert all(one.temperature == 7.0 for one in first.coordinates.values())


def test_a_plan_is_saved_with_what_it_learned(mlp, tmp_path):
    wrapped = wrap(mlp, [Intervention("0", subspace=DAS(rank=2)), Intervention("1", ops.Scale(by=2.0))])
    with torch.no_grad():
        wrapped.coordinates["#0"].weight.add_(torch.randn(8, 2))
    wrapped.plan.save(tmp_path / "plan")
    again = wrap(mlp, Plan.load(tmp_path / "plan"))
    rows, sources = torch.randn(2, 6), [torch.randn(2, 6)]
    torch.testing.assert_close(again(rows, sources=sources), wrapped(rows, sources=sources))


def test_tied_subspaces_are_one_parameter(mlp):
    ways = [Intervention(hook, subspace=DAS(rank=4, columns=cut), key="both") for hook, cut in (("0", (0, 2)), ("2", (2, 4)))]
    wrapped = wrap(mlp, ways)
    assert [name for name, _ in wrapped.named_parameters() if "coordinates" in name] == ["coordinates.both.weight"]
    wrapped(torch.randn(3, 6), sources=[torch.randn(3, 6)]).sum().backward()
    assert (wrapped.coordinates["both"].weight.grad.abs().sum(0) > 0).all()
    with pytest.raises(InputError, match="ties hooks of 8 and 2 features"):
        wrap(mlp, [Intervention(hook, subspace=DAS(rank=2), key="both") for hook in ("0", "4")])


def test_coordinates_stay_float32(mlp):
    wrapped = wrap(mlp, Intervention("0", subspace=DAS(rank=2))).to(torch.float64)
    assert wrapped.coordinates["#0"].weight.dtype == torch.float32
    found = wrapped(torch.randn(3, 6, dtype=torch.float64), sources=[torch.randn(3, 6, dtype=torch.float64)])
    assert found.dtype == torch.float64


def test_widths_are_known_before_the_first_call(mlp, gpt2):
    das = DAS(rank=2)
    model = nn.ModuleDict(
        {"emb": nn.Embedding(9, 4), "norm": nn.LayerNorm(5), "rnn": nn.LSTM(3, 6, bidirectional=True), "seq": mlp}
    )
    widths = {"emb": 4, "norm": 5, "norm.input": 5, "rnn": 12, "rnn.input": 3, "seq": 2, "seq.input": 6, "seq.2": 8}
    wrapped = wrap(model, [Intervention(hook, subspace=das) for hook in widths])
    assert [one.width for one in wrapped.coordinates.values()] == list(widths.values())
    with pytest.raises(InputError, match=r"GPT2Block\) does not tell how many features"):
        wrap(gpt2, Intervention("transformer.h.0", subspace=das))
    with pytest.raises(InputError, match="rank=9, and the hook has 8 features"):
        wrap(mlp, Intervention("0", subspace=DAS(rank=9)))


def test_the_example_leaves_no_trace():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Identity(), nn.Dropout(0.5)).train()
    before = copy.deepcopy(model.state_dict())
    wrapped = wrap(model, Intervention("1", subspace="das"), example=torch.randn(4, 3))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert wrapped.training
    assert all(one.training for one in wrapped.modules())
    model[0].eval()
    assert [one.training for one in wrap(model, Intervention("1", "zero")).module] == [False, True, True]
    assert not wrap(model.eval(), Intervention("1", "zero")).training
