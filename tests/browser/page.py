"""What the browser tests read from a page, and the fake host that they mount the bundle in."""

from __future__ import annotations

import base64
import re
import threading
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

import mechviz as mv
from mechviz import snapshot, wire

EMPTY_PAGE = "data:text/html,<!doctype html><html lang=en><title>host</title><body></body></html>"

#: A model as anywidget's front end gives it: `set` tells the listeners, `send` goes to the kernel.
FAKE_MODEL = """
globalThis.decode = (text) => new DataView(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer);
globalThis.decodeAll = (named) => Object.fromEntries(Object.entries(named).map(([key, text]) => [key, decode(text)]));
globalThis.FakeModel = class {
  constructor({ buffers, cells, ...traits }) {
    this.traits = { ...traits, buffers: decodeAll(buffers), cells: decodeAll(cells) };
    this.handlers = [];
    this.sent = [];
    this.saved = 0;
  }
  get(key) { return this.traits[key]; }
  set(key, value) { this.traits[key] = value; this.emit(`change:${key}`, this, value); }
  save_changes() { this.saved += 1; }
  send(content) { this.sent.push(content); }
  on(event, handler) { this.handlers.push([event, handler]); }
  off(event, handler) {
    this.handlers = this.handlers.filter(([e, h]) => e !== event || (handler && h !== handler));
  }
  emit(event, ...args) { for (const [e, h] of [...this.handlers]) if (e === event) h(...args); }
};
globalThis.newHost = (name, parent = document.body) => {
  const el = document.createElement("div");
  el.id = name;
  parent.append(el);
  return el;
};
undefined;
"""


def import_bundle(page: Page, name: str = snapshot.WIDGET) -> None:
    """Load a bundle as a host would, and its style sheet."""
    page.add_style_tag(content=snapshot.stylesheet(name))
    page.evaluate(FAKE_MODEL)
    page.evaluate(
        """async (text) => {
          const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
          globalThis.mechviz = (await import(url)).default;
          URL.revokeObjectURL(url);
        }""",
        snapshot.bundle(name),
    )


def encoded(named: dict[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(data).decode() for name, data in named.items()}


def traits_of(view: mv.views.View, **progress: object) -> dict[str, Any]:
    """A view's traits for a `FakeModel` or `mount_snapshot`, with another progress if asked."""
    return {
        "spec": view.spec,
        "buffers": encoded(view.buffers),
        "cells": encoded(view.cells),
        "progress": {**view.progress, **progress},
        "selection": view.selection,
        "theme": view.theme,
    }


def mount(page: Page, traits: dict[str, Any], host: str = "host") -> Locator:
    """Render a fake live widget; its model is ``page``'s ``models[host]``, its end ``ends[host]``."""
    page.evaluate(
        """async ([traits, host]) => {
          globalThis.models = { ...globalThis.models, [host]: new FakeModel(traits) };
          const el = document.getElementById(host) ?? newHost(host);
          const signal = new AbortController().signal;
          const end = await mechviz.render({ model: models[host], el, signal });
          globalThis.ends = { ...globalThis.ends, [host]: end };
        }""",
        [traits, host],
    )
    return page.locator(f"#{host}")


#: The head of a cell that is a layer's MLP.
MLP = -1


def answer(page: Page, view: mv.views.View, monkeypatch: pytest.MonkeyPatch, host: str = "host") -> dict[str, Any]:
    """Let Python answer the last message that the browser sent, as the kernel would, and return that message."""
    page.wait_for_function("host => models[host].sent.length > 0", arg=host)
    message = page.evaluate("host => models[host].sent.at(-1)", host)
    replies: list[tuple[dict[str, Any], list[bytes]]] = []
    with monkeypatch.context() as patched:
        patched.setattr(view, "send", lambda content, buffers=(): replies.append((content, list(buffers))))
        before = set(threading.enumerate())
        view._receive(view, message, [])
        for thread in set(threading.enumerate()) - before:  # what runs the ranker does so beside the kernel
            thread.join()
    ((content, buffers),) = replies
    data = list(encoded({str(i): data for i, data in enumerate(buffers)}).values())
    page.evaluate("([host, content, data]) => models[host].emit('msg:custom', content, data.map(decode))", [host, content, data])
    return message


def set_trait(page: Page, name: str, value: object, host: str = "host") -> None:
    page.evaluate("([host, name, value]) => models[host].set(name, value)", [host, name, value])


def pixel(canvas: Locator, x: int, y: int) -> tuple[int, int, int]:
    """A pixel of a canvas, in the canvas's own pixels."""
    read = "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3)"
    return tuple(canvas.evaluate(read, [int(x), int(y)]))


def cell(scope: Page | Locator, layer: int, head: int) -> Locator:
    return scope.locator(f".mv-cell[data-layer='{layer}'][data-head='{head}']")


def heads(scope: Page | Locator) -> Locator:
    """The cells of the heads; each row has one more, of its MLP."""
    return scope.locator(f".mv-cell[role=gridcell]:not([data-head='{MLP}'])")


def open_tab(scope: Page | Locator, name: str) -> Locator:
    """Open one of the panels that share a place, and return it."""
    tab = scope.locator(f"[role=tab][data-tab={name}]")
    tab.click()
    expect(tab).to_have_attribute("aria-selected", "true")
    return scope.get_by_role("tabpanel")


def focused_cell(page: Page) -> tuple[int, int] | None:
    """(layer, head) of the cell that has the focus."""
    found = page.evaluate("""() => {
      let node = document.activeElement;
      while (node?.shadowRoot) node = node.shadowRoot.activeElement;
      return node?.matches("[role=gridcell]") ? [Number(node.dataset.layer), Number(node.dataset.head)] : null;
    }""")
    return tuple(found) if found else None


def selected_cells(scope: Page | Locator) -> list[tuple[int, int]]:
    cells = scope.locator(".mv-cell[role=gridcell][aria-selected=true]")
    return [tuple(pair) for pair in cells.evaluate_all("all => all.map(c => [Number(c.dataset.layer), Number(c.dataset.head)])")]


def half(scope: Page | Locator, run: str) -> Locator:
    return scope.locator(f".mv-lines .mv-half[data-condition={run}]")


def drawn_edges(scope: Page | Locator, run: str, lines: str = ".mv-all-lines") -> set[tuple[int, int]]:
    """(from, to) of every line of a run, read from where its ends lie beside the tokens."""
    found = half(scope, run).evaluate(
        """(half, lines) => {
          const height = parseFloat(getComputedStyle(half).getPropertyValue("--line"));
          const pos = (y) => y.baseVal.value / height - 0.5;
          return [...half.querySelectorAll(`${lines} line`)].map((line) => [pos(line.y1), pos(line.y2)]);
        }""",
        lines,
    )
    edges = [(round(a), round(b)) for a, b in found]
    assert np.allclose(found or [[0, 0]], edges or [[0, 0]], atol=1e-3), "lines that end between two tokens"
    assert len(set(edges)) == len(edges), "a line drawn twice"
    return set(edges)


def draw_share(scope: Page | Locator, mass: float) -> None:
    """Move the slider of the lines."""
    scope.locator(".mv-lines-rule input[type=range]").fill(str(mass))


def edges_of(view: mv.views.PatchingView, layer: int, head: int, mass: float = 0.9) -> dict[str, set[tuple[int, int]]]:
    """What `drawn_edges` should find, from the view's own attention; ``mass`` is the share of each row that is drawn."""
    pattern = view._reader.pattern(view.selection["stack"], layer)[:, head]
    pairs = [wire.strongest_edges(of_run, mass) for of_run in pattern]
    return {run: set(zip(*(a.tolist() for a in pair), strict=True)) for run, pair in zip(("base", "source"), pairs, strict=True)}


def option(scope: Page | Locator, run: str, side: str, pos: int) -> Locator:
    """A token beside the lines."""
    return half(scope, run).locator(f".mv-column[data-side={side}] [data-pos='{pos}']")


def unguarded(scope: Page | Locator) -> list[str]:
    """Every node that takes the focus and does not ask JupyterLab to leave its keys alone."""
    return scope.locator("button, input, summary, [tabindex]").evaluate_all(
        "all => all.filter(n => !n.hasAttribute('data-lm-suppress-shortcuts')).map(n => n.outerHTML.slice(0, 120))"
    )


def number(text: str) -> float:
    """The first number in a text; the minus sign is U+2212."""
    return float(re.search(r"[+−-]?\d+(\.\d+)?", text)[0].replace("−", "-"))


def no_nonsense(scope: Page | Locator) -> None:
    """No value may slip through to the words."""
    text = scope.locator(".mechviz").inner_text()
    assert not re.search(r"NaN|undefined|Infinity|\[object|\bnull\b", text), text


def squeezed(text: str) -> str:
    """A text without its white space, whose place rows and columns decide."""
    return "".join(text.split())


def shown_text(scope: Page | Locator, which: str) -> str:
    """What the before/after panel shows of ``original`` or ``perturbed``, fillers left out."""
    rows = scope.locator(f".mv-before-after p[data-text={which}]")
    return "\n".join(
        rows.evaluate_all("""rows => rows.map((row) => {
          const copy = row.cloneNode(true);
          for (const filler of copy.querySelectorAll(".mv-filler")) filler.remove();
          return copy.textContent;
        })""")
    )


#: Contrast (WCAG 2) of every element that has words of its own, against the backgrounds that lie under it.
_CONTRASTS = """(root) => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, 1, 1);
    for (const colour of colours) {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const node of root.querySelectorAll("*")) {
    const words = [...node.childNodes].filter((c) => c.nodeType === 3).map((c) => c.data.trim()).join("");
    if (!words || !node.checkVisibility() || node.closest(".mv-spoken, :disabled")) continue;
    const under = [];
    for (let up = node; up; up = up.parentElement) under.unshift(getComputedStyle(up).backgroundColor);
    const style = getComputedStyle(node);
    const ink = node instanceof SVGElement ? style.fill : style.color;
    const over = (grounds) => {
      const [text, ground] = [luminance(paint([...grounds, ink])), luminance(paint(grounds))];
      return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    };
    const bar = node.closest("[role=option]")?.querySelector(":scope > i"); // lies under a part of the token
    const ratio = Math.min(over(under), bar ? over([...under, getComputedStyle(bar).backgroundColor]) : Infinity);
    found.push({ ratio, words: words.slice(0, 40), name: `${node.localName}.${node.getAttribute("class") ?? ""}` });
  }
  return found;
}"""


def contrasts(scope: Locator) -> list[dict[str, Any]]:
    return scope.evaluate(_CONTRASTS)


def colours(scope: Locator) -> tuple[str, str]:
    """Background and text colour of the view itself."""
    return tuple(scope.evaluate("el => [getComputedStyle(el).backgroundColor, getComputedStyle(el).color]"))


def luminance(colour: str) -> float:
    return sum(float(part) for part in re.findall(r"[\d.]+", colour)[:3]) / 3
