"""Promise: the picture of a matrix shows its values, stands alone, and keeps one axis."""

import base64
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from gm.readers import BAR
from gm.report.matrix import Panel, Seen, merged, panel_svg, write_matrix_page
from gm.report.png import NEGATIVE, POSITIVE, data_uri, encode_png, signed_pixels


def decode(png: bytes) -> np.ndarray:
    """Pixels of an 8-bit RGBA picture whose rows are not filtered."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        (crc,) = struct.unpack(">I", png[at + 8 + size : at + 12 + size])
        assert crc == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 0).all()
    return rows[:, 1:].reshape(height, width, 4)


def test_a_picture_comes_back_pixel_by_pixel() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 4), np.uint8)
    np.testing.assert_array_equal(decode(encode_png(pixels)), pixels)
    uri = data_uri(pixels)
    assert uri.startswith("data:image/png;base64,")
    assert base64.b64decode(uri.split(",")[1]) == encode_png(pixels)


def test_colours_say_sign_and_distance_from_zero() -> None:
    pixels = signed_pixels(np.array([[0.0, 1.0, -1.0, 0.2, np.nan, 5.0]]))[0]
    assert pixels[0, 3] == pixels[4, 3] == 0
    assert tuple(pixels[1]) == (*POSITIVE, 255)
    assert tuple(pixels[2]) == (*NEGATIVE, 255)
    assert 0 < pixels[3, 3] < 255
    assert pixels[5, 3] == 255


def panel(count: int) -> Panel:
    close = 100.0 + np.arange(count)
    return Panel(
        starts_ns=np.arange(count) * 10**12,
        prices=np.stack((close - 1, close + 2, close - 3, close), axis=1),
        rows=np.stack((np.linspace(-1, 1, count), np.arange(count) % 4 == 2), axis=1) * 1.0,
        is_ready=np.arange(count) >= 2,
    )


def test_neighbours_that_share_a_column_keep_extremes_and_the_lean_of_signals() -> None:
    far = merged(panel(10), 3, ("level", "a_signal"))
    assert far.prices.tolist() == [[99, 105, 97, 103], [103, 109, 101, 107], [107, 111, 105, 109]]
    np.testing.assert_allclose(far.rows[:, 0], [-2 / 3, 2 / 9, 8 / 9])
    np.testing.assert_array_equal(far.rows[:, 1], [1, 1, 0])
    mixed = panel(8)
    mixed.rows[:, 1] = [0, 1, -1, 0, -1, -1, 1, 0]
    np.testing.assert_allclose(merged(mixed, 2, ("level", "a_signal")).rows[:, 1], [0, -1 / 3])
    assert merged(panel(3), 3, ("level", "a_signal")).rows.tolist() == panel(3).rows.tolist()


def test_strips_hold_the_values_in_the_order_of_bars() -> None:
    found = panel_svg(panel(10), ("level", "a_signal"))
    pictures = re.findall(r'href="data:image/png;base64,([^"]+)"', found)
    expected = signed_pixels(panel(10).rows.T)
    for index, picture in enumerate(pictures):
        np.testing.assert_array_equal(decode(base64.b64decode(picture))[0], expected[index])
    assert len(pictures) == 2
    assert found.count('class="rise"') == 2
    assert found.count('class="cold"') == 1


def test_a_page_stands_alone_and_names_what_it_shows(tmp_path: Path) -> None:
    bars = np.zeros(300, BAR)
    bars["start_ts_ns"] = 1_704_700_800 * 10**9 + np.arange(300) * 1800 * 10**9
    for name in ("open_ticks", "high_ticks", "low_ticks", "close_ticks"):
        bars[name] = 40_000
    rows = np.random.default_rng(2).uniform(-1, 1, (300, 2)).astype(np.float32)
    seen = Seen(
        view="strategic", columns=("one", "<two>"), instrument="NQ", bars=bars, rows=rows,
        ready=np.arange(300) >= 176, matrix_rows=48, at=250,
    )  # fmt: skip
    path = write_matrix_page(tmp_path / "deep" / "matrix.html", seen)
    text = path.read_text()
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "<script" not in text
    assert "<two>" not in text
    assert "&lt;two&gt;" in text
    assert text.count("<svg") == text.count("</svg>") == 3
    assert not re.search(r"\b(nan|inf)\b", re.sub(r'href="[^"]*"', "", text))
    # Every cell of the matrix at the bar is there with its value.
    for row in rows[203:251]:
        assert f"one {row[0]:+.4f}" in text
