"""Peer: the engine as a careful Python programmer writes it.

msgspec for messages, the NumPy streaming row of bench/peers/numpy_row.py, three onnxruntime
sessions on memory of their own (io-binding where that is faster), scalars by `math` and ints. The
same decisions, target, size and gate codes as the core on a feed of 30-minute bars; no journal, no
drop copy, no order states beyond "one is open": what it leaves out is in its favour.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import onnxruntime as ort

from bench.peers.numpy_row import NumpyRow

BAR_NS, SECOND_NS = 1_800_000_000_000, 1_000_000_000
COUNT_MAX = 2**53
LONG, NEUTRAL, SHORT = 0, 1, 2
BUY, SELL = 0, 1
MARKET, LIMIT = 0, 1


class Close(msgspec.Struct, array_like=True, gc=False):
    sequence: int
    ts_ns: int
    start_ts_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    duration_s: int
    flags: int


class Order(msgspec.Struct, array_like=True, gc=False):
    epoch: int
    counter: int
    decision_bar_start_ts_ns: int
    quantity_lots: int
    valid_until_ns: int
    connection: int
    side: int
    type: int
    reason: int


class Fill(msgspec.Struct, array_like=True, gc=False):
    sequence: int
    counter: int
    price_ticks: int
    quantity_lots: int
    side: int


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings block says, as plain numbers."""

    threshold: float
    temperatures: tuple[float, ...]
    shares: tuple[float, ...]  # softmax of the weights
    target_lots: int
    max_hold_bars: int
    order_valid_for_ns: int
    tick_value_micros: int
    order_tick_ticks: int
    price_floor_ticks: int
    band_ppm: int
    band_ticks_min: int
    quantity_lots_max: int
    notional_micros_max: int
    collar_ppm: int
    collar_ticks_min: int
    reference_age_ns_max: int
    position_lots_max: int
    orders_per_second_max: int
    orders_burst_max: int
    account_per_second_max: int
    account_burst_max: int
    duplicates_max: int
    duplicate_window_ns: int
    sides_allowed: int
    types_allowed: int
    session_open_ns: int
    session_close_ns: int


class Bucket:
    """Rate limit: tokens x 1e9, so that a nanosecond adds exactly `per_second`."""

    def __init__(self, per_second: int, burst: int) -> None:
        self.per_second, self.full, self.level = per_second, burst * SECOND_NS, burst * SECOND_NS
        self.last_ns: int | None = None

    def take(self, now_ns: int) -> bool:
        if self.last_ns is not None and now_ns > self.last_ns:
            self.level = min(self.full, self.level + (now_ns - self.last_ns) * self.per_second)
        self.last_ns = now_ns
        if self.level < SECOND_NS:
            return False
        self.level -= SECOND_NS
        return True


Runner = Callable[[], None]


class Networks:
    """Sessions over inputs that stay where they are; the first three logits of each."""

    def __init__(self, onnx: Sequence[bytes], inputs: Sequence[np.ndarray]) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.sessions = [
            ort.InferenceSession(raw, options, providers=["CPUExecutionProvider"]) for raw in onnx
        ]
        self.inputs = inputs
        self.logits = [
            np.zeros((1, s.get_outputs()[0].shape[-1]), np.float32) for s in self.sessions
        ]
        self.bindings = [
            self.bind(*each) for each in zip(self.sessions, inputs, self.logits, strict=True)
        ]
        self.is_bound = self.time(self.run_bound) <= self.time(self.run_plain)
        self.run = self.run_bound if self.is_bound else self.run_plain

    def bind(
        self, session: ort.InferenceSession, given: np.ndarray, out: np.ndarray
    ) -> ort.IOBinding:
        binding, x, y = session.io_binding(), session.get_inputs()[0], session.get_outputs()[0]
        binding.bind_input(x.name, "cpu", 0, np.float32, list(given.shape), given.ctypes.data)
        binding.bind_output(y.name, "cpu", 0, np.float32, list(out.shape), out.ctypes.data)
        return binding

    def time(self, run: Callable[[], list[list[float]]]) -> float:
        times = []
        for _ in range(300):
            start = time.perf_counter_ns()
            run()
            times.append(time.perf_counter_ns() - start)
        return float(np.median(times))

    def run_bound(self) -> list[list[float]]:
        for session, binding in zip(self.sessions, self.bindings, strict=True):
            session.run_with_iobinding(binding)
        return [out[0, :3].tolist() for out in self.logits]

    def run_plain(self) -> list[list[float]]:
        return [
            session.run(None, {"observation": given})[0][0, :3].tolist()
            for session, given in zip(self.sessions, self.inputs, strict=True)
        ]


class PythonEngine:
    """`on_close` and `on_fill` take and give msgpack; `action` and `code` say what happened."""

    def __init__(self, rules: Rules, onnx: Sequence[bytes], capacity: int) -> None:
        self.rules = rules
        self.features = NumpyRow(capacity)
        self.networks = Networks(onnx, [self.features.matrix.reshape(1, -1)] * len(onnx))
        self.decode = msgspec.msgpack.Decoder(Close).decode
        self.decode_fill = msgspec.msgpack.Decoder(Fill).decode
        self.encode = msgspec.msgpack.Encoder().encode
        self.bucket = Bucket(rules.orders_per_second_max, rules.orders_burst_max)
        self.account = Bucket(rules.account_per_second_max, rules.account_burst_max)
        self.past: deque[tuple[int, int, int, int]] = deque(maxlen=64)
        self.sequence = self.fill_sequence = self.now_ns = self.reference = self.reference_ns = 0
        self.last_start_ns = -(2**62)
        self.position = self.target = self.held_bars = self.counter = self.last_counter = 0
        self.cost = self.realised = self.unrealised = self.open_buy = self.open_sell = 0
        self.refused_in_row = self.action = self.acts = self.code = self.gaps = (
            self.refused_bars
        ) = 0
        self.probability = [0.0, 0.0, 0.0]
        self.epoch = self.connection = 1

    def on_close(self, message: bytes) -> bytes | None:
        """From the bytes of a CLOSE to the bytes of an order, or None."""
        bar = self.decode(message)
        if bar.sequence != self.sequence + 1:
            self.gaps += 1
            return None
        self.sequence = bar.sequence
        self.now_ns = max(self.now_ns, bar.ts_ns)
        if not self.is_good(bar):
            self.refused_bars += 1
            return None
        self.reference, self.reference_ns = bar.close, self.now_ns
        self.last_start_ns = bar.start_ts_ns
        if bar.duration_s != 1800 or bar.start_ts_ns % BAR_NS:
            return None
        self.features.update(
            (bar.start_ts_ns, bar.open, bar.high, bar.low, bar.close, bar.volume), 0
        )
        if self.position:
            self.held_bars += 1
        return self.decide(bar.start_ts_ns)

    def is_good(self, bar: Close) -> bool:
        """Quarantine: values, order in time, jump band."""
        rules, low, high = self.rules, bar.low, bar.high
        good = (
            min(bar.open, high, low, bar.close) > rules.price_floor_ticks
            and 0 <= bar.volume <= COUNT_MAX
            and high >= bar.open
            and high >= bar.close
            and low <= bar.open
            and low <= bar.close
            and high <= COUNT_MAX
            and bar.start_ts_ns > self.last_start_ns
            and bar.start_ts_ns + bar.duration_s * SECOND_NS - self.now_ns <= 300 * SECOND_NS
        )
        if good and self.reference:
            band = max(abs(self.reference) * rules.band_ppm // 1_000_000, rules.band_ticks_min)
            good = high - self.reference <= band and self.reference - low <= band
        self.refused_in_row = 0 if good else self.refused_in_row + 1
        return good

    def decide(self, start_ts_ns: int) -> bytes | None:
        rules, position = self.rules, self.position
        must_exit = position != 0 and 0 < rules.max_hold_bars <= self.held_bars
        self.action, self.acts, self.code, wanted = NEUTRAL, 0, 0, 0
        if self.features.is_ready:
            self.ask()
            wanted = (1 - self.action) * rules.target_lots
        opposes = bool(self.acts) and position != 0 and (wanted > 0) != (position > 0)
        reason = 0
        if self.acts and (opposes or not must_exit):
            self.target = wanted
        elif must_exit:
            self.target, reason = 0, 1
        order = self.order_toward_target(start_ts_ns, reason)
        value = self.reference * position - self.cost
        self.unrealised = value * rules.tick_value_micros
        return order

    def ask(self) -> None:
        """Three networks, softmax at their temperatures, mixed by the weights."""
        total_long = total_neutral = total_short = 0.0
        exp, rules = math.exp, self.rules
        for (a, b, c), temperature, share in zip(
            self.networks.run(), rules.temperatures, rules.shares, strict=True
        ):
            largest = max(a, b, c)
            a, b, c = (
                exp((a - largest) / temperature),
                exp((b - largest) / temperature),
                exp((c - largest) / temperature),
            )
            part = share / (a + b + c)
            total_long += part * a
            total_neutral += part * b
            total_short += part * c
        confidence = max(total_long, total_neutral, total_short)
        if total_long > total_neutral and total_long > total_short:
            self.action = LONG
        elif total_short > total_neutral and total_short > total_long:
            self.action = SHORT
        self.probability = [total_long, total_neutral, total_short]
        self.acts = int(self.action != NEUTRAL and confidence >= rules.threshold)

    def order_toward_target(
        self, start_ts_ns: int, reason: int, kind: int = MARKET
    ) -> bytes | None:
        difference = self.target - self.position
        if difference == 0 or self.open_buy or self.open_sell:
            return None
        self.counter += 1
        side, quantity = (BUY, difference) if difference > 0 else (SELL, -difference)
        price = 0 if kind == MARKET else self.reference
        self.code = self.check(side, quantity, kind, price)
        if self.code:
            self.target = self.position
            return None
        if side == BUY:
            self.open_buy += quantity
        else:
            self.open_sell += quantity
        return self.encode(
            Order(
                self.epoch, self.counter, start_ts_ns, quantity,
                self.now_ns + self.rules.order_valid_for_ns, self.connection, side, kind, reason,
            )
        )  # fmt: skip

    def check(self, side: int, quantity: int, kind: int, price: int) -> int:
        """R01 to R09, R12 and R13 in the gate's order; the first that fails, else 0."""
        rules, reference = self.rules, self.reference
        failed = []
        inside = rules.session_open_ns <= self.now_ns - BAR_NS < rules.session_close_ns
        if not (rules.sides_allowed >> side & 1 and rules.types_allowed >> kind & 1 and inside):
            failed.append(3)
        if quantity <= 0:
            failed.append(4)
        if quantity > rules.quantity_lots_max:
            failed.append(5)
        collar = max(abs(reference) * rules.collar_ppm // 1_000_000, rules.collar_ticks_min)
        worst_price = abs(reference) + collar if kind == MARKET else abs(price)
        notional = worst_price * quantity * rules.tick_value_micros
        if notional > rules.notional_micros_max:
            failed.append(6)
        if self.now_ns - self.reference_ns > rules.reference_age_ns_max:
            failed.append(8)
        buys = self.open_buy + (quantity if side == BUY else 0)
        sells = self.open_sell + (quantity if side == SELL else 0)
        worst = max(abs(self.position + buys), abs(self.position - sells))
        now = self.position + self.open_buy if side == BUY else self.position - self.open_sell
        reducing = now < 0 and now + quantity <= 0 if side == BUY else now > 0 and now >= quantity
        if worst > rules.position_lots_max and not reducing:
            failed.append(9)
        has_own, has_account = self.bucket.take(self.now_ns), self.account.take(self.now_ns)
        if not (has_own and has_account):
            failed.append(12)
        if self.is_repeated(side, quantity, price):
            failed.append(13)
        self.last_counter = self.counter
        return failed[0] if failed else 0

    def is_repeated(self, side: int, quantity: int, price: int) -> bool:
        same = 0
        since = self.now_ns - self.rules.duplicate_window_ns
        for past in reversed(self.past):
            if past[0] <= since:
                break
            same += past[1:] == (price, quantity, side)
        self.past.append((self.now_ns, price, quantity, side))
        return same >= self.rules.duplicates_max or self.counter <= self.last_counter

    def on_fill(self, message: bytes) -> None:
        """Book one whole execution."""
        fill = self.decode_fill(message)
        self.fill_sequence = fill.sequence
        before, lots = self.position, fill.quantity_lots
        signed = lots if fill.side == BUY else -lots
        closing = min(abs(before), lots) if before * signed < 0 else 0
        if closing:
            removed = int(math.copysign(abs(self.cost) * closing // abs(before), self.cost))
            proceeds = fill.price_ticks * (closing if before > 0 else -closing)
            self.realised += (proceeds - removed) * self.rules.tick_value_micros
            self.cost -= removed
        opening = signed - (closing if signed > 0 else -closing)
        self.cost += fill.price_ticks * opening
        self.position = before + signed
        if (before > 0) != (self.position > 0) or before == 0:
            self.held_bars = 0
        self.open_buy = self.open_sell = 0
