"""Colours of pages and values: the same as in the views (``js/src/marks/colour.ts``, ``js/src/style/base.css``)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechviz.errors import InputError, shown


@dataclass(frozen=True)
class Theme:
    """The colours of one theme, each named for what it is used for."""

    name: str
    page: str
    ink: str
    muted: str
    border: str
    faint: str
    change: str
    change_faint: str
    query: str
    line: str
    bar: str
    plus: str
    minus: str
    ramp: tuple[str, ...]


# The ramps go from the most negative to the most positive: orange, neutral, blue. They were measured for colour blindness and
# are mirror symmetric in lightness, so a grey print keeps size. The dark one has a dark middle, so zero recedes in both themes.
_LIGHT = Theme(
    name="light",
    page="#ffffff",
    ink="#1b1f24",
    muted="#5a636d",
    border="#dadfe4",
    faint="#f2f4f6",
    change="#7a35ab",
    change_faint="#f5ecfb",
    query="#00695c",
    line="#0a5a9c",
    bar="#cfe2f2",
    plus="#4a94cc",
    minus="#cf7a2a",
    ramp=("#8a4200", "#cf7a2a", "#f6cf9f", "#f5f5f5", "#b9d7ee", "#4a94cc", "#0a5a9c"),
)
_DARK = Theme(
    name="dark",
    page="#15171a",
    ink="#e6e8eb",
    muted="#a2aab4",
    border="#363b42",
    faint="#22262b",
    change="#d0a5f5",
    change_faint="#33253f",
    query="#62d0bf",
    line="#8cc8ff",
    bar="#1f3d56",
    plus="#3f8fcf",
    minus="#d07a25",
    ramp=("#ffb066", "#d07a25", "#7a4a1c", "#2a2a2a", "#1f4f78", "#3f8fcf", "#8cc8ff"),
)
THEMES = {theme.name: theme for theme in (_LIGHT, _DARK)}

#: Of Okabe and Ito's colours those that stand out on a light and on a dark page.
_OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def theme_named(name: object) -> Theme:
    """Return a theme by its name.

    Raises
    ------
    InputError
        There is no such theme.
    """
    if not isinstance(name, str) or name not in THEMES:
        raise InputError(f"theme={shown(name)}; a figure is {' or '.join(map(repr, THEMES))}")
    return THEMES[name]


def series(theme: Theme) -> tuple[str, ...]:
    """Return the colours of things that are told apart, eight at most."""
    return (*_OKABE_ITO, theme.ink, theme.change, theme.ramp[0], theme.plus)


def diverging(values: ArrayLike, limit: float, theme: Theme) -> NDArray[np.uint8]:
    """Return the colours of values on the ramp that reaches its ends at -limit and limit, dims (..., rgb).

    A value that is not finite has none: the caller draws it as a hatch, for any colour here would say a number.
    """
    share = np.asarray(values, dtype=np.float64) / limit if limit > 0 else np.zeros(np.shape(values))
    ramp = _parsed(theme.ramp)
    middle = (len(ramp) - 1) / 2
    place = middle + np.clip(np.nan_to_num(share), -1, 1) * middle
    low = np.minimum(len(ramp) - 2, np.floor(place)).astype(int)
    mixed: NDArray[np.float64] = ramp[low] + (ramp[low + 1] - ramp[low]) * (place - low)[..., None]
    return _rounded(mixed)


def sequential(shares: ArrayLike, theme: Theme) -> NDArray[np.uint8]:
    """Return the colours of shares between 0 and 1, from the page's colour by the square root of the share, dims (..., rgb)."""
    root = np.sqrt(np.clip(np.asarray(shares, dtype=np.float64), 0, 1))
    page, end = _parsed((theme.page, theme.line))
    return _rounded(page + (end - page) * root[..., None])


def hexed(colour: NDArray[np.uint8]) -> str:
    """Return one colour as SVG writes it."""
    return "#" + bytes(colour).hex()


def ink_on(colour: NDArray[np.uint8]) -> str:
    """Return black or white, whichever reads better on ``colour`` (relative luminance of WCAG 2)."""
    c = colour / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return "#000000" if float(linear @ (0.2126, 0.7152, 0.0722)) > 0.179 else "#ffffff"


def _rounded(channels: NDArray[np.float64]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.floor(channels + 0.5).astype(np.uint8)  # halves upwards, as JavaScript does
    return rounded


def _parsed(colours: tuple[str, ...]) -> NDArray[np.float64]:
    return np.array([list(bytes.fromhex(colour[1:])) for colour in colours], dtype=np.float64)
