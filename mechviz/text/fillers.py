"""What stands in a gap: the filler policies of alignment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mechviz.errors import InputError, InputTypeError, shown

#: ``"a"`` (any word that is one token), ``"[MASK]"``, ``"[PAD]"`` (masked out), or a function that gets the token
#: strings which the other text has in the gap and returns as many token strings.
FillerLike = str | Callable[[tuple[str, ...]], Sequence[str]]


@dataclass(frozen=True)
class Filler:
    """A filler policy bound to one tokenizer."""

    name: str
    masked: bool
    fill: Callable[[tuple[str, ...]], tuple[list[int], list[str]]]


#: Tried in order where no filler is given: ``"a"`` as in Chen, Merullo and Eickhoff (SIGIR 2024); under T5's tokenizer that
#: is two tokens.
DEFAULTS = ("a", "the")


def bind_filler(filler: FillerLike | None, tokenizer: Any) -> Filler:
    """Bind a filler policy to a tokenizer.

    Parameters
    ----------
    filler : str or callable or None
        See `FillerLike`; None for the first of `DEFAULTS` that is one token.
    tokenizer : a transformers tokenizer

    Raises
    ------
    InputError
        The word is not one token of this tokenizer, or the tokenizer has no such special token.
    InputTypeError
        ``filler`` is neither a string nor callable.
    """
    if filler is None:
        filler = next((word for word in DEFAULTS if len(_ids(word, tokenizer)) == 1), DEFAULTS[0])
    if callable(filler):
        return Filler(getattr(filler, "__name__", "custom"), False, lambda gap: _call(filler, gap, tokenizer))
    if not isinstance(filler, str):
        raise InputTypeError(f"filler must be a word, '[MASK]', '[PAD]' or a function, not {shown(filler)}")
    special = {"[MASK]": tokenizer.mask_token_id, "[PAD]": tokenizer.pad_token_id}
    if filler in special:
        token_id = special[filler]
        if token_id is None:
            raise InputError(f"filler={filler!r}: this tokenizer has no such token; use a word, for example filler='a'")
    else:
        ids = _ids(filler, tokenizer)
        if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
            pieces = tokenizer.convert_ids_to_tokens(ids)
            raise InputError(f"filler={filler!r} must be one token of this tokenizer, but it is {pieces}; choose another")
        token_id = ids[0]
    string = tokenizer.convert_ids_to_tokens(int(token_id))
    return Filler(filler, filler == "[PAD]", lambda gap: ([int(token_id)] * len(gap), [string] * len(gap)))


def _ids(word: str, tokenizer: Any) -> list[int]:
    """Return the token ids of a word inside a text, where many tokenizers count the space before it to it."""
    inside, alone = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (f" {word}", word))
    return list(inside if len(inside) == 1 else alone)


def _call(
    function: Callable[[tuple[str, ...]], Sequence[str]], gap: tuple[str, ...], tokenizer: Any
) -> tuple[list[int], list[str]]:
    name = getattr(function, "__name__", repr(function))
    try:
        strings = list(function(gap))
    except Exception as error:
        raise InputError(
            f"the filler function {name} raised {type(error).__name__}: {error} on the tokens {shown(gap)}"
        ) from error
    vocabulary = tokenizer.get_vocab()
    unknown = [string for string in strings if string not in vocabulary]
    if len(strings) != len(gap) or unknown:
        raise InputError(
            f"filler function {name!r} got the {len(gap)} tokens {shown(gap)} and returned "
            f"{shown(strings)}; it must return as many token strings, each in the tokenizer's vocabulary"
        )
    return [int(vocabulary[string]) for string in strings], strings
