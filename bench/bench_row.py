"""Closed 30-minute bar to appended row: the engine beside a NumPy streaming row.

Sketch: 7 of 13 columns. After prepare() there remain some 9 transcendental calls of 10-20 ns, four
divisions and square roots, 26 floats written: 150-250 ns. The peer pays some 25 NumPy calls of
0.3-1 µs each. Conditions: one core for both, blocks in turns (ABAB), 20 µs between bars on both
sides; the engine's timing contains the reading of its timer (the probe beside it shows how much).
The part that known bars decide is prepared in the wait by the engine, and counted separately; the
peer has no such part. Values of both sides are compared before anything is timed.

    python -m bench.bench_row [--json] [--smoke]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.peers.numpy_row import COLUMNS, NumpyRow

ROOT = Path(__file__).resolve().parents[1]
GAP_NS = 20_000
WARM_BARS, ROUNDS, ROUNDS_SMOKE, BLOCK = 800, 9, 1, 1000
BAR_NS = 1_800_000_000_000
INPUT = np.dtype(
    [(name, "<i8") for name in ("start", "open", "high", "low", "close", "volume")]
    + [("minutes", "<u4"), ("flags", "<u4"), ("local_offset_ns", "<i8")]
)
SAMPLE = np.dtype(
    [("update", "<f8"), ("prepare", "<f8"), ("probe", "<f8"), ("row", "<f8", (COLUMNS,))]
)


def synthetic_bars(count: int, seed: int = 20200629) -> np.ndarray:
    """Random walk with changing volatility, prices in ticks."""
    random = np.random.default_rng(seed)
    scale = np.exp(0.4 * np.sin(np.arange(count) / 97.0) - 6.0)
    close = np.rint(60_000 * np.exp(np.cumsum(random.normal(0.0, scale)))).astype(np.int64)
    bars = np.zeros(count, INPUT)
    bars["start"] = 1_593_388_800_000_000_000 + BAR_NS * np.arange(count)
    bars["close"] = close
    bars["open"] = np.concatenate(([60_000], close[:-1]))
    bars["high"] = np.maximum(bars["open"], close) + random.integers(0, 40, count)
    bars["low"] = np.minimum(bars["open"], close) - random.integers(0, 40, count)
    bars["volume"], bars["minutes"], bars["local_offset_ns"] = 100, 30, -4 * 3600 * 10**9
    return bars


def build_native(name: str) -> Path:
    """Build one program of bench/native in build/core and return its path."""
    folder = ROOT / "build" / "core"
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if not (folder / "build.ninja").exists():
        subprocess.run(
            ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja"],
            check=True,
            env=tools,
            stdout=subprocess.DEVNULL,
        )
    subprocess.run(
        ["cmake", "--build", folder, "--target", name],
        check=True,
        env=tools,
        stdout=subprocess.DEVNULL,
    )
    return folder / name


class NativeRow:
    """The engine's row in a process of its own, on the same core, asked block by block."""

    def __init__(self, program: Path, bars_path: str) -> None:
        self.process = subprocess.Popen(
            [program, bars_path, str(GAP_NS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, first: int, count: int) -> np.ndarray:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{first} {count}\n".encode())
        self.process.stdin.flush()
        return np.frombuffer(self.process.stdout.read(count * SAMPLE.itemsize), SAMPLE)

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


def measure(program: Path, rounds_wanted: int) -> dict[str, object]:
    bars = synthetic_bars(WARM_BARS + rounds_wanted * BLOCK)
    inputs = bars.tolist()
    with tempfile.NamedTemporaryFile(suffix=".bars") as file:
        file.write(bars.tobytes())
        file.flush()
        native, peer = NativeRow(program, file.name), NumpyRow(len(bars))
        worst = verify(native.run(0, WARM_BARS)["row"], run_peer(peer, inputs[:WARM_BARS])[1])
        rounds = []
        for first in range(WARM_BARS, len(bars), BLOCK):
            ours = native.run(first, BLOCK)
            theirs, rows = run_peer(peer, inputs[first : first + BLOCK])
            worst = max(worst, verify(ours["row"], rows))
            rounds.append((ours, theirs))
        native.close()
    return summarise(rounds, worst)


def summarise(rounds: list[tuple[np.ndarray, np.ndarray]], worst: float) -> dict[str, object]:
    def spread(values: list[float]) -> dict[str, float]:
        return {"median": float(np.median(values)), "min": min(values), "max": max(values)}

    def percentiles(values: np.ndarray) -> dict[str, float]:
        return {f"p{p}": float(np.percentile(values, p)) for p in (50, 99)}

    ours = np.concatenate([native for native, _ in rounds])
    theirs = np.concatenate([peer for _, peer in rounds])
    counted = ours["update"] + ours["prepare"]
    return {
        "rounds": len(rounds),
        "bars_per_round": BLOCK,
        "worst_difference": worst,
        "ratio_p50": spread([float(np.median(p) / np.median(n["update"])) for n, p in rounds]),
        "ratio_p99": spread(
            [float(np.percentile(p, 99) / np.percentile(n["update"], 99)) for n, p in rounds]
        ),
        "ratio_p50_preparation_counted": spread(
            [float(np.median(p) / np.median(n["update"] + n["prepare"])) for n, p in rounds]
        ),
        "native_ns": percentiles(ours["update"]),
        "native_preparation_counted_ns": percentiles(counted),
        "probe_ns": percentiles(ours["probe"]),
        "numpy_ns": percentiles(theirs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--smoke", action="store_true", help="one round: shows that it runs")
    options = parser.parse_args()
    program = build_native("row_update")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the child inherits it
    rounds = ROUNDS_SMOKE if options.smoke else ROUNDS
    result = measure(program, rounds)
    if options.json:
        print(json.dumps(result))
        return
    print(
        f"row update, 7 of 13 columns, {rounds} rounds of {BLOCK} bars, {GAP_NS / 1e3:.0f} µs gap"
    )
    for name in ("native_ns", "native_preparation_counted_ns", "probe_ns", "numpy_ns"):
        print(f"  {name:32s} " + "  ".join(f"{k} {v:9.0f}" for k, v in result[name].items()))
    for name in ("ratio_p50", "ratio_p99", "ratio_p50_preparation_counted"):
        print(f"  {name:32s} " + "  ".join(f"{k} {v:6.1f}" for k, v in result[name].items()))
    print(f"  worst difference {result['worst_difference']:.2g} (limit 1e-9)")


if __name__ == "__main__":
    main()
