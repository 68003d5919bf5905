"""Rankers whose weights are written by hand: plain BERT classes that compute a formula, so that the circuit is known.

They use two devices, and no training:

- **Every feature is stored twice**, as itself and negated. So the mean of a hidden state is 0, and a LayerNorm with
  ``eps = 1e12`` and weight 1e6, which divides by 1e6 whatever the variance is and multiplies by 1e6 again, is the identity.
- **Words are codes** of ±1 (see `mechviz.toys.codes`), and a head compares them: the logit of a match is so far above that of
  any other pair that the softmax picks matches and nothing else. Biases give every query a constant 1, by which it asks for
  features of keys: "am I CLS", "am I of the document".

MLPs write nothing, and of the four heads of a layer one works. With 64 dimensions a head, logits are divided by 8, exactly.
All of it is meant for float32: float16 has no 1e6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from mechviz.demo import COMPETITORS, DOC, QUERY
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.rankers import Cat, Dot
from mechviz.toys.codes import LENGTH, golay
from mechviz.toys.passages import PASSAGES

NAMES = ("exact_match", "bm25", "bag")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: The word that stands in gaps; it has no code and no idf, and so says nothing.
FILLER = "a"
#: What k may be: the little that other words weigh (see `MATCH`) must be nothing beside it.
K = (0.01, 100.0)
#: What a word is, where words are counted and where texts are tokenised.
LOWER = normalizers.Lowercase()
SPLIT = pre_tokenizers.Split(Regex(r"\w+"), behavior="removed", invert=True)
#: How many words `bag` can hold: its width is twice that.
BAG_WORDS = 512
HEADS = 4

#: Features of the cross-encoders' residual stream, and their first dimension.
IDF, IS_CLS, IN_QUERY, IN_DOC, MATCHED, SCORE = range(LENGTH, LENGTH + 6)
D_MODEL, D_HEAD = 256, 64
#: Logit of a match. Another word has at most a third of it, 24 less: e^-24 is 4e-11.
MATCH = 36.0
#: What else a key can gain or lose: enough to outweigh all other words.
APART = 24.0


def compiled(name: str, texts: Iterable[str] | None = None, k: float = 0.5) -> Cat | Dot:
    """Build a ranker that computes a formula of words.

    ====================  ======================================================================================
    ``"exact_match"``     Cat: sum of idf over the document's words that the query has, / (n_doc + 1)
    ``"bm25"``            Cat: sum over the query's words of idf x tf / (tf + k), / (n_query + 1)
    ``"bag"``             Dot: sum over words of tf in the query x tf in the document, / ((n_query + 2) (n_doc + 2))
    ====================  ======================================================================================

    A word is a run of letters, digits and underscores, in lower case; tf counts it in the document, n counts words; unknown
    words count in n only, and so does the filler ``"a"``. idf = ln(1 + (N - df + 0.5) / (df + 0.5)), as in BM25 (Robertson
    and Zaragoza 2009); tf / (tf + k) is BM25's saturation without length normalisation. The circuits (``0.0`` is head 0 of
    layer 0; `mechviz.toys.circuit_of` lists their edges):

    - ``exact_match``: a document word asks (q of ``0.0``) for its copies in the query and, where there are none, falls back on
      CLS, which has no idf; so ``0.0`` writes the idf of a match at that word. CLS averages that over the document (v of
      ``1.0``), its separator included.
    - ``bm25``: a query word asks for its copies in the document (k and v of ``0.0``), and CLS stands beside them with the
      weight of k copies and no idf: what it reads is idf x tf / (tf + k). CLS averages that over the query (v of ``1.0``).
    - ``bag``: one layer; head h copies the words of the h-th quarter of the vocabulary, averaged over all positions.

    Parameters
    ----------
    name : str
    texts : iterable of str, optional
        Whose words the ranker knows, and where df is counted; default passages that come with mechviz. At most 4,096 words
        (``bag``: the 512 most frequent ones).
    k : float, default 0.5
        Of ``bm25``; from 0.01 to 100.

    Returns
    -------
    Cat or Dot
        Its ``model`` and ``tokenizer`` are plain `transformers` objects with ``save_pretrained``.

    Raises
    ------
    InputError, InputTypeError
        No such ranker, too many words, or a k out of its range.
    """
    check_name(name)
    if isinstance(k, bool) or not isinstance(k, (int, float)) or not K[0] <= k <= K[1]:
        raise InputError(f"k={shown(k)}; give a number from {K[0]:g} to {K[1]:g}")
    vocabulary = count((*PASSAGES, QUERY, DOC, *COMPETITORS) if texts is None else texts)
    with torch.no_grad():
        ranker = _bag(vocabulary) if name == "bag" else _cat(name, vocabulary, float(k))
    ranker.name = f"toy/compiled-{name.replace('_', '-')}"
    return ranker


def check_name(name: object) -> None:
    """Refuse a ranker that there is not.

    Raises
    ------
    InputError
        Lists those that there are.
    """
    if name not in NAMES:
        raise InputError(f"{shown(name)} is no compiled ranker; there are {', '.join(map(repr, NAMES))}")


@dataclass(frozen=True)
class Vocabulary:
    """Words, most frequent first, and the idf of each."""

    words: tuple[str, ...]
    idf: Mapping[str, float]


def count(texts: Iterable[str]) -> Vocabulary:
    """Count in how many texts each word is.

    Raises
    ------
    InputTypeError, InputError
        One string, something that is no text, or no word at all.
    """
    several = isinstance(texts, Iterable) and not isinstance(texts, str)
    listed = list(texts) if several else []
    if not several or not all(isinstance(text, str) for text in listed):
        raise InputTypeError(f"texts must be a list of strings, not {shown(texts)}")
    df = Counter(word for text in listed for word in set(words_of(text)))
    del df[FILLER]
    if not df:
        raise InputError("texts hold no word; give some, or leave texts out")
    words = sorted(df, key=lambda word: (-df[word], word))
    return Vocabulary(tuple(words), {word: log(1 + (len(listed) - df[word] + 0.5) / (df[word] + 0.5)) for word in words})


def words_of(text: str) -> list[str]:
    """Return the words of a text as the compiled rankers' tokenizer sees them."""
    return [word for word, _ in SPLIT.pre_tokenize_str(LOWER.normalize_str(text))]


def _cat(name: str, vocabulary: Vocabulary, k: float) -> Cat:
    model: Any = BertForSequenceClassification(_config(len(vocabulary.words), D_MODEL, 2))
    model.eval()
    bert = model.bert
    _clear(model)
    words = torch.zeros(bert.config.vocab_size, D_MODEL // 2)
    first = len(SPECIAL) + 1
    words[first:, :LENGTH] = torch.tensor(golay(len(vocabulary.words)))
    words[first:, IDF] = torch.tensor([vocabulary.idf[word] for word in vocabulary.words])
    words[SPECIAL.index("[CLS]"), IS_CLS] = 1
    kinds = torch.zeros(2, D_MODEL // 2)
    kinds[0, IN_QUERY] = kinds[1, IN_DOC] = 1
    bert.embeddings.word_embeddings.weight.copy_(_twice(words))
    bert.embeddings.token_type_embeddings.weight.copy_(_twice(kinds))

    if name == "exact_match":  # look for copies in the query; else for CLS, half-way between a match and any other word
        compared, average = 2 * MATCH, {IN_DOC: APART}
        wanted = {IS_CLS: compared * 2 / 3, IN_DOC: -compared}
    else:  # look for copies in the document, and for CLS as if it were k of them
        compared, average = MATCH, {IN_QUERY: APART, IS_CLS: -APART}
        wanted = {IN_DOC: APART, IS_CLS: MATCH + APART + log(k)}
    _head(bert.encoder.layer[0], compared, wanted, read=IDF, write=MATCHED)
    _head(bert.encoder.layer[1], 0.0, average, read=MATCHED, write=SCORE)

    small = 2.0**-14  # so that tanh is the identity
    model.bert.pooler.dense.weight.copy_(_reading({SCORE: {0: small}}, D_MODEL))
    model.classifier.weight[0, 0] = 1 / small
    return Cat(model, tokenizer=_tokenizer(vocabulary.words, pair=True))


def _head(layer: Any, compared: float, wanted: Mapping[int, float], read: int, write: int) -> None:
    """Write head 0 of a layer: the logit of a key is the likeness of codes and what is wanted of it; z is a feature.

    Parameters
    ----------
    layer : nn.Module
    compared : float
        Logit of two equal codes.
    wanted : mapping of feature to float
        What a key's feature adds to its logit, whatever the query.
    read, write : int
        The feature that is copied, and the one that it becomes.
    """
    attention = layer.attention.self
    scale = sqrt(D_HEAD)
    codes = {feature: {feature: 1.0} for feature in range(LENGTH)}
    constant = LENGTH  # a dimension of the head in which every query has a 1, by its bias
    attention.query.weight.copy_(_reading(codes, D_MODEL) * (scale * compared / LENGTH))
    attention.query.bias[constant] = scale
    attention.key.weight.copy_(_reading({**codes, **{feature: {constant: wish} for feature, wish in wanted.items()}}, D_MODEL))
    attention.value.weight.copy_(_reading({read: {0: 1.0}}, D_MODEL))
    layer.attention.output.dense.weight.copy_(_twice(_matrix({0: {write: 1.0}}, D_MODEL // 2, D_MODEL).T).T)


def _bag(vocabulary: Vocabulary) -> Dot:
    words = vocabulary.words[:BAG_WORDS]
    size = -(-len(words) // HEADS) * HEADS  # four equal quarters
    model: Any = BertModel(_config(len(words), 2 * size, 1), add_pooling_layer=False)
    model.eval()
    _clear(model)
    one_hot = torch.zeros(model.config.vocab_size, size)
    one_hot[len(SPECIAL) + 1 :, : len(words)] = torch.eye(len(words))
    model.embeddings.word_embeddings.weight.copy_(_twice(one_hot))
    # No query, no key: every position is looked at alike. Half of the dimensions of each head are enough for its quarter.
    quarter, d_head = size // HEADS, 2 * size // HEADS
    places = {word: {word // quarter * d_head + word % quarter: 1.0} for word in range(size)}
    attention = model.encoder.layer[0].attention
    attention.self.value.weight.copy_(_reading(places, 2 * size))
    attention.output.dense.weight.copy_(_twice(_matrix(places, 2 * size, size)).T)
    model.encoder.layer[0].output.LayerNorm.weight[size:] = 0  # the score needs every word once
    return Dot(model, pooling="cls", normalize=False, tokenizer=_tokenizer(words, pair=False))


# -- matrices -----------------------------------------------------------------------------------------------------------


def _matrix(entries: Mapping[int, Mapping[int, float]], rows: int, columns: int) -> Tensor:
    """Return a matrix, dims (rows, columns), from ``{column: {row: value}}``."""
    matrix = torch.zeros(rows, columns)
    for column, values in entries.items():
        for row, value in values.items():
            matrix[row, column] = value
    return matrix


def _reading(entries: Mapping[int, Mapping[int, float]], d_model: int) -> Tensor:
    """Return a weight, dims (d_model, d_model), that reads features: half of the difference of a feature and its negative."""
    half = _matrix(entries, d_model, d_model // 2) / 2
    return torch.cat([half, -half], dim=1)


def _twice(features: Tensor) -> Tensor:
    """Return features, dims (..., feature), as they are stored: each as itself and negated."""
    return torch.cat([features, -features], dim=-1)


def _clear(model: nn.Module) -> None:
    """Set every weight to 0, and make every LayerNorm the identity."""
    for parameter in model.parameters():
        parameter.zero_()
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.fill_(sqrt(module.eps))


def _config(words: int, d_model: int, layers: int) -> BertConfig:
    config = BertConfig(
        vocab_size=len(SPECIAL) + 1 + words,
        hidden_size=d_model,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=HEADS,  # the MLP is there, as BERT's classes have it, and writes nothing
        max_position_embeddings=512,
        layer_norm_eps=1e12,
        pad_token_id=0,
    )
    config.num_labels = 1
    return config


def _tokenizer(words: Iterable[str], pair: bool) -> PreTrainedTokenizerBase:
    """Return a tokenizer with one token a word; all that is no word is passed over."""
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, FILLER, *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, SPECIAL[1]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = LOWER, SPLIT
    ids = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    fast: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerBase = fast(
        tokenizer_object=tokenizer,
        model_max_length=512,
        split_special_tokens=True,  # "[CLS]" in a text is the word cls
        # Without the types a cross-encoder could not tell the document from the query.
        model_input_names=["input_ids", "attention_mask", *(["token_type_ids"] if pair else [])],
        **dict(zip(names, SPECIAL, strict=True)),
    )
    return made
