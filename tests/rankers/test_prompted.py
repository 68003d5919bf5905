"""MonoT5 and Generative: prompts, labels, and what the checkpoints say."""

import json

import numpy as np
import pytest
import torch

import mechviz as mv
from mechviz.errors import InputError, InputTypeError, MechvizError, UnsupportedModelError
from mechviz.rankers.generative import QWEN3_RERANKER, template_prompt
from mechviz.rankers.monot5 import known_labels
from mechviz.rankers.prompted import label_ids
from tests.cases import CASES, PROMPT, write_modules
from tests.tiny.models import save
from tests.tiny.tokenizers import bytelevel, metaspace

QUERY, DOC = "what is a caldera", "A caldera is a large basin."
MONO, QWEN = CASES["MonoT5 t5 ('true', 'false')"], "Generative qwen3"


@pytest.fixture(scope="module")
def mono(opened):
    return opened(MONO)


@pytest.fixture(scope="module")
def qwen_folder(checkpoint):
    return checkpoint(next(case for name, case in CASES.items() if name.startswith(QWEN)))


def test_the_prompt_surrounds_both_texts(mono):
    tokens = mono.tokenize(QUERY, DOC)["encoder"]
    words = {
        segment: " ".join("".join(tokens.strings[i] for i in tokens.positions(segment)).replace("▁", " ").split())
        for segment in ("query", "doc", "prompt")
    }
    assert words["query"] == QUERY
    assert words["doc"] == DOC
    assert words["prompt"] == "Query: Document: Relevant:"
    for segment, text in (("query", QUERY), ("doc", DOC)):
        own = [i for i in tokens.positions(segment) if tokens.offsets[i, 1] > tokens.offsets[i, 0]]
        assert "".join(tokens.labels[i] for i in own) == text.replace(" ", "")
        assert [text[slice(*tokens.offsets[i])] for i in own] == [tokens.labels[i] for i in own]
        assert tokens.words[own].min() == 0


def test_another_prompt(mono, checkpoint):
    ranker = mv.MonoT5(str(checkpoint(MONO)), prompt="{doc} answers {query}, {{truly}}?", labels=("true", "false"))
    tokens = ranker.tokenize(QUERY, DOC)["encoder"]
    assert "{" in "".join(tokens.strings)
    assert tokens.segments[0] == "doc"
    assert ranker.score(QUERY, DOC)[0] != pytest.approx(mono.score(QUERY, DOC)[0], abs=1e-4)


@pytest.mark.parametrize(
    ("prompt", "error", "words"),
    [
        ("Query: {query}", InputError, r"has the fields \['query'\]; it must hold \{query\} and \{doc\}"),
        ("{query} {doc} {doc}", InputError, "once each"),
        ("{query} {document}", InputError, "must hold"),
        ("{query} {doc", InputError, "cannot be read.*write a brace that is text twice"),
        ("no fields", InputError, "has the fields none"),
        ("{query!r} {doc}", InputError, "a field has no format"),
        (7, InputTypeError, "a prompt is a string"),
    ],
)
def test_a_prompt_without_its_fields(checkpoint, prompt, error, words):
    with pytest.raises(error, match=words):
        mv.MonoT5(str(checkpoint(MONO)), prompt=prompt, labels=("true", "false"))


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (("true", "caldera basin"), InputError, "'caldera basin' must be one token.*but it is"),
        (("true", "zzz"), InputError, "must be one token"),
        (("true",), InputError, "give two, for and against"),
        (("true", "true"), InputError, "the same token"),
        ("true", InputTypeError, "must be words or token ids"),
        (("true", 99999), InputError, "99999 is no token id"),
        ((1.5, 2), InputTypeError, "must be words"),
        ((True, False), InputTypeError, "must be words"),
    ],
)
def test_labels_that_are_not_one_token(checkpoint, labels, error, words):
    with pytest.raises(error, match=words):
        mv.MonoT5(str(checkpoint(MONO)), labels=labels)


def test_labels_by_word_vocabulary_entry_or_id():
    tokenizer = metaspace()
    expected = tuple(tokenizer.convert_tokens_to_ids(["▁true", "▁false"]))
    assert label_ids(tokenizer, ("true", "false")) == label_ids(tokenizer, ("▁true", "▁false")) == expected
    assert label_ids(tokenizer, expected) == expected


def test_the_scores_of_monot5(checkpoint):
    """log-softmax, logit and difference, from the two logits of plain transformers."""
    rankers = {name: mv.MonoT5(str(checkpoint(MONO)), score=name) for name in ("log_softmax", "logit", "difference")}
    scores = {name: float(ranker.score(QUERY, DOC)[0]) for name, ranker in rankers.items()}
    ranker = rankers["logit"]
    batch = ranker.tokenizer(PROMPT.format(query=QUERY, doc=DOC), return_tensors="pt")
    start = torch.tensor([[ranker.model.config.decoder_start_token_id]])
    with torch.no_grad():
        logits = ranker.model(**batch, decoder_input_ids=start).logits[0, 0]
    yes, no = (float(logits[i]) for i in ranker.label_ids)
    assert scores["logit"] == pytest.approx(yes, abs=1e-5)
    assert scores["difference"] == pytest.approx(yes - no, abs=1e-5)
    assert scores["log_softmax"] == pytest.approx(-np.log1p(np.exp(no - yes)), abs=1e-5)
    assert "logit '▁true' - '▁false'" in repr(rankers["difference"])
    with pytest.raises(InputError, match="score='best'; it is one of 'log_softmax', 'logit', 'difference'"):
        mv.MonoT5(str(checkpoint(MONO)), score="best")


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("castorini/monot5-base-msmarco", ("▁true", "▁false")),
        ("castorini/monot5-3b-msmarco-10k", ("▁true", "▁false")),
        ("unicamp-dl/mt5-base-mmarco-v2", ("▁yes", "▁no")),
        ("unicamp-dl/ptt5-base-pt-msmarco-100k-v2", ("▁sim", "▁não")),
        ("unicamp-dl/mt5-13b-mmarco-100k", ("▁true", "▁")),
        ("unicamp-dl/monoptt5-base", ("▁Sim", "▁Não")),
        ("google/t5-v1_1-base", None),
        ("google/mt5-base", None),
    ],
)
def test_the_known_checkpoints(name, labels):
    assert known_labels(name) == labels


def test_load_knows_monot5_by_its_name(tmp_path):
    folder = save(tmp_path / "monot5-tiny", "t5", "T5ForConditionalGeneration")
    ranker = mv.load(str(folder))
    assert isinstance(ranker, mv.MonoT5)
    assert "log-softmax of '▁true' over '▁false'" in repr(ranker)
    assert "2 layers x 4 heads and 3 layers x 4 heads" in repr(ranker)
    other = save(tmp_path / "t5-tiny", "t5", "T5ForConditionalGeneration")
    with pytest.raises(UnsupportedModelError, match=r"does not say how it ranks.*mv\.MonoT5"):
        mv.load(str(other))
    assert mv.MonoT5(str(other)).labels == ("▁true", "▁false")


def test_an_mt5_whose_labels_are_not_known(tmp_path):
    folder = save(tmp_path / "some-mt5", "mt5", "MT5ForConditionalGeneration")
    with pytest.raises(InputError, match=r"not known; say them: labels=\('yes', 'no'\)"):
        mv.MonoT5(str(folder))
    assert mv.MonoT5(str(folder), labels=("yes", "no")).labels == ("▁yes", "▁no")
    named = save(tmp_path / "mt5-base-mmarco-v2", "mt5", "MT5ForConditionalGeneration")
    assert mv.load(str(named)).labels == ("▁yes", "▁no")


def test_an_encoder_is_no_monot5(checkpoint):
    with pytest.raises(UnsupportedModelError, match=r"MonoT5 needs a decoder.*MonoT5 opens no class of this family"):
        mv.MonoT5(str(checkpoint(CASES["Dot bert mean"])))
    with pytest.raises(UnsupportedModelError, match="MonoT5 opens T5ForConditionalGeneration"):
        mv.MonoT5(str(checkpoint(CASES["Dot t5 mean"])))


def test_a_generative_checkpoint_that_does_not_say_how(tmp_path, qwen_folder):
    with pytest.raises(UnsupportedModelError, match=r"does not say how it ranks.*mv\.Generative.*mv\.Dot"):
        mv.load(str(qwen_folder))
    with pytest.raises(InputError, match="does not say its prompt"):
        mv.Generative(str(qwen_folder), labels=("yes", "no"))
    with pytest.raises(InputError, match="does not say its labels"):
        mv.Generative(str(qwen_folder), prompt=PROMPT)


def test_qwen3_reranker_by_its_name(tmp_path):
    folder = save(tmp_path / "Qwen3-Reranker-tiny", "qwen3", "Qwen3ForCausalLM", max_position_embeddings=600)
    ranker = mv.load(str(folder))
    assert isinstance(ranker, mv.Generative)
    assert ranker.prompt == QWEN3_RERANKER
    text = ranker.prompt.format(query=QUERY, doc=DOC)
    assert text.startswith("<|im_start|>system\nJudge whether the Document meets the requirements")
    assert text.endswith(f"<Document>: {DOC}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    with torch.no_grad():
        logits = ranker.model(**ranker.tokenizer(text, return_tensors="pt")).logits[0, -1]
    yes, no = ranker.label_ids
    assert ranker.score(QUERY, DOC)[0] == pytest.approx(float(logits[yes] - logits[no]), abs=1e-4)


TEMPLATE = (
    "{%- set query = messages | selectattr('role', 'eq', 'query') | map(attribute='content') | first -%}"
    "{%- set doc = messages | selectattr('role', 'eq', 'document') | map(attribute='content') | first -%}"
    "Judge {braces}. Query: {{ query }} Document: {{ doc }} Relevant:"
)


def test_a_prompt_from_the_chat_template(tmp_path):
    """As sentence-transformers saves a reranker of this kind: a template with two roles, and the label tokens' ids."""
    folder = save(tmp_path / "reranker", "qwen2", "Qwen2ForCausalLM")
    tokenizer = mv.Generative(str(folder), prompt=PROMPT, labels=("yes", "no")).tokenizer
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    yes, no = label_ids(tokenizer, ("yes", "no"))
    write_modules(folder, [("", "sentence_transformers.base.modules.transformer.Transformer"), ("1_LogitScore", "x.LogitScore")])
    (folder / "1_LogitScore").mkdir()
    (folder / "1_LogitScore" / "config.json").write_text(json.dumps({"true_token_id": yes, "false_token_id": no}))
    ranker = mv.load(str(folder))
    assert isinstance(ranker, mv.Generative)
    assert ranker.prompt == "Judge {{braces}}. Query: {query} Document: {doc} Relevant:"
    assert ranker.label_ids == (yes, no)
    tokens = ranker.tokenize(QUERY, DOC)["decoder"]
    assert "".join(tokens.labels[i] for i in tokens.positions("doc")) == DOC.replace(" ", "")


def test_a_chat_template_of_another_kind_says_nothing():
    tokenizer = bytelevel("decoder")
    assert template_prompt(tokenizer) is None
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    assert template_prompt(tokenizer) is None
    tokenizer.chat_template = "{{ raise_exception('user first') }}"
    assert template_prompt(tokenizer) is None
    tokenizer.chat_template = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    assert template_prompt(tokenizer) is None, "a conversation's template prints any role"


def test_hooks_are_of_a_text_not_of_a_stack_that_shares_one(mono):
    with mono.hooks([("z", lambda z, hook: z * 0)], stack="encoder"):
        changed = mono.score(QUERY, DOC)[0]
    assert changed != pytest.approx(mono.score(QUERY, DOC)[0], abs=1e-4)
    words = r"no text of its own; choose its hooks by name, such as 'decoder_blocks\.0\.cross_attn"
    with pytest.raises(InputError, match=words), mono.hooks([("z", lambda z, hook: z * 0)], stack="cross"):
        pass


def test_fillers_before_a_document_are_the_documents(mono):
    """Its neighbours are the prompt's."""
    pair = mv.make_pair(mono, QUERY, DOC, mv.perturb.prepend("the spring"))
    assert pair.base.fillers.any()
    assert {pair.base.segments[i] for i in np.flatnonzero(pair.base.fillers)} == {"doc"}


def test_a_decoder_with_fewer_layers_than_weights(tmp_path):
    folder = save(tmp_path / "monot5", "t5", "T5ForConditionalGeneration")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_decoder_layers": 2}))
    with pytest.raises(MechvizError, match=r"beyond what the class has.*decoder\.block\.2"):
        mv.MonoT5(str(folder))


def test_the_default_filler_is_one_token_of_the_tokenizer(opened, mono):
    """T5's tokenizer has no single token for `a`: the default says so by its name in the result."""
    pair = mv.make_pair(mono, QUERY, DOC, mv.perturb.append("lava"))
    assert pair.filler in ("a", "the")
    assert int(pair.base.fillers.sum()) == 1
    assert pair.base.strings[int(np.flatnonzero(pair.base.fillers)[0])] == f"▁{pair.filler}"


def test_the_real_t5_tokenizer(t5_tokenizer, tmp_path):
    """32,100 real pieces: the label ids of castorini's checkpoints, the prompt's segments, and the filler."""
    assert label_ids(t5_tokenizer, ("true", "false")) == (1176, 6136)
    folder = save(tmp_path / "t5", "t5", "T5ForConditionalGeneration", vocab_size=32128)
    t5_tokenizer.save_pretrained(folder)
    ranker = mv.MonoT5(str(folder))
    assert ranker.label_ids == (1176, 6136)
    tokens = ranker.tokenize("what is  a caldera?", "A caldera is a basin;\nit forms when a volcano empties.")["encoder"]
    own = [i for i in tokens.positions("query") if tokens.offsets[i, 1] > tokens.offsets[i, 0]]
    assert "".join(tokens.labels[i] for i in own) == "whatisacaldera?"
    pair = mv.make_pair(ranker, QUERY, DOC, mv.perturb.append("volcanic eruption"))
    assert pair.filler == "the"
    with pytest.raises(MechvizError, match="filler='a' must be one token"):
        mv.make_pair(ranker, QUERY, DOC, mv.perturb.append("lava"), filler="a")
