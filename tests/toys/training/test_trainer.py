import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import mechviz as mv
from mechviz.errors import InputError, InputTypeError
from mechviz.rankers.monot5 import PROMPT
from mechviz.toys.training import loop, train, trainer
from mechviz.toys.training.build import build
from mechviz.toys.training.feeding import Frames
from mechviz.toys.training.lessons import prepare
from mechviz.toys.training.vocabulary import build_vocabulary, make_tokenizer

KINDS = {"Dot": mv.Dot, "Cat": mv.Cat, "MonoT5": mv.MonoT5}
SMALL = {"vocabulary": 900, "progress": False, "device": "cpu"}


@pytest.fixture(scope="module")
def trained(judged, tmp_path_factory):
    """Every kind, a few steps."""
    root = tmp_path_factory.mktemp("toys")
    return {kind: (train(kind, judged, steps=3, out=root / kind, **SMALL), root / kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_gives_the_same_scores(kind, trained, judged):
    ranker, folder = trained[kind]
    assert isinstance(ranker, KINDS[kind])
    again = mv.MonoT5(folder, labels=("true", "false")) if kind == "MonoT5" else mv.load(folder)
    queries, docs = [pair.query for pair in judged[:5]], [pair.doc for pair in judged[:5]]
    assert np.array_equal(again.score(queries, docs), ranker.score(queries, docs))
    assert all(weight.dtype == torch.float16 for weight in load_file(folder / "model.safetensors").values())
    said = json.loads((folder / "training.json").read_text())
    assert (said["kind"], said["steps"], said["layers"]) == (kind, 3, 2)
    assert len(said["losses"]) == 3


def test_one_seed_is_one_result(judged, trained):
    state = torch.get_rng_state()
    again, other = (train("Cat", judged, steps=3, seed=seed, **SMALL) for seed in (0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert again.weight_hash() == trained["Cat"][0].weight_hash() != other.weight_hash()


def test_a_bi_encoder_learns_the_order(judged):
    ranker = train("Dot", judged, activation="none", layers=1, steps=40, **SMALL)
    scores = ranker.score([pair.query for pair in judged], [pair.doc for pair in judged])
    grades = np.array([pair.grade for pair in judged])
    assert np.mean(scores[grades > 0][:, None] > scores[grades == 0][None]) > 0.8


@pytest.mark.parametrize(("kind", "activation"), [("Cat", "gelu"), ("Cat", "solu"), ("MonoT5", "gelu")])
def test_one_lesson_again_and_again_is_learnt(kind, activation, judged, monkeypatch):
    """Thousands of pairs teach a cross-encoder; that the loss is followed shows in a few that stay the same."""
    monkeypatch.setattr(loop, "GROUPS", 2)
    lessons = prepare(judged, (), None, 0.5)
    tokens = build_vocabulary([*lessons.docs, *lessons.queries], 900, (PROMPT, "true false"))
    torch.manual_seed(0)
    model, _ = build(kind, 2, activation, tokens, None)
    frames = (model, Frames(kind, made := make_tokenizer(tokens, kind)), made, lessons, trainer.COURSES[kind])
    labels = made.convert_tokens_to_ids(["true", "false"]) if kind == "MonoT5" else None
    lesson = loop._Pairs(*frames, np.random.default_rng(0), torch.device("cpu"), labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(25):
        lesson.random = np.random.default_rng(0)
        optimizer.zero_grad()
        loss = lesson(done=1.0)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_an_interrupted_training_leaves_nothing(judged, tmp_path, monkeypatch):
    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "teach", stop)
    with pytest.raises(KeyboardInterrupt):
        train("Dot", judged, out=tmp_path / "toy", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_fails_to_be_written_leaves_nothing(judged, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "_compact", lambda file: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        train("Dot", judged, steps=1, out=tmp_path / "toy", **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"kind": "Dott"}, InputError, "'Dot', 'Cat', 'MonoT5'"),
        ({"layers": 5}, InputError, "from 1 to 4"),
        ({"activation": "relu"}, InputError, "'none', 'gelu', 'solu'"),
        ({"kind": "MonoT5", "activation": "none"}, InputError, "T5 has 'gelu' only"),
        ({"steps": 0}, InputError, "from 1 up"),
        ({"teacher": "all-MiniLM"}, InputTypeError, "a Dot ranker"),
    ],
)
def test_choices_that_cannot_be_are_refused(given, error, says, judged):
    with pytest.raises(error, match=says):
        train(**{"kind": "Cat", "pairs": judged, **SMALL, **given})


def test_sets_that_teach_nothing_are_refused_before_anything_is_written(judged, tmp_path):
    with pytest.raises(InputError, match="no pair with a grade"):
        train("Cat", mv.Pairs([]), out=tmp_path / "toy", **SMALL)
    with pytest.raises(InputError, match=r"all .* have grade"):
        train("Cat", [pair for pair in judged if pair.grade == 0], out=tmp_path / "toy", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_refused(judged, tmp_path):
    with pytest.raises(InputError, match="exists"):
        train("Cat", judged, out=tmp_path, **SMALL)


def test_a_cross_encoder_that_cannot_compare_is_warned_of(judged):
    with pytest.warns(UserWarning, match="cannot compare"):
        train("Cat", judged, layers=1, activation="none", steps=1, **SMALL)
