"""Plans as folders: what comes back does the same, bit for bit; what is broken is said."""

import contextlib
import copy
import json
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import mechviz as mv
from mechviz.errors import InputError, MechvizError
from mechviz.interventions import DAS, Autoencoder, Basis, Boundless, Intervention, Mask, Neurons, Plan, ops
from mechviz.interventions.saving import CONFIG, TENSORS
from tests.interventions.hand import PAIRS

RANDOM = np.random.default_rng(1)
HOOK = "blocks.1.hook_resid_post"
OPS = [ops.Swap(), ops.Add(0.3), ops.Subtract(2), ops.Zero(), ops.Mean(), ops.Noise(1, 5), ops.Scale(3), ops.Clamp(None, 0.5)]
SUBSPACES = [
    None,
    Neurons([3, 1]),
    Basis(RANDOM.standard_normal((32, 3)), made="by chance"),
    Autoencoder(RANDOM.standard_normal((32, 8)), RANDOM.standard_normal((8, 32)), np.ones(8), np.ones(32), None, [2, 5], False),
    DAS(4, (1, 3)),
    Boundless(0.2),
    Mask(rotated=True),
]  # fmt: skip


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A ranker like ``cat`` with other weights, and one of another size."""
    from tests.conftest import save_cat, tiny_config

    assert tiny_config
    return [
        mv.Cat(str(save_cat(tmp_path_factory.mktemp("other"), **changes)))
        for changes in ({"initializer_range": 0.3}, {"hidden_size": 16, "num_attention_heads": 2})
    ]


def saved(plan, folder):
    plan.save(folder)
    return Plan.load(folder)


@pytest.mark.parametrize("number", range(8))
def test_what_comes_back_is_the_same(cat, tmp_path, number):
    """Each op with a subspace, and each subspace with an op."""
    op, subspace = OPS[number], SUBSPACES[(number + 1) % len(SUBSPACES)]
    plan = Plan(
        [
            Intervention(HOOK, op, subspace=subspace, positions=["cls", (2, 4), -1]),
            Intervention("blocks.2.attn.hook_z", "collect", heads=[1, 0], positions=np.array([[0, 3], [1, -1]])),
            Intervention("blocks.2.hook_attn_out", "skip", positions="injected"),
            Intervention("blocks.0.hook_mlp_out", "add", source=RANDOM.standard_normal(32)),
        ],
        direction="original->perturbed",
        filler="[MASK]",
        seed=3,
    )
    first = plan.run(cat, PAIRS[:2])
    for one in plan.parameters():  # as if something had been learned
        with torch.no_grad():
            one.add_(torch.randn(one.shape, generator=torch.Generator().manual_seed(0)) * 0.1)
    first = plan.run(cat, PAIRS[:2])
    again = saved(plan, tmp_path / "a" / "b")
    second = again.run(cat, PAIRS[:2])
    np.testing.assert_array_equal(first.patched, second.patched)
    for name, values in first.collected.items():
        np.testing.assert_array_equal(values, second.collected[name])
    assert [one.to_dict() for one in plan.interventions] == [one.to_dict() for one in again.interventions]
    third = saved(again, tmp_path / "c")
    assert json.loads((tmp_path / "c" / CONFIG).read_text()) == json.loads((tmp_path / "a" / "b" / CONFIG).read_text())
    np.testing.assert_array_equal(third.run(cat, PAIRS[:2]).patched, first.patched)


def test_keys_and_columns_come_back(cat, tmp_path):
    tied = [Intervention(f"blocks.{at}.hook_resid_post", subspace=DAS(4, (at, at + 2)), key="k") for at in (0, 1)]
    plan = Plan(tied, mode="serial", stack=cat.stacks[0], truncate=True)
    plan.meet(cat)
    again = saved(plan, tmp_path)
    assert list(again.coordinates) == ["k"]
    assert (again.mode, again.stack, again.truncate) == ("serial", cat.stacks[0], True)
    assert torch.equal(again.coordinates["k"].weight, plan.coordinates["k"].weight)


def test_a_function_cannot_be_saved(tmp_path):
    def double(x):
        return 2 * x

    with pytest.raises(InputError, match="the op double is a function, which cannot be saved"):
        Plan(Intervention(HOOK, double)).save(tmp_path)
    with pytest.raises(InputError, match=r"filler=.* is a function"):
        Plan(Intervention(HOOK), filler=lambda gap: "a").save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_another_ranker_is_warned_of_or_refused(cat, other, tmp_path):
    plan = Plan(Intervention(HOOK, subspace="das"))
    plan.run(cat, PAIRS[0])
    plan.save(tmp_path)
    with pytest.warns(UserWarning, match=f"made on {cat.name} .weights {cat.weight_hash()[:12]}.* runs on"):
        Plan.load(tmp_path).run(other[0], PAIRS[0])
    with pytest.raises(InputError, match=r"was made for 32 features of .*, and .* has 16"):
        Plan.load(tmp_path).run(other[1], PAIRS[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Plan.load(tmp_path).run(cat, PAIRS[0])


def broken(change):
    def make(folder):
        config = json.loads((folder / CONFIG).read_text())
        change(config)
        (folder / CONFIG).write_text(json.dumps(config))

    return make


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / CONFIG).write_text("{"),
        lambda folder: (folder / CONFIG).write_text("[]"),
        lambda folder: (folder / CONFIG).write_bytes(b"\xff\xfe"),
        lambda folder: (folder / TENSORS).unlink(),
        lambda folder: (folder / TENSORS).write_text("text"),
        lambda folder: save_file({}, folder / TENSORS),
        lambda folder: save_file({**load_file(folder / TENSORS), "learned.#0.more": np.ones(1)}, folder / TENSORS),
        broken(lambda config: config.update(format=99)),
        broken(lambda config: config.pop("ranker")),
        broken(lambda config: config.update(ranker={"widths": [32, 32]})),
        broken(lambda config: config["ranker"].update(widths=[10**12, 32])),
        broken(lambda config: config["ranker"].update(widths=[])),
        broken(lambda config: config.update(interventions=[])),
        broken(lambda config: config.update(interventions=[3])),
        broken(lambda config: config["interventions"][0].pop("hook")),
        broken(lambda config: config["interventions"][0].update(colour="red")),
        broken(lambda config: config["interventions"][1].update(subspace={"name": "das", "rank": 9})),
    ],
)
def test_a_broken_folder_is_said(cat, tmp_path, harm):
    plan = Plan([Intervention(HOOK, subspace="das"), Intervention(HOOK, source=np.ones(32), subspace=np.ones(32))])
    plan.meet(cat)
    plan.save(tmp_path)
    harm(tmp_path)
    with pytest.raises(MechvizError):
        Plan.load(tmp_path).run(cat, PAIRS[0])
    with pytest.raises(FileNotFoundError, match="holds no plan"):
        Plan.load(tmp_path / "nowhere")


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.just(10**30), st.floats(allow_nan=False), st.text(max_size=4),
    st.sampled_from(["cls", "doc", "stored", "das", "serial", "noise", HOOK, "blocks.1.attn.hook_pattern"]),
    st.lists(st.integers(-2, 5), max_size=3), st.lists(st.lists(st.integers(-2, 5), max_size=2), max_size=2),
    st.fixed_dictionaries({"name": st.sampled_from(["zero", "das", "mask", "scale", "clamp", "nothing"])}),
    st.fixed_dictionaries({"rows": st.lists(st.lists(st.integers(-2, 5), max_size=2), max_size=2)}),
)  # fmt: skip


def mutated(draw, value):
    """Change one part of nested plain data."""
    places = []

    def walk(here):
        items = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
        for name, inner in list(items):
            places.append((here, name))
            walk(inner)

    walk(value)
    where, name = draw(st.sampled_from(places))
    if isinstance(where, dict) and draw(st.integers(0, 5)) == 0:
        del where[name]
    else:
        where[name] = draw(JUNK)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_config_runs_or_is_refused(cat, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    plan = Plan(
        [
            Intervention(HOOK, ops.Clamp(-1, 1), subspace=DAS(2, (0, 1)), positions=["cls", (1, 3)], key="k"),
            Intervention("blocks.1.attn.hook_z", ops.Add(2), heads=[1], source=np.ones(8), positions=np.array([[0, 1]])),
            Intervention("blocks.2.hook_mlp_out", positions="injected", source_positions="injected"),
        ]
    )
    plan.meet(cat)
    plan.save(folder)
    config = json.loads((folder / CONFIG).read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        mutated(data.draw, config)
    (folder / CONFIG).write_text(json.dumps(config))
    with warnings.catch_warnings(), contextlib.suppress(MechvizError):
        warnings.simplefilter("ignore")
        Plan.load(folder).run(cat, PAIRS[0])
    assert not cat.hooked.active()


def test_a_plan_is_copied_whole(cat):
    plan = Plan(Intervention(HOOK, subspace="das"))
    plan.meet(cat)
    twin = copy.deepcopy(plan)
    assert torch.equal(twin.coordinates["#0"].weight, plan.coordinates["#0"].weight)
