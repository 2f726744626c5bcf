"""Small bar files and settings for tests: seeded trends that the baseline trades."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from .runs import CONFIG

START = np.datetime64("2024-01-08T00:00", "s")  # a Monday, UTC
# Relative moves a bar: a trend that the baseline follows, and noise far smaller.
DRIFT, NOISE = 0.004, 0.0007
# At first trends are short: MLMI wants 20 crosses before a matrix is ready.
EARLY_BARS, EARLY_LEG = 150, 4


def is_up(bars: int, legs: int) -> np.ndarray:
    """Direction of each bar, shape (bars,): short trends, from EARLY_BARS on such of `legs`."""
    at = np.arange(bars)
    early: np.ndarray = at // EARLY_LEG % 2 == 0
    late: np.ndarray = at // legs % 2 == 0
    return np.where(at < EARLY_BARS, early, late)


def trending_prices(
    bars: int, first: float, legs: int = 24, seed: int = 1, drift: float = DRIFT
) -> np.ndarray:
    """Prices at the borders of bars, shape (bars + 1,): trends of `legs` bars, up and down."""
    random = np.random.default_rng(seed)
    signs = np.where(is_up(bars, legs), 1.0, -1.0)
    moves = drift * signs + NOISE * random.standard_normal(bars)
    return first * np.exp(np.concatenate([[0.0], np.cumsum(moves)]))


def write_bars(path: Path, prices: np.ndarray, minutes: int = 30, start: Any = START) -> Path:
    """Bars of whole prices that follow each other without a hole, stamps in UTC."""
    ticks = np.rint(prices).astype(np.int64)
    lines = ["timestamp_utc,open,high,low,close,volume"]
    for i in range(len(ticks) - 1):
        stamp = start + np.timedelta64(minutes * i, "m")
        first, last = ticks[i], ticks[i + 1]
        high, low = max(first, last) + 3, min(first, last) - 2
        lines.append(f"{str(stamp).replace('T', ' ')},{first},{high},{low},{last},{100 + i % 7}")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_trends(path: Path, bars: int, **values: Any) -> Path:
    """A file of half-hour bars near 30,000 with trends of half a day."""
    return write_bars(path, trending_prices(bars, 30_000.0, **values))


def write_trades(
    path: Path, trades: int, seconds: int = 300, seed: int = 1, drift: int = 20, noise: int = 8
) -> Path:
    """Single trades at whole prices: a walk in integers under waves of a day, stamps in UTC."""
    random = np.random.default_rng(seed)
    half_hours = np.arange(trades) * seconds // 1800
    up = is_up(int(half_hours[-1]) + 1, 24)[half_hours]  # half a day up, half a day down
    steps = np.where(up, drift, -drift) + random.integers(-noise, noise + 1, trades)
    prices = 30_000 + np.cumsum(steps)
    sizes = random.integers(1, 50, trades)
    stamps = np.datetime_as_string(START + np.arange(trades) * np.timedelta64(seconds, "s"))
    rows = zip(stamps.tolist(), prices.tolist(), sizes.tolist(), strict=True)
    with path.open("w") as out:
        out.write("timestamp_utc,price,size\n")
        out.writelines(f"{stamp.replace('T', ' ')},{price},{size}\n" for stamp, price, size in rows)
    return path


def write_config(path: Path, **sections: dict[str, Any]) -> Path:
    """The development settings with some keys changed."""
    tree = yaml.safe_load(CONFIG.read_text())
    tree["instruments_file"] = str(CONFIG.parent / "instruments.yaml")
    lay_over(tree, sections)
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def lay_over(tree: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            lay_over(tree.setdefault(key, {}), value)
        else:
            tree[key] = value
