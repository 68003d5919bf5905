"""How quickly the views draw, in headless Chromium: ``make bench-js``. Medians; BertViz's pages of the same attention beside.

Every page is opened from the disk without a network. "First paint" is from the start of loading to the frame in which what was
asked for stands: a head's lines, or all thumbnails.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable
from gzip import compress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

import mechviz as mv
from benchmarks import machine
from benchmarks.peers import bertviz
from benchmarks.table import Row, print_table
from benchmarks.texts import CHANGE, QUERY, all_minilm, document
from mechviz import snapshot
from mechviz.patching.reading import read
from mechviz.results import Atlas, Pair, PatchResult
from mechviz.text import Tokens
from tests.browser.conftest import FLAGS, find_chromium
from tests.browser.page import EMPTY_PAGE, import_bundle, traits_of

REPEATS = 7
_LAYERS = 12

#: Resolves in the frame after the one in which ``ready`` is true, with the time since loading began.
_PAINTED = """(ready) => new Promise((done, fail) => {
  setTimeout(() => fail(new Error(`not ready in 120 s: ${ready}`)), 120_000);
  const look = () => {
    if (!new Function("return " + ready)()) return requestAnimationFrame(look);
    requestAnimationFrame(() => setTimeout(() => done(performance.now()), 0));
  };
  look();
})"""

#: Does something, and tells how long it took until the frame after ``ready``.
_TIMED = """([act, ready]) => new Promise((done, fail) => {
  setTimeout(() => fail(new Error(`not ready in 120 s: ${ready}`)), 120_000);
  const start = performance.now();
  new Function(act)();
  const look = () => {
    if (!new Function("return " + ready)()) return requestAnimationFrame(look);
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - start), 0));
  };
  look();
})"""


def attention(positions: int) -> tuple[NDArray[np.float32], list[str]]:
    """Return real attention of 12 layers and 12 heads: all-MiniLM-L6's six layers on two texts, one above the other."""
    ranker = all_minilm()
    ranker.max_length = 512
    docs = [document(ranker, positions), " ".join(reversed(document(ranker, positions).split()))]
    layers: list[NDArray[np.float32]] = []
    tokens: list[str] = []
    for doc in docs:
        readings, _ = read(ranker, QUERY, doc, truncate=True)
        reading = readings["doc"]
        layers += [reading.pattern(layer)[0] for layer in range(6)]
        tokens = tokens or list(reading.runs[0].tokens.strings)
    n = min(layer.shape[-1] for layer in layers)
    cut = np.stack([layer[:, :n, :n] for layer in layers])
    return cut / cut.sum(-1, keepdims=True), tokens[:n]


def patched(layers: NDArray[np.float32], tokens: list[str]) -> mv.views.PatchingView:
    """Return a view of a pair whose two runs have this attention and its layers turned around."""
    n = len(tokens)
    words = Tokens(
        ids=np.arange(n),
        strings=tuple(tokens),
        labels=tuple(tokens),
        offsets=np.full((n, 2), -1),
        words=np.arange(n),
        segments=("cls", *["doc"] * (n - 2), "sep"),
        types=np.zeros(n),
        mask=np.ones(n),
        fillers=np.zeros(n),
    )
    generator = np.random.default_rng(0)
    scores = generator.normal(0, 0.02, (_LAYERS, 12)).astype(np.float32)
    ranker = all_minilm()
    pair: Pair = mv.make_pair(ranker, QUERY, document(ranker, 31), CHANGE)
    alignment = type(pair.alignment)(np.arange(n), np.arange(n), ("equal",) * (n - 2) + ("replace", "equal"))
    whole = {**pair.__dict__, "base": words, "source": words, "alignment": alignment}
    result = PatchResult(
        Pair(**whole),
        "heads",
        "exact",
        "effect",
        xr.DataArray(scores, dims=("layer", "head")),
        xr.DataArray(scores * pair.change + pair.base_score, dims=("layer", "head")),
    )
    return mv.views.PatchingView(result, lambda layer: np.stack([layers[layer], layers[_LAYERS - 1 - layer]]))


class Chromium:
    """Pages of files, in a browser that has no network."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser, self.folder = browser, folder
        self._count = 0

    def write(self, html: str) -> Path:
        """Write a page and return its path."""
        self._count += 1
        path = self.folder / f"{self._count}.html"
        path.write_text(html, encoding="utf-8")
        return path

    def open(self, path: Path) -> Page:
        """Open a page; scripts of a CDN come from the disk, and nothing else comes at all."""
        page = self.browser.new_page(viewport={"width": 1280, "height": 900}, bypass_csp=True)
        page.set_default_timeout(240_000)

        def answer(route: Any) -> None:
            script = bertviz.script(route.request.url)
            route.fulfill(path=script) if script else route.abort()

        page.route(lambda url: url.startswith("http"), answer)
        page.goto(path.as_uri(), wait_until="commit", timeout=240_000)
        return page

    def first_paint(self, path: Path, ready: str, repeats: int = REPEATS) -> float:
        """Return the median time from the start of loading to the frame after ``ready``, in ms."""
        times = []
        for _ in range(repeats):
            page = self.open(path)
            times.append(float(page.evaluate(_PAINTED, ready)))
            page.close()
        return median(times)


def timed(page: Page, act: Callable[[int], str], ready: Callable[[int], str], repeats: int = REPEATS) -> float:
    """Return the median time from an action to the frame after its result, in ms."""
    times = []
    for number in range(repeats):
        times.append(float(page.evaluate(_TIMED, [act(number), ready(number)])))
        page.wait_for_timeout(80)
    return median(times)


LINES = "document.querySelector('.mv-all-lines line') !== null"
ATLAS = "document.querySelector('.mv-atlas-map canvas')?.width > 100"
THUMBS = "document.querySelector('.mv-thumbs canvas')?.width > 100"
GRID = "document.querySelectorAll('.mv-heads [role=gridcell]').length >= 144"


def _mounted(chromium: Chromium, view: mv.views.PatchingView) -> float:
    """Return how long `render` takes until the frame after, each time in a page of its own, in ms."""
    times = []
    for _ in range(REPEATS):
        page = chromium.browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(EMPTY_PAGE)
        import_bundle(page)
        page.evaluate("traits => { globalThis.model = new FakeModel(traits); newHost('host'); undefined; }", traits_of(view))
        render = "mechviz.render({ model, el: document.getElementById('host'), signal: new AbortController().signal })"
        times.append(float(page.evaluate(_TIMED, [render, GRID])))
        page.close()
    return median(times)


def own(chromium: Chromium) -> list[Row]:
    """Time the views on their own."""
    rows = []

    def row(what: str, value: float, aim: float, unit: str = "ms") -> None:
        print(f"{what}: {value:.2f} {unit}", file=sys.stderr, flush=True)
        number = f"{value:.0f}" if unit == "ms" else f"{value:.2f}"
        rows.append(Row(what, f"{number} {unit}", f"<= {aim:g} {unit}", value <= aim))

    short, words = attention(64)
    path = chromium.folder / "grid.html"
    small = patched(short, words)
    small.to_html(path)
    row(
        "first paint of a 12 x 12 grid and all beside it, in a host that has the bundle (64 tokens)",
        _mounted(chromium, small),
        300,
    )
    page_time = chromium.first_paint(path, GRID)
    rows.append(Row("the same as a page from the disk, from the start of loading", f"{page_time:.0f} ms"))
    page = chromium.open(path)
    page.evaluate(_PAINTED, LINES)
    hover = timed(
        page,
        lambda i: (
            f'document.querySelector(\'[data-layer="{i}"][data-head="3"]\').dispatchEvent('
            "new PointerEvent('pointerover', { bubbles: true }))"
        ),
        lambda i: f"document.querySelector('.mv-card strong')?.textContent === 'Layer {i}, head 3'",
    )
    row("hover answer", hover, 50)
    page.close()

    layers, tokens = attention(512)
    view = patched(layers, tokens)
    sent = sum(len(data) for data in [*view.buffers.values(), *view.cells.values()]) + len(repr(view.spec))
    row(f"default state sent for 12 x 12 x {len(tokens)}", sent / 2**20, 3, "MB")
    path = view.to_html(chromium.folder / "long.html")
    row(f"one-file page of 12 x 12 x {len(tokens)}", path.stat().st_size / 2**20, 5, "MB")
    page = chromium.open(path)
    page.evaluate(_PAINTED, LINES)
    held = [key.split(".")[2:] for key in view._still(144, 1_500_000)["spec"]["held"] if key.startswith("attention.")]
    switch = timed(
        page,
        lambda i: f'document.querySelector(\'.mv-heads [data-layer="{held[i + 1][0]}"][data-head="{held[i + 1][1]}"]\').click()',
        lambda i: (
            f"document.querySelector('.mv-lines h3').textContent.startsWith('Attention of layer {held[i + 1][0]}, head "
            f"{held[i + 1][1]}') && {LINES}"
        ),
    )
    row(f"switch of the head, its data present, {len(tokens)} tokens", switch, 150)
    first = held[0]
    page.evaluate(f'document.querySelector(\'.mv-heads [data-layer="{first[0]}"][data-head="{first[1]}"]\').click()')
    matrix = timed(
        page,
        lambda i: (
            "[...document.querySelectorAll('.mv-lines-bar button')].find((b) => b.textContent === "
            f"'{'matrix' if i % 2 == 0 else 'lines'}').click()"
        ),
        lambda i: f"document.querySelectorAll('.mv-matrix canvas').length === {2 if i % 2 == 0 else 0}",
    )
    row(f"two {len(tokens)} x {len(tokens)} heat maps (both runs)", matrix, 100)
    page.close()

    middle, tokens = attention(256)
    path = patched(middle, tokens).to_html(chromium.folder / "thumbs.html")
    page = chromium.open(path)
    page.evaluate(_PAINTED, LINES)
    thumbs = timed(
        page,
        lambda i: f"document.querySelector('[data-tab={'model' if i % 2 == 0 else 'lines'}]').click()",
        lambda i: THUMBS if i % 2 == 0 else LINES,
    )
    row(f"all 144 thumbnails, {len(tokens)} tokens", thumbs, 250)
    page.close()
    path = mv.views.atlas(crowd()).to_html(chromium.folder / "atlas.html")
    page = chromium.open(path)
    page.evaluate(_PAINTED, ATLAS)
    pan = timed(
        page,
        lambda i: (
            "document.querySelector('.mv-atlas-map').dispatchEvent("
            f"new KeyboardEvent('keydown', {{ key: 'Arrow{'Left' if i % 2 else 'Right'}', bubbles: true }}))"
        ),
        lambda i: "true",
    )
    row("one step of moving an atlas of 100,000 points", pan, 50)
    row("one-file page of an atlas of 100,000 points and 13 layers", path.stat().st_size / 2**20, 5, "MB")
    page.close()
    for name, what in ((snapshot.WIDGET, "bundle"), (snapshot.PROBES, "bundle of probes")):
        size = len(compress(snapshot.bundle(name).encode(), 9)) / 1000
        rows.append(Row(f"{what}, gzipped", f"{size:.1f} kB", "<= 60 kB", size <= 60))
    return rows


def crowd(n: int = 100_000, layers: int = 13) -> Atlas:
    """Return an atlas of so many points in 40 heaps that move apart from layer to layer."""
    generator = np.random.default_rng(0)
    heaps = generator.normal(size=(40, 2))
    own = generator.integers(40, size=n)
    at = np.stack([generator.normal(heaps[own] * (1 + layer), 0.6) for layer in range(layers)]).astype(np.float32)
    labels = [f"one of [heap {heap}] and its context" for heap in own]
    points = pd.DataFrame({"label": labels, "text": range(n), "score": own.astype(float), "grade": np.nan, "term": ""})
    places = [(layer, row, row, 9, f"heap {row}", 0.5, ()) for layer in range(layers) for row in range(20)]
    cells = pd.DataFrame(places, columns=["layer", "row", "column", "n", "terms", "score", "grades"])
    layout = xr.DataArray(at, dims=("layer", "point", "axis"))
    return Atlas(layout, points, cells, 20, "token", "PCA", xr.DataArray(np.full(layers, 0.3), dims="layer"))


#: What is waited for BertViz at most, in seconds.
_PATIENCE = 120
_DRAWN = "document.querySelectorAll('svg line').length > 100"
_MY_LAYER = "[...document.querySelectorAll('.mv-picker select')].at(-2)"


def beside_bertviz(launch: Callable[[], Browser], folder: Path) -> list[Row]:
    """Open the same attention as BertViz's pages and as ours, each in a browser of its own."""
    bertviz.prepare()
    rows = []
    # At 512 tokens both of BertViz's pages hold the same 1.7 GB.
    for positions, view, ready in ((128, "head_view", LINES), (128, "model_view", THUMBS), (512, "head_view", LINES)):
        layers, tokens = attention(positions)
        n, aim = len(tokens), positions == 128
        chromium = Chromium(launch(), folder)
        ours = mv.views.from_arrays(list(layers), tokens).to_html(folder / f"ours{positions}.html")
        mine = chromium.first_paint(ours, ready, 5)
        path = chromium.write(bertviz.page(view, layers, tokens))
        sizes = [file.stat().st_size for file in (path, ours)]
        rows.append(_ratio(f"bytes of BertViz's {view} page over ours, {n} tokens", *sizes, 2**20, "MB", aim))
        theirs = _within(chromium, path)
        chromium.browser.close()
        what = f"first paint, BertViz's {view} over ours, {n} tokens"
        if theirs is None:
            rows.append(Row(what, f"not drawn within {_PATIENCE} s, ours in {mine:.0f} ms", ">= 5x" if aim else "", aim or None))
            continue
        rows.append(_ratio(what, theirs, mine, 1, "ms", aim))
        if view == "head_view":
            rows.append(_switching(launch, folder, path, ours, n, aim))
    return rows


def _within(chromium: Chromium, path: Path) -> float | None:
    """Return when BertViz's page stands, in ms from the start of loading; None where it does not in time."""
    try:
        page = chromium.open(path)
        page.wait_for_function(_DRAWN, timeout=1000 * _PATIENCE)
        return float(page.evaluate(_PAINTED, _DRAWN))
    except PlaywrightError as error:
        print(f"{path.name}: {error}"[:200], file=sys.stderr, flush=True)
        return None


def _switching(launch: Callable[[], Browser], folder: Path, path: Path, ours: Path, n: int, aim: bool) -> Row:
    chromium = Chromium(launch(), folder)
    page = chromium.open(ours)
    page.evaluate(_PAINTED, LINES)
    mine = timed(
        page,
        lambda i: (
            f"const list = {_MY_LAYER}; list.value = '{(i + 1) % 3}'; "
            "list.dispatchEvent(new Event('change', { bubbles: true }))"
        ),
        lambda i: (
            f"document.querySelector('.mv-lines h3').textContent.startsWith('Attention of layer {(i + 1) % 3},') && {LINES}"
        ),
    )
    page = chromium.open(path)
    page.wait_for_function(_DRAWN, timeout=1000 * _PATIENCE)
    theirs = timed(
        page,
        lambda i: f"require(['jquery'], ($) => $('select').first().val('{(i + 1) % 3}').trigger('change'))",
        lambda i: f"document.querySelector('select').value === '{(i + 1) % 3}' && {_DRAWN}",
        3,
    )
    chromium.browser.close()
    return _ratio(f"switch of the layer, BertViz's head_view over ours, {n} tokens", theirs, mine, 1, "ms", aim)


def _ratio(what: str, theirs: float, mine: float, unit: float, name: str, aim: bool) -> Row:
    ratio = theirs / mine
    value = f"{ratio:.1f}x ({theirs / unit:.0f} {name}, {mine / unit:.{0 if name == 'ms' else 1}f} {name})"
    print(f"{what}: {value}", file=sys.stderr, flush=True)
    return Row(what, value, ">= 5x" if aim else "", ratio >= 5 if aim else None)


def main() -> None:
    """Print the table."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def launch() -> Browser:
            return playwright.chromium.launch(executable_path=find_chromium(playwright), args=FLAGS)

        browser = launch()
        print(f"{machine.describe()}, Chromium {browser.version} headless on {platform.system()}\n", flush=True)
        rows = own(Chromium(browser, folder))
        browser.close()
        print_table([*rows, *beside_bertviz(launch, folder)])


if __name__ == "__main__":
    main()
