"""Specs in which no word of the user's texts is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

HIDDEN = "(left out)"

Spec = dict[str, Any]


def without_texts(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec in which no word of the user's texts is left: tokens are numbered, everything else is left out."""
    if spec["kind"] in _BY_KIND:
        return _BY_KIND[spec["kind"]](dict(spec))
    anybodys = _anybodys(spec)
    ends = ("query_labels", "key_labels")
    stacks = [
        {**stack, **{end: list(map(str, range(len(stack[end])))) for end in ends if stack[end] and anybodys}}
        for stack in spec["stacks"]
    ]
    ranking = spec.get("ranking")
    if ranking:
        ranking = {**ranking, "documents": [{**document, "text": ""} for document in ranking["documents"]]}
    held = {key: entry for key, entry in spec["held"].items() if key != "parts"}
    left = dict.fromkeys(("query", "doc", "perturbation"), HIDDEN)
    return {**spec, **left, "texts": _numbered_texts(spec), "stacks": stacks, "ranking": ranking, "held": held}


def _anybodys(spec: Mapping[str, Any]) -> bool:
    """Return whether no ranker read the tokens: then nobody knows which of them are not the user's."""
    return not spec["ranker"]["kind"]


def _numbered_texts(spec: Mapping[str, Any]) -> dict[str, Any]:
    anybodys = _anybodys(spec)

    def numbered(tokens: dict[str, Any] | None) -> dict[str, Any] | None:
        if tokens is None:
            return None
        shown = [
            str(position) if segment in ("doc", "query") or anybodys else label
            for position, (segment, label) in enumerate(zip(tokens["segments"], tokens["labels"], strict=True))
        ]
        return {**tokens, "labels": shown, "strings": shown, "spaces": [1] * len(shown)}

    return {name: {**text, **{run: numbered(text[run]) for run in ("base", "source")}} for name, text in spec["texts"].items()}


def _listed(spec: Spec) -> Spec:
    """Return a list of pairs, and the pairs that were opened, without texts."""

    def entry_of(key: str, entry: dict[str, Any]) -> dict[str, Any]:
        if key == "pairs":
            empty = {name: [""] * len(entry[name]) for name in ("queries", "docs")}
            return {**entry, **empty, "changes": [["", ""]] * len(entry["changes"])}
        return {**entry, "spec": without_texts(entry["spec"])} if key.startswith("pair.") else entry

    return {**spec, "held": {key: entry_of(key, entry) for key, entry in spec["held"].items()}}


def _passages(spec: Spec) -> Spec:
    """Return passages as the numbers of groups, passages and pieces, without what is said of them."""

    def passage(number: int, of: dict[str, Any]) -> dict[str, Any]:
        return {**of, "label": f"passage {number}", "pieces": [str(at) for at in range(len(of["pieces"]))]}

    groups = [
        {
            "title": f"group {number}",
            "note": "",
            "passages": [passage(at, one) for at, one in enumerate(group["passages"], 1)],
        }
        for number, group in enumerate(spec["held"]["passages"]["groups"], 1)
    ]
    held = {**spec["held"], "passages": {"groups": groups}}
    return {**spec, "query": HIDDEN, "passages": {**spec["passages"], "note": ""}, "held": held, "banners": []}


def _atlas(spec: Spec) -> Spec:
    """Leave out labels and the terms of cells."""
    held = {
        key: {**entry, "cells": [{**cell, "terms": ""} for cell in entry["cells"]]} if key.startswith("layer.") else entry
        for key, entry in spec["held"].items()
    }
    return {**spec, "held": held, "buffers": {name: of for name, of in spec["buffers"].items() if name != "atlas.labels"}}


def _tree(spec: Spec) -> Spec:
    """Name nodes of tokens by their positions."""
    tree = spec["tree"]
    nodes = [{**node, "label": f"token {node['pos']}" if node["kind"] == "token" else node["label"]} for node in tree["nodes"]]
    return {**spec, "tree": {**tree, "nodes": nodes, "tokens": list(map(str, range(len(tree["tokens"]))))}}


def _tensor(spec: Spec) -> Spec:
    """Return an array without the names of places that are words: they can be tokens."""
    tensor = spec["tensor"]
    dims = [{**dim, "labels": None if dim["words"] else dim["labels"]} for dim in tensor["dims"]]
    return {**spec, "tensor": {**tensor, "dims": dims}}


_BY_KIND: dict[str, Callable[[Spec], Spec]] = {
    "curves": lambda spec: spec,  # numbers and the names of axes, no text that a ranker read
    "study": _listed,
    "scorecard": _listed,
    "passages": _passages,
    "atlas": _atlas,
    "tree": _tree,
    "relation": lambda spec: {**spec, "texts": _numbered_texts(spec)},
    "tensor": _tensor,
}
