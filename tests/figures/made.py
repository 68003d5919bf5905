"""Results made of words and numbers, and what an SVG says."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
import xarray as xr

from mechviz.results import Pair, PatchResult
from mechviz.text import Tokens, align
from mechviz.text.tokens import spread

SPACE = "{http://www.w3.org/2000/svg}"
SEGMENTS = {"[CLS]": "cls", "[SEP]": "sep"}

#: Texts that a picture must survive.
HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "]]>&amp;&#x1;\"'",
    "nul\x00 bell\x07 escape\x1b[31m",
    "lone \ud800 surrogate",
    "\ufffe \uffff",
    "line\r\nbreak\u2028 and\ttab",
    "\u202eright to left override",
    "שלום עולם",
    "مرحبا بالعالم",
    "👩‍👩‍👧‍👦 🇫🇷 👍🏽",
    "漢字かな交じり文",
    "é̂̃" * 20,
    "W" * 500,
    " ",
]


def tokens(words: Sequence[str], segment: str = "doc") -> Tokens:
    """One token a word; a word that begins with ## goes on with the one before it."""
    labels = [word.removeprefix("##") for word in words]
    offsets, numbers, at, number = [], [], 0, -1
    for word, label in zip(words, labels, strict=True):
        inside = word.startswith("##")
        at += 0 if inside else 1
        offsets.append((at, at + len(label)))
        at += len(label)
        number += not inside
        numbers.append(number)
    segments = tuple(SEGMENTS.get(word, segment) for word in words)
    special = np.array([one != segment for one in segments], dtype=bool)
    return Tokens(
        ids=np.array([hash_of(word) for word in words]),
        strings=tuple(words),
        labels=tuple(labels),
        offsets=np.where(special[:, None], -1, np.array(offsets).reshape(-1, 2)),
        words=np.where(special, -1, numbers),
        segments=segments,
        types=np.zeros(len(words), dtype=np.int64),
        mask=np.ones(len(words), dtype=bool),
        fillers=np.zeros(len(words), dtype=bool),
    )


def hash_of(word: str) -> int:
    return sum(ord(char) * 31**i for i, char in enumerate(word)) % 2**31


def pair(original: Sequence[str], perturbed: Sequence[str], **fields: object) -> Pair:
    first, second = tokens(original), tokens(perturbed)
    aligned = align(first.ids, second.ids, first.word_starts(), second.word_starts())
    base, source = (
        spread(one, index, [99] * int((index < 0).sum()), ["a"] * int((index < 0).sum()), masked=False, segment="doc")
        for one, index in ((first, aligned.original), (second, aligned.perturbed))
    )
    values: dict[str, object] = {
        "query": "why is it hot",
        "doc": " ".join(original),
        "changed": " ".join(perturbed),
        "side": "doc",
        "perturbation": "change",
        "direction": "perturbed->original",
        "stack": "encoder",
        "base": base,
        "source": source,
        "alignment": aligned,
        "filler": "a",
        "original_score": 0.5,
        "perturbed_score": 1.5,
        "base_score": 0.5,
        "source_score": 1.5,
    }
    return Pair(**{**values, **fields})  # type: ignore[arg-type]


def result(
    effects: object,
    dims: Sequence[str] = ("layer", "head"),
    of: Pair | None = None,
    exact: object = None,
    sites: Sequence[str] | None = None,
    **fields: object,
) -> PatchResult:
    array = np.asarray(effects, dtype=np.float32)
    of = pair(["[CLS]", "hot", "[SEP]"], ["[CLS]", "hot", "lava", "[SEP]"]) if of is None else of
    coords = {"site": list(sites)} if sites else {}
    values: dict[str, object] = {
        "pair": of,
        "grid": "heads",
        "method": "exact",
        "metric": "effect",
        "effects": xr.DataArray(array, dims=dims, coords=coords),
        "patched": xr.DataArray(of.base_score + array * np.float32(of.change), dims=dims, coords=coords),
        "exact": None if exact is None else xr.DataArray(np.asarray(exact, dtype=bool), dims=dims, coords=coords),
        "provenance": {"ranker": "a/ranker", "ranker_kind": "Cat", "ranker_repr": "Cat('a/ranker')", "mechviz": "1.2.3"},
    }
    return PatchResult(**{**values, **fields})  # type: ignore[arg-type]


def parsed(svg: str) -> ElementTree.Element:
    """Parse a picture as a file of it would be, and check what holds for each."""
    root = ElementTree.fromstring(svg.encode("utf-8"))
    assert root.tag == SPACE + "svg"
    width, height = float(root.get("width")), float(root.get("height"))
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert {"system-ui", "sans-serif"} <= set(root.get("font-family").split(", "))
    names = [child.tag.removeprefix(SPACE) for child in root]
    assert names[:3] == ["title", "desc", "rect"]
    assert len(find(root, "title")) == len(find(root, "desc")) == 1, "nothing waits for a pointer"
    assert root[0].text
    assert "drawn by: mechviz" in root[1].text
    allowed = {"svg", "title", "desc", "rect", "line", "circle", "path", "text", "tspan", "g", "image"}
    assert {one.tag.removeprefix(SPACE) for one in root.iter()} <= allowed
    for one in root.iter():
        assert not [name for name in one.attrib if name.lower().startswith("on") or name in ("class", "id", "style")]
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
            if one.get(name) is not None:
                assert np.isfinite(float(one.get(name)))
        for name in ("width", "height"):
            assert one.get(name) is None or float(one.get(name)) >= 0
        if one.tag == SPACE + "text":
            assert -1 <= float(one.get("x")) <= width + 1
            assert 0 <= float(one.get("y")) <= height
            assert float(one.get("font-size", 12)) >= 11
    return root


def find(root: ElementTree.Element, name: str, **attributes: object) -> list[ElementTree.Element]:
    """Elements by name and attributes, with _ for -; a value of ... is any."""
    wanted = {key.replace("_", "-"): value for key, value in attributes.items()}
    return [
        one
        for one in root.iter(SPACE + name)
        if all(one.get(key) is not None if value is ... else one.get(key) == str(value) for key, value in wanted.items())
    ]


def words(root: ElementTree.Element) -> list[str]:
    return [one.text or "" for name in ("text", "tspan") for one in find(root, name)]


def box(one: ElementTree.Element) -> tuple[float, float, float, float]:
    x, y, width, height = (float(one.get(name)) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def numbers(points: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", points)]


def pixels_of(image: ElementTree.Element) -> np.ndarray:
    """The pixels of a picture in a picture, dims (y, x, rgba)."""
    return decoded(base64.b64decode(image.get("href").removeprefix("data:image/png;base64,")))


def decoded(file: bytes) -> np.ndarray:
    """Read a PNG that has no filters."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(file):
        length, name = struct.unpack(">I4s", file[at : at + 8])
        data = file[at + 8 : at + 8 + length]
        assert struct.unpack(">I", file[at + 8 + length : at + 12 + length])[0] == zlib.crc32(name + data)
        chunks[name] = data
        at += 12 + length
    width, height, depth, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert depth == 8
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    if kind == 6:
        return rows[:, 1:].reshape(height, width, 4)
    assert kind == 3
    palette = np.frombuffer(chunks[b"PLTE"], dtype=np.uint8).reshape(-1, 3)
    colours = palette[rows[:, 1:]]
    return np.concatenate([colours, np.full((height, width, 1), 255, dtype=np.uint8)], axis=-1)
