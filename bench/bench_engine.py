"""E1a: CLOSE in ring to order in ring, inline driver, beside a careful Python engine.

Sketch: three 624-256-128-64-7 networks with 47 of 48 rows prepared have 45 k of 201 k MAC left
each, half of them at inactive neurons: some 0.7-1.7 us a network; row, gate, journal and rings
under 1 us together. The Python engine pays 11-14 us a network and some 40 us around them.
Conditions: one process, one core, blocks in turns (ABAB), 20 us of idle wait before each CLOSE on
both sides; the engine prepares in it, as its driver does. Timed: CLOSE pushed, popped, stepped and
its order read from the order ring; bytes of the CLOSE to bytes of the order on the peer. Fills go
in between, untimed. Verified before anything is timed, and on every record that is timed: same
actions, same refusals, same orders with side, quantity and stamps; probabilities within 1e-5.

    python -m bench.bench_engine [--json] [--smoke]
"""

import ctypes
import gc
import sys
import tempfile
import time

import msgspec
import numpy as np

from bench import rig
from bench.peers.python_engine import Close, Fill, Order, PythonEngine
from gm import layout

GAP_NS = 20_000
WARM_BARS, ROUNDS, ROUNDS_SMOKE, BLOCK = 1000, 11, 1, 4000
PROBABILITY_MAX = 1e-5
FLOOR = 10.0
STAGES = ("market", "features", "policy", "order")
SAMPLE = np.dtype(
    [(name, "<f8") for name in ("step", "prepare", "probe", "reserved")]
    + [("order", layout.NEW_ORDER), ("decision", layout.DECISION), ("refusal", layout.REFUSAL)]
)
OUTCOME = np.dtype(
    [("time", "<f8"), ("action", "u1"), ("acts", "u1"), ("code", "u1"), ("has_order", "?")]
    + [("probability", "<f8", (3,))]
    + [(name, "<i8") for name in Order.__struct_fields__]
)


class Native:
    """The core's engine behind its rings, in this process."""

    def __init__(self, library: ctypes.CDLL, block: bytes, folder: str) -> None:
        self.library = library
        error = ctypes.create_string_buffer(512)
        ring = f"{folder}/ring".encode()
        self.engine = library.bench_engine_open(block, len(block), ring, error, len(error))
        if not self.engine:
            sys.exit(f"the engine does not open: {error.value.decode()}")

    def run(self, bars: np.ndarray) -> np.ndarray:
        samples = np.zeros(len(bars), SAMPLE)
        self.library.bench_engine_run(
            self.engine, bars.ctypes.data, len(bars), float(GAP_NS), samples.ctypes.data
        )
        return samples

    def stages(self) -> dict[str, float]:
        found = (ctypes.c_double * len(STAGES))()
        self.library.bench_engine_stages(self.engine, found)
        return dict(zip(STAGES, found, strict=True))


class Peer:
    """The Python engine, one message after another."""

    def __init__(self, engine: PythonEngine) -> None:
        self.engine = engine
        self.encode = msgspec.msgpack.Encoder().encode
        self.decode = msgspec.msgpack.Decoder(Order).decode
        self.sequence = self.fills = 0

    def message(self, bar: np.void) -> bytes:
        self.sequence += 1
        start = int(bar["start_ts_ns"])
        names = ("open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume_lots")
        prices = [int(bar[name]) for name in names]
        duration_s = int(bar["duration_s"])
        return self.encode(
            Close(self.sequence, start + duration_s * 10**9, start, *prices, duration_s, 0)
        )

    def run(self, bars: np.ndarray) -> np.ndarray:
        messages = [self.message(bar) for bar in bars]
        closes = bars["close_ticks"].tolist()
        seen, clock, on_close = np.zeros(len(bars), OUTCOME), time.perf_counter_ns, None
        on_close = self.engine.on_close
        for i, message in enumerate(messages):
            rig.wait_ns(GAP_NS)
            start = clock()
            order = on_close(message)
            seen["time"][i] = clock() - start
            self.note(seen, i, order, closes[i])
        return seen

    def note(self, seen: np.ndarray, i: int, raw: bytes | None, close: int) -> None:
        engine = self.engine
        seen["action"][i], seen["acts"][i] = engine.action, engine.acts
        seen["code"][i], seen["probability"][i] = engine.code, engine.probability
        if raw is None:
            return
        order = self.decode(raw)
        seen["has_order"][i] = True
        for name in Order.__struct_fields__:
            seen[name][i] = getattr(order, name)
        self.fills += 1
        engine.on_fill(
            self.encode(Fill(self.fills, order.counter, close, order.quantity_lots, order.side))
        )


def verify(native: np.ndarray, peer: np.ndarray) -> float:
    """Exit unless both did the same; the largest difference of a probability."""
    decided = native["decision"]["bar_start_ts_ns"] != 0
    order, decision = native["order"], native["decision"]
    has_order = order["id"]["counter"] != 0

    def same(what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        if not np.array_equal(ours, theirs):
            at = int(np.flatnonzero(ours != theirs)[0])
            sys.exit(f"{what} differ at bar {at}: {ours[at]} and {theirs[at]}: nothing was timed")

    same("actions", decision["action"][decided], peer["action"][decided])
    same("acting decisions", decision["acts"][decided], peer["acts"][decided])
    same("refusals", native["refusal"]["code"], peer["code"])
    same("orders", has_order, peer["has_order"])
    same("order numbers", order["id"]["counter"], peer["counter"].astype("u8"))
    for name in Order.__struct_fields__:
        if name not in ("epoch", "counter"):
            same(f"{name} of orders", order[name].astype("i8"), peer[name])
    difference = np.abs(decision["probability"][decided] - peer["probability"][decided])
    worst = float(np.max(difference, initial=0.0))
    if not worst <= PROBABILITY_MAX:
        sys.exit(f"probabilities differ by {worst:.3g}, limit {PROBABILITY_MAX}")
    return worst


def measure(library: ctypes.CDLL, rounds_wanted: int, block: int) -> dict[str, object]:
    onnx = rig.networks()
    settings, rules = rig.settings(onnx)
    bars = rig.bars(WARM_BARS + rounds_wanted * block)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        native = Native(library, settings, folder)
        peer = Peer(PythonEngine(rules, onnx, len(bars)))
        worst = verify(native.run(bars[:WARM_BARS]), peer.run(bars[:WARM_BARS]))
        gc.collect()
        gc.disable()
        rounds, probes = [], []
        for first in range(WARM_BARS, len(bars), block):
            halves = np.split(bars[first : first + block], 2)
            pairs = [(native.run(half), peer.run(half)) for half in halves]  # ABAB
            ours, theirs = (np.concatenate(side) for side in zip(*pairs, strict=True))
            worst = max(worst, verify(ours, theirs))
            rounds.append((ours, theirs))
            probes.append(rig.probe(library))
        gc.enable()
        stages = native.stages()
    return summarise(rounds, probes) | {
        "worst_probability_difference": worst,
        "stage_p50_ns": stages,
        "peer_io_binding": peer.engine.networks.is_bound,
    }


def summarise(rounds: list, probes: list[dict[str, float]]) -> dict[str, object]:
    def ordering(ours: np.ndarray) -> np.ndarray:
        return ours["order"]["id"]["counter"] != 0

    def ratio(percent: float, only_orders: bool) -> dict[str, float]:
        found = []
        for ours, theirs in rounds:
            chosen = ordering(ours) if only_orders else np.full(len(ours), True)
            found.append(
                np.percentile(theirs["time"][chosen], percent)
                / np.percentile(ours["step"][chosen], percent)
            )
        return rig.spread([float(value) for value in found])

    ours = np.concatenate([native for native, _ in rounds])
    theirs = np.concatenate([peer for _, peer in rounds])
    orders = ordering(ours)
    return {
        "floor": FLOOR,
        "rounds": len(rounds),
        "closes_per_round": len(rounds[0][0]),
        "orders": int(orders.sum()),
        "refusals": int((ours["refusal"]["code"] != 0).sum()),
        "decisions": int((ours["decision"]["bar_start_ts_ns"] != 0).sum()),
        "score_p50": ratio(50, only_orders=True),
        "score_p99": ratio(99, only_orders=True),
        "score_p50_all_closes": ratio(50, only_orders=False),
        "native_order_ns": rig.percentiles(ours["step"][orders]),
        "native_all_closes_ns": rig.percentiles(ours["step"]),
        "native_prepare_ns": rig.percentiles(ours["prepare"]),
        "probe_ns": rig.percentiles(ours["probe"]),
        "python_order_ns": rig.percentiles(theirs["time"][orders]),
        "python_all_closes_ns": rig.percentiles(theirs["time"]),
    } | rig.noise(probes)


def main() -> None:
    title = __doc__.splitlines()[0]
    options = rig.options(title)
    library = rig.load_library()
    rig.pin()
    rounds, block = (ROUNDS_SMOKE, 200) if options.smoke else (ROUNDS, BLOCK)
    rig.publish(title, measure(library, rounds, block), as_json=options.json)


if __name__ == "__main__":
    main()
