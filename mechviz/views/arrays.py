"""Views of what was computed elsewhere: anybody's arrays, and TransformerLens caches. Torch is not needed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.results import AttentionResult, StackShape
from mechviz.text import Tokens
from mechviz.views.attention import AttentionView
from mechviz.views.grid import GridView
from mechviz.views.view import View

_SPECIAL = re.compile(r"^(\[(CLS|SEP|PAD|MASK)\]|</?s>|<pad>|<\|?[\w ]+\|?>)$")
#: How tokenizers mark a piece inside a word, and the beginning of one.
_INSIDE, _BEGINS = "##", ("\u2581", "\u0120")


def from_arrays(
    attention: Any,
    tokens: Sequence[str],
    *,
    key_tokens: Sequence[str] | None = None,
    segments: Sequence[str] | None = None,
    doc_start: int | None = None,
    effects: Any = None,
    interval: tuple[Any, Any] | None = None,
    n: int | None = None,
    title: str = "",
    theme: str = "auto",
) -> View:
    """Draw anybody's attention.

    Parameters
    ----------
    attention : array, or a sequence of arrays, one a layer; or None
        Dims (layer, head, query_pos, key_pos); each layer may have a row dimension of 1 in front, as `transformers` gives it.
        NumPy arrays, torch tensors and anything else that NumPy reads. None for a grid of effects alone.
    tokens : sequence of str
        What attends, one a query position.
    key_tokens : sequence of str, optional
        What is attended to, where that is another text (cross-attention).
    segments : sequence of str, optional
        Of each token: ``cls``, ``query``, ``sep``, ``doc``, ``pad`` or ``prompt``, for the filters from query to document.
    doc_start : int, optional
        Instead of ``segments``: the position at which the document begins; what stands before it is the query.
    effects : array, dims (layer, head), optional
        A number for each head, drawn as a grid instead of thumbnails; NaN is "not computed".
    interval : (low, high), optional
        Bounds of each effect; cells whose interval holds 0 are marked.
    n : int, optional
        How many pairs each effect is a mean of.
    title : str
        Shown at the top.
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Returns
    -------
    AttentionView, or GridView where ``effects`` are given

    Raises
    ------
    InputError, InputTypeError
        Arrays and tokens that do not fit together.
    """
    if attention is None and effects is None:
        raise InputError("attention=None and effects=None: there is nothing to draw")
    words = _words("tokens", tokens)
    keys = None if key_tokens is None else _words("key_tokens", key_tokens)
    layers = None if attention is None else _layers(attention, len(words), len(words if keys is None else keys))
    read = _tokens(words, _segments(words, segments, doc_start))
    sizes = (len(layers), len(layers[0])) if layers is not None else tuple(np.shape(_grid(effects)))
    shape = StackShape(
        name="attention",
        text="text",
        n_layers=int(sizes[0]),
        n_heads=int(sizes[1]),
        label="Attention as it was given",
        query_labels=words if keys is not None else None,
    )
    result = AttentionResult(
        query=title,
        doc="",
        score=None,
        tokens={"text": read if keys is None else _tokens(keys, ["doc"] * len(keys))},
        stacks=(shape,),
        layer=lambda _, layer: _no_attention() if layers is None else layers[layer],
        provenance={"made by": "from_arrays"},
    )
    if effects is None:
        return AttentionView(result, theme=theme)
    return GridView(result, _grid(effects, sizes), interval, n, lines=layers is not None, theme=theme)


def from_cache(cache: Mapping[str, Any], tokens: Sequence[str], *, doc_start: int | None = None, theme: str = "auto") -> View:
    """Draw a TransformerLens cache: its attention, and, where it holds queries and keys, the neuron view.

    Parameters
    ----------
    cache : ActivationCache or mapping
        With ``blocks.{layer}.attn.hook_pattern``, of one row; ``hook_q``, ``hook_k`` and ``hook_attn_scores`` (``hook_rot_q``
        and ``hook_rot_k`` where they were kept) beside it for the neuron view.
    tokens : sequence of str
    doc_start : int, optional
        The position at which the document begins.
    theme : ``"auto"``, ``"light"`` or ``"dark"``

    Returns
    -------
    AttentionView

    Raises
    ------
    InputError
        No patterns in the cache, several rows, or tokens that do not fit.
    """
    kept = _Cache(cache)
    words = _words("tokens", tokens)
    first = kept.pattern("attention", 0)
    _check_size(first.shape[2:], (len(words), len(words)))
    read = _tokens(words, _segments(words, None, doc_start))
    shape = StackShape("attention", "text", kept.n_layers, first.shape[1], label="Attention from a TransformerLens cache")
    result = AttentionResult(
        query="",
        doc="",
        score=None,
        tokens={"text": read},
        stacks=(shape,),
        layer=lambda _, layer: kept.pattern("attention", layer)[0],
        provenance={"made by": "from_cache"},
    )
    return AttentionView(result, reader=kept if kept.has_scores else None, theme=theme)


class _Cache:
    """The reader of a cache of one row."""

    def __init__(self, cache: Mapping[str, Any]) -> None:
        # ActivationCache is no Mapping, but has keys and items by full name.
        self._cache = cache
        if not self.n_layers:
            names = ", ".join(list(cache.keys())[:4])
            raise InputError(
                f"the cache holds no blocks.0.attn.hook_pattern; it holds {names or 'nothing'}: cache names='pattern'"
            )

    @cached_property
    def n_layers(self) -> int:
        """How many layers have a pattern, from the first on."""
        names = set(self._cache.keys())
        return next(layer for layer in range(len(names) + 1) if _name(layer, "pattern") not in names)

    @cached_property
    def has_scores(self) -> bool:
        """Whether the neuron view can be drawn."""
        names = set(self._cache.keys())
        return all(_name(0, site) in names for site in ("q", "k", "attn_scores"))

    def pattern(self, stack: str, layer: int) -> NDArray[np.float32]:
        """Return the attention of one layer, dims (run, head, query_pos, key_pos), one run."""
        return self._read(layer, "pattern", 4)

    def scores(self, stack: str, layer: int, head: int, pos: int) -> dict[str, Any]:
        """Return what the scores of one position are made of."""
        if not self.has_scores:
            raise MechvizError("this cache holds no q, k and attn_scores; cache them too for the neuron view")
        rotated = _name(layer, "rot_q") in set(self._cache.keys())
        q, k = (self._read(layer, f"rot_{site}" if rotated else site, 4) for site in ("q", "k"))
        scores = self._read(layer, "attn_scores", 4)[:, head, pos]
        queries, keys = q[:, pos, head], k[:, :, head * k.shape[2] // q.shape[2]]
        return {
            "q": queries,
            "k": keys,
            "scores": scores,
            "pattern": self.pattern(stack, layer)[:, head, pos],
            "scale": q.shape[-1] ** -0.5,
        }

    def _read(self, layer: int, site: str, dims: int) -> NDArray[np.float32]:
        value = _array(_name(layer, site), self._cache[_name(layer, site)])
        if value.ndim == dims - 1:  # a cache without its row dimension
            value = value[None]
        if value.ndim != dims or len(value) != 1:
            raise InputError(f"{_name(layer, site)} has shape {value.shape}; give a cache of one row")
        return value


def _name(layer: int, site: str) -> str:
    return f"blocks.{layer}.attn.hook_{site}"


def _layers(attention: Any, n_queries: int, n_keys: int) -> list[NDArray[np.float32]]:
    """Return one array a layer, dims (head, query_pos, key_pos)."""
    if isinstance(attention, xr.DataArray):
        attention = attention.values
    listed = list(attention) if isinstance(attention, (tuple, list)) else list(_array("attention", attention))
    if not listed:
        raise InputError("attention holds no layers")
    layers: list[NDArray[np.float32]] = []
    for number, given in enumerate(listed):
        layer = _array(f"attention[{number}]", given)
        if layer.ndim == 4 and len(layer) == 1:
            layer = layer[0]
        if layer.ndim != 3:
            raise InputError(f"attention[{number}] has shape {layer.shape}; a layer has dims (head, query_pos, key_pos)")
        _check_size(layer.shape[1:], (n_queries, n_keys))
        if layer.shape != (layers[0].shape if layers else layer.shape):
            raise InputError(f"attention[{number}] has shape {layer.shape}, attention[0] {layers[0].shape}; they must be equal")
        if not np.isfinite(layer).all() or (layer < 0).any():
            raise InputError(f"attention[{number}] holds NaN, inf or negative numbers; attention is a share from 0 to 1")
        layers.append(layer)
    return layers


def _check_size(found: tuple[int, ...], wanted: tuple[int, int]) -> None:
    if tuple(found) != wanted:
        raise InputError(
            f"attention is from {found[0]} to {found[1]} positions and there are {wanted[0]} and {wanted[1]} tokens; give one "
            "token a position, special tokens too"
        )


def _array(name: str, value: Any) -> NDArray[np.float32]:
    if hasattr(value, "detach"):  # a torch tensor, wherever it is
        value = value.detach().float().cpu().numpy()
    try:
        return np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name} must be an array of numbers, not {shown(value)}") from error


def _grid(effects: Any, sizes: tuple[int, ...] | None = None) -> NDArray[np.float32]:
    values = _array("effects", effects.values if isinstance(effects, xr.DataArray) else effects)
    if values.ndim != 2 or not values.size:
        raise InputError(f"effects has shape {values.shape}; give dims (layer, head)")
    if sizes is not None and values.shape != sizes:
        raise InputError(
            f"effects has shape {values.shape} and attention {sizes[0]} layers of {sizes[1]} heads; they must be equal"
        )
    return values


def _words(name: str, tokens: Any) -> tuple[str, ...]:
    if isinstance(tokens, (str, bytes)) or not isinstance(tokens, Sequence) or not all(isinstance(one, str) for one in tokens):
        raise InputTypeError(f"{name} must be a sequence of strings, one a position, not {shown(tokens)}")
    if not tokens:
        raise InputError(f"{name} is empty; give one string a position")
    return tuple(tokens)


def _segments(tokens: Sequence[str], given: Sequence[str] | None, doc_start: int | None) -> list[str]:
    if given is not None:
        if doc_start is not None:
            raise InputError("segments and doc_start say the same thing; give one of them")
        return list(given)
    if doc_start is not None and (type(doc_start) is not int or not 0 <= doc_start <= len(tokens)):
        raise InputError(f"doc_start={shown(doc_start)}; give a position from 0 to {len(tokens)}")
    start = 0 if doc_start is None else doc_start

    def of(number: int, token: str) -> str:
        if _SPECIAL.match(token):
            return "cls" if number == 0 else "pad" if "pad" in token.lower() else "sep"
        return "doc" if number >= start else "query"

    return [of(number, token) for number, token in enumerate(tokens)]


def _tokens(words: Sequence[str], segments: Sequence[str]) -> Tokens:
    """Return tokens as a tokenizer spells them, read back into words."""
    if len(segments) != len(words):
        raise InputError(f"segments has {len(segments)} entries for {len(words)} tokens; give one a position")
    marked = any(word.startswith(_BEGINS) for word in words)
    labels, numbers, word = [], [], -1
    for number, (token, segment) in enumerate(zip(words, segments, strict=True)):
        special = segment not in ("query", "doc")
        inside = not special and number > 0 and (not token.startswith(_BEGINS) if marked else token.startswith(_INSIDE))
        word += not special and not inside
        numbers.append(-1 if special else max(word, 0))
        labels.append(token if special else token.removeprefix(_INSIDE).lstrip("".join(_BEGINS)) or token)
    n = len(words)
    return Tokens(
        ids=np.zeros(n, dtype=np.int64),
        strings=tuple(words),
        labels=tuple(labels),
        offsets=np.full((n, 2), -1, dtype=np.int64),
        words=np.array(numbers, dtype=np.int64),
        segments=tuple(segments),
        types=np.zeros(n, dtype=np.int64),
        mask=np.ones(n, dtype=bool),
        fillers=np.zeros(n, dtype=bool),
    )


def _no_attention() -> NDArray[np.float32]:
    raise MechvizError("this view was given effects only, no attention")
