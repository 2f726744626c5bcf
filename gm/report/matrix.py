"""`gm features --plot`: the matrix as a picture with the price above it, on one page of HTML.

Three pictures, from far to near: the whole file, the bars before one of them, and the matrix that
the agents see at that bar. Bars stand side by side at equal width, nights and weekends left out,
so that price and columns share one axis.
"""

import html
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.config.instruments import instrument as find_instrument
from gm.features import feature_schema_hash
from gm.report import svg
from gm.report.page import STYLE
from gm.report.png import NEGATIVE, POSITIVE, data_uri, signed_pixels

LEFT = 148
RIGHT = 58
PRICE_HEIGHT = 230
STRIP_HEIGHT = 20
STRIP_STEP = 25
MATRIX_STRIP_STEP = 22
OVERVIEW_BUCKETS = 437  # two units wide each
WINDOW_BARS = 240
AXIS_LABELS = 9
BAND_WIDTH = svg.WIDTH - LEFT - RIGHT

MATRIX_STYLE = """
.name{fill:var(--ink);font:12px system-ui,sans-serif}.value{fill:var(--muted);
font:11px system-ui,sans-serif;font-variant-numeric:tabular-nums}
.frame{fill:none;stroke:var(--edge)}.zero{stroke:var(--edge);stroke-width:1}
.trace{fill:none;stroke:var(--ink);stroke-width:1;opacity:.55;stroke-linejoin:round}
.cold{fill:var(--neutral);opacity:.22}.here{fill:none;stroke:var(--ink);stroke-width:1.2;
stroke-dasharray:3 3;opacity:.7}image{image-rendering:pixelated}
.rise{fill:var(--positive)}.fall{fill:var(--negative)}
.rise,.fall{stroke:var(--card);stroke-width:.6}
.cell{fill:transparent}.cell:hover{stroke:var(--ink);stroke-width:1.5}
.scale{display:inline-block;width:150px;height:11px;border-radius:3px;margin:0 8px;
vertical-align:-1px;background:linear-gradient(90deg,var(--negative),transparent,var(--positive));
border:1px solid var(--edge)}
"""


class Seen(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A matrix over a stretch of closed bars, in time order.

    ``view`` names the matrix; ``bars`` (n,) as of ``gm.read_bars``; ``rows`` (n, columns) the
    newest row after each bar; ``ready`` (n,); ``matrix_rows`` 48 or 60; ``at`` the index of a bar
    whose matrix is ready, which is drawn large.
    """

    view: str
    columns: tuple[str, ...]
    instrument: str
    bars: NDArray[np.void]
    rows: NDArray[np.float32]
    ready: NDArray[np.bool_]
    matrix_rows: int
    at: int


class Panel(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Neighbouring bars, or buckets of them, and a row of the matrix for each."""

    starts_ns: NDArray[np.int64]
    prices: NDArray[np.float64]  # (n, 4): open, high, low, close
    rows: NDArray[np.float64]  # (n, columns)
    is_ready: NDArray[np.bool_]


def write_matrix_page(path: Path, seen: Seen) -> Path:
    """Draw a matrix over the price and write the page.

    Parameters
    ----------
    path : Path
        The HTML file; it holds everything and fetches nothing.
    seen : Seen
        What to draw.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    UnknownInstrument
        If no such instrument is configured.

    Source
    ------
    Ours.
    """
    title = f"{seen.instrument}: what the agents see"
    starts = seen.bars["start_ts_ns"]
    facts = (
        f"{seen.view} matrix, {seen.matrix_rows} rows of {len(seen.columns)} columns",
        f"{len(starts):,} bars from {_stamp(starts[0])} to {_stamp(starts[-1])} UTC",
        f"ready on {int(seen.ready.sum()):,}",
        f"schema {feature_schema_hash()[:16]}",
    )
    body = "".join(
        f'<h2>{html.escape(name)}</h2><div class="card">{picture}'
        f'<p class="muted">{html.escape(note)}</p></div>'
        for name, picture, note in _sections(seen)
    )
    text = (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title>"
        f"<style>{STYLE}{_colours()}{MATRIX_STYLE}</style></head><body>"
        f'<main><h1>{html.escape(title)}</h1><p class="muted">'
        f"{' &middot; '.join(html.escape(fact) for fact in facts)}</p>"
        '<p class="muted">&minus;1<span class="scale"></span>+1</p>'
        f"{body}</main></body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _sections(seen: Seen) -> Iterator[tuple[str, str, str]]:
    """Title, picture and note of each, from far to near."""
    whole = _panel(seen, float(find_instrument(seen.instrument).tick_size))
    count, end = len(whole.starts_ns), seen.at + 1
    here = _stamp(whole.starts_ns[seen.at])
    far = merged(whole, OVERVIEW_BUCKETS, seen.columns)
    yield (
        "The whole file",
        panel_svg(far, seen.columns, mark=end / count, has_signals=False),
        f"{_sharing(-(-count // len(far.starts_ns)))}Grey: not ready yet.",
    )
    window = _cut(whole, max(0, end - WINDOW_BARS), end)
    yield (
        f"The last {len(window.starts_ns)} bars to {here}",
        panel_svg(window, seen.columns, has_traces=True),
        "Triangles are the signals among the columns. At the right the value of the last bar.",
    )
    near = _cut(whole, end - seen.matrix_rows, end)
    yield (
        f"The matrix at {here}",
        panel_svg(near, seen.columns, has_cells=True),
        "Exactly what a network is given, oldest row left. Every cell tells its value.",
    )


def merged(panel: Panel, buckets: int, columns: Sequence[str]) -> Panel:
    """Put neighbouring bars together until at most ``buckets`` are left.

    Parameters
    ----------
    panel : Panel
        At least one bar.
    buckets : int
        Most that fit.
    columns : sequence of str
        Names. Of a ``*_signal`` stays which way its signals leaned, of others the mean.

    Returns
    -------
    Panel
        The same panel if it fits. A bucket is ready if its last bar is.
    """
    count = len(panel.starts_ns)
    if count <= buckets:
        return panel
    step = -(-count // buckets)
    first = np.arange(0, count, step)
    last = np.minimum(first + step, count) - 1
    rows = np.add.reduceat(panel.rows, first) / (last - first + 1)[:, None]
    for index, name in enumerate(columns):
        if name.endswith("_signal"):
            signals = np.add.reduceat(np.abs(panel.rows[:, index]), first)
            rows[:, index] = np.add.reduceat(panel.rows[:, index], first) / np.maximum(signals, 1)
    prices = np.stack(
        (
            panel.prices[first, 0],
            np.maximum.reduceat(panel.prices[:, 1], first),
            np.minimum.reduceat(panel.prices[:, 2], first),
            panel.prices[last, 3],
        ),
        axis=1,
    )
    return Panel(
        starts_ns=panel.starts_ns[first], prices=prices, rows=rows, is_ready=panel.is_ready[last]
    )


def panel_svg(
    panel: Panel,
    columns: Sequence[str],
    *,
    mark: float | None = None,
    has_signals: bool = True,
    has_traces: bool = False,
    has_cells: bool = False,
) -> str:
    """Draw price and columns over one axis.

    Parameters
    ----------
    panel : Panel
        At least one bar.
    columns : sequence of str
        Names at the left.
    mark : share of the width, optional
        Where a dashed line stands.
    has_signals : bool
        Triangles on the price where a ``*_signal`` is not zero.
    has_traces : bool
        A line over each strip, and its last value at the right.
    has_cells : bool
        A text under the pointer for each value.

    Returns
    -------
    str
        The SVG.
    """
    step = MATRIX_STRIP_STEP if has_cells else STRIP_STEP
    strip = step if has_cells else STRIP_HEIGHT
    top = PRICE_HEIGHT + 14
    height = top + step * len(columns) + 26
    width = BAND_WIDTH / len(panel.starts_ns)
    parts = [_price(panel, width, columns if has_signals else ())]
    for index, name in enumerate(columns):
        y = top + index * step
        values = panel.rows[:, index]
        parts.append(_strip(name, values, y, strip))
        if has_traces:
            parts.append(_trace(values, y, strip, width))
        if has_traces or has_cells:
            parts.append(
                f'<text class="value" x="{svg.WIDTH - RIGHT + 7}" y="{y + strip / 2 + 4:.1f}">'
                f"{values[-1]:+.3f}</text>"
            )
        if has_cells:
            parts.append(_cells(name, panel, values, y, strip, width))
    bottom = top + step * len(columns)
    parts.append(_cold(panel, width, top, bottom))
    parts.append(_axis(panel, width, bottom))
    if mark is not None:
        x = LEFT + mark * BAND_WIDTH
        parts.append(f'<path class="here" d="M{x:.1f} {svg.TOP}V{bottom}"/>')
    return svg.chart(height, parts, f"price above {len(columns)} columns")


def _price(panel: Panel, width: float, columns: Sequence[str]) -> str:
    low, high = float(panel.prices[:, 2].min()), float(panel.prices[:, 1].max())
    pad = (high - low) * 0.07 or 1.0
    y = svg.linear(low - pad, high + pad, PRICE_HEIGHT, svg.TOP)
    parts = []
    decimals = 0 if high - low > 40 else 2 if high - low > 0.5 else 4
    for value in svg.nice_ticks(low, high):
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{svg.WIDTH - RIGHT}" y1="{y(value):.1f}" '
            f'y2="{y(value):.1f}"/><text class="tick" x="{LEFT - 8}" y="{y(value) + 4:.1f}" '
            f'text-anchor="end">{value:,.{decimals}f}</text>'
        )
    half = max(width * 0.36, 0.4)
    wicks: dict[str, list[str]] = {"up": [], "down": []}
    bodies: dict[str, list[str]] = {"up": [], "down": []}
    for i, (first, top, bottom, last) in enumerate(panel.prices.tolist()):
        x = LEFT + (i + 0.5) * width
        side = "up" if last >= first else "down"
        wicks[side].append(f"M{x:.1f} {y(top):.1f}V{y(bottom):.1f}")
        size = max(abs(y(first) - y(last)), 0.6)
        bodies[side].append(
            f"M{x - half:.1f} {y(max(first, last)):.1f}h{2 * half:.1f}v{size:.1f}h{-2 * half:.1f}z"
        )
    for side in ("up", "down"):
        parts.append(f'<path class="wick {side}" d="{"".join(wicks[side])}"/>')
        parts.append(f'<path style="fill:var(--{side})" d="{"".join(bodies[side])}"/>')
    for index, name in enumerate(columns):
        if name.endswith("_signal"):
            parts += _signals(name, panel, panel.rows[:, index], width, y)
    return "".join(parts)


def _signals(
    name: str, panel: Panel, values: NDArray[np.float64], width: float, y: svg.Scale
) -> list[str]:
    parts = []
    for i in np.flatnonzero(values).tolist():
        x = LEFT + (i + 0.5) * width
        is_rise = values[i] > 0
        edge = y(float(panel.prices[i, 2 if is_rise else 1])) + (4 if is_rise else -4)
        tip = 9 if is_rise else -9
        text = f"{name} {values[i]:+.0f}, {_stamp(panel.starts_ns[i])}"
        parts.append(
            f'<path class="{"rise" if is_rise else "fall"}" '
            f'd="M{x:.1f} {edge:.1f}l5 {tip}h-10z"><title>{html.escape(text)}</title></path>'
        )
    return parts


def _strip(name: str, values: NDArray[np.float64], y: float, height: float) -> str:
    uri = data_uri(signed_pixels(values[None, :]))
    return (
        f'<text class="name" x="{LEFT - 8}" y="{y + height / 2 + 4:.1f}" text-anchor="end">'
        f"{html.escape(name)}</text>"
        f'<image x="{LEFT}" y="{y}" width="{BAND_WIDTH}" height="{height}" '
        f'preserveAspectRatio="none" href="{uri}"/>'
        f'<rect class="frame" x="{LEFT}" y="{y}" width="{BAND_WIDTH}" height="{height}"/>'
    )


def _trace(values: NDArray[np.float64], y: float, height: float, width: float) -> str:
    at = svg.linear(-1.0, 1.0, y + height - 1, y + 1)
    points = [(LEFT + (i + 0.5) * width, at(v)) for i, v in enumerate(values.tolist())]
    return svg.line_path(points, "trace")


def _cells(
    name: str, panel: Panel, values: NDArray[np.float64], y: float, height: float, width: float
) -> str:
    return "".join(
        f'<rect class="cell" x="{LEFT + i * width:.2f}" y="{y}" width="{width:.2f}" '
        f'height="{height}"><title>{html.escape(name)} {value:+.4f}, {_stamp(start)}</title></rect>'
        for i, (value, start) in enumerate(
            zip(values.tolist(), panel.starts_ns.tolist(), strict=True)
        )
    )


def _cold(panel: Panel, width: float, top: float, bottom: float) -> str:
    """Grey over the stretches where the matrix was not ready."""
    edges = np.flatnonzero(np.diff(np.r_[True, panel.is_ready, True]))
    return "".join(
        f'<rect class="cold" x="{LEFT + first * width:.1f}" y="{top}" '
        f'width="{(last - first) * width:.1f}" height="{bottom - top}"/>'
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    )


def _axis(panel: Panel, width: float, bottom: float) -> str:
    starts = panel.starts_ns
    days = float(starts[-1] - starts[0]) / 86_400e9
    pattern = "%d %b %H:%M" if days < 12 else "%d %b" if days < 200 else "%b %Y"
    parts = []
    for i in np.unique(np.linspace(0, len(starts) - 1, AXIS_LABELS + 2).astype(int))[1:-1].tolist():
        x = LEFT + (i + 0.5) * width
        text = datetime.fromtimestamp(int(starts[i]) / 1e9, UTC).strftime(pattern)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{svg.TOP}" y2="{PRICE_HEIGHT}"/>'
            f'<text class="tick" x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{text}</text>'
        )
    return "".join(parts)


def _sharing(bars: int) -> str:
    if bars == 1:
        return ""
    return f"{bars} bars share a column: their mean, of signals which way they leaned. "


def _colours() -> str:
    positive, negative = (",".join(str(part) for part in rgb) for rgb in (POSITIVE, NEGATIVE))
    return f":root{{--positive:rgb({positive});--negative:rgb({negative})}}"


def _panel(seen: Seen, tick_size: float) -> Panel:
    names = ("open_ticks", "high_ticks", "low_ticks", "close_ticks")
    return Panel(
        starts_ns=seen.bars["start_ts_ns"].astype(np.int64),
        prices=np.stack([seen.bars[name] for name in names], axis=1) * tick_size,
        rows=seen.rows.astype(np.float64),
        is_ready=seen.ready,
    )


def _cut(panel: Panel, first: int, end: int) -> Panel:
    return Panel(
        starts_ns=panel.starts_ns[first:end],
        prices=panel.prices[first:end],
        rows=panel.rows[first:end],
        is_ready=panel.is_ready[first:end],
    )


def _stamp(ts_ns: int | np.int64) -> str:
    return datetime.fromtimestamp(int(ts_ns) / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
