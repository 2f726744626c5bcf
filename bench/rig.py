"""What the engine's benchmarks share: bars, seeded networks, settings, native parts and results.

Input of every engine benchmark: a seeded random walk of BTC-PERP around 40,000 in 30-minute bars
(its highest prices make the gate refuse reversals by R06), the limits of configs/development.yaml,
three seeded 624-256-128-64-7 networks on all 13 columns without context, temperature 0.1, equal
weights, threshold 0.4.
"""

import argparse
import ctypes
import json
import math
import os
import platform
import time
from pathlib import Path

import numpy as np

from bench.bench_policy import CASES, network
from bench.build import ROOT, build_native
from bench.peers.numpy_row import NumpyRow
from bench.peers.python_engine import Rules
from gm import layout
from gm._native.features import feature_schema_digest
from gm.calendars import offset_table, session_table
from gm.config.block import Agents, Desk, build_block
from gm.config.instruments import load_instruments
from gm.config.settings import load_settings

RESULTS = ROOT / "var" / "bench"
SYMBOL = "BTC-PERP"
BAR_NS = 1_800_000_000_000
FIRST_START_NS = 1_640_995_200_000_000_000  # 2022-01-01
CALENDAR_END_NS = 2_051_222_400_000_000_000
NETWORK = "624-256-128-64-7, half of the neurons active"
TEMPERATURE, THRESHOLD = 0.1, 0.4
AGENTS = 3
WARM_BARS = 1000
FADE = 0.9  # of the first layer's weights, a row


def networks(seed: int = 7) -> tuple[bytes, ...]:
    """Three seeded networks that trade: newer rows weigh more, no action is favoured."""
    matrices = sample_matrices()
    return tuple(trading_network(seed + i, matrices) for i in range(AGENTS))


def sample_matrices(count: int = 1000) -> np.ndarray:
    """Windows of the benchmark's own bars, shape (count, 624)."""
    row, rows = NumpyRow(WARM_BARS + count), []
    for bar in bars(WARM_BARS + count).tolist():
        row.update(bar, 0)
        rows.append(row.matrix.reshape(-1).copy())
    return np.array(rows[WARM_BARS:])


def trading_network(seed: int, matrices: np.ndarray) -> bytes:
    """bench_policy's network with a first layer that fades with age and centred logits."""
    import onnx
    import onnxruntime as ort

    model = onnx.load_from_string(network(CASES[NETWORK], seed)[0])
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    first, last = model.graph.node[0], model.graph.node[-1]

    def change(name: str, values: np.ndarray) -> None:
        tensors[name].CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), name))

    fade = np.repeat(FADE ** np.arange(47, -1, -1), 13)
    weights = onnx.numpy_helper.to_array(tensors[first.input[1]])
    change(first.input[1], weights * (fade / np.sqrt(np.mean(fade**2))))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    logits = session.run(None, {session.get_inputs()[0].name: matrices})[0]
    change(last.input[2], -np.median(logits, axis=0))
    return model.SerializeToString()


def bars(count: int, seed: int = 20220101) -> np.ndarray:
    """Seeded bars as CLOSE payloads: volatility that changes, a price that returns."""
    random = np.random.default_rng(seed)
    scale = np.exp(0.4 * np.sin(np.arange(count) / 97.0) - 5.5)
    noise, level, logs = random.normal(0.0, scale), 0.0, np.zeros(count)
    for i in range(count):
        level = 0.995 * level + noise[i]
        logs[i] = level
    close = np.rint(40_000 * np.exp(logs)).astype(np.int64)
    rows = np.zeros(count, layout.BAR_CLOSE)
    rows["start_ts_ns"] = FIRST_START_NS + BAR_NS * np.arange(count)
    rows["close_ticks"] = close
    rows["open_ticks"] = np.concatenate(([40_000], close[:-1]))
    highest = np.maximum(rows["open_ticks"], close)
    lowest = np.minimum(rows["open_ticks"], close)
    rows["high_ticks"] = highest + random.integers(0, 40, count)
    rows["low_ticks"] = lowest - random.integers(0, 40, count)
    rows["volume_lots"], rows["duration_s"] = random.integers(1, 10_000, count), 1800
    return rows


def agents(onnx: tuple[bytes, ...]) -> Agents:
    """The networks as a bundle of equal weights."""
    rows = np.zeros(AGENTS, layout.AGENT_SETTINGS)
    rows["name"] = [f"agent_{i}" for i in range(AGENTS)]
    rows["temperature"] = TEMPERATURE
    rows["column_mask"] = (1 << 13) - 1
    rows["onnx_size"] = [len(raw) for raw in onnx]
    return Agents(
        rows=rows, onnx=onnx, threshold=THRESHOLD, feature_schema_sha256=feature_schema_digest(),
        bundle_sha256=bytes(32),
    )  # fmt: skip


def settings(onnx: tuple[bytes, ...]) -> tuple[bytes, Rules]:
    """Settings block for the core and the same numbers for the peer."""
    config = ROOT / "configs" / "development.yaml"
    tree = load_settings(config)
    instrument = load_instruments(config.parent / tree.instruments_file)[SYMBOL]
    sessions = session_table(instrument, FIRST_START_NS, CALENDAR_END_NS)
    desk = Desk(
        symbol=SYMBOL, instrument=instrument.to_row(), sessions=sessions,
        offsets=offset_table(instrument, FIRST_START_NS, CALENDAR_END_NS),
    )  # fmt: skip
    return build_block(tree, [desk], agents(onnx)), rules_of(tree, instrument, sessions)


def rules_of(tree, instrument, sessions) -> Rules:
    trading, row = tree.trading[SYMBOL], instrument.to_row()[0]
    return Rules(
        threshold=THRESHOLD,
        temperatures=(TEMPERATURE,) * AGENTS,
        shares=(1.0 / AGENTS,) * AGENTS,
        target_lots=trading.target_lots,
        max_hold_bars=tree.policy.max_hold_bars,
        order_valid_for_ns=tree.engine.order_valid_for_ms * 1_000_000,
        tick_value_micros=int(row["tick_value_micros"]),
        order_tick_ticks=int(row["order_tick_ticks"]),
        price_floor_ticks=int(row["price_floor_ticks"]),
        band_ppm=int(row["band_ppm"]),
        band_ticks_min=int(row["band_ticks_min"]),
        quantity_lots_max=trading.order_quantity_lots_max,
        notional_micros_max=int(trading.order_notional_max * 1_000_000),
        collar_ppm=int(trading.collar_percent * 10_000),
        collar_ticks_min=trading.collar_ticks_min,
        reference_age_ns_max=trading.reference_age_ms_max * 1_000_000,
        position_lots_max=trading.position_lots_max,
        orders_per_second_max=trading.orders_per_second_max,
        orders_burst_max=trading.orders_burst_max,
        account_per_second_max=tree.account.orders_per_second_max,
        account_burst_max=tree.account.orders_burst_max,
        duplicates_max=trading.duplicates_max,
        duplicate_window_ns=trading.duplicate_window_ms * 1_000_000,
        sides_allowed=3,
        types_allowed=1,
        session_open_ns=int(sessions["open_ts_ns"][0]),
        session_close_ns=int(sessions["close_ts_ns"][-1]),
    )


def load_library() -> ctypes.CDLL:
    """The native half with the types of its functions."""
    library = ctypes.CDLL(str(build_native("engine_library")))
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_double
    text = ctypes.c_char_p
    library.bench_engine_open.restype = pointer
    library.bench_engine_open.argtypes = [text, size, text, text, size]
    library.bench_engine_run.argtypes = [pointer, pointer, size, number, pointer]
    library.bench_engine_run_paced.argtypes = [pointer, pointer, size, number, size, pointer]
    library.bench_engine_stages.argtypes = [pointer, pointer]
    library.bench_engine_close.argtypes = [pointer]
    library.bench_probe.argtypes = [ctypes.c_int, ctypes.c_int, pointer]
    library.bench_echo.argtypes = [text, pointer, text, text, text, size]
    return library


def probe(library: ctypes.CDLL) -> dict[str, float]:
    """How noisy the machine is now: a spin that does nothing, and a cache line between cores."""
    cores = sorted(available_cores())
    seen = (ctypes.c_double * 4)()
    library.bench_probe(cores[-1], cores[0], seen)
    names = ("stolen_share", "longest_pause_ns", "pauses_over_10_us_a_second", "ping_pong_ns")
    return dict(zip(names, seen, strict=True))


def noise(probes: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """The probes of all rounds as rows of a result."""
    return {f"probe_{name}": spread([probe[name] for probe in probes]) for name in probes[0]}


CORES = frozenset(os.sched_getaffinity(0))


def available_cores() -> frozenset[int]:
    """Cores of this process before it was pinned."""
    return CORES


def pin() -> None:
    """Run on the last core from here on."""
    os.sched_setaffinity(0, {max(CORES)})


def wait_ns(gap_ns: int) -> None:
    """Spin: an idle core would fall asleep."""
    until = time.perf_counter_ns() + gap_ns
    while time.perf_counter_ns() < until:
        pass


def spread(values: list[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "min": min(values), "max": max(values)}


def percentiles(values: np.ndarray) -> dict[str, float]:
    names = {"p50": 50, "p99": 99, "p99.9": 99.9}
    return {name: float(np.percentile(values, p)) for name, p in names.items()}


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = [line.split(":", 1)[1].strip() for line in info.splitlines() if "model name" in line]
    return {
        "processor": model[0] if model else platform.processor(),
        "cores": len(CORES),
        "load_1_min": os.getloadavg()[0],
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def describe_machine() -> str:
    found = machine()
    return (
        f"machine: {found['processor']}, {found['cores']} cores, load {found['load_1_min']:.1f}, "
        f"Linux {found['kernel']}, Python {found['python']}"
    )


def save(name: str, result: dict[str, object]) -> None:
    """Keep the last results for bench/table.py."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    kept = json.loads(path.read_text()) if path.exists() else []
    runs = [*kept, {"machine": machine(), "at": math.floor(time.time()), **result}]
    path.write_text(json.dumps(runs[-10:], indent=1))


def options(text: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--smoke", action="store_true", help="one short round: shows that it runs")
    return parser.parse_args()


def publish(title: str, result: dict[str, object], *, as_json: bool) -> None:
    """One JSON object for bench/__main__.py, or lines for a person."""
    if as_json:
        print(json.dumps({"machine": machine(), **result}))
        return
    print(title)
    print(describe_machine())
    for name, figures in result.items():
        if isinstance(figures, dict):
            print(f"  {name:28s} " + "  ".join(f"{k} {v:.4g}" for k, v in figures.items()))
        else:
            print(f"  {name:28s} {figures}")
