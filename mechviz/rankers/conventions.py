"""What a checkpoint's own files, or a live sentence-transformers object, say of how it ranks.

Read are the layouts of sentence-transformers (``modules.json``; bi-encoders, sparse encoders, cross-encoders), of PyLate
(the same with a projection and markers) and of ColBERT (``artifact.metadata``). Modules are known by their class names,
which have stayed while their paths have not. A step that mechviz does not have is refused by name.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from mechviz.errors import UnsupportedModelError
from mechviz.rankers.pooling import POOLINGS

#: sentence-transformers' names of poolings -> ours.
_POOLINGS = {"cls": "cls", "cls_token": "cls", "mean": "mean", "mean_tokens": "mean", "max": "max", "max_tokens": "max"}
_POOLINGS |= {"lasttoken": "last"}


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
    projections : tuple of nn.Module
        Applied to pooled vectors (Dot) or to token vectors (ColBERT).
    labels : tuple of int or None
        Token ids for and against relevance.
    interaction : Interaction or None
    """

    kind: str | None = None
    pooling: str | None = None
    normalize: bool | None = None
    include_prompt: bool = True
    query_prefix: str = ""
    doc_prefix: str = ""
    max_length: int | None = None
    projections: tuple[nn.Module, ...] = ()
    labels: tuple[int, int] | None = None
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
    """
    path = str(settings.get("activation_function", "torch.nn.modules.linear.Identity"))
    activation = getattr(nn, path.rpartition(".")[2], None)
    if not path.startswith("torch.nn.") or not isinstance(activation, type) or not issubclass(activation, nn.Module):
        raise UnsupportedModelError(f"{name} has a Dense module with the activation {path}; mechviz takes those of torch.nn")
    residual = weights.get("residual.weight")
    return Projection(
        _linear(weights["linear.weight"], weights.get("linear.bias")),
        activation(),
        None if residual is None else _linear(residual, weights.get("residual.bias")),
        bool(settings.get("use_residual")),
    )


def read_steps(steps: Sequence[Step], more: Mapping[str, Any], name: str) -> Said:
    """Return what sentence-transformers modules and their common settings say.

    Raises
    ------
    UnsupportedModelError
        A module, a pooling or a similarity that mechviz does not have.
    """
    kinds = [step.kind for step in steps]
    unknown = [kind for kind in kinds if kind not in _KNOWN]
    if unknown or not kinds:
        raise UnsupportedModelError(
            f"{name} has the sentence-transformers module {', '.join(unknown) or 'list []'}; mechviz has no such step"
        )
    found = dict(zip(kinds, steps, strict=True))
    length = next((step.settings.get("max_seq_length") for step in steps if step.settings.get("max_seq_length")), None)
    common: dict[str, Any] = {"max_length": length and int(length)}
    if "SpladePooling" in found:
        return _splade(found["SpladePooling"].settings, common, name)
    if "LogitScore" in found:
        ids = found["LogitScore"].settings
        if ids.get("false_token_id") is None:
            raise UnsupportedModelError(
                f"{name} scores one label's logit alone; give the token against it: mv.Generative(labels=)"
            )
        return Said(kind="Generative", labels=(int(ids["true_token_id"]), int(ids["false_token_id"])), **common)
    projections = tuple(step.module() for step in steps if step.kind == "Dense" and step.module is not None)
    if more.get("model_type") == "ColBERT" or more.get("similarity_fn_name") == "MaxSim":
        return Said(kind="ColBERT", projections=projections, interaction=_pylate(more), **common)
    if "MultiVectorMask" in found:
        interaction = _multi_vector(found, name)
        return Said(kind="ColBERT", projections=projections, interaction=interaction, **_prefixes(more), **common)
    if "Pooling" not in found:
        return Said(kind="Cat" if more.get("model_type") == "CrossEncoder" else None, **common)
    similarity = more.get("similarity_fn_name")
    if similarity not in (None, "cosine", "dot", "dot_product"):
        raise UnsupportedModelError(f"{name} compares vectors by {similarity}; mechviz has cosine and dot")
    return Said(
        kind="Dot",
        pooling=_pooling(found["Pooling"].settings, name),
        normalize="Normalize" in found or similarity == "cosine",
        include_prompt=bool(found["Pooling"].settings.get("include_prompt", True)),
        projections=projections,
        **_prefixes(more),
        **common,
    )


def read_colbert(metadata: Mapping[str, Any], projections: tuple[nn.Module, ...]) -> Said:
    """Return what a ColBERT checkpoint's ``artifact.metadata`` says.

    Raises
    ------
    UnsupportedModelError
        A similarity or an interaction that mechviz does not have.
    """
    metadata = metadata.get("config", metadata)
    similarity, kind = metadata.get("similarity", "cosine"), metadata.get("interaction", "colbert")
    if (similarity, kind) != ("cosine", "colbert"):
        raise UnsupportedModelError(
            f"this ColBERT checkpoint has similarity {similarity!r} and interaction {kind!r}; mechviz has cosine MaxSim"
        )
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


def is_live(source: object) -> bool:
    """Return whether an object is a model of sentence-transformers (or PyLate), without importing it."""
    return any(cls.__module__.split(".")[0] in ("sentence_transformers", "pylate") for cls in type(source).__mro__)


def open_live(source: Any) -> Opened:
    """Return the parts of a live ``SentenceTransformer``, ``SparseEncoder`` or ``CrossEncoder``.

    Raises
    ------
    UnsupportedModelError
        It has no `transformers` model, or steps that mechviz does not have.
    """
    name = type(source).__name__
    modules = list(source.children()) if isinstance(source, nn.Sequential) else []
    first: Any = modules[0] if modules else source
    model = getattr(first, "auto_model", None) or getattr(first, "model", None)
    if not isinstance(model, PreTrainedModel):
        raise UnsupportedModelError(f"this {name} holds no transformers model ({type(first).__name__} comes first)")
    cross = any(cls.__name__ == "CrossEncoder" for cls in type(source).__mro__)
    if not modules:  # a CrossEncoder before sentence-transformers 5.4
        return Opened(name, model, source.tokenizer, Said(kind="Cat", max_length=getattr(source, "max_length", None)))
    more = {
        "prompts": getattr(source, "prompts", {}),
        "similarity_fn_name": getattr(source, "_similarity_fn_name", None),  # reading it without _ would set it
        "model_type": "CrossEncoder" if cross else None,
    }
    if hasattr(source, "query_prefix"):  # PyLate
        more |= {"model_type": "ColBERT", **{key: getattr(source, key, None) for key in _PYLATE}}
    said = read_steps([_live_step(module) for module in modules], more, f"this {name}")
    return Opened(name, model, source.tokenizer, said)


_KNOWN = ("Transformer", "MLMTransformer", "Pooling", "Dense", "Normalize", "SpladePooling", "LogitScore", "MultiVectorMask")
_PYLATE = {
    "query_prefix": "query_marker",
    "document_prefix": "doc_marker",
    "query_length": "query_length",
    "document_length": "doc_length",
    "do_query_expansion": "expand",
    "attend_to_expansion_tokens": "attend",
    "skiplist_words": "skip",
}


def _prefixes(more: Mapping[str, Any]) -> dict[str, Any]:
    prompts = {key: str(value) for key, value in (more.get("prompts") or {}).items() if value}
    doc = next((prompts[key] for key in ("document", "passage", "corpus") if key in prompts), "")
    return {"query_prefix": prompts.get("query", ""), "doc_prefix": doc}


def _multi_vector(found: Mapping[str, Step], name: str) -> Interaction:
    """Return how a sentence-transformers ``MultiVectorEncoder`` is fed and read; its markers are prompts."""
    transformer, mask = found["Transformer"].settings, found["MultiVectorMask"].settings
    expansion = transformer.get("query_expansion") or {}
    others = {
        "no Normalize": "Normalize" not in found,
        f"query_expansion {expansion}": expansion and (expansion["strategy"], expansion.get("token")) != ("fixed", None),
        "a skip list for other texts than documents": mask.get("skiplist_tasks", ["document"]) != ["document"],
        "keep_only_token_ids": mask.get("keep_only_token_ids") is not None,
    }
    if any(others.values()):
        raise UnsupportedModelError(
            f"{name} has {', '.join(what for what, there in others.items() if there)}; mechviz has MaxSim of cosines, queries "
            "filled up to a fixed length with the mask token, and a skip list for documents"
        )
    return Interaction(
        query_marker="",
        doc_marker="",
        query_length=expansion.get("length") or transformer.get("query_length"),
        doc_length=transformer.get("document_length"),
        expand=bool(expansion),
        attend=bool(expansion.get("attend")),
        skip=tuple(mask.get("skiplist_words") or ()),
        whole_words=True,
        types=True,
    )


def _pylate(more: Mapping[str, Any]) -> Interaction:
    defaults = {"query_marker": "[Q] ", "doc_marker": "[D] ", "doc_length": 180, "whole_words": True, "types": True}
    said = {ours: more[theirs] for theirs, ours in _PYLATE.items() if more.get(theirs) is not None}
    if "skip" in said:
        said["skip"] = tuple(said["skip"])
    settings = {**defaults, **said}
    settings["attend"] = bool(settings.get("attend")) and bool(settings.get("expand", True))
    return Interaction(**settings)


def _splade(settings: Mapping[str, Any], common: Mapping[str, Any], name: str) -> Said:
    strategy, activation = settings.get("pooling_strategy", "max"), settings.get("activation_function", "relu")
    if (strategy, activation) != ("max", "relu"):
        raise UnsupportedModelError(f"{name} pools terms by {strategy} of {activation}; mechviz has max of log1p(relu)")
    return Said(kind="Splade", **common)


def _pooling(settings: Mapping[str, Any], name: str) -> str:
    modes = settings.get("pooling_mode")
    if modes is None:
        prefix = "pooling_mode_"
        modes = [key.removeprefix(prefix) for key, on in settings.items() if key.startswith(prefix) and on] or ["mean"]
    chosen = [_POOLINGS.get(str(mode), str(mode)) for mode in ([modes] if isinstance(modes, str) else modes)]
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        raise UnsupportedModelError(f"{name} pools by {' and '.join(chosen)}; mechviz has {', '.join(POOLINGS)}")
    return chosen[0]


def _live_step(module: Any) -> Step:
    kind = type(module).__name__
    names = [key for key in vars(module) if key.startswith("pooling_mode_")]
    names += ["pooling_mode", "include_prompt", "pooling_strategy", "activation_function", "true_token_id", "false_token_id"]
    names += ["max_seq_length", "query_length", "document_length", "query_expansion"]
    names += ["skiplist_words", "skiplist_tasks", "keep_only_token_ids"]
    settings = {key: getattr(module, key) for key in names if hasattr(module, key)}
    if kind != "Dense":
        return Step(kind, settings)
    return Step(
        kind,
        {},
        lambda: Projection(
            module.linear, module.activation_function, getattr(module, "residual", None), getattr(module, "use_residual", False)
        ),
    )


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=torch.float32)
    linear.weight = nn.Parameter(weight.float())
    if bias is not None:
        linear.bias = nn.Parameter(bias.float())
    return linear
