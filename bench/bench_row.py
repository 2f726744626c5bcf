"""Closed 30-minute bar to appended row: the engine beside a NumPy streaming row. Target G9.

Sketch: after prepare() there remain 599 Gaussian kernels of four coordinates, some 21 vector
operations for eight of them: 76 vectors, 350 ns; a dozen logarithms and hyperbolic tangents of
15 ns; a profile of 39 runs, a strip of some 100 samples, a binary search: 0.6-1 µs in all. The peer
pays some 120 NumPy calls of 0.3-5 µs, and on one bar in 46 a refit of 360,000 kernels; the engine
sums that refit ahead, a forty-sixth a bar. Conditions: one core for both, blocks in turns (ABAB),
20 µs between bars on both sides; the engine prepares in the wait, the peer has no such part. The
engine's timing contains the reading of its timer (the probe beside it shows how much); a bar counts
as quiet if the processor was not away for a microsecond in the waits before and after it. Values of
both sides are compared before anything is timed, and in every round.

Beside it: the longest preparation, and what a bar costs back to back with all preparation, by one
process that has seen 10,000 bars and one that has seen a million, in turns.

    python -m bench.bench_row [--json] [--smoke]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench import rig
from bench.peers.numpy_row import COLUMNS, NumpyRow

T = TypeVar("T")
GAP_NS = 20_000
WARM_BARS, ROUNDS, ROUNDS_SMOKE, BLOCK = 1000, 9, 1, 1000
PAUSE_NS_MAX = 1000.0  # a longer one is the machine's
HISTORIES, HISTORIES_SMOKE = (10_000, 1_000_000), (10_000, 40_000)  # bars
HISTORY_BLOCK, HISTORY_ROUNDS = 1000, 15
BAR_NS = 1_800_000_000_000
INPUT = np.dtype(
    [(name, "<i8") for name in ("start", "open", "high", "low", "close", "volume")]
    + [("minutes", "<u4"), ("flags", "<u4"), ("local_offset_ns", "<i8")]
)
SAMPLE = np.dtype(
    [(name, "<f8") for name in ("update", "prepare", "probe", "pause")]
    + [("row", "<f8", (COLUMNS,))]
)


def synthetic_bars(count: int, seed: int = 20200629) -> np.ndarray:
    """Random walk with changing volatility, prices in ticks, that stays around where it began."""
    random = np.random.default_rng(seed)
    scale = np.exp(0.4 * np.sin(np.arange(count) / 97.0) - 6.0)
    drift = 0.3 * np.sin(np.arange(count) / 5000.0)
    walk = np.cumsum(random.normal(0.0, scale))
    away = np.abs((walk + 0.5) % 2.0 - 1.0) - 0.5  # folded between the same bounds for ever
    close = np.rint(60_000 * np.exp(away + drift)).astype(np.int64)
    bars = np.zeros(count, INPUT)
    bars["start"] = 1_593_388_800_000_000_000 + BAR_NS * np.arange(count)
    bars["close"] = close
    bars["open"] = np.concatenate(([60_000], close[:-1]))
    bars["high"] = np.maximum(bars["open"], close) + random.integers(0, 40, count)
    bars["low"] = np.minimum(bars["open"], close) - random.integers(0, 40, count)
    bars["volume"] = np.rint(1000.0 * np.exp(random.normal(0.0, 0.6, count)))
    bars["minutes"], bars["local_offset_ns"] = 30, -4 * 3600 * 10**9
    return bars


class NativeRow:
    """The engine's row in a process of its own, on the same core, asked block by block."""

    def __init__(self, program: Path, bars_path: str) -> None:
        self.process = subprocess.Popen(
            [program, bars_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def bars(self, first: int, count: int) -> np.ndarray:
        """Samples of a block, one a bar."""
        return np.frombuffer(
            self.ask(f"bars {first} {count} {GAP_NS}", count * SAMPLE.itemsize), SAMPLE
        )

    def run(self, first: int, count: int) -> float:
        """Cost of a bar back to back, ns."""
        return float(np.frombuffer(self.ask(f"run {first} {count}", 8))[0])

    def ask(self, request: str, size: int) -> bytes:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{request}\n".encode())
        self.process.stdin.flush()
        return self.process.stdout.read(size)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=10)


def run_peer(peer: NumpyRow, inputs: list[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Time each bar of a block on the peer; the values come back too."""
    times, rows = np.zeros(len(inputs)), np.zeros((len(inputs), COLUMNS))
    clock = time.perf_counter_ns
    for i, bar in enumerate(inputs):
        until = clock() + GAP_NS
        while clock() < until:
            pass
        start = clock()
        peer.update(bar, bar[8])
        times[i] = clock() - start
        rows[i] = peer.row
    return times, rows


def verify(native: np.ndarray, peer: np.ndarray) -> float:
    """Largest |a − b| / max(1, |b|); more than 1e-9 ends the benchmark."""
    worst = float(np.max(np.abs(native - peer) / np.maximum(1.0, np.abs(peer))))
    if not worst <= 1e-9:
        sys.exit(f"rows differ by {worst:.3g}, limit 1e-9: nothing was timed")
    return worst


def with_program(program: Path, bars: np.ndarray, use: Callable[[NativeRow], T]) -> T:
    """Give ``use`` the engine's process, fed with these bars."""
    with tempfile.NamedTemporaryFile(suffix=".bars") as file:
        file.write(bars.tobytes())
        file.flush()
        native = NativeRow(program, file.name)
        try:
            return use(native)
        finally:
            native.close()


def measure(program: Path, rounds_wanted: int) -> dict[str, object]:
    bars = synthetic_bars(WARM_BARS + rounds_wanted * BLOCK)
    inputs = bars.tolist()

    def rounds_of(native: NativeRow) -> dict[str, object]:
        peer = NumpyRow(len(bars))
        worst = verify(native.bars(0, WARM_BARS)["row"], run_peer(peer, inputs[:WARM_BARS])[1])
        rounds = []
        for first in range(WARM_BARS, len(bars), BLOCK):
            ours = native.bars(first, BLOCK)
            theirs, rows = run_peer(peer, inputs[first : first + BLOCK])
            worst = max(worst, verify(ours["row"], rows))
            rounds.append((ours, theirs))
        return summarise(rounds, worst)

    return with_program(program, bars, rounds_of)


def measure_history(program: Path, counts: tuple[int, int]) -> dict[str, dict[str, float]]:
    """Cost of a bar back to back after a short and after a long history."""
    short, long = counts
    bars = synthetic_bars(long + HISTORY_ROUNDS * HISTORY_BLOCK)

    def blocks(early: NativeRow, late: NativeRow) -> list[tuple[float, float]]:
        early.run(0, short)
        late.run(0, long)
        offsets = range(0, HISTORY_ROUNDS * HISTORY_BLOCK, HISTORY_BLOCK)
        return [
            (early.run(short + i, HISTORY_BLOCK), late.run(long + i, HISTORY_BLOCK))
            for i in offsets
        ]

    found = with_program(
        program, bars, lambda early: with_program(program, bars, lambda late: blocks(early, late))
    )
    ratios = [after / before for before, after in found]
    return {
        "back_to_back_ns": {
            f"after_{count}": float(np.median([block[i] for block in found]))
            for i, count in enumerate(counts)
        },
        "history_growth": rig.spread(ratios),
    }


def is_quiet(ours: np.ndarray) -> np.ndarray:
    """Bars whose waits on both sides the processor spent here."""
    quiet = ours["pause"] < PAUSE_NS_MAX
    quiet[:-1] &= quiet[1:]
    return quiet


def summarise(rounds: list[tuple[np.ndarray, np.ndarray]], worst: float) -> dict[str, object]:
    def percentiles(values: np.ndarray) -> dict[str, float]:
        return {f"p{p}": float(np.percentile(values, p)) for p in (50, 99)}

    ours = np.concatenate([native for native, _ in rounds])
    theirs = np.concatenate([peer for _, peer in rounds])
    quiet = [native["update"][is_quiet(native)] for native, _ in rounds]
    counted = ours["update"] + ours["prepare"]
    return {
        "rounds": len(rounds),
        "bars_per_round": BLOCK,
        "worst_difference": worst,
        "ratio_p50": rig.spread([float(np.median(p) / np.median(n["update"])) for n, p in rounds]),
        "ratio_p99": rig.spread(
            [float(np.percentile(p, 99) / np.percentile(n["update"], 99)) for n, p in rounds]
        ),
        "ratio_p50_preparation_counted": rig.spread(
            [float(np.median(p) / np.median(n["update"] + n["prepare"])) for n, p in rounds]
        ),
        "p99_to_p50_quiet": rig.spread(
            [float(np.percentile(bars, 99) / np.median(bars)) for bars in quiet]
        ),
        "quiet_share": float(np.mean([len(bars) / BLOCK for bars in quiet])),
        "native_ns": percentiles(ours["update"]),
        "native_quiet_ns": percentiles(np.concatenate(quiet)),
        "native_preparation_counted_ns": percentiles(counted),
        "native_preparation_ns": percentiles(ours["prepare"])
        | {"longest_quiet": float(ours["prepare"][is_quiet(ours)].max(initial=0.0))},
        "probe_ns": percentiles(ours["probe"]),
        "numpy_ns": percentiles(theirs) | {"longest": float(theirs.max())},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--smoke", action="store_true", help="one round: shows that it runs")
    options = parser.parse_args()
    program = rig.build_native("row_update")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the child inherits it
    rounds = ROUNDS_SMOKE if options.smoke else ROUNDS
    result = measure(program, rounds)
    result |= measure_history(program, HISTORIES_SMOKE if options.smoke else HISTORIES)
    if options.json:
        print(json.dumps(result))
        return
    print(
        f"row update, {COLUMNS} columns, {rounds} rounds of {BLOCK} bars, {GAP_NS / 1e3:.0f} µs gap"
    )
    for name in (key for key in result if key.endswith("_ns")):
        print(f"  {name:32s} " + "  ".join(f"{k} {v:9,.0f}" for k, v in result[name].items()))
    for name in (key for key in result if key.startswith(("ratio", "p99_to", "history"))):
        print(f"  {name:32s} " + "  ".join(f"{k} {v:6.1f}" for k, v in result[name].items()))
    print(f"  quiet bars {result['quiet_share']:.1%}")
    print(f"  worst difference {result['worst_difference']:.2g} (limit 1e-9)")


if __name__ == "__main__":
    main()
