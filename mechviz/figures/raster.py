"""Many cells as one picture inside the picture: thousands of rectangles would make a file that nobody can open."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from mechviz.figures.cells import hatch
from mechviz.figures.colour import Theme
from mechviz.figures.svg import Element

_RGBA, _INDEXED = 6, 3


def raster(
    colours: NDArray[np.uint8], known: NDArray[np.bool_], x: float, y: float, width: float, height: float, theme: Theme
) -> list[Element]:
    """Draw rows of cells, the first on top, each ``width`` x ``height``; those that are not known show a hatch behind.

    Parameters
    ----------
    colours : uint8 array, dims (y, x, rgb)
    known : bool array, dims (y, x)
    x, y, width, height : float
    theme : Theme
    """
    pixels = np.concatenate([colours, np.where(known, 255, 0).astype(np.uint8)[..., None]], axis=-1)
    # As many pixels as the picture has px, so that no reader blurs one cell into the next.
    pixels = pixels.repeat(round(height), axis=0).repeat(round(width), axis=1)
    size = (width * known.shape[1], height * known.shape[0])
    return [*([] if known.all() else hatch(x, y, *size, theme)), image(png(pixels), x, y, *size)]


def image(data: bytes, x: float, y: float, width: float, height: float) -> Element:
    """Return a PNG in its place, its pixels as they are where they are made larger."""
    return Element(
        "image",
        {
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "preserveAspectRatio": "none",
            "image-rendering": "pixelated",
            "href": "data:image/png;base64," + base64.b64encode(data).decode("ascii"),
        },
    )


def png(pixels: NDArray[np.uint8], palette: NDArray[np.uint8] | None = None) -> bytes:
    """Return pixels as a PNG file, dims (y, x, rgba); or numbers of colours, dims (y, x), in a palette, dims (colour, rgb)."""
    height, width = pixels.shape[:2]
    # Each row begins with the number of its filter: 0, none.
    rows = np.concatenate([np.zeros((height, 1), dtype=np.uint8), pixels.reshape(height, -1)], axis=1)
    kind = _RGBA if palette is None else _INDEXED
    colours = [] if palette is None else [(b"PLTE", palette.tobytes())]
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    parts = ((b"IHDR", header), *colours, (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
