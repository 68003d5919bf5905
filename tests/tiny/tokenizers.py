"""Tiny tokenizers of the three kinds that rankers use, made of the project's own collection; nothing is downloaded."""

from __future__ import annotations

import string

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BertTokenizer, PreTrainedTokenizerFast

from tests import texts

LABELS = ("true", "false", "yes", "no")


def words() -> list[str]:
    """Every word of the collection, in lower case, sorted."""
    everything = " ".join([*texts.docs().values(), *texts.queries().values(), *LABELS, "spring a the"]).lower()
    return sorted(set("".join(c if c.isalnum() else " " for c in everything).split()))


def wordpiece() -> BertTokenizer:
    """Like BERT's: frequent words whole, everything else in characters."""
    characters = string.ascii_lowercase + string.digits + string.punctuation
    vocabulary = [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"),
        *characters,
        *(f"##{c}" for c in string.ascii_lowercase + string.digits),
        *("##s", "##ing", "##ed"),
        *(word for word in words() if len(word) > 1 and (word == "spring" or not word.endswith(("ing", "s")))),
    ]
    return BertTokenizer(vocab={token: i for i, token in enumerate(dict.fromkeys(vocabulary))}, model_max_length=512)


def bytelevel(kind: str = "encoder") -> PreTrainedTokenizerFast:
    """Like RoBERTa's (``encoder``: two separators between a pair), or GPT-2's and Qwen's (``decoder``: no special tokens)."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "[Q] ", "[D] "]
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    labels = [f"{label} {label}" for label in LABELS] * 200
    tokenizer.train_from_iterator([*texts.docs().values(), *texts.queries().values(), *labels], trainer)
    if kind == "encoder":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    elif kind == "embedder":  # as Qwen3-Embedding: a token at the end, which is also the padding
        tokenizer.post_processor = processors.TemplateProcessing(single="$A <pad>", special_tokens=[("<pad>", 1)])
    named = {"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>"} if kind == "encoder" else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
        **named,
    )


def metaspace(kind: str = "t5") -> PreTrainedTokenizerFast:
    """Like T5's (``t5``), XLM-RoBERTa's (``xlmr``) or Llama's (``llama``: one word for all that it is given)."""
    special = {
        "t5": ["<pad>", "</s>", "<unk>"],
        "xlmr": ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "[Q] ", "[D] "],
        "llama": ["<unk>", "<s>", "</s>"],
    }
    characters = [*string.ascii_letters, *string.digits, *string.punctuation, "\n"]
    vocabulary = [(token, 0.0) for token in special[kind]]
    vocabulary += [("▁", -3.0), *((c, -10.0) for c in characters)]
    vocabulary += [(f"▁{word}", -6.0) for word in words() if len(word) > 1]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=special[kind].index("<unk>")))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=kind != "llama")
    tokenizer.decoder = decoders.Metaspace()
    pairs = {
        "t5": ("$A </s>", "$A </s> $B </s>", ["</s>"]),
        "xlmr": ("<s> $A </s>", "<s> $A </s> </s> $B </s>", ["<s>", "</s>"]),
        "llama": ("<s> $A", "<s> $A <s> $B", ["<s>"]),
    }
    single, pair, added = pairs[kind]
    ids = [(token, special[kind].index(token)) for token in added]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
    has = set(special[kind])
    named = {"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "mask_token": "<mask>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
        **{name: token for name, token in named.items() if token in has},
    )
