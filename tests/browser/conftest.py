"""Chromium for the browser tests: found on this machine, and strict about what a page does."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

import mechviz as mv
from mechviz import snapshot
from tests.browser.examples import COMPETITORS, DOC, QUERY, change
from tests.browser.page import EMPTY_PAGE, import_bundle
from tests.conftest import save_dot

MISSING = "NO CHROMIUM: BROWSER TESTS SKIPPED; run make browser"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # One renderer for all pages: a process a page takes longer to start than the page to draw.
    "--renderer-process-limit=1",
    "--disable-site-isolation-trials",
    "--process-per-site",
    "--disable-features=site-per-process,IsolateOrigins",
]

expect.set_options(timeout=10_000)

OpenPage = Callable[..., Page]
OpenView = Callable[..., Page]


def find_chromium(playwright: Playwright) -> str | None:
    """$CHROMIUM, then PATH, then what Playwright has downloaded before."""
    named = [os.environ.get("CHROMIUM") or "", *NAMES]
    found = [path for name in named if name and (path := shutil.which(name))]
    own = playwright.chromium.executable_path
    return found[0] if found else own if Path(own).exists() else None


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = find_chromium(playwright)
        if path is None and os.environ.get("MECHVIZ_REQUIRE_BROWSER") == "1":
            pytest.fail(MISSING.replace("SKIPPED", "REQUIRED"))
        if path is None:
            pytest.skip(MISSING)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Watch:
    """What a page must not do: log an error, raise, ask a question, or request anything but itself.

    ``allow_errors`` and ``allow_requests`` are regular expressions of what it may do; ``self.errors`` holds the rest.
    """

    def __init__(self, page: Page, url: str, allow_errors: str | None, allow_requests: str | None) -> None:
        self.offences: list[str] = []
        self._own = [url]  # the page itself, once
        self._allow_errors, self._allow_requests = allow_errors, allow_requests
        page.on("console", lambda message: message.type == "error" and self._error(f"{message.text} ({message.location['url']})"))
        page.on("pageerror", lambda error: self._error(f"{error.message}\n{error.stack}"))
        page.on("request", lambda request: self._request(request.url))
        page.on("websocket", lambda socket: self._request(socket.url))
        page.on("dialog", self._dialog)

    def _error(self, text: str) -> None:
        if not (self._allow_errors and re.search(self._allow_errors, text)):
            self.offences.append(f"error: {text}")

    def _request(self, url: str) -> None:
        if url in self._own:
            self._own.remove(url)
        elif not url.startswith(("blob:", "data:")) and not (self._allow_requests and re.match(self._allow_requests, url)):
            self.offences.append(f"request: {url}")

    def _dialog(self, dialog: object) -> None:
        self.offences.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open a URL in a context of its own; at the end no page may have done what `Watch` forbids."""
    watches: list[Watch] = []
    contexts = []

    def open_page(url: str, allow_errors: str | None = None, allow_requests: str | None = None, **settings: object) -> Page:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings}))
        contexts[-1].set_default_timeout(15_000)
        page = contexts[-1].new_page()
        watches.append(Watch(page, url, allow_errors, allow_requests))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [offence for watch in watches for offence in watch.offences] == []


@pytest.fixture
def open_snapshot(open_page: OpenPage, tmp_path: Path) -> OpenView:
    """Write a view as a file, change the file's text by ``edit`` if asked, and open it from the disk."""

    def open_snapshot(view: mv.views.View, edit: Callable[[str], str] = str, **settings: object) -> Page:
        path = view.to_html(tmp_path / f"view {len(list(tmp_path.iterdir()))}.html")
        path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
        page = open_page(path.as_uri(), **settings)
        expect(page.locator(".mechviz .mv-panel").first).to_be_visible()
        return page

    return open_snapshot


@pytest.fixture
def open_host(open_page: OpenPage) -> OpenPage:
    """Open an empty page with a bundle as ``mechviz`` and the fake model of a host as ``FakeModel``."""

    def open_host(bundle: str = snapshot.WIDGET, **settings: object) -> Page:
        page = open_page(EMPTY_PAGE, **settings)
        import_bundle(page, bundle)
        return page

    return open_host


@pytest.fixture(scope="session")
def view(dot: mv.Dot) -> mv.views.PatchingView:
    return mv.show_patching(dot, QUERY, DOC, change, docs=COMPETITORS, wait=True)


@pytest.fixture(scope="session")
def cat_view(cat: mv.Cat) -> mv.views.PatchingView:
    return mv.show_patching(cat, QUERY, DOC, change, wait=True)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> mv.Dot:
    """One layer, one head."""
    folder = save_dot(tmp_path_factory.mktemp("small"), num_hidden_layers=1, num_attention_heads=1)
    return mv.Dot(str(folder))


@pytest.fixture(scope="session")
def long_dot(tmp_path_factory: pytest.TempPathFactory) -> mv.Dot:
    """Room for texts that the tiny tokenizer cuts into characters; a name that is markup."""
    folder = tmp_path_factory.mktemp("long") / "<b id=injected>model"
    folder.mkdir()
    return mv.Dot(str(save_dot(folder, max_position_embeddings=512)))
