"""ColBERT: markers, augmentation, the skip list, and the max-sim matrix."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import mechviz as mv
from mechviz.errors import InputError, MechvizError, UnsupportedModelError
from tests.cases import CASES, as_colbert
from tests.plain import close
from tests.tiny.models import save

QUERY, DOC = "what is a caldera", "A caldera, seen from above, is a basin."


@pytest.fixture(scope="module")
def colbert(opened):
    return opened(CASES["ColBERT bert stanford"])


def test_load_knows_it_by_its_files(checkpoint):
    for name in ("ColBERT bert stanford", "ColBERT modernbert pylate"):
        ranker = mv.load(str(checkpoint(CASES[name])))
        assert isinstance(ranker, mv.ColBERT)
        assert "query_length=16 filled up with" in repr(ranker)
        assert "16 dimensions, score=MaxSim" in repr(ranker)


def test_queries_are_marked_and_filled_up(colbert):
    (inputs,) = colbert.checked_inputs([(QUERY, DOC)])
    query = inputs["query"]
    assert len(query) == 16
    assert query.strings[:2] == ("[CLS]", "[unused0]")
    assert query.segments[1] == "prompt"
    first = query.strings.index("[MASK]")
    assert set(query.strings[first:]) == {"[MASK]"}
    assert not query.mask[first:].any(), "attention does not see the augmentation"
    assert colbert.reads("query", query).all(), "but it is scored"
    assert set(inputs["doc"].segments) == {"cls", "prompt", "doc", "sep"}
    assert not inputs["doc"].types.any()


def test_punctuation_of_documents_is_skipped(colbert):
    (inputs,) = colbert.checked_inputs([(QUERY, DOC)])
    doc = inputs["doc"]
    skipped = {doc.strings[i] for i in np.flatnonzero(~colbert.reads("doc", doc))}
    assert skipped == {",", "."}


def test_the_max_sim_matrix_sums_to_the_score(opened):
    for name in ("ColBERT bert stanford", "ColBERT distilbert stanford", "ColBERT modernbert pylate"):
        ranker = opened(CASES[name])
        matrix = ranker.max_sim_matrix(QUERY, DOC)
        assert matrix.dims == ("query_pos", "doc_pos")
        assert str(matrix.query_token[0].item()) == ranker.tokenizer.cls_token
        assert np.isnan(matrix.sel(doc_pos=list(matrix.doc_token.values).index(","))).all()
        score = float(ranker.score(QUERY, DOC)[0])
        assert float(matrix.max("doc_pos").sum()) == pytest.approx(score, abs=close(score))


def test_a_query_over_its_length(colbert):
    long = "what is a caldera and why is it so " * 2
    with pytest.raises(InputError, match=r"the query has \d+ tokens with the special ones, this ranker takes 16"):
        colbert.score(long, DOC)
    assert np.isfinite(colbert.score(long, DOC, truncate=True)).all()


def test_lengths_can_be_set(checkpoint):
    ranker = mv.ColBERT(str(checkpoint(CASES["ColBERT bert stanford"])), query_length=8, doc_length=20)
    assert ranker.limit("query") == 8
    assert ranker.limit("doc") == 20
    with pytest.raises(InputError, match="query_length=2; give a whole number of tokens"):
        mv.ColBERT(str(checkpoint(CASES["ColBERT bert stanford"])), query_length=2)


def test_a_changed_query_keeps_its_augmentation(colbert):
    """The texts are aligned first and filled up then: the fillers are inside the words, not behind the masks."""
    pair = mv.make_pair(colbert, QUERY, DOC, mv.perturb.on_query(mv.perturb.append("lava")))
    assert len(pair.base) == len(pair.source) == 16
    assert pair.base.fillers.sum() == 1
    assert pair.base.strings.index("[MASK]") == pair.source.strings.index("[MASK]")
    assert abs(pair.original_score - colbert.score(QUERY, DOC)[0]) <= close(pair.original_score)


def test_an_encoder_that_does_not_say_it_is_one(checkpoint):
    with pytest.raises(UnsupportedModelError, match=r"no artifact\.metadata and no PyLate settings"):
        mv.ColBERT(str(checkpoint(CASES["Dot bert mean"])))


@pytest.mark.parametrize(("key", "value"), [("similarity", "l2"), ("interaction", "flipr")])
def test_another_interaction_is_refused(tmp_path, key, value):
    folder = as_colbert(save(tmp_path / "colbert", "bert", "BertModel"), **{key: value})
    with pytest.raises(UnsupportedModelError, match=value):
        mv.load(str(folder))


def test_a_marker_that_the_tokenizer_lacks(tmp_path):
    folder = as_colbert(save(tmp_path / "colbert", "bert", "BertModel"), query_token_id="[unused99]")
    with pytest.raises(UnsupportedModelError, match=r"no token '\[unused99\]'"):
        mv.ColBERT(str(folder))


def test_without_metadata_the_settings_are_colberts_own(tmp_path):
    folder = as_colbert(save(tmp_path / "colbert", "bert", "BertModel"))
    (folder / "artifact.metadata").unlink()
    ranker = mv.load(str(folder))
    assert (ranker.interaction.query_length, ranker.interaction.doc_length) == (32, 220)
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["HF_ColBERT"]


def test_a_projection_that_does_not_fit(tmp_path):
    for name, weight in {"none": None, "flat": torch.ones(16), "narrow": torch.ones(16, 31)}.items():
        folder = as_colbert(save(tmp_path / name, "bert", "BertModel"))
        weights = load_file(folder / "model.safetensors")
        del weights["linear.weight"]
        save_file(weights | ({} if weight is None else {"linear.weight": weight}), folder / "model.safetensors")
        with pytest.raises(MechvizError, match=r"its projection (has|takes)"):
            mv.ColBERT(str(folder))


def test_weights_in_several_files(tmp_path):
    folder = as_colbert(save(tmp_path / "colbert", "bert", "BertModel"))
    expected = mv.ColBERT(str(folder)).score(QUERY, DOC)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shards = {"model-1.safetensors": {k: v for k, v in weights.items() if k != "linear.weight"}}
    shards["model-2.safetensors"] = {"linear.weight": weights["linear.weight"]}
    for name, part in shards.items():
        save_file(part, folder / name, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: name for name, part in shards.items() for key in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert mv.load(str(folder)).score(QUERY, DOC) == pytest.approx(expected)


def test_metadata_of_another_form(tmp_path):
    folder = as_colbert(save(tmp_path / "colbert", "bert", "BertModel"))
    (folder / "artifact.metadata").write_text("[]")
    with pytest.raises(MechvizError, match="holds a list, not a dict"):
        mv.load(str(folder))
