"""A fit that is interrupted and goes on is the one that was not."""

import pytest
import torch

from mechviz.errors import InputError
from tests.interventions.toy import bag, pairs, plan, targets

GIVEN = pairs(30)
OPTIONS = {"epochs": 6, "lr": 5e-2, "progress": False, "batch_size": 8}


class StoppedError(RuntimeError):
    pass


def interrupted(monkeypatch, mine, folder, steps, **options):
    """Fit, and fail in the middle of a later epoch."""
    step, count = torch.optim.AdamW.step, iter(range(1000))

    def failing(self, *args, **kwargs):
        if next(count) >= steps:
            raise StoppedError
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", failing)
        with pytest.raises(StoppedError):
            mine.fit(bag(), GIVEN, targets=targets(GIVEN), checkpoint=folder, **{**OPTIONS, **options})


def state(mine):
    return mine.coordinates["#0"].state_dict()


@pytest.mark.parametrize("options", [{}, {"patience": 2, "lr": 1.5}], ids=str)
def test_resumed_is_undisturbed(monkeypatch, tmp_path, options):
    whole, first, second = plan(), plan(), plan()
    undisturbed = whole.fit(bag(), GIVEN, targets=targets(GIVEN), **{**OPTIONS, **options})
    steps = 2 * -(-undisturbed.n_used // 8) + 1  # within the third epoch
    interrupted(monkeypatch, first, tmp_path / "kept", steps, **options)
    resumed = second.fit(bag(), GIVEN, targets=targets(GIVEN), checkpoint=tmp_path / "kept", **{**OPTIONS, **options})
    assert undisturbed.history.equals(resumed.history)
    assert undisturbed.stopped == resumed.stopped
    assert all(torch.equal(one, state(second)[name]) for name, one in state(whole).items())
    third = plan()
    again = third.fit(bag(), GIVEN, targets=targets(GIVEN), checkpoint=tmp_path / "kept", **{**OPTIONS, **options})
    assert again.history.equals(undisturbed.history)
    assert again.stopped == undisturbed.stopped
    assert all(torch.equal(one, state(third)[name]) for name, one in state(whole).items())


def test_patience_goes_back_to_the_best():
    mine = plan()
    fitted = mine.fit(bag(), GIVEN, targets=targets(GIVEN), **{**OPTIONS, "epochs": 30, "lr": 1.5, "patience": 2})
    losses = fitted.history["held_out"]
    assert fitted.stopped
    assert len(losses) == losses.idxmin() + 3
    best = losses.idxmin()
    wanted = plan()
    steps = {**OPTIONS, "epochs": 30, "lr": 1.5}
    with pytest.MonkeyPatch.context() as patch:  # the same fit without patience, stopped after its best epoch
        patch.setattr("mechviz.interventions.fitting.patient", lambda history, how: False if len(history) == best + 1 else None)
        wanted.fit(bag(), GIVEN, targets=targets(GIVEN), **steps)
    assert all(torch.equal(one, state(mine)[name]) for name, one in state(wanted).items())


@pytest.mark.parametrize(
    "change",
    [{"targets": None}, {"lr": 1e-3}, {"pairs": pairs(30, seed=3)}, {"plan": plan(seed=3)}],
    ids=lambda one: next(iter(one)),
)
def test_another_fit_is_not_gone_on_from(tmp_path, change):
    plan().fit(bag(), GIVEN, targets=targets(GIVEN), checkpoint=tmp_path, **{**OPTIONS, "epochs": 1})
    given = change.get("pairs", GIVEN)
    wanted = change.get("targets", targets(given)) if "targets" in change else targets(given)
    options = {**OPTIONS, "epochs": 1, **({"lr": change["lr"]} if "lr" in change else {})}
    with pytest.raises(InputError, match="is of a fit with other settings, pairs or weights"):
        change.get("plan", plan()).fit(bag(), given, targets=wanted, checkpoint=tmp_path, **options)


def test_what_is_broken_is_said(tmp_path):
    (tmp_path / "checkpoint.safetensors").write_text("text")
    with pytest.raises(InputError, match="is broken"):
        plan().fit(bag(), GIVEN, checkpoint=tmp_path, **OPTIONS)
    with pytest.raises(InputError, match="checkpoint= needs an objective by name"):
        plan().fit(bag(), GIVEN, checkpoint=tmp_path / "new", objective=lambda p, b, w: p - w, **OPTIONS)
