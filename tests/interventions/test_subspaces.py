"""Every subspace against its formula in NumPy, through hooks of one's own on the plain model."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mechviz.errors import InputError, InputTypeError
from mechviz.interventions import DAS, Autoencoder, Basis, Boundless, Intervention, Mask, Neurons, Plan, ops
from mechviz.interventions.subspaces import as_subspace, rebuilt
from tests.interventions.hand import PAIRS, runs

SITE, HOOK, WIDTH, LATENTS = "hook_resid_post", "blocks.1.hook_resid_post", 32, 20
RANDOM = np.random.default_rng(0)
ARRAYS = {
    "encoder": RANDOM.standard_normal((WIDTH, LATENTS)),
    "decoder": RANDOM.standard_normal((LATENTS, WIDTH)),
    "encoder_bias": RANDOM.standard_normal(LATENTS),
    "decoder_bias": RANDOM.standard_normal(WIDTH),
}
THRESHOLD = RANDOM.random(LATENTS) * 3
DIRECTIONS = RANDOM.standard_normal((WIDTH, 3))


def patched(hand, cat, change):
    """The scores of the pairs where what leaves layer 1 becomes ``change(base, source)``, float64 arrays."""
    scores = []
    for pair in PAIRS[:2]:
        base, source = runs(cat, pair)
        taken = hand.at(source, SITE, 1).double().numpy()
        made = lambda x, taken=taken: torch.tensor(change(x.double().numpy(), taken), dtype=torch.float32)  # noqa: E731
        scores.append(hand.score(base, [(SITE, 1, made)]))
    return np.array(scores)


def agree(hand, cat, plan, change, atol=3e-5):
    result = plan.run(cat, PAIRS[:2])
    np.testing.assert_allclose(result.patched, patched(hand, cat, change), atol=atol)
    assert np.abs(result.raw.values).max() > 1e-3


def test_neurons(hand, cat):
    def change(x, s):
        x = x.copy()
        x[:, [4, 1]] = s[:, [4, 1]]
        return x

    agree(hand, cat, Plan(Intervention(HOOK, subspace=[4, 1])), change)


@pytest.mark.parametrize("op", ["swap", "zero"])
def test_a_basis_is_its_projection(hand, cat, op):
    projector = DIRECTIONS @ np.linalg.inv(DIRECTIONS.T @ DIRECTIONS) @ DIRECTIONS.T
    given = Plan(Intervention(HOOK, op, subspace=DIRECTIONS))
    agree(hand, cat, given, lambda x, s: x + ((s if op == "swap" else 0 * s) - x) @ projector)


def test_the_first_direction_of_a_basis_keeps_its_sense(hand, cat):
    unit = DIRECTIONS[:, 0] / np.linalg.norm(DIRECTIONS[:, 0])
    plan = Plan(Intervention(HOOK, ops.Clamp(2, 2), subspace=DIRECTIONS[:, 0]))
    agree(hand, cat, plan, lambda x, s: x + np.outer(2 - x @ unit, unit))


def latents(x, jump):
    before = (x - ARRAYS["decoder_bias"]) @ ARRAYS["encoder"] + ARRAYS["encoder_bias"]
    return before * (before > THRESHOLD) if jump else before.clip(0)


@pytest.mark.parametrize("jump", [False, True])
@pytest.mark.parametrize("some", [None, [0, 3, 11]])
def test_an_autoencoder_keeps_its_error(hand, cat, tmp_path, jump, some):
    names = {"encoder": "W_enc", "decoder": "W_dec", "encoder_bias": "b_enc", "decoder_bias": "b_dec"}
    tensors = {names[name]: torch.tensor(array, dtype=torch.float32) for name, array in ARRAYS.items()}
    if jump:
        tensors["threshold"] = torch.tensor(THRESHOLD, dtype=torch.float32)
    save_file(tensors, tmp_path / "sae.safetensors")
    chosen = slice(None) if some is None else some

    def change(x, s):
        return x + (latents(s, jump) - latents(x, jump))[:, chosen] @ ARRAYS["decoder"][chosen]

    threshold = THRESHOLD if jump else None
    for made in (Autoencoder.load(tmp_path / "sae.safetensors", some), Autoencoder(**ARRAYS, threshold=threshold, latents=some)):
        agree(hand, cat, Plan(Intervention(HOOK, subspace=made)), change, atol=2e-4)


def test_an_autoencoder_without_centring(hand, cat):
    plan = Plan(Intervention(HOOK, "zero", subspace=Autoencoder(**ARRAYS, center=False)))
    agree(
        hand,
        cat,
        plan,
        lambda x, s: x - (x @ ARRAYS["encoder"] + ARRAYS["encoder_bias"]).clip(0) @ ARRAYS["decoder"],
        atol=2e-4,
    )


def test_an_autoencoder_of_bfloat16_is_read(tmp_path):
    names = ("W_enc", "W_dec", "b_enc", "b_dec")
    tensors = {name: torch.tensor(array).bfloat16() for name, array in zip(names, ARRAYS.values(), strict=True)}
    save_file(tensors, tmp_path / "sae.safetensors")
    np.testing.assert_allclose(Autoencoder.load(tmp_path / "sae.safetensors").encoder, ARRAYS["encoder"], rtol=1e-2)


def test_das_is_the_projection_on_its_directions(hand, cat):
    plan = Plan(Intervention(HOOK, subspace=DAS(3)), seed=4)
    plan.meet(cat)
    directions = plan.coordinates["#0"].directions.detach().double().numpy()
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-6)
    agree(hand, cat, plan, lambda x, s: x + (s - x) @ directions @ directions.T)
    other = Plan(Intervention(HOOK, subspace=DAS(3)), seed=5)
    other.meet(cat)
    assert not np.allclose(directions, other.coordinates["#0"].directions.detach())


def test_boundless_counts_whole_directions_outside_of_training(hand, cat):
    plan = Plan(Intervention(HOOK, subspace=Boundless()))
    plan.meet(cat)
    own = plan.coordinates["#0"]
    with torch.no_grad():
        own.boundary.fill_(0.3)  # of 32 directions, those whose middle lies below 9.6
    first = own.directions.detach().double().numpy()[:, :10]
    assert own.count == 10
    assert "10 of 32 directions" in repr(plan)
    agree(hand, cat, plan, lambda x, s: x + (s - x) @ first @ first.T)


def test_boundless_is_soft_in_training(hand, cat):
    plan = Plan(Intervention(HOOK, subspace=Boundless()))
    bound = plan.bind(cat).train()
    own = plan.coordinates["#0"]
    own.temperature.fill_(2.0)
    directions = own.directions.detach().double().numpy()
    share = 1 / (1 + np.exp(-(0.5 * WIDTH - np.arange(WIDTH) - 0.5) / 2))
    wanted = patched(hand, cat, lambda x, s: x + ((s - x) @ directions * share) @ directions.T)
    np.testing.assert_allclose(bound(PAIRS[:2]).detach(), wanted, atol=3e-5)


@pytest.mark.parametrize("rotated", [False, True])
def test_a_mask_takes_its_share(hand, cat, rotated):
    plan = Plan(Intervention(HOOK, subspace=Mask(rotated)))
    plan.meet(cat)
    own = plan.coordinates["#0"]
    weight = np.random.default_rng(2).standard_normal(WIDTH)
    with torch.no_grad():
        own.weight.copy_(torch.tensor(weight))
        own.temperature.fill_(0.7)
    basis = own.rotation.directions.detach().double().numpy() if rotated else np.eye(WIDTH)
    share = 1 / (1 + np.exp(-weight / 0.7))
    agree(hand, cat, plan, lambda x, s: x + ((s - x) @ basis * share) @ basis.T)
    assert "a mask of" in repr(plan)


def test_heads_stand_side_by_side(hand, cat):
    """Features of two heads of z as one space: 16 of them, the second head's after the first's as they were chosen."""
    base, source = runs(cat, PAIRS[0])
    taken = hand.at(source, "attn.hook_z", 1)
    plan = Plan(Intervention("blocks.1.attn.hook_z", heads=[3, 1], subspace=[0, 9]))

    def change(x):
        x = x.clone()
        x[:, [24, 9]] = taken[:, [24, 9]]
        return x

    wanted = hand.score(base, [("attn.hook_z", 1, change)])
    assert float(plan.run(cat, PAIRS[0]).patched[0]) == pytest.approx(wanted, abs=2e-5)


def test_a_basis_stays_what_it_is_when_made_again():
    once = Basis(DIRECTIONS)
    np.testing.assert_array_equal(Basis(once.directions).directions, once.directions)


def test_short_forms():
    assert isinstance(as_subspace("das"), DAS)
    assert isinstance(as_subspace(range(3)), Neurons)
    assert isinstance(as_subspace(np.array([1, 2])), Neurons)
    assert isinstance(as_subspace(torch.eye(4)[:, :2]), Basis)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: as_subspace("basis"), "by name there are 'das'"),
        (lambda: as_subspace(3.5), "subspace must be"),
        (lambda: Neurons([]), r"indices=\[\]"),
        (lambda: Neurons([1, 1]), "different numbers"),
        (lambda: Neurons([-1]), "none below 0"),
        (lambda: Neurons([0.5]), "indices must be"),
        (lambda: Basis(np.ones((3, 4))), "directions have shape"),
        (lambda: Basis(np.ones((4, 2))), "not independent"),
        (lambda: Basis(np.zeros(4)), "not independent"),
        (lambda: Basis([np.nan, 1]), "directions hold NaN"),
        (lambda: Basis("x"), "directions must be an array"),
        (lambda: DAS(0), "rank=0"),
        (lambda: DAS(True), "rank=True"),
        (lambda: DAS(2, (1, 3)), "columns="),
        (lambda: DAS(2, (0, 1, 2)), "columns="),
        (lambda: Boundless(-1), "sparsity=-1"),
        (lambda: Mask(rotated=1), "rotated must be"),
        (lambda: Autoencoder(**{**ARRAYS, "decoder": np.ones((2, 2))}), "decoder has shape"),
        (lambda: Autoencoder(**ARRAYS, threshold=np.ones(3)), "threshold has shape"),
        (lambda: Autoencoder(**ARRAYS, latents=[20]), r"latents \[20\] do not exist"),
        (lambda: Autoencoder(**ARRAYS, center="yes"), "center must be"),
        (lambda: rebuilt({"name": "pca"}, {}), "subspace 'pca'"),
        (lambda: rebuilt({"name": "das", "size": 2}, {}), "'das' cannot be made"),
        (lambda: rebuilt([1], {}), "subspace"),
    ],
)
def test_a_subspace_that_cannot_be_is_refused(make, words):
    with pytest.raises((InputError, InputTypeError), match=words):
        make()


@pytest.mark.parametrize(
    ("subspace", "words"),
    [
        ([32], r"indices \[32\] do not exist"),
        (np.ones(31), "of 31 features, and the hook has 32"),
        (DAS(33), "rank=33, and the hook has 32"),
        (Autoencoder(np.ones((3, 1)), np.ones((1, 3)), [1], [1, 1, 1]), "autoencoder is of 3 features"),
    ],
)
def test_a_subspace_must_fit_the_hook(cat, subspace, words):
    with pytest.raises(InputError, match=words):
        Plan(Intervention(HOOK, subspace=subspace)).run(cat, PAIRS[0])


def test_a_file_that_is_no_autoencoder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        Autoencoder.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("text")
    with pytest.raises(InputError, match="no safetensors file"):
        Autoencoder.load(tmp_path / "text.safetensors")
    with pytest.raises(InputError, match="no safetensors file"):
        Autoencoder.load(tmp_path)
    save_file({"W_enc": torch.ones(2, 2)}, tmp_path / "half.safetensors")
    with pytest.raises(InputError, match="has no W_dec, b_enc, b_dec"):
        Autoencoder.load(tmp_path / "half.safetensors")
