"""Pictures as PNG inside a page: a few bytes a pixel, no library."""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGBA_8 = bytes((8, 6, 0, 0, 0))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a picture.

    Parameters
    ----------
    pixels : uint8, shape (height, width, 4)
        Red, green, blue and opacity, the top row first.

    Returns
    -------
    bytes
        A PNG file.

    Source
    ------
    W3C, Portable Network Graphics Specification, third edition.
    """
    height, width, _ = pixels.shape
    # Each row begins with its filter: 0, none.
    rows = np.zeros((height, 1 + width * 4), np.uint8)
    rows[:, 1:] = pixels.reshape(height, width * 4)
    header = struct.pack(">II", width, height) + _RGBA_8
    body = zlib.compress(rows.tobytes(), 9)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Give a picture as the address of an ``<image>``."""
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()


def signed_pixels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colour values: above zero blue, below it orange, at zero nothing.

    Parameters
    ----------
    values : shape (height, width)
        Held to [−1, 1]; NaN is nothing.

    Returns
    -------
    uint8, shape (height, width, 4)
        Opacity says how far from zero, so that it reads on light and dark paper alike.

    Source
    ------
    Ours.
    """
    pixels = np.zeros((*values.shape, 4), np.uint8)
    pixels[values > 0, :3] = POSITIVE
    pixels[values < 0, :3] = NEGATIVE
    strength = np.minimum(np.abs(np.nan_to_num(values)), 1.0)
    pixels[..., 3] = np.rint(255.0 * strength**0.75).astype(np.uint8)
    return pixels


POSITIVE = (37, 119, 222)
NEGATIVE = (226, 116, 24)
