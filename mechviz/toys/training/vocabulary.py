"""A WordPiece vocabulary counted from texts: the same texts give the same vocabulary, on every machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from mechviz.errors import InputError

#: Tokens that are no text, by their names in `transformers`.
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
#: What precedes a piece that does not begin a word.
INSIDE = "##"
#: Share of the vocabulary that is pieces of words, beside the characters.
_PIECES = 0.15
#: Characters of a piece.
_LONGEST = 8


def build_vocabulary(texts: Iterable[str], size: int, examples: Iterable[str] = ()) -> list[str]:
    """Choose the tokens of a WordPiece vocabulary.

    The characters that occur, the most frequent words, and the pieces that cover most letters of the words left out. Ties go by
    spelling. (`tokenizers` has a trainer, whose ties go by the order of a hash table, another one in each process.)

    Parameters
    ----------
    texts : iterable of str
    size : int
        How many tokens, `SPECIAL` counted.
    examples : iterable of str
        Texts whose words are to be tokens of their own whatever their count.

    Raises
    ------
    InputError
        No text, or a size that does not hold the characters.
    """
    split = pieces_of(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106 - a token of text
    counts: Counter[str] = Counter()

    def words_of(text: str) -> list[str]:
        return [word for word, _ in split.pre_tokenizer.pre_tokenize_str(split.normalizer.normalize_str(text))]

    for text in texts:
        counts.update(words_of(text))
    if not counts:
        raise InputError("there is no text to count words in")
    wanted = sorted({word for text in examples for word in words_of(text)})
    letters = sorted({letter for word in (*counts, *wanted) for letter in word})
    fixed = list(dict.fromkeys([*SPECIAL.values(), *wanted, *letters, *(INSIDE + letter for letter in letters)]))
    room = size - len(fixed)
    if room < 0:
        raise InputError(f"vocabulary={size}; characters and the words of the examples take {len(fixed)} tokens")
    n_pieces = min(room, int(size * _PIECES))
    there = set(fixed)
    ranked = [word for word in sorted(counts, key=lambda word: (-counts[word], word)) if word not in there]
    chosen = ranked[: room - n_pieces]
    covered: Counter[str] = Counter()
    for word in ranked[room - n_pieces :]:
        for start in range(len(word)):
            for end in range(start + 2, min(start + _LONGEST, len(word)) + 1):
                covered[word[start:end] if start == 0 else INSIDE + word[start:end]] += counts[word] * (end - start - 1)
    known = {*fixed, *chosen}
    pieces = [piece for piece in sorted(covered, key=lambda piece: (-covered[piece], piece)) if piece not in known]
    return [*fixed, *chosen, *pieces[:n_pieces]]


def pieces_of(model: models.WordPiece) -> Any:
    """Return a tokenizer that splits texts as BERT's does: lower case, no accents, punctuation apart."""
    tokenizer: Any = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=INSIDE)
    return tokenizer


def make_tokenizer(vocabulary: list[str], kind: str) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a toy: BERT's frame around texts, or T5's end of sequence for ``"MonoT5"``."""
    numbers = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = pieces_of(models.WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106
    cls, sep = "[CLS]", "[SEP]"
    ends = [(token, numbers[token]) for token in (cls, sep)]
    names: dict[str, Any] = dict(SPECIAL)
    if kind == "MonoT5":
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {sep}", pair=f"$A {sep} $B {sep}", special_tokens=ends[1:]
        )
        names["eos_token"] = sep
    else:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} $B:1 {sep}:1", special_tokens=ends
        )
    inputs = ["input_ids", "attention_mask", *(["token_type_ids"] if kind == "Cat" else [])]
    fast: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerBase = fast(
        tokenizer_object=tokenizer, model_max_length=512, split_special_tokens=True, model_input_names=inputs, **names
    )
    return made
