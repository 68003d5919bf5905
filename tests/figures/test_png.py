import struct
import subprocess
import sys

import numpy as np
import pytest

from mechviz.errors import InputError, InputTypeError, MechvizError
from mechviz.figures import heads_svg, to_png
from mechviz.figures.png import _has_fonts
from mechviz.figures.svg import document, text
from tests.figures import made


@pytest.fixture
def svg() -> str:
    pytest.importorskip("resvg_py")
    return heads_svg(made.result(np.eye(3)))


def size(png: bytes) -> tuple[int, int]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", png[16:24])


@pytest.mark.parametrize("scale", [1, 2, 2.5])
def test_a_picture_has_the_size_that_was_asked_for(svg, scale):
    root = made.parsed(svg)
    width, height = size(to_png(svg, scale))
    assert abs(width - scale * float(root.get("width"))) <= 1
    assert abs(height - scale * float(root.get("height"))) <= 1


def test_text_is_really_drawn():
    pytest.importorskip("resvg_py")
    pages = [to_png(document(80, 20, "name", "", "#ffffff", "#000000", [text(2, 14, word)])) for word in ("", "mechviz", "heads")]
    assert len(set(pages)) == 3


def test_a_machine_without_fonts_is_told(svg, monkeypatch):
    import resvg_py

    drawing = resvg_py.svg_to_bytes
    monkeypatch.setattr(resvg_py, "svg_to_bytes", lambda **given: drawing(**{**given, "skip_system_fonts": True}))
    _has_fonts.cache_clear()
    try:
        with pytest.raises(MechvizError, match="no font was found"):
            to_png(svg)
    finally:
        _has_fonts.cache_clear()


def test_a_missing_package_is_named(svg, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MechvizError, match=r'pip install "mechviz-ir\[png\]"'):
        to_png(svg)


@pytest.mark.parametrize("scale", [0, -1, 9, "2", True, float("nan")])
def test_odd_scales_are_refused(svg, scale):
    with pytest.raises(InputError, match="scale="):
        to_png(svg, scale)


def test_what_is_no_svg_is_refused(svg):
    with pytest.raises(InputTypeError):
        to_png(b"<svg/>")
    with pytest.raises(MechvizError, match="cannot draw"):
        to_png("no svg")


def test_figures_need_no_torch_and_no_resvg():
    code = "import mechviz.figures, sys; print({'torch', 'resvg_py', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
