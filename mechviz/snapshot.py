"""One HTML file that opens anywhere: the widget's own components over a state that lies in the file.

The page makes no network request, and its content security policy forbids any. Everything of the user's is JSON
with ``<`` escaped, read by the bundle and set as text, so that no text can become markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechviz.errors import MechvizError

STATIC = Path(__file__).parent / "static"

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


def to_html(state: Mapping[str, Any], title: str, version: str) -> str:
    """Return a page that shows a view's state.

    Parameters
    ----------
    state : mapping
        ``spec``, ``progress``, ``selection`` and ``theme`` as JSON values; ``buffers`` and ``cells`` as bytes by name.
    title : str
    version : str
        Of mechviz.
    """
    binary = {
        part: {name: base64.b64encode(data).decode() for name, data in state[part].items()} for part in ("buffers", "cells")
    }
    payload = {"bundle": bundle(), "css": stylesheet(), "state": {**state, **binary}}
    digest = hashlib.sha256(_BOOTSTRAP.encode()).digest()
    return _PAGE.format(
        policy=f"default-src 'none'; script-src 'sha256-{base64.b64encode(digest).decode()}' blob:; style-src 'unsafe-inline'",
        version=html.escape(version),
        title=html.escape(title),
        page_css=_PAGE_CSS,
        data=_json(payload),
        bootstrap=_BOOTSTRAP,
    )


def bundle() -> str:
    """Return the JavaScript that widget and page share."""
    return _static("widget.js")


def stylesheet() -> str:
    """Return its style sheet."""
    return _static("widget.css")


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
