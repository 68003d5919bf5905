import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mechviz
from mechviz import snapshot
from mechviz.errors import MechvizError
from tests.golden import build


class Page(HTMLParser):
    """What a browser's parser finds: elements, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def page(spec_changes=None, title="t"):
    state = build()
    for part in ("buffers", "cells"):
        state[part] = {name: base64.b64decode(data) for name, data in state[part].items()}
    state["spec"] = {**state["spec"], **(spec_changes or {})}
    return snapshot.to_html(state, title, mechviz.__version__)


def test_the_state_comes_out_as_it_went_in():
    data = json.loads(Page(page()).scripts[0])
    state, packed = build(), data["state"]["packed"]
    whole, named = gzip.decompress(base64.b64decode(packed["data"])), {"buffers": {}, "cells": {}}
    start = 0
    for part, name, length in packed["index"]:
        named[part][name] = base64.b64encode(whole[start : start + length]).decode()
        start += length
    assert start == len(whole)
    assert {**data["state"], **named, "packed": None} == {**state, "packed": None}
    assert data["bundle"] == snapshot.bundle()


def test_the_policy_allows_this_script_and_nothing_from_outside():
    parsed = Page(page())
    policy = next(attrs["content"] for tag, attrs in parsed.elements if attrs.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(parsed.scripts[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; script-src 'sha256-{digest}' blob:; style-src 'unsafe-inline'"


def test_nothing_in_the_page_leads_out():
    for tag, attributes in Page(page()).elements:
        assert tag not in ("link", "img", "iframe", "object"), tag
        assert not {"src", "href", "onload", "onerror"} & set(attributes)
    for name in (snapshot.WIDGET, snapshot.PROBES):
        assert not re.search(r"@import|url\(", snapshot.stylesheet(name))


@given(st.text(max_size=60), st.sampled_from(["</script><img src=x onerror=alert(1)>", "<!--<script>", "]]>", "\u2028", "&lt;"]))
def test_no_text_becomes_markup(text, attack):
    clean = [tag for tag, _ in Page(page()).elements]
    nasty = text.encode("utf-8", "ignore").decode() + attack
    whole = page({"query": nasty}, title=nasty)
    parsed = Page(whole)
    assert [tag for tag, _ in parsed.elements] == clean
    assert json.loads(parsed.scripts[0])["state"]["spec"]["query"] == nasty


def test_a_missing_bundle_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(snapshot, "STATIC", tmp_path)
    with pytest.raises(MechvizError, match="reinstall mechviz-ir"):
        snapshot.bundle()


def test_preacts_licence_travels():
    assert "Jason Miller" in snapshot.bundle()
    assert "Jason Miller" in snapshot.bundle(snapshot.PROBES)
    assert "Jason Miller" in page()
