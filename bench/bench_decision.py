"""E1b: a record that closes a 30- and a 5-minute bar, six networks, beside a Python engine.

Sketch: prepared, the three strategic and the three tactical networks of SPEC have 3 x 0.97 and 3 x
1.46 us left where half of the neurons are inactive, from 1.2 MB of hot weights that do not all fit
1 MiB of L2; two rows, gate, journal and rings take under 1.5 us. The Python engine pays 161 us for
the networks and 100 us around them.
Conditions: one process, one core, blocks in turns (ABAB). The engine gets its next message 20 us
after it is done with the one before: fifteen heartbeats, then the CLOSE; while nothing is due it
prepares, a part at a time, and a part that is under way when a message is due counts as the
message's. The peer waits as long before each CLOSE. The same with one wait of 500 us. Timed: CLOSE
due, pushed, popped, stepped and its order read; bytes of the CLOSE to bytes of the order on the
peer. Orders are filled in between, untimed. Sustained: CLOSEs back to back, with all preparation.

p99/p50 three times. Of all closes. Of quiet ones: the processor was not away for a microsecond in
what is left idle of the wait before and in the 20 us behind, and no interrupt came from the
beginning of the one to the end of the other; what the host takes within a close or a part without
one is still in it. And of the faster
of two passes: a second engine gets the same records, so what the engine itself is late with (a part
under way, a bar with more to do, code that is cold each time) is in both, what the machine did to
one of them is not; nor is what memory happened to be near in one of them alone.
Seeded networks, once with half of their neurons active and once with all; the core with a float32
and with a bfloat16 tail, in turns. Weights of large matrices are bfloat16 numbers, so that both
tails and the peer have the same ones and give the same answers.
Verified on every record: same actions, votes, directions, scores within 1e-5, same orders.

    python -m bench.bench_decision [--json] [--smoke]
"""

import ctypes
import gc
import sys
import tempfile
import time
from typing import NamedTuple

import msgspec
import numpy as np

from bench import rig
from bench.bench_engine import Native as StrategicNative, Peer as StrategicPeer
from bench.bench_policy import ACTIVE_BIAS, CASES, Case, network
from bench.peers.python_engine import Order, Rules
from bench.peers.python_two_levels import PythonTwoLevels, TeamRules
from gm import layout
from gm._native.features import feature_schema_digest
from gm.calendars import offset_table, session_table
from gm.config.block import Agents, Desk, Tactical, build_block
from gm.config.instruments import load_instruments
from gm.config.settings import Settings, load_settings
from gm.models.manifest import TACTICAL_THRESHOLD, TACTICAL_WEIGHTS

WARM_BARS, ROUNDS, BLOCK = 6_000, 7, 2_400  # MMD speaks from bar 4,800 on
WARM_SMOKE, ROUNDS_SMOKE, BLOCK_SMOKE = 2_400, 1, 240
GAPS = {"20us": (20_000, 15), "500us": (500_000, 0), "sustained": (0, 0)}  # ns, heartbeats
SLOW_SHARE = 4  # of the waits of 500 us: a block is so much shorter
DIFFERENCE_MAX = 1e-5
FLOORS = {"half active": 27.0, "half active, bf16 tail": 40.0, "all active": 17.0}
FLOOR_SUSTAINED, SPREAD_MAX = 5.0, 1.5
PASSES = 2  # engines that get the same records
PAUSE_NS_MAX = 1000.0  # a longer one is the machine's
DENSITIES, TAILS = ("half active", "all active"), ("", ", bf16 tail")
SAMPLES_MAX = 500  # of what each network sees
ROUNDED_SIZE = 16_384  # weights from which on a matrix of the tail is rounded: core, network.cpp
COLUMNS = ((0, 1, 8, 9), (2, 3, 4, 5), (10, 11, 12))
TEMPERATURE, STRATEGIC_THRESHOLD = 0.1, 0.4
SAMPLE = np.dtype(
    [(name, "<f8") for name in ("step", "prepare", "longest_part", "message", "probe", "parts")]
    + [("pause", "<f8"), ("interrupted", "<f8")]
    + [("order", layout.NEW_ORDER), ("decision", layout.DECISION)]
    + [("tactical", layout.TACTICAL_DECISION), ("refusal", layout.REFUSAL)]
)
OUTCOME = np.dtype(
    [("time", "<f8"), ("has_order", "?"), ("code", "u1"), ("decided", "?")]
    + [(name, "<i8") for name in ("action", "acts", "direction", "standing", "entry", "enters")]
    + [("score", "<f8"), ("probability", "<f8", (3,))]
    + [(name, "<i8") for name in Order.__struct_fields__]
)


def five_minute_bars(count: int, seed: int = 20220102) -> np.ndarray:
    """Seeded bars as CLOSE payloads: a price that returns, and strong candles now and then."""
    random = np.random.default_rng(seed)
    strength = np.where(random.random(count) < 0.08, 4.0, 1.0)
    noise = random.normal(0.0, np.exp(0.4 * np.sin(np.arange(count) / 583.0) - 6.7)) * strength
    level, logs = 0.0, np.zeros(count)
    for i in range(count):
        level = 0.9992 * level + noise[i]
        logs[i] = level
    close = np.rint(40_000 * np.exp(logs)).astype(np.int64)
    rows = np.zeros(count, layout.BAR_CLOSE)
    rows["start_ts_ns"] = rig.FIRST_START_NS + 300 * 10**9 * np.arange(count)
    rows["close_ticks"] = close
    rows["open_ticks"] = np.concatenate(([40_000], close[:-1]))
    rows["high_ticks"] = np.maximum(rows["open_ticks"], close) + random.integers(0, 12, count)
    rows["low_ticks"] = np.minimum(rows["open_ticks"], close) - random.integers(0, 12, count)
    rows["volume_lots"], rows["duration_s"] = random.integers(1, 10_000, count), 300
    return rows


def cases(density: str) -> list[Case]:
    """SPEC's shapes: two strategic networks of four columns, one of three, three tactical ones."""
    strategic, tactical = (
        CASES[f"SPEC {name}, {density}"] for name in ("strategic 198", "tactical")
    )
    narrow = strategic._replace(widths=(150, *strategic.widths[1:]), row_width=3)
    return [strategic, strategic, narrow, *[tactical] * 3]


def six_networks(density: str, samples: list[np.ndarray]) -> tuple[bytes, ...]:
    """Seeded networks, no action favoured on these samples of their inputs."""
    pairs = enumerate(zip(cases(density), samples, strict=True))
    return tuple(centred(case, 70 + i, seen) for i, (case, seen) in pairs)


def rounded(values: np.ndarray) -> np.ndarray:
    """The nearest bfloat16 numbers, as float32; halves to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    up = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return ((bits + up) & np.uint32(0xFFFF0000)).view(np.float32)


def centred(case: Case, seed: int, samples: np.ndarray) -> bytes:
    """A seeded network whose logits have median 0 on the samples; all active: deviation too."""
    import onnx

    model = onnx.load_from_string(network(case, seed)[0])
    *hidden, last = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    if case.is_active:  # by what it sees, layer by layer
        for node in hidden:
            set_layer(model, node, samples, 1.0, ACTIVE_BIAS)
        set_layer(model, last, samples, TEMPERATURE, 0.0)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.size >= ROUNDED_SIZE:
            tensor.CopyFrom(onnx.numpy_helper.from_array(rounded(values), tensor.name))
    bias = next(t for t in model.graph.initializer if t.name == last.input[2])
    values = onnx.numpy_helper.to_array(bias) - np.median(outputs(model, last, samples), axis=0)
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    return model.SerializeToString()


def outputs(model, node, samples: np.ndarray) -> np.ndarray:
    """What one node of a model says of each sample."""
    import onnx
    import onnxruntime as ort

    seen = onnx.ModelProto.FromString(model.SerializeToString())
    if node.output[0] not in {each.name for each in seen.graph.output}:
        seen.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    session = ort.InferenceSession(seen.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([node.output[0]], {"observation": samples})[0]


def set_layer(model, node, samples: np.ndarray, deviation: float, mean: float) -> None:
    """Give each output of a layer this mean and deviation on the samples."""
    import onnx

    kernel, bias = (
        next(t for t in model.graph.initializer if t.name == name) for name in node.input[1:]
    )
    found = np.moveaxis(outputs(model, node, samples), 1, -1).reshape(-1, bias.dims[0])
    scale = deviation / np.maximum(found.std(axis=0), 1e-6)
    weights = onnx.numpy_helper.to_array(kernel)
    shift = (onnx.numpy_helper.to_array(bias) - found.mean(axis=0)) * scale + mean
    for tensor, values in (
        (kernel, weights * scale.reshape(-1, *[1] * (weights.ndim - 1))),
        (bias, shift),
    ):
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), tensor.name))


def sample_inputs(rules: Rules, team: TeamRules, bars: np.ndarray) -> list[np.ndarray]:
    """What each network sees on the last half of some bars."""
    blind = tuple(network(case, 1)[0] for case in cases(DENSITIES[0]))
    peer = Peer(PythonTwoLevels(rules, team, blind, len(bars)))
    seen: list[list[np.ndarray]] = [[] for _ in range(6)]
    for i, bar in enumerate(bars):
        peer.engine.on_close(peer.message(bar))
        if i < len(bars) // 2:
            continue
        if peer.engine.decided:
            for kept, values in zip(seen[:3], peer.engine.seen, strict=True):
                kept.append(values[0].copy())
        for kept in seen[3:]:
            kept.append(peer.engine.tactical.matrix[0].copy())
    return [np.array(kept[:: max(1, len(kept) // SAMPLES_MAX)]) for kept in seen]


class Round(NamedTuple):
    """One round of one tail at one pace: what the engines did, pass by pass, and the peer."""

    passes: list[np.ndarray]
    theirs: np.ndarray

    @property
    def ours(self) -> np.ndarray:
        return self.passes[0]


class Native(StrategicNative):
    """The core's engine, on messages that come at a pace."""

    def run_paced(self, bars: np.ndarray, gap: str) -> np.ndarray:
        samples = np.zeros(len(bars), SAMPLE)
        gap_ns, between = GAPS[gap]
        self.library.bench_engine_run_paced(
            self.engine, bars.ctypes.data, len(bars), float(gap_ns), between, samples.ctypes.data
        )
        return samples


class Peer(StrategicPeer):
    """The Python engine, one message after another."""

    def run_paced(self, bars: np.ndarray, gap: str) -> np.ndarray:
        messages = [self.message(bar) for bar in bars]
        closes = bars["close_ticks"].tolist()
        seen, clock = np.zeros(len(bars), OUTCOME), time.perf_counter_ns
        on_close, gap_ns = self.engine.on_close, GAPS[gap][0]
        for i, message in enumerate(messages):
            if gap_ns:
                rig.wait_ns(gap_ns)
            start = clock()
            order = on_close(message)
            seen["time"][i] = clock() - start
            for name in ("decided", "direction", "standing", "entry", "enters", "score"):
                seen[name][i] = getattr(self.engine, name)
            self.note(seen, i, order, closes[i])
        return seen


def verify(native: np.ndarray, peer: np.ndarray) -> float:
    """Exit unless both did the same; the largest difference of a probability or a score."""
    decision, tactical, order = native["decision"], native["tactical"], native["order"]
    decided, timed = decision["bar_start_ts_ns"] != 0, tactical["bar_start_ts_ns"] != 0

    def same(what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        if not np.array_equal(ours, theirs):
            at = int(np.flatnonzero(ours != theirs)[0])
            sys.exit(f"{what} differ at bar {at}: {ours[at]} and {theirs[at]}: nothing was timed")

    same("decisions", decided, peer["decided"])
    for name in ("action", "acts"):
        same(name, decision[name][decided], peer[name][decided])
    for name in ("direction", "standing", "entry", "enters"):
        same(name, tactical[name][timed], peer[name][timed])
    same("refusals", native["refusal"]["code"], peer["code"])
    same("orders", order["id"]["counter"] != 0, peer["has_order"])
    same("order numbers", order["id"]["counter"], peer["counter"].astype("u8"))
    for name in Order.__struct_fields__:
        if name not in ("epoch", "counter"):
            same(f"{name} of orders", order[name].astype("i8"), peer[name])
    worst = float(np.max(np.abs(tactical["score"] - peer["score"])[timed], initial=0.0))
    apart = np.abs(decision["probability"][decided] - peer["probability"][decided])
    worst = max(worst, float(np.max(apart, initial=0.0)))
    if not worst <= DIFFERENCE_MAX:
        sys.exit(f"probabilities or scores differ by {worst:.3g}, limit {DIFFERENCE_MAX}")
    return worst


def verify_all(found: Round) -> float:
    """Exit unless each pass did the same as the peer."""
    return max(verify(each, found.theirs) for each in found.passes)


def joined(parts: list[Round]) -> Round:
    """One round of several parts, one after another."""
    passes = [np.concatenate(each) for each in zip(*(part.passes for part in parts), strict=True)]
    return Round(passes, np.concatenate([part.theirs for part in parts]))


def two_level_settings() -> Settings:
    """The development settings with both order types and profile two_level."""
    tree, replace = (
        load_settings(rig.ROOT / "configs" / "development.yaml"),
        msgspec.structs.replace,
    )
    section = replace(tree.trading[rig.SYMBOL], types=("market", "limit"))
    return replace(
        tree,
        policy=replace(tree.policy, profile="two_level"),
        trading={rig.SYMBOL: section},
    )


def team_of(onnx: tuple[bytes, ...], tail: int) -> Agents:
    """The networks as a bundle: three of equal weights, three on all tactical columns."""

    def rows(
        names: tuple[str, ...], columns: tuple[tuple[int, ...], ...], files: tuple[bytes, ...]
    ):
        made = np.zeros(3, layout.AGENT_SETTINGS)
        made["name"], made["temperature"] = names, TEMPERATURE
        made["column_mask"] = [sum(1 << column for column in each) for each in columns]
        made["onnx_size"], made["tail"] = [len(raw) for raw in files], tail
        return made

    strategic = rows(("mlmi", "nwrqk", "regime"), COLUMNS, onnx[:3])
    strategic["context_count"] = 6
    settings = np.zeros(1, layout.TACTICAL_SETTINGS)
    settings["threshold"], settings["weights"] = TACTICAL_THRESHOLD, TACTICAL_WEIGHTS
    return Agents(
        rows=strategic, onnx=onnx[:3], threshold=STRATEGIC_THRESHOLD,
        feature_schema_sha256=feature_schema_digest(), bundle_sha256=bytes(32),
        tactical=Tactical(
            settings=settings, onnx=onnx[3:],
            rows=rows(("fvg", "momentum", "entry"), (tuple(range(7)),) * 3, onnx[3:]),
        ),
    )  # fmt: skip


def prepare(
    density: str, warm_bars: int, count: int
) -> tuple[list[bytes], Rules, TeamRules, tuple[bytes, ...], np.ndarray]:
    """Settings blocks, one a tail, and what the peer is made of."""
    tree, bars = two_level_settings(), five_minute_bars(warm_bars + count)
    instrument = load_instruments(rig.ROOT / "configs" / tree.instruments_file)[rig.SYMBOL]
    sessions = session_table(instrument, rig.FIRST_START_NS, rig.CALENDAR_END_NS)
    rules = msgspec.structs.replace(
        rig.rules_of(tree, instrument, sessions), threshold=STRATEGIC_THRESHOLD, types_allowed=3
    )
    team = TeamRules(
        columns=COLUMNS, temperatures=(TEMPERATURE,) * 3, threshold=TACTICAL_THRESHOLD,
        weights=TACTICAL_WEIGHTS, mlmi_min=float(tree.synergy.mlmi_min),
        slope_min=float(tree.synergy.slope_min), window_bars=tree.synergy.window_bars,
        cooldown_bars=tree.synergy.cooldown_bars,
    )  # fmt: skip
    onnx = six_networks(density, sample_inputs(rules, team, bars[:warm_bars]))
    desk = Desk(
        symbol=rig.SYMBOL, instrument=instrument.to_row(), sessions=sessions,
        offsets=offset_table(instrument, rig.FIRST_START_NS, rig.CALENDAR_END_NS),
    )  # fmt: skip
    blocks = [build_block(tree, [desk], team_of(onnx, tail)) for tail in range(len(TAILS))]
    return blocks, rules, team, onnx, bars


def measure(
    library: ctypes.CDLL, density: str, warm_bars: int, rounds_wanted: int, block: int
) -> dict[str, dict[str, object]]:
    """One density, by tail."""
    slow = block // SLOW_SHARE
    per_round = 2 * block + slow
    blocks, rules, team, onnx, bars = prepare(density, warm_bars, rounds_wanted * per_round)
    rounds: list[dict[str, list[Round]]] = [{name: [] for name in GAPS} for _ in TAILS]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        natives = [
            [Native(library, each, tempfile.mkdtemp(dir=folder)) for _ in range(PASSES)]
            for each in blocks
        ]
        peer = Peer(PythonTwoLevels(rules, team, onnx, len(bars)))

        def turn(part: np.ndarray, name: str) -> list[Round]:
            """The same records for all, by tail."""
            ours = [[each.run_paced(part, name) for each in passes] for passes in natives]
            theirs = peer.run_paced(part, name)
            return [Round(passes, theirs) for passes in ours]

        worst = max(verify_all(each) for each in turn(bars[:warm_bars], "sustained"))
        gc.collect()
        gc.disable()
        probes, at = [], warm_bars
        for _ in range(rounds_wanted):
            for name, size in (("20us", block), ("500us", slow), ("sustained", block)):
                halves = np.split(bars[at : at + size], 2)  # ABAB
                at += size
                turns = [turn(part, name) for part in halves]
                for i in range(len(TAILS)):
                    found = joined([each[i] for each in turns])
                    worst = max(worst, verify_all(found))
                    rounds[i][name].append(found)
            probes.append(rig.probe(library))
        gc.enable()
    noise = rig.noise(probes) | {"worst_difference": worst}
    return {
        density + tail: {"floor": FLOORS.get(density + tail)} | summarise(by_pace) | noise
        for tail, by_pace in zip(TAILS, rounds, strict=True)
    }


def closes_both(ours: np.ndarray) -> np.ndarray:
    """Records that closed a bar of each size, with all six networks asked."""
    return (ours["decision"]["bar_start_ts_ns"] != 0) & (ours["tactical"]["bar_start_ts_ns"] != 0)


def is_quiet(ours: np.ndarray) -> np.ndarray:
    """Closes around which the processor was here."""
    return (ours["pause"] < PAUSE_NS_MAX) & (ours["interrupted"] == 0)


def spreads(rounds: list[Round]) -> dict[str, dict[str, float]]:
    """p99 over p50 of the closes of both sizes, and how many of them were quiet."""

    def ratio(steps: np.ndarray) -> float:
        if not len(steps):
            return float("nan")
        return float(np.percentile(steps, 99) / np.percentile(steps, 50))

    found: dict[str, list[float]] = {"": [], "_quiet": [], "_of_two": [], "_quiet_share": []}
    for each in rounds:
        both = closes_both(each.ours)
        quiet = is_quiet(each.ours)[both]
        steps = [ours["step"][both] for ours in each.passes]
        found[""].append(ratio(steps[0]))
        found["_quiet"].append(ratio(steps[0][quiet]))
        found["_of_two"].append(ratio(np.minimum.reduce(steps)))
        found["_quiet_share"].append(float(quiet.mean()))
    return {name: rig.spread(values) for name, values in found.items()}


def summarise(rounds: dict[str, list[Round]]) -> dict[str, object]:
    def ratio(name: str, percent: float, *, only_orders: bool) -> dict[str, float]:
        found = []
        for each in rounds[name]:
            ours, theirs = each.ours, each.theirs
            chosen = closes_both(ours)
            if only_orders:
                chosen &= ours["order"]["id"]["counter"] != 0
            if chosen.any():
                times = theirs["time"][chosen], ours["step"][chosen]
                found.append(
                    float(np.percentile(times[0], percent) / np.percentile(times[1], percent))
                )
        return rig.spread(found or [float("nan")])

    def sustained(*, only_both: bool) -> dict[str, float]:
        found = []
        for each in rounds["sustained"]:
            ours, theirs = each.ours, each.theirs
            # Preparation is counted with the CLOSE that it follows.
            cost = ours["step"] + np.concatenate((ours["prepare"][1:], ours["prepare"][:1]))
            chosen = closes_both(ours) if only_both else np.full(len(ours), True)
            found.append(float(theirs["time"][chosen].sum() / cost[chosen].sum()))
        return rig.spread(found)

    all_fast, slow, paid = (np.concatenate([each.ours for each in rounds[name]]) for name in GAPS)
    peers = np.concatenate([each.theirs for each in rounds["20us"]])
    both = closes_both(all_fast)
    orders = both & (all_fast["order"]["id"]["counter"] != 0)
    rate = 1e9 * len(paid) / float((paid["step"] + paid["prepare"]).sum())
    return {
        "floor_sustained": FLOOR_SUSTAINED,
        "limit_p99_to_p50": SPREAD_MAX,
        "rounds": len(rounds["20us"]),
        "closes_of_both": int(both.sum()),
        "orders": int(orders.sum()),
        "score_p50": ratio("20us", 50, only_orders=False),
        "score_p99": ratio("20us", 99, only_orders=False),
        "score_p50_with_order": ratio("20us", 50, only_orders=True),
        "score_p50_500us": ratio("500us", 50, only_orders=False),
        **{f"p99_to_p50_20us{name}": of for name, of in spreads(rounds["20us"]).items()},
        **{f"p99_to_p50_500us{name}": of for name, of in spreads(rounds["500us"]).items()},
        "score_sustained": sustained(only_both=True),
        "score_sustained_all": sustained(only_both=False),
        "closes_per_s": rate,
        "native_ns": rig.percentiles(all_fast["step"][both]),
        "native_quiet_ns": rig.percentiles(all_fast["step"][both & is_quiet(all_fast)]),
        "native_500us_ns": rig.percentiles(slow["step"][closes_both(slow)]),
        "python_ns": rig.percentiles(peers["time"][both]),
        "native_five_minutes_ns": rig.percentiles(all_fast["step"][~both]),
        "message_between_ns": rig.percentiles(all_fast["message"]),
        "longest_part_ns": rig.percentiles(all_fast["longest_part"]),
        "preparation_ns": rig.percentiles(paid["prepare"]),
        "parts": float(all_fast["parts"].mean()),
        "probe_ns": rig.percentiles(all_fast["probe"]),
    }


def main() -> None:
    title = __doc__.splitlines()[0]
    options = rig.options(title)
    library = rig.load_library()
    rig.pin()
    sizes = (WARM_SMOKE, ROUNDS_SMOKE, BLOCK_SMOKE) if options.smoke else (WARM_BARS, ROUNDS, BLOCK)
    found: dict[str, dict[str, object]] = {}
    for density in DENSITIES:
        found |= measure(library, density, *sizes)
    if options.json:
        rig.publish(title, found, as_json=True)
        return
    for case, figures in found.items():
        rig.publish(f"{title} {case}", figures, as_json=False)


if __name__ == "__main__":
    main()
