"""Peer: EMA, RSI and ATR of NautilusTrader, talipp and TA-Lib, one price after another.

Runs in the environment of requirements-nautilus.txt, asked by bench/peers/process.py. Of
NautilusTrader both implementations are timed, Cython and Rust; the faster of each indicator counts.
"""

import time

import numpy as np
import talib
from nautilus_trader import indicators as cython
from nautilus_trader.core import nautilus_pyo3 as rust
from process import answer

BARS = {"ema": 20, "rsi": 14, "atr": 14}
prices: dict[str, list[float]] = {}


def load(path: str) -> dict[str, int]:
    table = np.load(path)
    for name in ("high", "low", "close"):
        prices[name] = table[name].astype(np.float64).tolist()
    return {"updates": len(table)}


def per_update_ns(update, columns: tuple[str, ...]) -> float:
    rows = list(zip(*(prices[name] for name in columns), strict=True))
    begin = time.perf_counter_ns()
    if len(columns) == 1:
        for (x,) in rows:
            update(x)
    else:
        for high, low, close in rows:
            update(high, low, close)
    return (time.perf_counter_ns() - begin) / len(rows)


def nautilus() -> dict[str, float]:
    found = {}
    for name, kind, columns in (
        ("ema", "ExponentialMovingAverage", ("close",)),
        ("rsi", "RelativeStrengthIndex", ("close",)),
        ("atr", "AverageTrueRange", ("high", "low", "close")),
    ):
        for module, label in ((cython, "cython"), (rust, "rust")):
            indicator = getattr(module, kind)(BARS[name])
            found[f"{name}_{label}"] = per_update_ns(indicator.update_raw, columns)
        found[name] = min(found[f"{name}_cython"], found[f"{name}_rust"])
    return found


def batch() -> dict[str, float]:
    """TA-Lib over the whole table at once, per value."""
    table = {name: np.array(values) for name, values in prices.items()}
    calls = {
        "ema": lambda: talib.EMA(table["close"], BARS["ema"]),
        "rsi": lambda: talib.RSI(table["close"], BARS["rsi"]),
        "atr": lambda: talib.ATR(table["high"], table["low"], table["close"], BARS["atr"]),
    }
    found = {}
    for name, call in calls.items():
        begin = time.perf_counter_ns()
        call()
        found[name] = (time.perf_counter_ns() - begin) / len(table["close"])
    return found


def talipp() -> dict[str, float]:
    """A tenth of the table: it takes microseconds an update."""
    from talipp import indicators as streaming
    from talipp.ohlcv import OHLCV

    closes = prices["close"][: len(prices["close"]) // 10]
    candles = [
        OHLCV(close, high, low, close)
        for high, low, close in zip(prices["high"], prices["low"], closes, strict=False)
    ]
    found = {}
    for name, made, rows in (
        ("ema", streaming.EMA(BARS["ema"]), closes),
        ("rsi", streaming.RSI(BARS["rsi"]), closes),
        ("atr", streaming.ATR(BARS["atr"]), candles),
    ):
        begin = time.perf_counter_ns()
        for row in rows:
            made.add(row)
        found[name] = (time.perf_counter_ns() - begin) / len(rows)
    return found


if __name__ == "__main__":
    answer({"load": load, "nautilus": nautilus, "batch": batch, "talipp": talipp})
