"""Both matrices of a whole file in one call, beside NumPy, and beside pandas and TA-Lib by column.

Sketch: a strategic row costs 6-8 µs with all that is prepared for it, a tactical row 0.3 µs; the
2.5 and 1.7 kB of a matrix 0.3-0.6 µs, most of it the system's for new pages. The reference
(gm.training.reference) works on whole columns, but takes the vote, the profile and the kernels of
MMD a bar at a time: some 0.3 ms.
Conditions: one core, blocks in turns. Bars: the NQ file where GM_DATA names its folder, else seeded
bars of the same number; 5-minute bars are seeded, as many. The reference gets a slice, its time is
taken per row of the slice: in its favour, as its set-up is not repeated. pandas and TA-Lib compute
one column over the whole table, in one call. What the core's batch takes is for all 13 or 7
columns; a column of its own beside theirs is not timed, for nobody can have one without the row.
Verified first: matrices of the slice equal the reference's, RSI, ATR, EMA and WMA of the reference
equal TA-Lib's. Then the cost a bar of 10,000, 100,000 and 1,000,000 bars, in processor time, for
a call of seconds always meets other programs: once the stores are full (2,000 crosses of MLMI, some
20,000 bars) it must not grow.

    python -m bench.bench_batch [--json] [--smoke]
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import talib

import gm
from bench import rig
from bench.bench_row import synthetic_bars
from gm.features import local_offsets_ns
from gm.readers import BAR
from gm.training import reference

SYMBOL, FILE, BARS = "NQ", "nq_30m_eth.csv", 56_083
SLICE, SLICE_SMOKE = 3_000, 800
ROUNDS, ROUNDS_SMOKE = 7, 1
HISTORY, HISTORY_SMOKE = (10_000, 100_000, 1_000_000), (10_000, 20_000)
GROWTH_MAX = 1.5  # of the cost a bar, by the longest history: more ends the benchmark
LIMIT = 1e-6  # float32
MINUTE_NS = 60_000_000_000


def nq_bars() -> tuple[np.ndarray, str]:
    path = Path(os.environ.get("GM_DATA", "")) / FILE
    if path.is_file():
        return gm.read_bars(path, instrument=SYMBOL).bars, FILE
    return seeded_bars(BARS, 30), "seeded"


def seeded_bars(count: int, minutes: int) -> np.ndarray:
    made, rows = synthetic_bars(count), np.zeros(count, BAR)
    rows["start_ts_ns"] = made["start"][0] + minutes * MINUTE_NS * np.arange(count)
    for name in ("open", "high", "low", "close"):
        rows[f"{name}_ticks"] = made[name]
    rows["volume_lots"] = made["volume"]
    return rows


def seconds(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    call()
    return clock() - start


def verify(ours: np.ndarray, theirs: np.ndarray, what: str, limit: float) -> float:
    """Largest |a - b| / max(1, |b|)."""
    worst = float(np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))))
    if not worst <= limit:
        sys.exit(f"{what} differ by {worst:.3g}, limit {limit}: nothing was timed")
    return worst


def columns(bars: np.ndarray) -> dict[str, Callable[[], object]]:
    """One column over the whole table as pandas and TA-Lib compute it, by the function's name."""
    high, low, close = (bars[f"{n}_ticks"].astype(np.float64) for n in ("high", "low", "close"))
    prices = pd.Series(close)
    returns = np.log(prices).diff()
    return {
        "talib_rsi_20": lambda: talib.RSI(close, 20),
        "talib_atr_14": lambda: talib.ATR(high, low, close, 14),
        "talib_wma_20": lambda: talib.WMA(close, 20),
        "talib_ema_20": lambda: talib.EMA(close, 20),
        "talib_mom_20": lambda: talib.MOM(close, 20),
        "pandas_ema_20": lambda: prices.ewm(span=20, adjust=False).mean(),
        "pandas_std_30": lambda: returns.rolling(30).std(),
        "pandas_momentum_20": lambda: np.log(prices).diff(20),
    }


def verify_columns(bars: np.ndarray) -> None:
    """What is timed in pandas and TA-Lib is what our columns are made of."""
    high, low, close = (bars[f"{n}_ticks"].astype(np.float64) for n in ("high", "low", "close"))
    found = {name: np.asarray(call(), np.float64) for name, call in columns(bars).items()}
    usual = reference.exponential_mean(close, 20)
    deviation = reference.log_return_deviation(close)
    pairs = (
        ("talib_rsi_20", reference.relative_strength(close, 20), 20),
        ("talib_atr_14", reference.average_true_range(high, low, close), 1000),
        ("talib_wma_20", reference.weighted_mean(close, 20), 20),
        ("talib_ema_20", usual, 1000),
        ("pandas_ema_20", usual, 1000),
        ("pandas_std_30", deviation, 31),
    )
    for name, wanted, first in pairs:  # another seed of a mean is forgotten by bar 1000
        verify(found[name][first:], wanted[first:], name, 1e-7)


def measure_view(
    name: str, batch: Callable[[np.ndarray], tuple], slow: Callable[[np.ndarray], tuple],
    bars: np.ndarray, part: int, rounds: int,
) -> dict[str, object]:  # fmt: skip
    """Whole table beside a slice of it."""
    head = bars[:part]
    (matrices, ready), (wanted, wanted_ready) = batch(head), slow(head)
    if not ready.any() or not np.array_equal(ready, wanted_ready):
        sys.exit(f"{name}: ready at {ready.sum()} and {wanted_ready.sum()} bars: nothing was timed")
    worst = verify(matrices, wanted, f"{name} matrices", LIMIT)
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(part / seconds(lambda: slow(head)))
        ours.append(len(bars) / seconds(lambda: batch(bars)))
    return {
        f"{name}_rows": len(bars),
        f"{name}_rows_per_s": rig.spread(ours),
        f"{name}_reference_rows_per_s": rig.spread(theirs),
        f"score_{name}": rig.spread([a / b for a, b in zip(ours, theirs, strict=True)]),
        f"{name}_worst_difference": worst,
    }


def history_of(name: str, batch: Callable[[np.ndarray], tuple], bars: np.ndarray,
               counts: tuple[int, ...], rounds: int) -> dict[str, object]:  # fmt: skip
    """Processor ns a bar, by the bars that one call is given; the least of some runs of each."""
    found, clock = {}, time.process_time
    for count in counts:
        times = [seconds(lambda n=count: batch(bars[:n]), clock) for _ in range(rounds)]
        found[str(count)] = min(times) / count * 1e9
    growth = found[str(counts[-1])] / found[str(counts[0])]
    if growth > GROWTH_MAX:
        sys.exit(f"{name}: a bar of a long history costs {growth:.2f} times one of a short one")
    return {f"{name}_history_ns": found, f"{name}_growth": rig.spread([growth])}


def strategic(bars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return gm.strategic_matrices(bars, SYMBOL)


def tactical(bars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return gm.tactical_matrices(bars, SYMBOL)


def slow_strategic(bars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return reference.strategic_matrices(bars, local_offsets_ns(bars["start_ts_ns"], SYMBOL))


def measure(*, smoke: bool) -> dict[str, object]:
    rounds = ROUNDS_SMOKE if smoke else ROUNDS
    part = SLICE_SMOKE if smoke else SLICE
    bars, source = nq_bars()
    verify_columns(bars)
    result: dict[str, object] = {"bars": source}
    result |= measure_view("strategic", strategic, slow_strategic, bars, part, rounds)
    five = seeded_bars(len(bars), 5)
    result |= measure_view("tactical", tactical, reference.tactical_matrices, five, part, rounds)
    result["column_ns_a_row"] = {
        name: min(seconds(call) for _ in range(rounds)) / len(bars) * 1e9
        for name, call in columns(bars).items()
    }
    counts = HISTORY_SMOKE if smoke else HISTORY
    for name, batch, minutes in (("strategic", strategic, 30), ("tactical", tactical, 5)):
        result |= history_of(name, batch, seeded_bars(counts[-1], minutes), counts, min(rounds, 3))
    return result


def main() -> None:
    title = __doc__.splitlines()[0]
    options = rig.options(title)
    rig.pin()
    rig.publish(title, measure(smoke=options.smoke), as_json=options.json)


if __name__ == "__main__":
    main()
