"""PNG from SVG, through resvg."""

from __future__ import annotations

from functools import cache
from typing import Any

from mechviz.errors import InputError, InputTypeError, MechvizError, shown
from mechviz.figures.svg import FONTS

_MAX_SCALE = 8.0


def to_png(svg: str, scale: float = 2) -> bytes:
    """Return a picture as PNG.

    Parameters
    ----------
    svg : str
        What a function of `mechviz.figures` returned.
    scale : float
        Pixels for each px of the picture, up to 8; 2 is sharp on paper and on screens of today.

    Raises
    ------
    MechvizError
        The optional package resvg-py is missing, this machine has no fonts, or the text is no SVG.
    """
    if not isinstance(svg, str):
        raise InputTypeError(f"svg is the text of a picture, not {shown(svg)}")
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale <= _MAX_SCALE:
        raise InputError(f"scale={shown(scale)}; it is a number above 0, at most {_MAX_SCALE:g}")
    resvg = _resvg()
    if not _has_fonts():
        raise MechvizError(
            "no font was found on this machine, so the PNG would have no text; install one (Debian: apt-get install "
            "fonts-dejavu-core fonts-liberation), or keep the SVG"
        )
    try:
        return bytes(resvg.svg_to_bytes(svg_string=svg, zoom=scale))
    except ValueError as error:
        raise MechvizError(f"resvg cannot draw this SVG: {error}") from error


def _resvg() -> Any:
    try:
        import resvg_py
    except ImportError as error:
        raise MechvizError('PNG needs the package resvg-py: pip install "mechviz-ir[png]"; or keep the SVG') from error
    return resvg_py


@cache
def _has_fonts() -> bool:
    """Tell whether resvg finds any font: without one it leaves text out and says nothing."""
    probe = f'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><text y="16" font-family="{FONTS}">M</text></svg>'
    draw = _resvg().svg_to_bytes
    return bool(draw(svg_string=probe) != draw(svg_string=probe, skip_system_fonts=True))
