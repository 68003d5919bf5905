"""Run the tutorials and write their gallery: ``make gallery``, when a version is made.

A tutorial has one cell with the tag ``gallery``, whose last value is a view; it becomes a page of its own, and its still picture
goes into the index. The notebook's metadata says the rest, under ``mechviz``: ``line``, for the index; ``shows``, two sentences
for the page; ``panel``, which one is the still picture (default the view's first).
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import html
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parents[1]))

from notebooks.tutorials import FOLDER, read, tagged, title, tutorials

OUT = FOLDER / "gallery"
THEMES = ("light", "dark")
#: Bytes that the gallery may have in all.
CAP = 3_000_000
#: What is run after the cell with the view.
_SAVE = """
_shown = Out[max(Out)]
_shown.to_html({page!r})
for _theme in {themes!r}:
    _shown.to_svg({still!r}.format(_theme), panel={panel!r}, theme=_theme)
"""


@dataclass(frozen=True)
class Entry:
    """What the gallery has of one tutorial.

    Attributes
    ----------
    name : str
        Of the notebook, without its ending.
    title, line, shows : str
    page : str
        HTML of the view.
    stills : dict of theme to SVG
    """

    name: str
    title: str
    line: str
    shows: str
    page: str
    stills: dict[str, str]


def run(path: Path) -> Entry:
    """Run a tutorial up to its view, and take the view out."""
    import nbformat
    from nbclient import NotebookClient

    plain = read(path)
    (at,) = tagged(plain, "gallery")
    about = plain["metadata"]["mechviz"]
    notebook: Any = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        page, still = str(Path(folder) / "page.html"), str(Path(folder) / "{}.svg")
        save = _SAVE.format(page=page, still=still, themes=THEMES, panel=about.get("panel") or None)
        notebook.cells = [*notebook.cells[: at + 1], nbformat.v4.new_code_cell(save)]
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
        return Entry(
            name=path.stem,
            title=title(plain),
            line=about["line"],
            shows=about["shows"],
            page=Path(page).read_text(encoding="utf-8"),
            stills={theme: Path(still.format(theme)).read_text(encoding="utf-8") for theme in THEMES},
        )


def page(entry: Entry) -> str:
    """Return a tutorial's page: what it shows, above its view."""
    head = _HEADER.format(
        title=html.escape(entry.title), shows=html.escape(entry.shows), name=html.escape(entry.name), number=int(entry.name[:2])
    )
    parts = [("<main></main>", f"{head}\n<main></main>"), ("</head>", f"<style>{_STYLE}{_PAGE_STYLE}</style>\n</head>")]
    text = entry.page
    for old, new in parts:
        if text.count(old) != 1:
            raise ValueError(f"the page of {entry.name} has {text.count(old)} times {old}; mechviz.snapshot writes it once")
        text = text.replace(old, new)
    start, end = text.index("<title>"), text.index("</title>")
    return _packed(f"{text[:start]}<title>{html.escape(entry.title)} · mechviz{text[end:]}")


def _packed(text: str) -> str:
    """Return a page whose data (the widget is most of it) is compressed; the page opens it when it is drawn."""
    (data,) = re.findall(r"<script type=\"application/json\" data-mechviz>(.*?)</script>", text, re.DOTALL)
    (script,) = re.findall(r"<script type=\"module\">(.*?)</script>", text, re.DOTALL)
    if _OPEN in script:
        return text
    opens = script.replace('JSON.parse(document.querySelector("script[data-mechviz]").textContent)', _OPEN)
    if opens == script:
        raise ValueError("a page of mechviz.snapshot reads its data in another way than the gallery knows")
    policy = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (script, opens)]
    zipped = base64.b64encode(gzip.compress(data.encode(), mtime=0)).decode()
    for old, new in ((data, zipped), (script, opens), policy):
        text = text.replace(old, new)
    return text


def index(entries: list[Entry]) -> str:
    """Return the page that leads to all others."""
    return _INDEX.format(style=_STYLE + _INDEX_STYLE, cards="\n".join(map(_card, entries)))


def _card(entry: Entry) -> str:
    light, dark = (f"data:image/svg+xml,{_quoted(entry.stills[theme])}" for theme in THEMES)
    return _CARD.format(
        name=html.escape(entry.name),
        number=int(entry.name[:2]),
        title=html.escape(entry.title),
        line=html.escape(entry.line),
        light=light,
        dark=dark,
    )


def _quoted(svg: str) -> str:
    """Return an SVG for a data URL in an attribute, far smaller than in base64."""
    return quote(svg.replace("\n", " ").replace('"', "'"), safe="'=:;/,.()-_!?+*@|{}[]")


def build(out: Path = OUT, folder: Path = FOLDER) -> list[Path]:
    """Write the whole gallery, and return its files.

    Raises
    ------
    ValueError
        It is over `CAP`; nothing is written then.
    """
    with ThreadPoolExecutor(2) as pool:
        entries = list(pool.map(run, tutorials(folder)))
    texts = {f"{entry.name}.html": page(entry) for entry in entries} | {"index.html": index(entries)}
    size = sum(len(text.encode()) for text in texts.values())
    if size > CAP:
        raise ValueError(f"the gallery has {size / 1e6:.1f} MB, over {CAP / 1e6:.0f}")
    out.mkdir(exist_ok=True)
    for old in out.glob("*.html"):
        old.unlink()
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    return [out / name for name in texts]


#: How a page reads data that is compressed.
_OPEN = (
    "await new Response(new Blob([Uint8Array.from("
    'atob(document.querySelector("script[data-mechviz]").textContent), (one) => one.charCodeAt(0))]).stream()'
    '.pipeThrough(new DecompressionStream("gzip"))).json()'
)
_STYLE = (
    ":root{color-scheme:light dark;--ink:light-dark(#1b1d20,#e6e8eb);--soft:light-dark(#5b6067,#a3a9b1);"
    "--line:light-dark(#e3e5e8,#31353a);--paper:light-dark(#fff,#17191c);--link:light-dark(#0b5cad,#7ab8f5)}"
    "*{box-sizing:border-box}"
    "body{margin:0;font-family:system-ui,sans-serif;line-height:1.5;background:var(--paper);color:var(--ink)}"
    "a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}"
    "a:focus-visible{outline:2px solid var(--link);outline-offset:3px;border-radius:4px}"
)
_PAGE_STYLE = (
    ".tutorial{max-width:1400px;margin:0 auto;padding:20px 20px 4px}"
    ".tutorial nav{display:flex;gap:20px;font-size:14px;color:var(--soft)}"
    ".tutorial h1{margin:14px 0 4px;font-size:26px;line-height:1.25;font-weight:650;letter-spacing:-.01em}"
    ".tutorial p{margin:0;max-width:78ch;color:var(--soft);font-size:15px}"
)
_INDEX_STYLE = (
    ":root{--paper:light-dark(#fff,#15171a)}"  # what figures are drawn on
    ".all{max-width:1160px;margin:0 auto;padding:56px 24px 72px}"
    "header{max-width:70ch;margin-bottom:40px;text-wrap:pretty}"
    "h1{margin:0 0 10px;font-size:34px;line-height:1.2;font-weight:680;letter-spacing:-.02em}"
    "header p{margin:0;color:var(--soft);font-size:17px}"
    "ol{list-style:none;margin:0;padding:0;display:grid;gap:28px;grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr))}"
    "li{position:relative;display:flex;flex-direction:column;border:1px solid var(--line);border-radius:14px;overflow:hidden;"
    "background:var(--paper);transition:border-color .15s,box-shadow .15s}"
    "li:hover{border-color:var(--link);box-shadow:0 4px 18px light-dark(rgb(20 30 40/.09),rgb(0 0 0/.45))}"
    "li:focus-within{border-color:var(--link)}"
    ".still{height:264px;padding:14px 16px 0;overflow:hidden;"
    "mask-image:linear-gradient(#000 84%,transparent)}"
    ".still img{display:block;max-width:100%}"
    ".text{flex:1;padding:16px 20px 18px;border-top:1px solid var(--line)}"
    "h2{margin:0 0 4px;font-size:19px;line-height:1.3;font-weight:620}"
    "h2 a{color:inherit}h2 a::after{content:'';position:absolute;inset:0;border-radius:14px}"
    ".number{color:var(--soft);font-weight:450;margin-right:8px;font-variant-numeric:tabular-nums}"
    ".text p{margin:0;color:var(--soft);font-size:15px}"
    ".text .open{position:relative;z-index:1;display:inline-block;margin-top:10px;font-size:14px}"
    "@media(max-width:560px){.all{padding:32px 16px 48px}.still{height:210px}}"
)
_HEADER = """<header class="tutorial">
<nav><a href="index.html">All tutorials</a><a href="../{name}.ipynb">The notebook</a></nav>
<h1>{title}</h1>
<p>{shows}</p>
</header>"""
_CARD = """<li>
<div class="still"><picture>
<source media="(prefers-color-scheme: dark)" srcset="{dark}"><img alt="" src="{light}">
</picture></div>
<div class="text">
<h2><span class="number">{number}</span><a href="{name}.html">{title}</a></h2>
<p>{line}</p>
<a class="open" href="../{name}.ipynb">Notebook</a>
</div>
</li>"""
_INDEX = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Tutorials · mechviz</title>
<style>{style}</style>
</head>
<body>
<div class="all">
<header>
<h1>See and test why a neural ranker scores a document as it does</h1>
<p>Thirteen tutorials of mechviz. Each picture opens as a page to explore; the notebook behind it runs on a laptop, on rankers
that come with the package, without a network.</p>
</header>
<main><ol>
{cards}
</ol></main>
</div>
</body>
</html>
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run the tutorials and write their gallery.")
    parser.add_argument("--out", type=Path, default=OUT)
    os.environ["MECHVIZ_WAIT"] = "1"
    for file in build(parser.parse_args().out):
        print(file, f"{file.stat().st_size / 1000:.0f} kB")
