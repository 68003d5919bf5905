"""What a study does to every pair, checked against the ranker before any pair is run, and its header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, cast

import mechviz
from mechviz.errors import InputError, InputTypeError, shown
from mechviz.patching import Settings
from mechviz.patching.cells import find_grid, select
from mechviz.patching.settings import complete
from mechviz.rankers import Ranker
from mechviz.results import DIRECTIONS
from mechviz.studies.schema import Header
from mechviz.text import bind_filler
from mechviz.text.classes import TOKEN_CLASSES

#: Settings of `mechviz.patch` that a study takes; the others are of one pair, or change nothing in its scores.
TAKEN = ("grid", "direction", "filler", "truncate", "stack", "sites", "layers", "heads", "positions", "memory")


def check_settings(settings: Mapping[str, Any]) -> Settings:
    """Return the settings of `mechviz.patch` with which every pair is patched.

    Raises
    ------
    InputError, InputTypeError
        A setting that a study does not take, or one that is not the same for every pair.
    """
    unknown = sorted(set(settings) - set(TAKEN))
    if unknown:
        raise InputTypeError(f"a study has no setting {', '.join(unknown)}; it takes {', '.join(TAKEN)}")
    chosen = complete(cast(Settings, {name: value for name, value in settings.items() if value is not None}))
    if callable(chosen["filler"]):
        raise InputTypeError("filler= must be a word in a study, not a function: parts are known again by their settings")
    if isinstance(chosen["heads"], str):
        raise InputError(f"heads={chosen['heads']!r} chooses other heads for each pair, which have no mean; give (layer, head)s")
    return cast(Settings, {name: chosen[name] for name in TAKEN})  # type: ignore[literal-required]


def header_of(ranker: Ranker, settings: Settings, side: str, **more: Any) -> Header:
    """Return the header of a study's parts.

    Parameters
    ----------
    ranker : Ranker
    settings : Settings
        As `check_settings` returns them.
    side : ``"doc"`` or ``"query"``
        Which text the first pair changes: where no stack is chosen, its stack is patched.
    **more
        Other settings that parts depend on.

    Raises
    ------
    InputError, InputTypeError
        Settings that do not fit the ranker.
    """
    if settings["direction"] not in DIRECTIONS:
        raise InputError(f"direction={shown(settings['direction'])}; it is one of {', '.join(map(repr, DIRECTIONS))}")
    name = settings["stack"] or ranker.stack_of(side)
    ranker.check_stack(name)
    text, stack = ranker.text_of(name), ranker.stack(name)
    grid = find_grid(settings["grid"], settings["sites"], mlps=stack.d_mlp > 0)
    if "pos" in grid.dims and text != name:
        raise InputError(
            f"grid={settings['grid']!r} with stack={name!r}: that stack has one position, which is no token of the texts; "
            "choose a grid without positions, such as 'heads'"
        )
    every = {"site": len(grid.sites), "layer": stack.n_layers, "head": stack.n_heads, "neuron": stack.d_mlp}
    sizes = {dim: every[dim] for dim in grid.dims if dim != "pos"}
    dims = (*sizes.items(), *([("class", len(TOKEN_CLASSES))] if "pos" in grid.dims else []))
    coords = {"site": list(grid.sites), "class": list(TOKEN_CLASSES)}
    # Where a cell lies is another question for each pair; everything else about the cells is checked here, once.
    places = replace(grid, dims=tuple(dim for dim in grid.dims if dim != "pos"))
    classes = TOKEN_CLASSES if text == name else None
    heads: Any = settings["heads"]
    select(places, sizes, settings["layers"], heads, settings["positions"], ranker.limit(text), classes)
    filler = bind_filler(settings["filler"], ranker.query_tokenizer if text == "query" else ranker.tokenizer)
    chosen = {key: settings[key] for key in TAKEN if key != "memory"}  # type: ignore[literal-required]
    return Header(
        grid=settings["grid"],
        dims=dims,
        coords={dim: values for dim, values in coords.items() if dim in dict(dims)},
        stack=name,
        direction=settings["direction"],
        filler=filler.name,
        ranker=ranker.name,
        weights_sha256=ranker.weight_hash(),
        settings={**plain(chosen), **more, "reads": _reads(ranker)},
        versions={"mechviz": mechviz.__version__, **{name: version(name) for name in ("torch", "transformers", "numpy")}},
    )


def plain(value: Any) -> Any:
    """Return settings as JSON values.

    Raises
    ------
    InputTypeError
        A value that is none.
    """
    try:
        return json.loads(json.dumps(value, default=_listed))
    except TypeError as error:
        raise InputTypeError(f"settings must be names, numbers and lists of them: {error}") from error


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        return value.tolist()
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(shown(value))


def _reads(ranker: Ranker) -> str:
    """Return what the score depends on beside the weights: the kind of ranker, how it reads texts, and its tokenizer."""
    digest = hashlib.sha256()
    for tokenizer in (ranker.query_tokenizer, ranker.tokenizer):
        state = json.loads(cast(Any, tokenizer).backend_tokenizer.to_str())
        # The last call's, not the tokenizer's own.
        state.pop("truncation"), state.pop("padding")
        digest.update(json.dumps(state).encode())
    dtype = str(ranker.model.dtype).removeprefix("torch.")
    said = f"{ranker.kind}, {dtype}, max_length={ranker.max_length}{ranker.describe()}"
    return f"{said}, tokenizer {digest.hexdigest()[:16]}"
