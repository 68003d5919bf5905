"""What sentence-transformers (and PyLate, which builds on it) says of a ranker, in its files or as a live object.

Read are bi-encoders, sparse encoders, cross-encoders and multi-vector encoders. Modules are known by their class names,
which have stayed while their paths have not. A step, or an order of steps, that mechviz does not have is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from mechviz.errors import MechvizError, UnsupportedModelError
from mechviz.rankers.conventions import Interaction, Opened, Projection, Said, Step
from mechviz.rankers.pooling import POOLINGS

#: sentence-transformers' names of poolings -> ours.
_POOLINGS = {"cls": "cls", "cls_token": "cls", "mean": "mean", "mean_tokens": "mean", "max": "max", "max_tokens": "max"}
_POOLINGS |= {"lasttoken": "last"}

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


def _multi_vector(transformer: Mapping[str, Any], found: Mapping[str, Step], name: str) -> Interaction:
    """Return how a sentence-transformers ``MultiVectorEncoder`` is fed and read; its markers are prompts."""
    mask = found["MultiVectorMask"].settings
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
    kind = _kind(kinds, more)
    others = {
        f"modules in the order {', '.join(kinds)}": kind is None,
        "a Dense module that is not where it usually is": any(map(_elsewhere, steps)) and kind == "Dot",
        "vectors that are cut (truncate_dim)": more.get("truncate_dim") is not None,
        "a limit on terms (max_active_dims)": more.get("max_active_dims") is not None,
        "a prompt before its pairs": kind == "Cat" and bool(_default_prompt(more)),
    }
    if any(others.values()):
        raise UnsupportedModelError(
            f"{name} has {' and '.join(what for what, there in others.items() if there)}; mechviz does not have that"
        )
    return _READERS[str(kind)](steps, more, name, _common(steps, more))


#: What follows the transformer (several Dense modules count as one) -> the kind of ranker that it makes.
_ORDERS = {
    "": "Cat",
    "LogitScore": "Generative",
    "SpladePooling": "Splade",
    **dict.fromkeys(("Pooling", "Pooling Dense", "Pooling Normalize", "Pooling Dense Normalize"), "Dot"),
    **dict.fromkeys(("MultiVectorMask", "Dense MultiVectorMask"), "ColBERT"),
    **dict.fromkeys(("MultiVectorMask Normalize", "Dense MultiVectorMask Normalize"), "ColBERT"),
}


def _kind(kinds: Sequence[str], more: Mapping[str, Any]) -> str | None:
    """Return the kind of ranker that modules in this order make, None for another order."""
    steps = [kind for kind, again in groupby(kinds) for _ in ([0] if kind == "Dense" else again)]
    order = " ".join(steps[1:])
    if not kinds[0].endswith("Transformer"):
        return None
    if more.get("model_type") == "ColBERT" or more.get("similarity_fn_name") == "MaxSim":  # PyLate
        return "ColBERT" if order in ("", "Dense") else None
    return _ORDERS.get(order)


def _elsewhere(step: Step) -> bool:
    vector = "sentence_embedding"
    names = (step.settings.get("module_input_name"), step.settings.get("module_output_name"))
    return step.kind == "Dense" and any(name not in (None, vector) for name in names)


def _default_prompt(more: Mapping[str, Any]) -> str:
    return str(_prompts(more).get(str(more.get("default_prompt_name")), ""))


def _common(steps: Sequence[Step], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every kind says: lengths, case, and the prompts of each side."""
    settings = steps[0].settings
    prompts, length = _prompts(more), settings.get("max_seq_length")
    # As sentence-transformers chooses it: an empty prompt for documents is one.
    doc = next((prompts[key] for key in ("document", "passage", "corpus") if key in prompts), "")
    return {
        "max_length": int(length) if isinstance(length, int) and length > 0 else None,
        "lower_case": bool(settings.get("do_lower_case")),
        "query_prefix": prompts.get("query", ""),
        "doc_prefix": doc,
    }


def _prompts(more: Mapping[str, Any]) -> dict[str, str]:
    prompts = more.get("prompts")
    return {str(key): str(value or "") for key, value in prompts.items()} if isinstance(prompts, Mapping) else {}


def _dot(steps: Sequence[Step], more: Mapping[str, Any], name: str, common: Mapping[str, Any]) -> Said:
    pooling = next(step for step in steps if step.kind == "Pooling").settings
    similarity = more.get("similarity_fn_name")
    if similarity not in (None, "cosine", "dot", "dot_product"):
        raise UnsupportedModelError(f"{name} compares vectors by {similarity}; mechviz has cosine and dot")
    return Said(
        kind="Dot",
        pooling=_pooling(pooling, name),
        normalize=steps[-1].kind == "Normalize" or similarity == "cosine",
        include_prompt=bool(pooling.get("include_prompt", True)),
        projections=_projections(steps),
        **common,
    )


def _splade(steps: Sequence[Step], more: Mapping[str, Any], name: str, common: Mapping[str, Any]) -> Said:
    settings = steps[-1].settings
    strategy, activation = settings.get("pooling_strategy", "max"), settings.get("activation_function", "relu")
    if (strategy, activation) != ("max", "relu"):
        raise UnsupportedModelError(f"{name} pools terms by {strategy} of {activation}; mechviz has max of log1p(relu)")
    return Said(kind="Splade", **common)


def _colbert(steps: Sequence[Step], more: Mapping[str, Any], name: str, common: Mapping[str, Any]) -> Said:
    found = {step.kind: step for step in steps}
    own = "MultiVectorMask" in found
    interaction = _multi_vector(steps[0].settings, found, name) if own else _pylate(more)
    said = dict(common) if own else {**common, "query_prefix": "", "doc_prefix": ""}  # PyLate's prefixes are tokens
    return Said(kind="ColBERT", projections=_projections(steps), interaction=interaction, **said)


def _cat(steps: Sequence[Step], more: Mapping[str, Any], name: str, common: Mapping[str, Any]) -> Said:
    return Said(kind="Cat" if more.get("model_type") == "CrossEncoder" else None, **common)


def _generative(steps: Sequence[Step], more: Mapping[str, Any], name: str, common: Mapping[str, Any]) -> Said:
    ids = steps[-1].settings
    if ids.get("false_token_id") is None:
        raise UnsupportedModelError(f"{name} scores one label's logit alone; give the token against it: mv.Generative(labels=)")
    instruction = _default_prompt(more) or None
    return Said(
        kind="Generative", labels=(int(ids["true_token_id"]), int(ids["false_token_id"])), instruction=instruction, **common
    )


def _projections(steps: Sequence[Step]) -> tuple[nn.Module, ...]:
    return tuple(step.module() for step in steps if step.kind == "Dense" and step.module is not None)


#: What reads the steps of each kind.
_READERS: dict[str, Callable[[Sequence[Step], Mapping[str, Any], str, Mapping[str, Any]], Said]] = {
    "Dot": _dot,
    "Splade": _splade,
    "ColBERT": _colbert,
    "Cat": _cat,
    "Generative": _generative,
}


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
        "default_prompt_name": getattr(source, "default_prompt_name", None),
        "truncate_dim": getattr(source, "truncate_dim", None),
        "max_active_dims": getattr(source, "max_active_dims", None),
        "model_type": "CrossEncoder" if cross else None,
    }
    if hasattr(source, "query_prefix"):  # PyLate
        more |= {"model_type": "ColBERT", **{key: getattr(source, key, None) for key in _PYLATE}}
    said = read_steps([_live_step(module) for module in modules], more, f"this {name}")
    return Opened(name, model, source.tokenizer, said)


def _pylate(more: Mapping[str, Any]) -> Interaction:
    defaults = {"query_marker": "[Q] ", "doc_marker": "[D] ", "doc_length": 180, "whole_words": True, "types": True}
    said = {ours: more[theirs] for theirs, ours in _PYLATE.items() if more.get(theirs) is not None}
    if "skip" in said:
        said["skip"] = tuple(said["skip"])
    settings = {**defaults, **said}
    settings["attend"] = bool(settings.get("attend")) and bool(settings.get("expand", True))
    return Interaction(**settings)


def _pooling(settings: Mapping[str, Any], name: str) -> str:
    modes = settings.get("pooling_mode")
    if modes is None:
        prefix = "pooling_mode_"
        modes = [key.removeprefix(prefix) for key, on in settings.items() if key.startswith(prefix) and on]
    if not modes:
        raise MechvizError(f"{name} does not say how it pools: its Pooling module has no pooling_mode. Save or fetch it again")
    chosen = [_POOLINGS.get(str(mode), str(mode)) for mode in ([modes] if isinstance(modes, str) else modes)]
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        raise UnsupportedModelError(f"{name} pools by {' and '.join(chosen)}; mechviz has {', '.join(POOLINGS)}")
    return chosen[0]


def _live_step(module: Any) -> Step:
    kind = type(module).__name__
    names = [key for key in vars(module) if key.startswith("pooling_mode_")]
    names += ["pooling_mode", "include_prompt", "pooling_strategy", "activation_function", "true_token_id", "false_token_id"]
    names += ["max_seq_length", "query_length", "document_length", "query_expansion", "module_input_name", "module_output_name"]
    names += ["skiplist_words", "skiplist_tasks", "keep_only_token_ids"]
    settings = {key: getattr(module, key) for key in names if hasattr(module, key)}
    if kind != "Dense":
        return Step(kind, settings)
    return Step(
        kind,
        settings,
        lambda: Projection(
            module.linear, module.activation_function, getattr(module, "residual", None), getattr(module, "use_residual", False)
        ),
    )
