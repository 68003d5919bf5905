"""What `wrap` refuses, and what it says."""

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from mechviz.errors import InputError, InputTypeError
from mechviz.interventions import Intervention, Plan, ops, wrap

IDS, OTHER = (torch.arange(24).reshape(3, 8) * step % 90 + 1 for step in (7, 11))


@pytest.fixture(scope="module")
def bert():
    return BertModel(BertConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)).eval()


@pytest.fixture
def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)).eval()


def test_a_hook_that_does_not_fire(bert):
    with pytest.raises(InputError, match=r"'encoder.layer' did not run.*'encoder.layer.0'"):
        wrap(bert, Intervention("encoder.layer", "zero"))(IDS)
    with pytest.raises(InputError, match="did not run"):
        wrap(bert, Intervention("encoder.layer"))(IDS, sources=[OTHER])


def test_a_path_that_does_not_exist(bert):
    with pytest.raises(
        InputError, match=r"BertModel has no module 'encoder.layers.1'; modules with paths like it: 'encoder.layer.1'"
    ):
        wrap(bert, Intervention("encoder.layers.1.output", "zero"))


class Twice(nn.Module):
    """Runs one module twice."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(4, 4)

    def forward(self, rows):
        return self.shared(self.shared(rows))


def test_a_module_that_runs_twice_is_edited_twice():
    model, rows = Twice(), torch.randn(2, 4)
    found = wrap(model, Intervention("shared", ops.Scale(by=2.0)))(rows)
    torch.testing.assert_close(found, 2 * model.shared(2 * model.shared(rows)))
    for op in ("swap", "collect"):
        with pytest.raises(InputError, match="'shared' runs several times in one call"):
            wrap(model, Intervention("shared", op))(rows, sources=[rows] if op == "swap" else None)


def test_hooks_are_gone_after_an_error(mlp):
    def fails(base):
        raise RuntimeError("of the user's")

    rows = torch.randn(2, 6)
    wanted = mlp(rows)
    for one, error in ((Intervention("2", fails), RuntimeError), (Intervention("2", lambda base: base[:1]), InputError)):
        with pytest.raises(error):
            wrap(mlp, [Intervention("0", "zero"), Intervention("2", "skip"), one])(rows)
    torch.testing.assert_close(mlp(rows), wanted)
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in mlp.modules())


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: Intervention("0", "zero", positions="cls"), "a module has no text"),
        (lambda: Intervention("attn.hook_z", "zero", heads=[0]), "no heads"),
        (lambda: Plan(Intervention("0"), mode="serial"), "serial"),
        (lambda: Intervention("", "zero"), "give a full name"),
        (lambda: Intervention("0", subspace="das", key="keys"), "another word"),
        (lambda: Intervention("0", subspace="das", key="a.b"), "another word"),
    ],
)
def test_what_needs_a_ranker_is_refused(mlp, made, words):
    with pytest.raises(InputError, match=words):
        wrap(mlp, made())


def test_what_cannot_be(mlp):
    rows = torch.randn(2, 6)
    with pytest.raises(InputTypeError, match=r"must be a torch.nn.Module"):
        wrap("bert", Intervention("0", "zero"))
    with pytest.raises(InputError, match="take from 1 source run;"):
        wrap(mlp, Intervention("0"))(rows)
    with pytest.raises(InputError, match="take from 0 source runs"):
        wrap(mlp, Intervention("0", "zero"))(rows, sources=[rows])
    with pytest.raises(InputError, match="give what the module is called with"):
        wrap(mlp, Intervention("0"))(rows, sources=[3])
    with pytest.raises(InputError, match=r"the source has dims \(1, 1, 8\), and what is there \(2, 1, 8\)"):
        wrap(mlp, Intervention("0"))(rows, sources=[rows[:1]])
    with pytest.raises(InputError, match=r"mask must be bool, dims \(2, 1\)"):
        wrap(mlp, Intervention("0", "mean"))(rows, mask=torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(InputError, match="position 1 does not exist"):
        wrap(mlp, Intervention("0", "zero", positions=1))(rows)
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(2, 3, 4), torch.tensor([3, 2]), batch_first=True)
    with pytest.raises(InputError, match="in which no tensor comes first"):
        wrap(nn.Sequential(nn.GRU(4, 6)), Intervention("0", "zero"))(packed)
    with pytest.raises(InputError, match="edits are made where they are"):
        wrap(nn.Sequential(nn.Conv1d(3, 2, 2), nn.Unflatten(1, (1, 2))), Intervention("1", "zero"))(torch.randn(2, 3, 5))
