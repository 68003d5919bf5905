import gc
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.corpora import TextPair
from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.text.classes import TOKEN_CLASSES
from tests.studies.running import ask, close, pairs, parts, ready, rows, stopping, study

SCORES = ("original_score", "perturbed_score", "base_score", "source_score")


def patched_alone(ranker, pair: TextPair, grid: str, **settings) -> mv.PatchResult:
    """One pair of a study, by the function for one pair."""
    perturb = pair.perturbed if pair.side == "doc" else mv.perturb.on_query(lambda _: pair.perturbed)
    return mv.patch(ranker, pair.query, pair.doc, perturb, grid=grid, **settings)


# -- what is in the parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", ["heads", "mlps", "head_inputs", "neurons"])
def test_each_pair_has_the_scores_that_patch_gives(ranker, tmp_path, grid):
    texts = ready()[:6]
    study(ranker, texts, out=tmp_path, grid=grid)
    found = rows(tmp_path).to_pylist()
    assert [row["number"] for row in found] == list(range(6))
    for row, pair in zip(found, texts, strict=True):
        alone = patched_alone(ranker, pair, grid)
        assert close(row["patched"], alone.patched.to_numpy().ravel())
        assert close([row[name] for name in SCORES], [getattr(alone.pair, name) for name in SCORES])
        assert (row["length"], row["moved"]) == (len(alone.pair.alignment), len(alone.pair.alignment.changed()))
        assert all(row[name] == getattr(pair, name) for name in pair.__dataclass_fields__)
        assert row["truncated"] == ""


@pytest.mark.parametrize("grid", ["blocks", "head_positions"])
def test_grids_with_positions_hold_the_mean_of_each_class_of_tokens(cat, tmp_path, grid):
    texts = ready()[:2]
    study(cat, texts, out=tmp_path, grid=grid)
    for row, pair in zip(rows(tmp_path).to_pylist(), texts, strict=True):
        alone = patched_alone(cat, pair, grid)
        classes = alone.pair.classes()
        scores = alone.patched.transpose("pos", ...).to_numpy().astype(np.float64)
        wanted = np.full((*scores.shape[1:], len(TOKEN_CLASSES)), np.nan)
        for place, name in enumerate(TOKEN_CLASSES):
            members = [scores[position] for position, own in enumerate(classes) if own == name]
            if members:
                wanted[..., place] = sum(members) / len(members)
        assert np.isnan(wanted).any()
        assert close(row["patched"], wanted.ravel())


def test_a_class_is_averaged_over_the_positions_that_were_chosen(cat, tmp_path):
    pair = ready()[0]
    alone = patched_alone(cat, pair, "blocks", sites=["attn_out"], positions=["injected", 1])
    study(cat, [pair], out=tmp_path, grid="blocks", sites=["attn_out"], positions=["injected", 1])
    found = np.array(rows(tmp_path)["patched"][0].as_py()).reshape(cat.stack("encoder").n_layers, len(TOKEN_CLASSES))
    for layer, row in enumerate(found):
        scores = alone.patched.to_numpy()[0, layer]
        injected = [score for score, name in zip(scores, alone.pair.classes(), strict=True) if name == "injected"]
        assert close(row[TOKEN_CLASSES.index("injected")], np.mean(injected, dtype=np.float64))
        assert close(row[TOKEN_CLASSES.index(alone.pair.classes()[1])], scores[1])
        assert np.isnan(row).sum() == len(TOKEN_CLASSES) - 2


def test_settings_of_patch_are_used(dot, tmp_path):
    settings = {"direction": "original->perturbed", "filler": "[MASK]", "layers": [1], "heads": [(1, 2), (1, 3)]}
    study(dot, ready()[:2], out=tmp_path, **settings)
    for row, pair in zip(rows(tmp_path).to_pylist(), ready(), strict=False):
        assert close(row["patched"], patched_alone(dot, pair, "heads", **settings).patched.to_numpy().ravel())
        assert np.isnan(row["patched"]).sum() == 10
    said = json.loads((tmp_path / "study.json").read_text())
    assert (said["direction"], said["filler"]) == ("original->perturbed", "[MASK]")
    assert said["settings"]["heads"] == [[1, 2], [1, 3]]


def test_the_query_can_be_what_changes(ranker, tmp_path):
    study(ranker, pairs()[:3], mv.perturb.on_query(mv.perturb.append("volcano")), out=tmp_path)
    for row, pair in zip(rows(tmp_path).to_pylist(), pairs(), strict=False):
        assert row["side"] == "query"
        changed = replace(pair, perturbed=f"{pair.query} volcano", side="query")
        assert close(row["patched"], patched_alone(ranker, changed, "heads").patched.to_numpy().ravel())


def test_a_bi_encoder_patches_one_stack_and_counts_what_changes_the_other(dot, tmp_path):
    texts = ready()[:4]
    texts[2] = pairs()[2].with_perturbed("what is lava", "other query", side="query")
    found = study(dot, texts, out=tmp_path)
    assert found.n_used == 3
    assert found.dropped == {"the query was changed, and the study is of the stack 'doc'": 1}


# -- pairs -----------------------------------------------------------------------------------------------------------


def test_pairs_may_be_texts_a_generator_or_a_collection(cat, tmp_path):
    texts = [(pair.query, pair.doc) for pair in pairs()[:5]]
    given = {"list": texts, "generator": (pair for pair in texts), "collection": mv.Pairs(texts)}
    for name, each in given.items():
        study(cat, each, ask, out=tmp_path / name)
    assert parts(tmp_path / "list") == parts(tmp_path / "generator") == parts(tmp_path / "collection")
    study(cat, [(query, doc, ask(doc, query)) for query, doc in texts], out=tmp_path / "ready")
    assert rows(tmp_path / "ready")["patched"].to_pylist() == rows(tmp_path / "list")["patched"].to_pylist()


def test_a_function_of_the_moment_needs_no_pickling(cat, tmp_path):
    word = "lava"
    study(cat, pairs()[:3], lambda doc: f"{doc} {word}", out=tmp_path)
    assert all(text.endswith(" lava") for text in rows(tmp_path)["perturbed"].to_pylist())


def test_several_perturbations_come_one_after_the_other(cat, tmp_path):
    found = study(cat, pairs()[:3], [mv.perturb.append("lava"), ask], out=tmp_path)
    assert rows(tmp_path)["perturbation"].to_pylist() == ["append('lava')", "ask"] * 3
    assert found.n_used == 6


class _Axiom:
    """What an axiom is to a study: it makes the texts, and says which it prefers."""

    def make(self, query, doc, seed):
        return type("Made", (), {"perturbed": f"{doc} {query} {seed}", "preferred": 1, "doc": f"{doc} so"})()


def test_an_axiom_may_choose_the_document_too(cat, tmp_path):
    study(cat, pairs()[:2], _Axiom(), out=tmp_path, seed=7)
    for row, pair in zip(rows(tmp_path).to_pylist(), pairs(), strict=False):
        assert (row["doc"], row["perturbed"], row["preferred"]) == (f"{pair.doc} so", f"{pair.doc} {pair.query} 7", 1)


def moody(doc: str) -> str:
    """Fail in as many ways as there are."""
    if "caldera" in doc.lower():
        raise ValueError("no calderas")
    if "spring" in doc.lower():
        return doc
    if "moon" in doc.lower():
        return doc.upper()
    if "tea" in doc.lower():
        return f"{doc} {'long ' * 200}"
    return f"{doc} lava"


TEXTS = [
    ("what is a volcano", "Lava that cools becomes rock."),
    ("what is a caldera", "A caldera is a basin."),
    ("what is a spring", "A spring is where water comes out."),
    ("what is a moon", "The moon goes around the earth."),
    ("what is tea", "Tea is made of leaves."),
    ("what is ice", "Ice is frozen water."),
]
WHY = {1: "rais(ed|es) ValueError", 2: "nothing to patch", 3: "same token ids", 4: "this ranker takes 128"}


def test_a_pair_that_fails_is_kept_with_its_reason_and_the_study_goes_on(cat, tmp_path):
    found = study(cat, TEXTS, moody, out=tmp_path)
    for row in rows(tmp_path).to_pylist():
        if row["number"] in WHY:
            assert re.search(WHY[row["number"]], row["reason"])
            assert row["patched"] is None
            assert all(row[name] is None for name in (*SCORES, "length", "moved"))
        else:
            assert row["reason"] == ""
            assert np.isfinite(row["patched"]).all()
    assert (found.n_used, found.n_dropped, sum(found.dropped.values())) == (2, 4, 4)


@pytest.mark.parametrize("number", WHY)
def test_a_pair_that_fails_stops_the_study_if_it_shall(cat, number):
    with pytest.raises(MechvizError, match=f"pair 1.*{WHY[number]}") as failed:
        study(cat, [TEXTS[0], TEXTS[number]], moody, on_error="raise")
    assert failed.value.__cause__ is not None


def test_a_text_that_is_too_long_may_be_cut(cat, tmp_path):
    found = study(cat, [("tea", "Tea is green. " * 60, "Green tea " + "is green. " * 60)], out=tmp_path, truncate=True)
    assert found.n_used == 1
    assert "cut from" in rows(tmp_path)["truncated"][0].as_py()


@pytest.mark.parametrize(
    ("texts", "perturb", "kind", "words"),
    [
        ([], ask, InputError, "pairs is empty"),
        ("text", ask, InputTypeError, "pairs must be"),
        (5, ask, InputTypeError, "pairs must be"),
        ([("q", "d")], None, InputError, r"pair 0 \(query 'q'\) has no perturbed text"),
        ([("q", "d", "d e"), ("q", "d")], None, InputError, "pair 1 .*has no perturbed text"),
        ([("q", "d"), ("q", "")], ask, InputError, "pair 1: doc is empty"),
        ([("q", "d"), "text"], ask, InputTypeError, "pair 1"),
        ([("q", "d", "d e")], ask, InputError, "perturbed already"),
        ([("q", "d")], 5, InputTypeError, "perturb must be"),
    ],
)
def test_pairs_that_cannot_be_used(cat, texts, perturb, kind, words):
    with pytest.raises(kind, match=words):
        study(cat, texts, perturb)


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"grid": "cells"}, InputError, "grid='cells'"),
        ({"executor": "threads"}, InputError, "executor='threads'.*'serial', 'process', 'ray'"),
        ({"workers": 3}, InputError, "use executor='process'"),
        ({"workers": 0, "executor": "process"}, InputError, "workers=0"),
        ({"num_gpus": 1}, InputError, "is for executor='ray'"),
        ({"num_gpus": -1, "executor": "ray"}, InputError, "num_gpus=-1"),
        ({"metric": "rank"}, InputError, "metric='rank'"),
        ({"min_change": -1}, InputError, "min_change=-1"),
        ({"on_error": "ignore"}, InputError, "on_error.*'ignore'"),
        ({"chunk": 0}, InputError, "chunk=0"),
        ({"layer": [1]}, InputTypeError, "no setting layer; it takes grid, direction"),
        ({"layers": [9]}, InputError, r"layers \[9\] do not exist"),
        ({"heads": [(0, 9)]}, InputError, r"head 0\.9 does not exist"),
        ({"heads": "top:2"}, InputError, "chooses other heads for each pair"),
        ({"heads": [(0, 1)], "grid": "mlps"}, InputError, "has no head"),
        ({"positions": ["verb"]}, InputError, "a class of tokens is one of"),
        ({"sites": ["q"]}, InputError, "sites="),
        ({"stack": "decoder"}, InputError, "stack='decoder'"),
        ({"direction": "back"}, InputError, "direction='back'"),
        ({"filler": "two words"}, InputError, "filler"),
        ({"filler": len}, InputTypeError, "filler= must be a word"),
        ({"memory": 0}, InputError, "memory=0"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_run(cat, tmp_path, settings, kind, words):
    with pytest.raises(kind, match=words):
        study(cat, ready(), out=tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()


def test_a_ranker_that_is_none_or_in_use_is_refused(cat):
    with pytest.raises(InputTypeError, match="the ranker must be"):
        study("cat")
    with cat.hooks([("z", lambda value, hook: None)]), pytest.raises(InputError, match="hooks set"):
        study(cat)


def test_positions_of_a_stack_with_one_position_are_refused(opened):
    from tests.cases import CASES

    case = next(case for case in CASES.values() if case.kind == "MonoT5")
    with pytest.raises(InputError, match="one position, which is no token"):
        study(opened(case), grid="blocks", stack="decoder")


# -- going on --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "error"),
    [(2, RuntimeError("broken")), (4, MechvizError("gone")), (7, KeyboardInterrupt()), (11, RuntimeError("broken"))],
)
def test_a_study_that_was_stopped_goes_on_and_ends_the_same(cat, tmp_path, monkeypatch, after, error):
    # Windows of two chunks of two pairs. The first of them is read before anything else.
    monkeypatch.setattr("mechviz.studies.run.WINDOW", 2)
    texts = ready()[:12]
    whole = study(cat, texts, out=tmp_path / "whole", chunk=2)
    with pytest.raises(type(error)):
        study(cat, mv.Pairs(stopping(texts, after, error)), out=tmp_path / "stopped", chunk=2)
    before = parts(tmp_path / "stopped") if after >= 4 else {}
    assert len(before) == after // 4 * 2
    again = study(cat, texts, out=tmp_path / "stopped", chunk=2)
    found = parts(tmp_path / "stopped")
    assert before.items() <= found.items()
    assert found == parts(tmp_path / "whole")
    assert np.array_equal(again.effects, whole.effects)


def test_what_is_done_is_not_run_again(cat, tmp_path, monkeypatch):
    study(cat, out=tmp_path)
    whole = parts(tmp_path)

    def never(*_):
        raise AssertionError("run again")

    monkeypatch.setattr("mechviz.studies.unit.patch_pairs", never)
    assert study(cat, out=tmp_path).n_used == len(ready())
    assert parts(tmp_path) == whole


def test_parts_do_not_depend_on_the_metric_or_the_least_change(cat, tmp_path):
    first = study(cat, out=tmp_path)
    whole = parts(tmp_path)
    changes = np.abs(np.array(rows(tmp_path)["source_score"]) - np.array(rows(tmp_path)["base_score"]))
    least = float(np.median(changes))
    second = study(cat, out=tmp_path, metric="raw", min_change=least)
    assert parts(tmp_path) == whole
    assert (first.analysis.metric, second.analysis.metric) == ("effect", "raw")
    assert second.n_used == int((changes > least).sum()) < first.n_used


def test_another_ranker_other_settings_and_other_pairs_need_another_folder(cat, dot, tmp_path):
    study(cat, out=tmp_path)
    whole = parts(tmp_path)
    for ranker, texts, settings, words in (
        (dot, None, {}, "weights_sha256 is"),
        (cat, None, {"grid": "mlps"}, "grid is 'heads' there and 'mlps' here"),
        (cat, None, {"direction": "original->perturbed"}, "direction is"),
        (cat, None, {"filler": "[MASK]"}, "filler is"),
        (cat, None, {"chunk": 5}, "chunk is 4 there and 5 here"),
        (cat, ready()[:-1], {}, "holds a study of other pairs"),
        (cat, ready()[::-1], {}, "holds a study of other pairs"),
    ):
        with pytest.raises(InputError, match=words):
            study(ranker, texts, out=tmp_path, **settings)
    with pytest.raises(InputError, match="holds a study already"):
        study(cat, out=tmp_path, resume=False)
    assert parts(tmp_path) == whole


def test_the_same_weights_that_read_otherwise_are_another_study(cat_folder, tmp_path):
    study(mv.Cat(str(cat_folder)), out=tmp_path)
    with pytest.raises(InputError, match=r"reads is .*max_length=128.*max_length=100"):
        study(mv.Cat(str(cat_folder), max_length=100), out=tmp_path)
    lower = mv.Cat(str(cat_folder))
    lower.tokenizer.backend_tokenizer.normalizer = None
    with pytest.raises(InputError, match="reads is"):
        study(lower, out=tmp_path)


def test_scoring_texts_does_not_make_it_another_study(cat, tmp_path):
    study(cat, out=tmp_path)
    cat.score("query", ["a document", "another one that is longer"])
    cat.tokenizer(["padded", "and cut to a length"], padding=True, truncation=True, max_length=4)
    study(cat, out=tmp_path)


def test_a_damaged_part_is_made_again(cat, tmp_path):
    study(cat, out=tmp_path)
    whole = parts(tmp_path)
    name = sorted(whole)[2]
    (tmp_path / "parts" / name).write_bytes(whole[name][:-20])
    with pytest.warns(UserWarning, match=f"{name} is damaged"):
        study(cat, out=tmp_path)
    assert parts(tmp_path) == whole


# -- what it leaves --------------------------------------------------------------------------------------------------


def test_without_a_folder_parts_live_as_long_as_the_study(cat):
    found = study(cat)
    folder = found.parts.folder
    best = found.where(grade=1) if 1 in [pair.grade for pair in pairs()] else found
    del found
    gc.collect()
    assert folder.exists()
    assert best.n_used
    del best
    gc.collect()
    assert not folder.exists()


def test_a_study_that_fails_leaves_no_temporary_folder(cat, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(RuntimeError, match="broken"):
        study(cat, mv.Pairs(stopping(ready(), 20, RuntimeError("broken"))), chunk=1)
    assert list(tmp_path.iterdir()) == []


def test_the_model_is_as_it_was(cat):
    before = {name: value.clone() for name, value in cat.model.state_dict().items()}
    implementation, mode = cat.model.config._attn_implementation, cat.model.training
    study(cat)
    assert all(torch.equal(value, before[name]) for name, value in cat.model.state_dict().items())
    assert (cat.model.config._attn_implementation, cat.model.training) == (implementation, mode)
    assert cat.hooked.active() == []


def test_the_bar_counts_pairs_and_can_be_left_out(cat, tmp_path, capsys):
    study(cat, out=tmp_path)
    assert capsys.readouterr().err == ""
    study(cat, out=tmp_path / "bar", progress=True)
    said = capsys.readouterr().err
    assert f"{len(ready())}/{len(ready())}" in said
    assert "pairs/s" in said or "s/ pairs" in said
    study(cat, out=tmp_path / "bar", progress=True)  # all of it is there
    assert f"{len(ready())}/{len(ready())}" in capsys.readouterr().err


def test_no_more_pairs_are_held_than_a_window(cat, monkeypatch):
    monkeypatch.setattr("mechviz.studies.run.WINDOW", 2)
    ahead = []
    done = 0

    def stream():
        for number in range(40):
            ahead.append(number - done)
            yield ready()[number % len(ready())]

    from mechviz.studies import unit

    patch_pairs = unit.patch_pairs

    def counted(ranker, texts, settings):
        nonlocal done
        yield from patch_pairs(ranker, texts, settings)
        done += len(texts)

    monkeypatch.setattr("mechviz.studies.unit.patch_pairs", counted)
    study(cat, mv.Pairs(stream), chunk=2)
    assert len(ahead) == 40
    assert max(ahead) <= 8  # two windows of two chunks of two: one that is worked on, and the next


def test_it_is_there_by_its_public_name():
    from mechviz.studies.run import study as function

    assert mv.study is function
