import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AlbertConfig, AlbertModel, BertForMaskedLM, BertModel

import mechviz as mv
from mechviz.errors import InputError, InputTypeError, MechvizError, UnsupportedModelError
from tests.conftest import save_cat, save_dot, tiny_config
from tests.tiny.tokenizers import wordpiece

ALBERT = AlbertConfig(hidden_size=8, embedding_size=8, num_attention_heads=2, intermediate_size=8, vocab_size=999)


def edit_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_load_picks_the_class(dot_folder, cat_folder):
    assert isinstance(mv.load(str(dot_folder)), mv.Dot)
    assert isinstance(mv.load(str(cat_folder)), mv.Cat)
    assert "pooling='mean', score=cosine" in repr(mv.load(str(dot_folder)))
    assert "score=logit" in repr(mv.load(str(cat_folder)))


def test_two_labels_say_so(tmp_path):
    assert "logit[1] - logit[0]" in repr(mv.load(str(save_cat(tmp_path / "cat", labels=2))))


@pytest.mark.parametrize(("name", "error"), [(3, InputTypeError), (None, InputTypeError), ("", InputError)])
def test_a_name_that_is_none(name, error):
    with pytest.raises(error):
        mv.load(name)


def test_an_unreachable_hub_names_what_was_tried_and_the_way_out(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MechvizError, match=r"'nobody/nothing'.*Offline: give the directory"):
        mv.load("nobody/nothing")


def test_a_directory_without_a_model(tmp_path):
    tmp_path.joinpath("notes.txt").write_text("x")
    with pytest.raises(MechvizError, match=r"no config\.json \(it holds notes\.txt\)"):
        mv.load(str(tmp_path))


def test_an_adapter_without_its_model(tmp_path):
    """As RankLLaMA is published."""
    tmp_path.joinpath("adapter_config.json").write_text("{}")
    with pytest.raises(UnsupportedModelError, match=r"PEFT adapter, not a model; merge it.*merge_and_unload"):
        mv.load(str(tmp_path))


def test_a_damaged_config(tmp_path):
    folder = save_dot(tmp_path / "dot")
    folder.joinpath("config.json").write_text('{"model_type": ')
    with pytest.raises(MechvizError, match="not valid JSON"):
        mv.load(str(folder))


def test_an_unsupported_family_lists_the_supported(tmp_path):
    AlbertModel(ALBERT).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match=r"'albert'.*family files for bert, distilbert"):
        mv.load(str(tmp_path))


def test_an_unsupported_model_object(dot):
    with pytest.raises(UnsupportedModelError, match="AlbertModel is not supported; mechviz opens BertModel"):
        mv.Dot(AlbertModel(ALBERT), pooling="cls", tokenizer=dot.tokenizer)


def test_a_model_without_a_score_head_is_no_cross_encoder(dot_folder, dot):
    with pytest.raises(UnsupportedModelError, match=r"saved as BertModel: Cat needs a classification head.*BertForSequence"):
        mv.Cat(str(dot_folder))
    with pytest.raises(UnsupportedModelError, match="Cat needs a classification head, and BertModel has another end"):
        mv.Cat(dot.model, tokenizer=dot.tokenizer)


def test_a_masked_language_model_does_not_say_how_it_ranks(tmp_path):
    tokenizer = wordpiece()
    BertForMaskedLM(tiny_config(len(tokenizer))).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match="does not say how it ranks"):
        mv.load(str(tmp_path))
    with pytest.raises(InputError, match=r"does not say how it pools.*'cls', 'mean'"):
        mv.Dot(str(tmp_path))
    assert mv.Dot(str(tmp_path), pooling="cls").normalize is False
    assert mv.Splade(str(tmp_path)).kind == "Splade"


def test_missing_weights_are_never_filled_at_random(tmp_path):
    folder = save_cat(tmp_path / "cat")
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MechvizError, match=r"lacks 1 weights.*classifier\.weight"):
        mv.Cat(str(folder))


def test_weights_of_other_shapes(tmp_path):
    folder = save_dot(tmp_path / "dot")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.output.dense.weight"] = torch.zeros(32, 7)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MechvizError, match=r"encoder\.layer\.0\.output\.dense\.weight|shape"):
        mv.Dot(str(folder))


def test_weights_of_other_parts(tmp_path):
    folder = save_dot(tmp_path / "dot")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.adapter.weight"] = torch.zeros(3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MechvizError, match=r"beyond what the class has.*adapter"):
        mv.Dot(str(folder))


def test_a_damaged_weight_file(tmp_path):
    folder = save_dot(tmp_path / "dot")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(MechvizError, match="could not be read"):
        mv.Dot(str(folder))


def test_a_decoder_is_refused(tmp_path):
    with pytest.raises(UnsupportedModelError, match="configured as a decoder"):
        mv.Cat(str(save_cat(tmp_path / "cat", is_decoder=True)))


def test_half_precision_checkpoints_are_read_as_float32(tmp_path):
    folder = save_dot(tmp_path / "dot")
    BertModel.from_pretrained(folder).to(torch.bfloat16).save_pretrained(folder)
    assert mv.Dot(str(folder)).model.dtype == torch.float32


def test_a_file_instead_of_a_directory(dot_folder):
    with pytest.raises(InputError, match="is a file; give the directory"):
        mv.load(str(dot_folder / "config.json"))


def test_what_else_sentence_transformers_says(tmp_path):
    folder = save_dot(tmp_path / "dot", normalize=False)
    more = folder / "config_sentence_transformers.json"
    more.write_text(json.dumps({"similarity_fn_name": "cosine", "prompts": {"query": ""}}))
    assert mv.Dot(str(folder)).normalize is True
    more.write_text(json.dumps({"prompts": {"query": "query: ", "passage": "passage: "}}))
    ranker = mv.Dot(str(folder))
    assert ranker.prefixes == {"query": "query: ", "doc": "passage: "}
    assert "query_prefix='query: ', doc_prefix='passage: '" in repr(ranker)
    assert mv.Dot(str(folder), query_prefix="", doc_prefix="").score("tea", "tea") == pytest.approx(
        mv.Dot(ranker.model, pooling="mean", tokenizer=ranker.tokenizer).score("tea", "tea")
    )
    with pytest.raises(InputTypeError, match="query_prefix must be a string"):
        mv.Dot(str(folder), query_prefix=3)
    more.write_text(json.dumps({"similarity_fn_name": "manhattan"}))
    with pytest.raises(UnsupportedModelError, match="compares vectors by manhattan; mechviz has cosine and dot"):
        mv.Dot(str(folder))


def test_a_missing_tokenizer(tmp_path):
    BertModel(tiny_config(99)).save_pretrained(tmp_path)
    with pytest.raises(MechvizError, match="has no tokenizer"):
        mv.Dot(str(tmp_path), pooling="cls")


def test_a_tokenizer_of_another_vocabulary(tmp_path):
    BertModel(tiny_config(99)).save_pretrained(tmp_path)
    with pytest.raises(MechvizError, match=r"tokenizer has \d+ tokens and the model 99"):
        mv.Dot(str(tmp_path), pooling="cls", tokenizer=wordpiece())


def test_models_in_memory(dot, cat):
    assert mv.Dot(dot.model, pooling="mean", normalize=True, tokenizer=dot.tokenizer).score("tea", "tea") == pytest.approx(
        1, abs=1e-6
    )
    assert mv.Cat(cat.model, tokenizer=cat.tokenizer).score("tea", "tea") == pytest.approx(cat.score("tea", "tea"), abs=1e-6)
    for kind, model in ((mv.Dot, dot.model), (mv.Cat, cat.model)):
        for wrong in (None, "path/to/it"):
            with pytest.raises(InputTypeError, match="tokenizer="):
                kind(model, tokenizer=wrong)


def test_a_pooling_that_mechviz_lacks(tmp_path):
    folder = save_dot(tmp_path / "dot")
    folder.joinpath("1_Pooling", "config.json").write_text(json.dumps({"pooling_mode_weightedmean_tokens": True}))
    with pytest.raises(UnsupportedModelError, match="pools by weightedmean_tokens; mechviz has cls, mean, max, last"):
        mv.Dot(str(folder))


def test_another_pooling_name_is_refused(dot_folder):
    with pytest.raises(InputError, match=r"pooling='sum'.*'cls', 'mean'"):
        mv.Dot(str(dot_folder), pooling="sum")


def test_a_module_that_mechviz_lacks(tmp_path):
    folder = save_dot(tmp_path / "dot")
    modules = json.loads(folder.joinpath("modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_CNN", "type": "sentence_transformers.models.CNN"})
    folder.joinpath("modules.json").write_text(json.dumps(modules))
    with pytest.raises(UnsupportedModelError, match="module CNN"):
        mv.Dot(str(folder))


def test_the_short_form_of_the_pooling_file(tmp_path):
    folder = save_dot(tmp_path / "dot")
    folder.joinpath("1_Pooling", "config.json").write_text(json.dumps({"pooling_mode": "cls"}))
    assert mv.Dot(str(folder)).pooling == "cls"


def test_settings_override_the_files(dot_folder):
    ranker = mv.Dot(str(dot_folder), pooling="cls", normalize=False, max_length=64)
    assert (ranker.pooling, ranker.normalize, ranker.max_length) == ("cls", False, 64)
    assert ranker.name == dot_folder.name


def test_the_limit_of_the_sentence_transformers_file(tmp_path, dot_folder):
    folder = tmp_path / "dot"
    shutil.copytree(dot_folder, folder)
    folder.joinpath("sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 50}))
    assert mv.Dot(str(folder)).max_length == 50


def test_code_of_its_own_is_not_run(tmp_path):
    """As jina-bert: a BERT by its model_type, with other positions and code beside it."""
    folder = save_dot(tmp_path / "dot")
    edit_json(folder / "config.json", auto_map={"AutoModel": "modeling.JinaBertModel"})
    with pytest.raises(UnsupportedModelError, match="brings model code of its own"):
        mv.load(str(folder))
    edit_json(folder / "config.json", auto_map={}, position_embedding_type="alibi")
    with pytest.raises(UnsupportedModelError, match="its position embeddings are 'alibi', not absolute"):
        mv.load(str(folder))


def test_an_adapter_beside_its_model(tmp_path):
    folder = save_dot(tmp_path / "dot")
    folder.joinpath("adapter_config.json").write_text("{}")
    with pytest.raises(UnsupportedModelError, match="PEFT adapter beside its model; merge it"):
        mv.load(str(folder))


DAMAGED = {
    "config.json": ["[]", "3"],
    "modules.json": ["{}", "5", '["Transformer"]', '[{"idx": 0}]'],
    "config_sentence_transformers.json": ["[1]"],
    "1_Pooling/config.json": ["[1]", "{}", '{"pooling_mode_mean_tokens": false}'],
    "tokenizer.json": ["{}", "{"],
    "tokenizer_config.json": ["{"],
}


@pytest.mark.parametrize(("file", "content"), [(file, content) for file, contents in DAMAGED.items() for content in contents])
def test_a_file_that_is_not_what_it_should_be(tmp_path, file, content):
    folder = save_dot(tmp_path / "dot")
    folder.joinpath(file).write_text(content)
    with pytest.raises(MechvizError):
        mv.Dot(str(folder))


def test_how_a_model_pools_is_never_guessed(tmp_path):
    folder = save_dot(tmp_path / "dot")
    folder.joinpath("1_Pooling", "config.json").unlink()
    with pytest.raises(MechvizError, match="does not say how it pools"):
        mv.load(str(folder))


def test_nan_in_the_model_of_queries_is_traced(tmp_path):
    for side in ("query", "doc"):
        save_dot(tmp_path / side)
    ranker = mv.Dot(str(tmp_path / "doc"), query_name=str(tmp_path / "query"))
    with torch.no_grad():
        ranker.towers["query"].main.module(1, "output.dense").weight[0, 0] = float("nan")
    for run in (lambda: ranker.score("tea", "tea"), lambda: mv.patch(ranker, "tea", "hot tea", mv.perturb.append("lava"))):
        with pytest.raises(mv.MechvizError, match=r"first at blocks\.1\.hook_mlp_out"):
            run()


@pytest.mark.parametrize(("setting", "value"), [("pooling", ["cls"]), ("normalize", "no"), ("device", "meta")])
def test_settings_of_another_type(dot_folder, setting, value):
    with pytest.raises(MechvizError, match=setting):
        mv.Dot(str(dot_folder), **{setting: value})
