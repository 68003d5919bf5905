"""One HTML file that opens anywhere: the widget's own components over a state that lies in the file.

The page makes no network request, and its content security policy forbids any. Everything of the user's is JSON
with ``<`` escaped, read by the bundle and set as text, so that no text can become markup.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechviz.errors import MechvizError

STATIC = Path(__file__).parent / "static"
#: The bundles: of pairs, texts and studies; of what probes find.
WIDGET, PROBES = "widget", "probes"

# Modules cannot import another inline script, so the bundle is text and becomes a module by a Blob URL.
_BOOTSTRAP = """
const data = JSON.parse(document.querySelector("script[data-mechviz]").textContent);
const style = document.createElement("style");
style.textContent = data.css;
document.head.append(style);
const url = URL.createObjectURL(new Blob([data.bundle], { type: "text/javascript" }));
import(url)
  .then((module) => module.default.mount_snapshot(document.querySelector("main"), data.state))
  .catch((error) => { document.querySelector("main").textContent = "mechviz could not draw this page: " + error; })
  .finally(() => URL.revokeObjectURL(url));
""".strip()

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="mechviz {version}">
<title>{title}</title>
<style>{page_css}</style>
</head>
<body>
<main></main>
<noscript>This page draws itself with the script that it holds; switch JavaScript on to see it.</noscript>
<script type="application/json" data-mechviz>{data}</script>
<script type="module">{bootstrap}</script>
</body>
</html>
"""

_PAGE_CSS = (
    ":root{color-scheme:light dark}"
    "body{margin:0;font-family:system-ui,sans-serif;background:light-dark(#fff,#17191c);color:light-dark(#1b1d20,#e6e8eb)}"
    "main{max-width:1400px;margin:0 auto;padding:16px 20px 40px}"
)

#: A page over this size is written with a warning.
SIZE_CAP = 5 * 2**20


def to_html(state: Mapping[str, Any], title: str, version: str, name: str = WIDGET) -> str:
    """Return a page that shows a view's state.

    Parameters
    ----------
    state : mapping
        ``spec``, ``progress``, ``selection`` and ``theme`` as JSON values; ``buffers`` and ``cells`` as bytes by name.
    title : str
    version : str
        Of mechviz.
    name : str
        Of the bundle that draws it.
    """
    whole = {**state, "buffers": {}, "cells": {}, "packed": _packed(state)}
    payload = {"bundle": bundle(name), "css": stylesheet(name), "state": whole}
    digest = hashlib.sha256(_BOOTSTRAP.encode()).digest()
    return _PAGE.format(
        policy=f"default-src 'none'; script-src 'sha256-{base64.b64encode(digest).decode()}' blob:; style-src 'unsafe-inline'",
        version=html.escape(version),
        title=html.escape(title),
        page_css=_PAGE_CSS,
        data=_json(payload),
        bootstrap=_BOOTSTRAP,
    )


def _packed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return all buffers as one compressed text, and where each of them lies in it."""
    named = [(part, name, data) for part in ("buffers", "cells") for name, data in state[part].items()]
    zipped = gzip.compress(b"".join(data for _, _, data in named), compresslevel=9, mtime=0)
    return {"data": base64.b64encode(zipped).decode(), "index": [[part, name, len(data)] for part, name, data in named]}


class Framed:
    """A page inside a frame, for places that show HTML but hold no widgets.

    Parameters
    ----------
    page : str
    picture : str
        SVG that stands where the frame is taken out.
    height : int
        In pixels.
    """

    def __init__(self, page: str, picture: str, height: int) -> None:
        self._page, self._picture, self._height = page, picture, height

    def _repr_html_(self) -> str:
        # The frame may run scripts and nothing else: the page in it has no way to the notebook around it. It lies over the
        # picture; a notebook that is not trusted loses frame and style, and the picture is seen.
        source = html.escape(self._page, quote=True)
        picture = base64.b64encode(self._picture.encode()).decode()
        frame = f"grid-area:1/1;width:100%;height:{self._height}px;border:0;background:Canvas"
        return (
            f'<div style="display:grid"><img alt="a still picture of the view" style="grid-area:1/1" '
            f'src="data:image/svg+xml;base64,{picture}">'
            f'<iframe sandbox="allow-scripts" style="{frame}" title="mechviz" srcdoc="{source}"></iframe></div>'
        )

    def __repr__(self) -> str:
        return "a mechviz page of " + f"{len(self._page) / 1e6:.1f} MB"


def bundle(name: str = WIDGET) -> str:
    """Return the JavaScript that widget and page share."""
    return _static(f"{name}.js")


def stylesheet(name: str = WIDGET) -> str:
    """Return its style sheet."""
    return _static(f"{name}.css")


def _json(value: object) -> str:
    # Inside <script> only these sequences end or comment out the element; escaping < and the line separators
    # that old parsers mistake for line ends covers all of them.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _static(name: str) -> str:
    try:
        return (STATIC / name).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MechvizError(f"{STATIC / name} is missing: reinstall mechviz-ir, or run make js in a checkout") from error
