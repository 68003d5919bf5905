"""Toys by name: those that are compiled, those in the folder of weights, and what is said when that folder is damaged."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import mechviz as mv
from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.rankers import checkpoint
from mechviz.toys import shipped
from mechviz.toys.shipped import COMPILED, NAMES, SUMS, TRAINED, WEIGHTS
from tests.toys import made

QUERY, DOC = "hot springs", "springs are warm"
CLASSES = {"cat": mv.Cat, "dot": mv.Dot, "cat-attn-only": mv.Cat, "dot-attn-only": mv.Dot, "monot5": mv.MonoT5}
LISTED = (WEIGHTS / SUMS).is_file()
not_yet = pytest.mark.skipif(not LISTED, reason=f"no trained toy has been shipped yet: there is no {SUMS}")


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    return made.weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def weights(stand_ins, tmp_path, monkeypatch):
    """The stand-ins in a folder of the test's own, in the place of the shipped ones."""
    root = Path(shutil.copytree(stand_ins, tmp_path / "weights"))
    monkeypatch.setattr(shipped, "WEIGHTS", root)
    return root


# -- any installation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_toy_opens_by_its_name(weights, name):
    ranker = mv.load(f"toy/{name}")
    assert type(ranker) is CLASSES[name]
    assert ranker.name == f"toy/{name}"
    named = CLASSES[name](f"toy/{name}")
    plain = CLASSES[name](str(weights / name))
    scores = [one.score(QUERY, [DOC, "yeast"]) for one in (ranker, named, plain)]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])


def test_a_t5_with_a_vocabulary_of_its_own_has_the_words_as_labels(weights):
    assert mv.load("toy/monot5").labels == ("true", "false")


def test_settings_reach_a_trained_toy(weights):
    assert mv.load("toy/cat", max_length=16).max_length == 16
    assert mv.Dot("toy/dot", query_name="toy/dot-attn-only").name == "toy/dot"


@pytest.mark.parametrize(("name", "formula"), COMPILED.items())
def test_a_compiled_toy_opens_by_its_name(name, formula):
    ranker = mv.load(f"toy/{name}")
    assert ranker.name == f"toy/{name}"
    np.testing.assert_array_equal(ranker.score(QUERY, DOC), mv.toys.compiled(formula).score(QUERY, DOC))


def test_a_compiled_toy_takes_no_settings_and_has_no_checkpoint():
    with pytest.raises(InputTypeError, match=r"mv.toys.compiled\('bm25', texts, k="):
        mv.load("toy/compiled-bm25", k=0.7)
    with pytest.raises(InputError, match="no checkpoint"):
        mv.Cat("toy/compiled-bm25")


@pytest.mark.parametrize("opens", [mv.load, mv.Cat, mv.Dot])
@pytest.mark.parametrize("name", ["toy/xyz", "toy/", "toy/Cat", "toy/cat/", "toy/../cat", "toy/LICENSE"])
def test_a_name_that_is_not_there_lists_those_that_are(opens, name):
    with pytest.raises(InputError) as raised:
        opens(name)
    assert all(one in str(raised.value) for one in NAMES)
    assert mv.toys.NAMES == NAMES


def test_a_directory_of_that_name_is_meant_by_its_path_only(weights, cat_folder, tmp_path, monkeypatch):
    shutil.copytree(cat_folder, tmp_path / "toy" / "cat")
    monkeypatch.chdir(tmp_path)
    assert mv.load("./toy/cat").name == "cat"
    assert mv.load("toy/cat").name == "toy/cat"


@pytest.mark.parametrize("file", ["cat/model.safetensors", "cat/config.json", "cat/tokenizer.json", "cat/README.md"])
def test_a_damaged_or_missing_file_is_named(weights, file):
    path = weights / file
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(MechvizError, match="reinstall mechviz-ir") as raised:
        mv.load("toy/cat")
    assert str(path) in str(raised.value)
    path.unlink()
    with pytest.raises(MechvizError, match=r"is missing.*reinstall mechviz-ir") as raised:
        mv.Cat("toy/cat")
    assert str(path) in str(raised.value)
    mv.load("toy/dot")  # each toy for itself
    path.write_bytes(whole)
    mv.load("toy/cat")


@pytest.mark.parametrize("content", [None, "", "nonsense\n", "é" * 64 + "\n"])
def test_a_damaged_list_is_named(weights, content):
    (weights / SUMS).unlink()
    if content is not None:
        (weights / SUMS).write_text(content, encoding="utf-8")
    with pytest.raises(MechvizError, match=rf"{SUMS}.*reinstall mechviz-ir"):
        mv.load("toy/cat")


def test_the_list_is_sha256sums_own(weights):
    lines = (weights / SUMS).read_text().splitlines()
    assert lines == sorted(lines, key=lambda line: line[66:])
    digest, file = lines[0].split("  ")
    assert digest == hashlib.sha256((weights / file).read_bytes()).hexdigest()
    assert any("/1_Pooling/config.json" in line for line in lines)
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=weights, check=True)


def test_an_unreachable_hub_names_what_can_be_had_offline(monkeypatch):
    def unreachable(*arguments, **options):
        raise OSError

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(MechvizError, match=r"save_pretrained wrote, or a toy.*toy/cat.*mv\.toys\.NAMES"):
        checkpoint.open_checkpoint("nobody/nothing")


# -- what is in this checkout -------------------------------------------------------------------------------------------


@not_yet
def test_every_trained_toy_is_listed_and_every_file_of_it():
    listed = set(shipped.read_sums(WEIGHTS))
    assert {file.partition("/")[0] for file in listed} == set(TRAINED)
    there = {path.relative_to(WEIGHTS).as_posix() for path in WEIGHTS.glob("*/**/*") if path.is_file()}
    assert there == listed


@not_yet
@pytest.mark.parametrize("name", TRAINED)
def test_a_shipped_toy_is_whole_and_prefers_a_matching_document(name):
    folder = shipped.folder_of(f"toy/{name}")
    held = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "figures.json"} <= held
    ranker = mv.load(f"toy/{name}")
    assert type(ranker) is CLASSES[name]
    good, bad = ranker.score("how do volcanoes erupt", ["a volcano erupts when magma rises", "the bank lends money"])
    assert good > bad


def test_a_folder_of_weights_is_not_there_without_a_list():
    assert LISTED or not [path for path in WEIGHTS.iterdir() if path.is_dir()]


def test_the_folder_is_small():
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) <= 15_000_000


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_toy_has_a_card_with_a_picture(name):
    cards = WEIGHTS.parent / "cards"
    assert f"# toy/{name}" in (cards / f"{name}.md").read_text(encoding="utf-8")
    assert (cards / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg")
