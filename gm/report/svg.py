"""Charts as inline SVG: no script, no font, no file beside the page.

Every chart takes plain sequences and gives one ``<svg>`` of fixed inner width that scales with the
page. Colours come from the page's CSS classes, so light and dark need no second drawing.
"""

import html
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

WIDTH = 1080
LEFT = 76
RIGHT = 12
BOTTOM = 22
TOP = 8
CANDLE_NS = 1_800_000_000_000
TRADES_LARGE_MAX = 300

Scale = Callable[[float], float]


def chart(height: int, parts: Sequence[str], label: str) -> str:
    """Wrap drawn parts in an SVG that screen readers can name."""
    body = "".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(label)}">'
        f"{body}</svg>"
    )


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Map [low, high] to [start, end]; a range of nothing maps to the middle."""
    span = high - low
    if span <= 0:
        return lambda _value: (start + end) / 2
    return lambda value: start + (value - low) / span * (end - start)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values that cut [low, high] into about ``count`` parts."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]


def time_axis(first_ns: int, last_ns: int, x: Scale, height: int) -> str:
    """Vertical lines and dates under a time chart."""
    parts = []
    span_days = (last_ns - first_ns) / 86_400e9
    pattern = "%H:%M" if span_days < 1.5 else "%d %b" if span_days < 200 else "%b %Y"
    for i in range(1, 8):
        ts_ns = first_ns + (last_ns - first_ns) * i // 8
        at = x(ts_ns)
        text = datetime.fromtimestamp(ts_ns / 1e9, UTC).strftime(pattern)
        parts.append(
            f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>'
            f'<text class="tick" x="{at:.1f}" y="{height - 6}" text-anchor="middle">{text}</text>'
        )
    return "".join(parts)


def value_axis(low: float, high: float, y: Scale, form: str = ",.0f") -> str:
    """Horizontal lines and numbers at the left of a chart."""
    parts = []
    for value in nice_ticks(low, high):
        at = y(value)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">'
            f"{value:{form}}</text>"
        )
    return "".join(parts)


def line_path(points: Sequence[tuple[float, float]], css: str) -> str:
    """Draw a line through points."""
    path = " ".join(f"{'L' if i else 'M'}{a:.1f} {b:.1f}" for i, (a, b) in enumerate(points))
    return f'<path class="{css}" d="{path}"/>'


def area_path(points: Sequence[tuple[float, float]], base: float, css: str) -> str:
    """Fill between a line and a horizontal base."""
    if not points:
        return ""
    path = " ".join(f"L{a:.1f} {b:.1f}" for a, b in points)
    first, last = points[0][0], points[-1][0]
    return f'<path class="{css}" d="M{first:.1f} {base:.1f} {path} L{last:.1f} {base:.1f} Z"/>'


def time_series(
    times_ns: Sequence[int], values: Sequence[float], *, height: int, label: str, is_area: bool
) -> str:
    """Draw one line over time; with ``is_area`` filled down from zero.

    Parameters
    ----------
    times_ns, values : equally long sequences
        At least one point.
    height : int
        Of the picture, in its own units; the width is 1080.
    label : str
        For screen readers.
    is_area : bool
        Drawdown style.

    Returns
    -------
    str
        The SVG.

    Source
    ------
    Ours.
    """
    low, high = min(values), max(values)
    if is_area:
        high = max(high, 0.0)
    pad = (high - low) * 0.05 or 1.0
    x = linear(times_ns[0], times_ns[-1], LEFT, WIDTH - RIGHT)
    y = linear(low - pad, high if is_area else high + pad, height - BOTTOM, TOP)
    points = [(x(t), y(v)) for t, v in zip(times_ns, values, strict=True)]
    drawn = area_path(points, y(0.0), "area") if is_area else line_path(points, "line")
    form = ",.0f" if high - low > 10 else ",.2f"
    axes = time_axis(times_ns[0], times_ns[-1], x, height)
    axes += value_axis(low - pad, high if is_area else high + pad, y, form)
    return chart(height, [axes, drawn], label)


def candles(
    bars: Sequence[tuple[int, float, float, float, float]],
    trades: Sequence[tuple[int, float, bool, str]],
    *,
    height: int,
    label: str,
) -> str:
    """Draw candles with trades on them.

    Parameters
    ----------
    bars : sequence of (start_ts_ns, open, high, low, close)
        In time order.
    trades : sequence of (ts_ns, price, is_buy, text)
        Triangles: up a buy, down a sell; ``text`` shows under the pointer.
    height : int
        Of the picture.
    label : str
        For screen readers.

    Returns
    -------
    str
        The SVG.

    Source
    ------
    Ours.
    """
    low = min(bar[3] for bar in bars)
    high = max(bar[2] for bar in bars)
    pad = (high - low) * 0.04 or 1.0
    starts = [bar[0] for bar in bars]
    # The first two may have a weekend between them.
    step = min((b - a for a, b in pairwise(starts)), default=CANDLE_NS)
    x = linear(bars[0][0], bars[-1][0] + step, LEFT, WIDTH - RIGHT)
    y = linear(low - pad, high + pad, height - BOTTOM, TOP)
    half = max((x(bars[0][0] + step) - x(bars[0][0])) * 0.36, 0.3)
    parts = [
        time_axis(bars[0][0], bars[-1][0], x, height),
        value_axis(low - pad, high + pad, y, ",.6g" if high < 100 else ",.0f"),
    ]
    for start, first, top, bottom, last in bars:
        middle = x(start + step / 2)
        css = "up" if last >= first else "down"
        upper, lower = y(max(first, last)), y(min(first, last))
        parts.append(
            f'<path class="wick {css}" d="M{middle:.1f} {y(top):.1f}V{y(bottom):.1f}"/>'
            f'<rect class="{css}" x="{middle - half:.1f}" y="{upper:.1f}" '
            f'width="{2 * half:.1f}" height="{max(lower - upper, 0.6):.1f}"/>'
        )
    # So many triangles would hide the candles.
    size = 5 if len(trades) <= TRADES_LARGE_MAX else 2
    for ts_ns, price, is_buy, text in trades:
        a, b = x(ts_ns), y(price)
        tip = (2 * size - 1) * (1 if is_buy else -1)
        parts.append(
            f'<path class="{"buy" if is_buy else "sell"}" '
            f'd="M{a:.1f} {b:.1f}l{size} {tip}h{-2 * size}z">'
            f"<title>{html.escape(text)}</title></path>"
        )
    return chart(height, parts, label)


def probability_bands(
    times_ns: Sequence[int],
    shares: Sequence[tuple[float, float, float]],
    *,
    height: int,
    label: str,
) -> str:
    """Draw stacked bands of P(long), P(neutral), P(short) over time, each from 0 to 1."""
    x = linear(times_ns[0], times_ns[-1], LEFT, WIDTH - RIGHT)
    y = linear(0.0, 1.0, height - BOTTOM, TOP)
    bottom = [(x(t), y(0.0)) for t in times_ns]
    parts = []
    for band, css in enumerate(("band-long", "band-neutral", "band-short")):
        heights = [sum(share[: band + 1]) for share in shares]
        top = [(x(t), y(share)) for t, share in zip(times_ns, heights, strict=True)]
        ring = [*top, *reversed(bottom)]
        path = " ".join(f"{'L' if i else 'M'}{a:.1f} {b:.1f}" for i, (a, b) in enumerate(ring))
        parts.append(f'<path class="{css}" d="{path} Z"/>')
        bottom = top
    parts.append(time_axis(times_ns[0], times_ns[-1], x, height) + value_axis(0, 1, y, ".1f"))
    return chart(height, parts, label)


def histogram(buckets: Sequence[tuple[float, int]], *, height: int, label: str) -> str:
    """Draw counts over upper bounds on a logarithmic axis of nanoseconds."""
    shown = [(bound, count) for bound, count in buckets if count > 0]
    if not shown:
        return '<p class="muted">nothing measured</p>'
    first = math.log2(shown[0][0]) - 1
    last = math.log2(shown[-1][0]) + 1
    x = linear(first, last, LEFT, WIDTH - RIGHT)
    peak = max(count for _, count in shown)
    y = linear(0, peak, height - BOTTOM, TOP)
    parts = [value_axis(0, peak, y)]
    for bound, count in shown:
        right = x(math.log2(bound))
        left = x(math.log2(bound) - 1)
        top = y(count)
        parts.append(
            f'<rect class="bar" x="{left + 1:.1f}" y="{top:.1f}" width="{right - left - 2:.1f}" '
            f'height="{height - BOTTOM - top:.1f}">'
            f"<title>{count:,} up to {_ns(bound)}</title></rect>"
            f'<text class="tick" x="{right:.1f}" y="{height - 6}" text-anchor="middle">'
            f"{_ns(bound)}</text>"
        )
    return chart(height, parts, label)


def _ns(value: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} ns"
