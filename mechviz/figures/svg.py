"""SVG elements: what a person wrote stays text, whatever it holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

#: First those whose widths are known here; a host that has none of these draws its own sans.
FONTS = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"

# What XML 1.0 allows (https://www.w3.org/TR/xml/#charsets): no escape can bring any other character into a document.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A reader turns a bare \r into \n, and \t and \n in an attribute into spaces, so they are written as references.
_ESCAPES = {ord(char): f"&#{ord(char)};" for char in "&<>\"'\r"}
_ATTRIBUTE_ESCAPES = {**_ESCAPES, ord("\t"): "&#9;", ord("\n"): "&#10;"}

Attribute = str | float | None
#: Attributes by name, with _ for -.
Look = dict[str, Attribute]


@dataclass
class Element:
    """One element with its attributes and what stands in it."""

    name: str
    attributes: Look = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def __str__(self) -> str:
        attributes = "".join(
            f' {name.replace("_", "-")}="{escaped(_written(value), _ATTRIBUTE_ESCAPES)}"'
            for name, value in self.attributes.items()
            if value is not None
        )
        inside = "".join(escaped(child) if isinstance(child, str) else str(child) for child in self.children)
        return f"<{self.name}{attributes}>{inside}</{self.name}>" if inside else f"<{self.name}{attributes}/>"


def escaped(text: str, escapes: dict[int, str] = _ESCAPES) -> str:
    """Return ``text`` as XML reads it back, with U+FFFD for what XML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text).translate(escapes)


def _written(value: str | float) -> str:
    """Return an attribute's value, numbers with at most two digits after the point."""
    if isinstance(value, str):
        return value
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def rect(x: float, y: float, width: float, height: float, **look: Attribute) -> Element:
    """Return a rectangle."""
    return Element("rect", {"x": x, "y": y, "width": width, "height": height, **look})


def line(x1: float, y1: float, x2: float, y2: float, **look: Attribute) -> Element:
    """Return a line."""
    return Element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, **look})


def circle(cx: float, cy: float, r: float, **look: Attribute) -> Element:
    """Return a circle."""
    return Element("circle", {"cx": cx, "cy": cy, "r": r, **look})


def path(points: str, **look: Attribute) -> Element:
    """Return a path."""
    return Element("path", {"d": points, **look})


def text(x: float, y: float, words: str, **look: Attribute) -> Element:
    """Return one line of text, its base line at ``y``."""
    # Spaces at the ends of a label would be dropped, and a line break would be drawn as nothing.
    return Element("text", {"x": x, "y": y, "xml:space": "preserve", **look}, [" ".join(re.split(r"[\t\n\r]", words))])


def phrase(x: float, y: float, parts: Iterable[tuple[str, Look]], gap: float, **look: Attribute) -> Element:
    """Return one line of text in several looks: each begins ``gap`` after the one before it ends, whatever the font."""
    whole = text(x, y, "", **look)
    whole.children = [
        Element("tspan", {"dx": gap if number else None, **own}, [words]) for number, (words, own) in enumerate(parts)
    ]
    return whole


def title(words: str) -> Element:
    """Return the short name of what it stands in."""
    return Element("title", {}, [words])


def group(children: Iterable[Element], **look: Attribute) -> Element:
    """Return a group whose look its children take over."""
    return Element("g", dict(look), list(children))


def document(width: float, height: float, name: str, description: str, page: str, ink: str, children: Iterable[Element]) -> str:
    """Return a whole picture: its name and description first, then a page in its colour, then what is drawn on it."""
    look: Look = {
        "xmlns": "http://www.w3.org/2000/svg",
        "width": width,
        "height": height,
        "viewBox": f"0 0 {_written(width)} {_written(height)}",
        "font-family": FONTS,
        "font-size": 12,
        "fill": ink,
        "role": "img",
    }
    drawn = [title(name), Element("desc", {}, [description]), rect(0, 0, width, height, fill=page), *children]
    return str(Element("svg", look, list(drawn)))
