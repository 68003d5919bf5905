"""What is said of how a checkpoint ranks: settings from its own files or from a live object, and ColBERT's file."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from mechviz.errors import MechvizError, UnsupportedModelError


@dataclass(frozen=True)
class Interaction:
    """How a ColBERT model is fed and read.

    Attributes
    ----------
    query_marker, doc_marker : str
        Tokens put behind the first one of each text; empty for none.
    query_length, doc_length : int or None
        Tokens of a text at most, special ones included; queries are filled up to it if ``expand``. None: the model's limit.
    expand : bool
        Whether queries are augmented with ``[MASK]`` up to ``query_length``.
    attend : bool
        Whether attention may look at those.
    skip : tuple of str
        Words that document vectors are not kept of.
    whole_words : bool
        Whether a skipped word is looked up as one vocabulary entry (PyLate), or as its first piece too (ColBERT).
    types : bool
        Whether token types are passed to the model.
    """

    query_marker: str = "[unused0]"
    doc_marker: str = "[unused1]"
    query_length: int | None = 32
    doc_length: int | None = 220
    expand: bool = True
    attend: bool = False
    skip: tuple[str, ...] = tuple(string.punctuation)
    whole_words: bool = False
    types: bool = False


@dataclass(frozen=True)
class Said:
    """Settings; None, or empty, where nothing was said.

    Attributes
    ----------
    kind : str or None
        The class of ranker.
    pooling : str or None
    normalize : bool or None
    include_prompt : bool
        Whether a prefix is pooled with its text.
    query_prefix, doc_prefix : str
    max_length : int or None
    lower_case : bool
        Whether texts are lower-cased before they are tokenised.
    projections : tuple of nn.Module
        Applied to pooled vectors (Dot) or to token vectors (ColBERT).
    labels : tuple of int or None
        Token ids for and against relevance.
    instruction : str or None
        What the prompt's system part says of the task.
    interaction : Interaction or None
    """

    kind: str | None = None
    pooling: str | None = None
    normalize: bool | None = None
    include_prompt: bool = True
    query_prefix: str = ""
    doc_prefix: str = ""
    max_length: int | None = None
    lower_case: bool = False
    projections: tuple[nn.Module, ...] = ()
    labels: tuple[int, int] | None = None
    instruction: str | None = None
    interaction: Interaction | None = None


@dataclass(frozen=True)
class Opened:
    """A model and its tokenizer, and what was said of them."""

    label: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    said: Said = field(default_factory=Said)

    @property
    def names(self) -> tuple[str, str]:
        """Its name here, and the one that its configuration keeps (the hub id that it was fetched as)."""
        return self.label, str(getattr(self.model.config, "_name_or_path", ""))


@dataclass(frozen=True)
class Step:
    """One sentence-transformers module: its class name, its settings, and how to get its weights where it has any."""

    kind: str
    settings: Mapping[str, Any]
    module: Callable[[], nn.Module] | None = None


class Projection(nn.Module):
    """A linear layer with an activation, as sentence-transformers and PyLate save it (``Dense``)."""

    def __init__(self, linear: nn.Linear, activation: nn.Module, residual: nn.Linear | None, add_input: bool) -> None:
        super().__init__()
        self.linear, self.activation, self.residual, self.add_input = linear, activation, residual, add_input

    def forward(self, x: Tensor) -> Tensor:
        """Project vectors, dims (..., d_in) to (..., d_out)."""
        out: Tensor = self.activation(self.linear(x))
        if self.add_input:
            out = out + (x if self.residual is None else self.residual(x))
        return out


def projection(settings: Mapping[str, Any], weights: Mapping[str, Tensor], name: str) -> Projection:
    """Build a projection from its settings and weights.

    Raises
    ------
    UnsupportedModelError
        An activation that is not torch's.
    MechvizError
        Weights that are missing or are no matrix.
    """
    weight = weights.get("linear.weight")
    if weight is None or weight.ndim != 2:
        found = "no linear.weight" if weight is None else f"a linear.weight of shape {tuple(weight.shape)}"
        raise MechvizError(f"{name}: its projection has {found}, where a matrix must be; save or fetch the checkpoint again")
    path = str(settings.get("activation_function", "torch.nn.modules.linear.Identity"))
    activation = getattr(nn, path.rpartition(".")[2], None)
    try:
        if not path.startswith("torch.nn.") or activation is None or not issubclass(activation, nn.Module):
            raise TypeError(path)
        built = activation()
    except TypeError as error:
        raise UnsupportedModelError(
            f"{name} has a Dense module with the activation {path}; mechviz takes those of torch.nn that need no arguments"
        ) from error
    residual = weights.get("residual.weight")
    return Projection(
        _linear(weight, weights.get("linear.bias")),
        built,
        None if residual is None else _linear(residual, weights.get("residual.bias")),
        bool(settings.get("use_residual")),
    )


def width_of(model: PreTrainedModel, projections: Iterable[nn.Module], name: str) -> int:
    """Return the size of vectors after all projections.

    Raises
    ------
    MechvizError
        A projection that does not take what comes before it.
    """
    width = int(model.config.hidden_size)
    for layer in projections:
        assert isinstance(layer, Projection)
        if layer.linear.in_features != width:
            raise MechvizError(
                f"{name}: its projection takes vectors of {layer.linear.in_features} numbers and gets {width}: they are not of "
                "one checkpoint"
            )
        width = layer.linear.out_features
    return width


def read_colbert(metadata: Mapping[str, Any], projections: tuple[nn.Module, ...], name: str) -> Said:
    """Return what a ColBERT checkpoint's ``artifact.metadata`` says.

    Raises
    ------
    UnsupportedModelError
        A similarity or an interaction that mechviz does not have.
    """
    metadata = metadata.get("config", metadata)
    similarity, kind = metadata.get("similarity", "cosine"), metadata.get("interaction", "colbert")
    if (similarity, kind) != ("cosine", "colbert"):
        raise UnsupportedModelError(f"{name} has similarity {similarity!r} and interaction {kind!r}; mechviz has cosine MaxSim")
    known: dict[str, Any] = {
        "query_marker": metadata.get("query_token_id"),
        "doc_marker": metadata.get("doc_token_id"),
        "query_length": metadata.get("query_maxlen"),
        "doc_length": metadata.get("doc_maxlen"),
        "attend": metadata.get("attend_to_mask_tokens"),
        "skip": None if metadata.get("mask_punctuation", True) else (),
    }
    interaction = Interaction(**{key: value for key, value in known.items() if value is not None})
    return Said(kind="ColBERT", projections=projections, interaction=interaction)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=torch.float32)
    linear.weight = nn.Parameter(weight.float())
    if bias is not None:
        linear.bias = nn.Parameter(bias.float())
    return linear
