"""Steering beside hooks on the plain model, and probe beside interchange."""

import numpy as np
import pytest
import torch
from scipy import stats

from mechviz.errors import InputError
from mechviz.interventions import read_and_used, steer
from mechviz.interventions.steering import RANDOM, STEERED, means
from mechviz.views import CurvesView
from tests.interventions.hand import PAIRS, put, runs
from tests.interventions.toy import A, bag, pairs

HOOK = "blocks.1.hook_resid_post"


def test_doses_of_the_mean_difference(cat, hand):
    found = steer(cat, PAIRS, HOOK, positions="cls", doses=(-1, 2.0), held_out=0.5, seed=3)
    assert found.scores.dims == ("direction", "dose", "pair")
    assert found.scores["dose"].values.tolist() == [-1.0, 0.0, 2.0]
    test = list(found.held_out)
    train = [pair for pair in PAIRS if pair[0] not in {one[0] for one in test}]
    assert train
    assert test
    differences = []
    for pair in train:
        base, source = runs(cat, pair)
        differences.append((hand.at(source, "hook_resid_post", 1) - hand.at(base, "hook_resid_post", 1))[0])
    direction = torch.stack(differences).mean(0)
    np.testing.assert_allclose(found.direction, direction, atol=1e-5)
    for number, pair in enumerate(test):
        base, source = runs(cat, (pair[0], pair[1], pair[2] if isinstance(pair[2], str) else pair[2][0]))
        assert found.original[number] == pytest.approx(hand.score(base), abs=1e-5)
        assert found.perturbed[number] == pytest.approx(hand.score(source), abs=1e-5)
        for dose in (-1.0, 2.0):
            add = ("hook_resid_post", 1, put([0], slice(None), lambda value, dose=dose: value + dose * direction))
            wanted = hand.score(base, [add])
            assert float(found.scores.sel(direction=STEERED, dose=dose)[number]) == pytest.approx(wanted, abs=1e-4)
    np.testing.assert_allclose(found.scores.sel(dose=0.0).values, np.stack([found.original] * 2), atol=1e-5)
    assert not np.allclose(found.scores.sel(direction=RANDOM, dose=2.0), found.original)
    assert isinstance(found.show(), CurvesView)
    frame = found.to_dataframe()
    np.testing.assert_allclose(frame[frame["dose"] == 0]["change"], 0, atol=1e-5)


def test_means_are_of_queries():
    middle, half = means(np.array([1.0, 3.0, 8.0]), np.array(["a", "a", "b"]))
    assert middle == pytest.approx(5.0)
    assert half == pytest.approx(stats.t.ppf(0.975, 1) * np.std([2.0, 8.0], ddof=1) / np.sqrt(2))


def test_what_cannot_be_steered(cat):
    with pytest.raises(InputError, match="no text has such a position"):
        steer(cat, PAIRS, HOOK, positions="prompt")
    with pytest.raises(InputError, match="one pair is too few"):
        steer(cat, PAIRS[0], HOOK)
    with pytest.raises(InputError, match="held_out=1"):
        steer(cat, PAIRS, HOOK, held_out=1)


def test_what_is_read_and_what_is_used():
    given = [pair for pair in pairs(80) if A not in pair[1].split()]  # the original is without the word
    found = read_and_used(bag(), given, positions="cls", aligned=False)
    (read,), (moved,) = (found.found[name] for name in ("probe reads it", "swap of everything"))
    assert read.value > 0.9  # which of two texts holds a word is there to be read
    assert moved.value == pytest.approx(1.0, abs=1e-5)  # CLS is all that the score reads
    random = found.found["swap along a random direction"][0].value
    assert abs(random) < found.found["swap along the probe"][0].value
    frame = found.curves().to_dataframe()
    assert set(frame["curve"]) == set(found.found)
    nothing = read_and_used(bag(), given, positions="sep", aligned=False)
    assert nothing.found["swap of everything"][0].value == pytest.approx(0.0, abs=1e-6)
