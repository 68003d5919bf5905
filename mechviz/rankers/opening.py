"""From what a person hands over (a name, a model, a live object) to a model, its tokenizer and what was said of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, TypedDict, cast

import torch
from tokenizers import normalizers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from mechviz.errors import InputError, InputTypeError, UnsupportedModelError, shown
from mechviz.rankers.checkpoint import Checkpoint, load_model, load_tokenizer, open_checkpoint
from mechviz.rankers.conventions import Opened
from mechviz.rankers.families import Family
from mechviz.rankers.hooked import family_of, supported
from mechviz.rankers.sentence_transformers import is_live, open_live

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Options(TypedDict, total=False):
    """What every ranker takes; each may be left out.

    Attributes
    ----------
    tokenizer : PreTrainedTokenizerBase
        Default: the checkpoint's own. Needed with a `transformers` model.
    query_tokenizer : PreTrainedTokenizerBase
        That of ``query_name``, for rankers with a second model.
    max_length : int
        Lowers the limit on tokens.
    device : str or torch.device, default ``"cpu"``
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``. Not for a model that is given: it is used where it lies.
    dtype : str or torch.dtype, default ``"float32"``
        ``float32``, ``bfloat16`` or ``float16``: the model's own products. Scores and effects are float32. Not for a
        model that is given either.
    """

    tokenizer: PreTrainedTokenizerBase | None
    query_tokenizer: PreTrainedTokenizerBase | None
    max_length: int | None
    device: str | torch.device | None
    dtype: str | torch.dtype | None


def open_model(
    source: object,
    kind: str,
    classes: Callable[[Family], Collection[str]],
    options: Options,
    also: tuple[str, ...] = (),
    query: bool = False,
) -> Opened:
    """Open a model for one kind of ranker.

    Parameters
    ----------
    source : str, Checkpoint, PreTrainedModel, or a live sentence-transformers object
    kind : str
        The ranker's class name, for errors.
    classes : callable
        Family -> the names of the classes that make such a score, the base class first where it is one.
    options : Options
    also : tuple of str
        Weights of the ranker's own beside the model's.
    query : bool
        Whether it is the second model, of queries.

    Raises
    ------
    InputError, InputTypeError, MechvizError, UnsupportedModelError
    """
    unknown = sorted(set(options) - set(Options.__annotations__))
    if unknown:
        raise InputTypeError(f"unknown settings {', '.join(unknown)}; every ranker takes {', '.join(Options.__annotations__)}")
    if query:
        options = {**options, "tokenizer": options.get("query_tokenizer")}
    if is_live(source) or isinstance(source, PreTrainedModel):
        opened = _take(source, kind, classes, options)
    else:
        checkpoint = source if isinstance(source, Checkpoint) else open_checkpoint(cast(str, source))
        opened = _load(checkpoint, kind, classes, options, also)
    if opened.said.kind not in (None, kind):
        raise UnsupportedModelError(
            f"{opened.label} says that it is a {opened.said.kind} ranker; open it with mv.{opened.said.kind}"
        )
    return opened


def _take(source: object, kind: str, classes: Callable[[Family], Collection[str]], options: Options) -> Opened:
    for name in ("device", "dtype"):
        if options.get(name) is not None:
            raise InputError(f"{name}= is for checkpoints; a model that is given is used as it is: call its .to(...) before")
    opened = Opened(type(source).__name__, source, None) if isinstance(source, PreTrainedModel) else open_live(source)
    found, fitting = type(opened.model).__name__, classes(family_of(opened.model))
    if found not in fitting:
        raise UnsupportedModelError(_misfit(found, kind, fitting))
    return replace(opened, tokenizer=options.get("tokenizer") or opened.tokenizer)


def _load(
    checkpoint: Checkpoint, kind: str, classes: Callable[[Family], Collection[str]], options: Options, also: tuple[str, ...]
) -> Opened:
    fitting = classes(checkpoint.family)
    name = checkpoint.architecture if checkpoint.architecture in fitting else checkpoint.family.base
    if name not in fitting:
        raise UnsupportedModelError(
            f"{checkpoint.name} was saved as {checkpoint.architecture}: " + _misfit(checkpoint.architecture, kind, fitting)
        )
    said = checkpoint.said  # refused before weights are read
    device, dtype = _device(options.get("device")), _dtype(options.get("dtype"))
    model = load_model(checkpoint, name, dtype, also)
    if device.type != "cpu":
        model = cast(PreTrainedModel, cast(Any, model).to(device))
    given = options.get("tokenizer")
    tokenizer = load_tokenizer(checkpoint) if given is None else given
    if given is None and said.lower_case:
        backend = cast(Any, tokenizer).backend_tokenizer
        first = [normalizers.Lowercase()]
        backend.normalizer = normalizers.Sequence(first if backend.normalizer is None else [*first, backend.normalizer])
    return Opened(checkpoint.label, model, tokenizer, said)


#: What each kind of ranker needs of a class.
_NEEDS: Mapping[str, str] = {
    "Dot": "hidden states only, no head",
    "Cat": "a classification head",
    "MonoT5": "a decoder that predicts tokens from an encoder",
    "Splade": "a masked-language-model head",
    "ColBERT": "hidden states only, no head",
    "Generative": "a head that predicts the next token",
}


def _misfit(found: str, kind: str, fitting: Collection[str]) -> str:
    known = [name for name in supported() if name in fitting]
    return f"{kind} needs {_NEEDS[kind]}, and {found} has another end (a score without trained weights would be random). " + (
        f"In this family {kind} opens {', '.join(known)}" if known else f"{kind} opens no class of this family"
    )


def _device(device: object) -> torch.device:
    if device is None:
        return torch.device("cpu")
    try:
        chosen = torch.device(cast(str, device))
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device={shown(device)} is none that torch knows; give 'cpu', 'cuda', 'cuda:1' or 'mps'") from error
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "meta": False}
    if not there.get(chosen.type, True):
        raise InputError(f"device={shown(device)}: torch finds no such device on this machine; leave it out for the CPU")
    return chosen


def _dtype(dtype: object) -> torch.dtype:
    if dtype is None:
        return torch.float32
    chosen = DTYPES.get(str(dtype).removeprefix("torch."))
    if chosen is None:
        raise InputError(f"dtype={shown(dtype)}; it is one of {', '.join(map(repr, DTYPES))}")
    return chosen
