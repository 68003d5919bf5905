import re
from pathlib import Path

import numpy as np
import pytest

from mechviz.errors import InputError
from mechviz.figures.colour import THEMES, diverging, hexed, ink_on, sequential, theme_named

JS = Path(__file__).parents[2] / "js" / "src"
THEME = pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)


def mixed(value: float, limit: float, ramp: list[str]) -> str:
    """The ramp once more, by hand."""
    share = max(-1.0, min(1.0, value / limit)) if limit > 0 else 0.0
    place = (share + 1) * (len(ramp) - 1) / 2
    low = min(int(place), len(ramp) - 2)
    channels = []
    for at in (1, 3, 5):
        a, b = int(ramp[low][at : at + 2], 16), int(ramp[low + 1][at : at + 2], 16)
        channels.append(int(a + (b - a) * (place - low) + 0.5))
    return "#" + "".join(f"{channel:02x}" for channel in channels)


@THEME
def test_the_ramp_is_that_of_the_views(theme):
    source = (JS / "marks" / "colour.ts").read_text()
    listed = re.search(rf"const {theme.name.upper()} = \[([^\]]*)\]", source).group(1)
    assert list(theme.ramp) == re.findall(r"#[0-9a-f]{6}", listed)


@THEME
def test_the_pages_are_those_of_the_views(theme):
    light, dark = re.split(r'\.mechviz\[data-theme="dark"\]', (JS / "style" / "base.css").read_text())[:2]
    names = {"page": "own-bg", "ink": "own-fg"}
    for name in ("page", "ink", "muted", "border", "faint", "change", "change_faint", "query", "line", "bar", "plus", "minus"):
        css = re.search(rf"--mv-{names.get(name, name).replace('_', '-')}: (#\w+)", light if theme.name == "light" else dark)
        assert getattr(theme, name) == css.group(1), name


@THEME
def test_values_have_the_colour_of_their_share(theme):
    values = np.linspace(-0.7, 0.7, 57)
    assert [hexed(one) for one in diverging(values, 0.5, theme)] == [mixed(float(v), 0.5, list(theme.ramp)) for v in values]


@THEME
def test_zero_is_the_middle_and_both_ends_are_reached(theme):
    assert [hexed(one) for one in diverging([-9, 0, 9], 1, theme)] == [theme.ramp[0], theme.ramp[3], theme.ramp[6]]
    assert hexed(diverging(0.3, 0, theme)) == theme.ramp[3]


@THEME
def test_shares_go_from_the_page_by_the_square_root(theme):
    assert [hexed(one) for one in sequential([0, 1, 2], theme)] == [theme.page, theme.line, theme.line]
    half = sequential(0.25, theme)
    page, end = (np.array(list(bytes.fromhex(colour[1:]))) for colour in (theme.page, theme.line))
    assert np.abs(half - (page + end) / 2).max() <= 0.5


def test_ink_is_what_reads_better():
    def contrast(a: float, b: float) -> float:
        return (max(a, b) + 0.05) / (min(a, b) + 0.05)

    for theme in THEMES.values():
        for colour in diverging(np.linspace(-1, 1, 41), 1, theme):
            c = colour / 255
            linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
            luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
            ink = 0.0 if ink_on(colour) == "#000000" else 1.0
            assert contrast(luminance, ink) >= contrast(luminance, 1 - ink) - 0.02


@pytest.mark.parametrize("name", ["auto", "", None, 3])
def test_another_theme_is_refused(name):
    with pytest.raises(InputError, match="'light' or 'dark'"):
        theme_named(name)
