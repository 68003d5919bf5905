"""BertViz 1.4.1's pages of an attention that is given, and the three scripts that they load, from the machine itself.

BertViz takes require.js, d3 and jQuery from a CDN. Here the browser is given them from a folder, without a network: what is
measured is BertViz, not somebody's connection. (jQuery 2.0.0, which it names, is not on npm; 2.1.1 does the same.)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

_FOLDER = Path(__file__).parent / ".bertviz"
_PACKAGE = "bertviz==1.4.1"
_SCRIPTS = {
    "require": ("requirejs@2.3.6", "requirejs/require.js"),
    "d3": ("d3@5.7.0", "d3/dist/d3.min.js"),
    "jquery": ("jquery@2.1.1", "jquery/dist/jquery.min.js"),
}


def prepare() -> None:
    """Install BertViz, without what it does not need here, and its scripts."""
    if not (_FOLDER / "bertviz").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", str(_FOLDER), _PACKAGE], check=True)
    if not (_FOLDER / "node_modules").exists():
        names = [name for name, _ in _SCRIPTS.values()]
        subprocess.run(["npm", "install", "--silent", "--no-save", "--prefix", str(_FOLDER), *names], check=True)


def script(url: str) -> Path | None:
    """Return the file of a script that a page asks for by URL."""
    for name, (_, path) in _SCRIPTS.items():
        if f"/{name}" in url.lower():
            return _FOLDER / "node_modules" / path
    return None


def page(view: str, attention: NDArray[np.float32], tokens: list[str]) -> str:
    """Return the HTML of ``head_view`` or ``model_view``; attention has dims (layer, head, query_pos, key_pos)."""
    sys.path.insert(0, str(_FOLDER))
    try:
        import bertviz
    finally:
        sys.path.remove(str(_FOLDER))
    layers = [torch.from_numpy(layer)[None] for layer in attention]
    html = getattr(bertviz, view)(layers, tokens, html_action="return")
    return f'<!doctype html><html><head><meta charset="utf-8"></head><body>{html.data}</body></html>'
