"""Peer: six networks on bars of 5 minutes, as a careful Python programmer writes it.

PythonEngine with the half hours built from the bars, the tactical row streamed in plain Python and
NumPy, synergies in short lists, and SPEC's two levels of decision. As there: nothing prepared, no
journal, no order states; orders are filled whole before the next bar, so none is ever taken back.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from math import exp

import msgspec
import numpy as np

from bench.peers.numpy_row import NumpyRow
from bench.peers.python_engine import (
    LIMIT,
    LONG,
    MARKET,
    NEUTRAL,
    SECOND_NS,
    SHORT,
    Close,
    Networks,
    PythonEngine,
    Rules,
)

FIVE_NS, HALF_HOUR_NS, DAY_NS = 300 * SECOND_NS, 1800 * SECOND_NS, 86_400 * SECOND_NS
MLMI, NWRQK, FVG = 0, 1, 2
SEQUENCES = ((MLMI, NWRQK, FVG), (MLMI, FVG, NWRQK), (NWRQK, FVG, MLMI), (NWRQK, MLMI, FVG))
WAIT, AGGRESSIVE = 0, 2
DECISION, MAX_HOLD, ENTRY = 0, 1, 4


class TeamRules(msgspec.Struct, frozen=True, kw_only=True):
    """The tactical part of the settings block, and what strategic agents look at."""

    columns: tuple[tuple[int, ...], ...]
    temperatures: tuple[float, ...]
    threshold: float
    weights: tuple[tuple[float, ...], ...]
    mlmi_min: float
    slope_min: float
    window_bars: int
    cooldown_bars: int


class SignallingRow(NumpyRow):
    """The strategic row, which keeps what synergies ask for: slope in ATR and turn."""

    slope = change = 0.0
    turn = 0

    def write_kernel(self, t: int, high: float, low: float, close: float) -> None:
        """Columns 2 and 3."""
        before = self.estimate
        super().write_kernel(t, high, low, close)
        change, self.turn, self.slope = self.estimate - before, 0, 0.0
        if t < 26:
            return
        if t > 26 and (self.change < 0.0 < change or self.change > 0.0 > change):
            self.turn = 1 if change > 0.0 else -1
        self.change = change
        if self.atr > 0.0:
            self.slope = change / self.atr


class TacticalRow:
    """60 x 7, one bar at a time; gaps as lists [direction, low, high, deepest, age]."""

    def __init__(self) -> None:
        self.matrix = np.zeros((1, 60, 7), np.float32)
        self.bars = self.warm_rows = self.signal = 0
        self.atr = self.volume = self.size = 0.0
        self.bodies: deque[float] = deque(maxlen=11)
        self.closes: deque[int] = deque(maxlen=5)
        self.last: deque[tuple[int, int]] = deque(maxlen=2)  # high, low
        self.gaps: list[list[float]] = []

    @property
    def is_ready(self) -> bool:
        """Whether every row has had its bars."""
        return self.warm_rows >= 60

    def update(self, bar: Close) -> None:
        """Take one closed bar."""
        t, close = self.bars, bar.close
        self.bars += 1
        before = self.closes[-1] if t else close
        true_range = max(bar.high - bar.low, abs(bar.high - before), abs(bar.low - before))
        self.atr += true_range / 14.0 if t < 14 else (true_range - self.atr) / 14.0
        self.meet(bar)
        if len(self.bodies) == 11 and t >= 13:
            self.detect(bar)
        self.bodies.append(abs(close - bar.open))
        self.last.append((bar.high, bar.low))
        row = self.matrix[0]
        row[:-1] = row[1:]
        row[-1] = self.values(bar, t)
        self.closes.append(close)
        if t >= 13:
            self.warm_rows += 1

    def values(self, bar: Close, t: int) -> list[float]:
        close, bullish, bearish, level, age = bar.close, 0.0, 0.0, 0.0, 0.0
        nearest, least = None, 0.0
        for gap in self.gaps:
            bullish, bearish = (1.0, bearish) if gap[0] > 0 else (bullish, 1.0)
            away = abs(gap[1] + gap[2] - 2.0 * close)
            if nearest is None or away <= least:
                nearest, least = gap, away
        if nearest is not None:
            middle = (nearest[1] + nearest[2]) / 2.0
            level = max(-2.0, min(2.0, 100.0 * (middle - close) / close)) / 2.0
            age = float(np.exp(-0.1 * nearest[4]))
        momentum = 0.0
        if len(self.closes) == 5:
            momentum = float(np.tanh(100.0 * ((close - self.closes[0]) / self.closes[0]) / 5.0))
        self.volume = bar.volume if t == 0 else self.volume + (bar.volume - self.volume) * 2 / 21
        ratio = max(bar.volume / self.volume, 1e-6) ** 2 if self.volume > 0 else 1.0
        return [bullish, bearish, level, age, self.signal, momentum, (ratio - 1) / (ratio + 1)]

    def meet(self, bar: Close) -> None:
        """What a bar does to the gaps that were there before it."""
        kept, widest = [], [0.0, 0.0]
        for gap in self.gaps:
            gap[4] += 1
            if gap[4] > 50:
                continue
            is_bullish, width = gap[0] > 0, gap[2] - gap[1]
            gap[3] = min(gap[3], bar.low) if is_bullish else max(gap[3], bar.high)
            near = gap[2] if is_bullish else gap[1]
            beyond = bar.close - near if is_bullish else near - bar.close
            if 2.0 * abs(near - gap[3]) >= width and beyond >= 0.0:
                widest[is_bullish] = max(widest[is_bullish], width)
            elif beyond >= -width:
                kept.append(gap)
        self.gaps = kept
        both = widest[0] > 0.0 and widest[1] > 0.0
        self.signal = 0 if both else (widest[1] > 0.0) - (widest[0] > 0.0)
        self.size = 0.0 if both else sum(widest) / bar.close

    def detect(self, bar: Close) -> None:
        usual = sum(islice(self.bodies, 10)) / 10
        if not self.bodies[10] > 1.5 * usual:
            return
        high, low = self.last[0]
        least = max(2.0, 0.1 * self.atr)
        if bar.low - high >= least:
            self.gaps.append([1, high, bar.low, bar.low, 0])
        elif low - bar.high >= least:
            self.gaps.append([-1, bar.high, low, bar.high, 0])


class Synergies:
    """Signals as tuples (ts_ns, kind, strength), a list a direction."""

    def __init__(self, rules: TeamRules) -> None:
        self.window_ns, self.cooldown_ns = (
            rules.window_bars * FIVE_NS, rules.cooldown_bars * FIVE_NS,
        )  # fmt: skip
        self.queues: dict[int, list[tuple[int, int, float]]] = {1: [], -1: []}
        self.type = self.direction = self.ts_ns = 0
        self.confidence = 0.0

    def add(self, ts_ns: int, kind: int, direction: int, strength: float) -> None:
        for side, queue in self.queues.items():
            if queue and ts_ns - queue[0][0] > self.window_ns:
                self.queues[side] = [s for s in queue if ts_ns - s[0] <= self.window_ns]
        queue = self.queues[direction]
        rested = self.direction == 0 or ts_ns - self.ts_ns >= self.cooldown_ns
        if not (rested and self.complete(queue, ts_ns, kind, direction, strength)):
            queue.append((ts_ns, kind, strength))

    def complete(
        self, queue: list[tuple[int, int, float]], ts_ns: int, kind: int, direction: int,
        strength: float,
    ) -> bool:  # fmt: skip
        for number, (one, two, three) in enumerate(SEQUENCES, 1):
            if three != kind:
                continue
            second = next((i for i in reversed(range(len(queue))) if queue[i][1] == two), -1)
            first = next((i for i in reversed(range(max(second, 0))) if queue[i][1] == one), -1)
            if first < 0:
                continue
            self.confidence = (queue[first][2] + queue[second][2] + strength) / 3.0
            self.type, self.direction, self.ts_ns = number, direction, ts_ns
            del queue[second], queue[first]
            return True
        return False

    def standing(self, ts_ns: int) -> tuple[int, int, float]:
        """Type, direction, confidence."""
        if ts_ns - self.ts_ns <= self.window_ns:
            return self.type, self.direction, self.confidence
        return 0, 0, 0.0


class PythonTwoLevels(PythonEngine):
    """As PythonEngine, on bars of 5 minutes; ``score`` and ``entry`` say what the team did."""

    def __init__(self, rules: Rules, team: TeamRules, onnx: Sequence[bytes], capacity: int) -> None:
        super().__init__(rules, (), capacity)
        self.team, self.features, self.tactical = team, SignallingRow(capacity), TacticalRow()
        self.synergies = Synergies(team)
        self.seen = [np.zeros((1, 48 * len(c) + 6), np.float32) for c in team.columns]
        self.columns = [np.array(c) for c in team.columns]
        self.networks = Networks(onnx[:3], self.seen)
        self.team_networks = Networks(onnx[3:], [self.tactical.matrix] * 3)
        self.standing = self.standing_until_ns = self.direction = self.entry = self.enters = 0
        self.score, self.must_leave, self.leaves_for = 0.0, False, (0, 0)
        self.half_hour_ns = 0
        self.half_hour = [0, 0, 0, 0, 0, 0]
        self.decided = False

    def on_close(self, message: bytes) -> bytes | None:
        """From the bytes of a CLOSE to the bytes of an order, or None."""
        bar = self.decode(message)
        if bar.sequence != self.sequence + 1:
            self.gaps += 1
            return None
        self.sequence = bar.sequence
        self.now_ns = max(self.now_ns, bar.ts_ns)
        self.action, self.acts, self.code, self.decided = NEUTRAL, 0, 0, False
        self.direction = self.entry = self.enters = 0
        self.score = 0.0
        if not self.is_good(bar):
            self.refused_bars += 1
            return None
        self.reference, self.reference_ns = bar.close, self.now_ns
        self.last_start_ns = bar.start_ts_ns
        end_ns = bar.start_ts_ns + FIVE_NS
        whole = self.build(bar)
        if whole is not None:
            self.take_half_hour(whole, end_ns)
        self.tactical.update(bar)
        if self.tactical.signal:
            strength = min(1.0, self.tactical.size / 0.01)
            self.synergies.add(end_ns, FVG, self.tactical.signal, strength)
        if whole is not None:
            self.decide_side(whole[0], end_ns)
        return self.time_entry(bar.start_ts_ns, end_ns)

    def build(self, bar: Close) -> list[int] | None:
        """The half hour that this bar closes."""
        if bar.start_ts_ns % HALF_HOUR_NS == 0:
            self.half_hour = [bar.start_ts_ns, bar.open, bar.high, bar.low, bar.close, bar.volume]
            return None
        whole = self.half_hour
        whole[2], whole[3] = max(whole[2], bar.high), min(whole[3], bar.low)
        whole[4] = bar.close
        whole[5] += bar.volume
        return whole if (bar.start_ts_ns + FIVE_NS) % HALF_HOUR_NS == 0 else None

    def take_half_hour(self, bar: list[int], end_ns: int) -> None:
        features, team = self.features, self.team
        features.update(tuple(bar), 0)
        self.held_bars += self.position != 0
        lean, signal = features.row[0], features.row[1]
        if signal and abs(50.0 * lean) >= team.mlmi_min:
            self.synergies.add(end_ns, MLMI, int(signal), min(1.0, abs(lean)))
        if features.turn and abs(features.slope) >= team.slope_min:
            strength = min(1.0, abs(features.slope) / 0.1)
            self.synergies.add(end_ns, NWRQK, features.turn, strength)

    def decide_side(self, start_ts_ns: int, end_ns: int) -> None:
        rules, position = self.rules, self.position
        self.standing, self.standing_until_ns = 0, end_ns + HALF_HOUR_NS
        self.half_hour_ns = start_ts_ns
        must_exit = position != 0 and 0 < rules.max_hold_bars <= self.held_bars
        wanted = 0
        if self.features.is_ready:
            matrix = self.features.matrix
            _, direction, confidence = self.synergies.standing(end_ns)
            row = matrix[-1]
            weekday = (start_ts_ns // DAY_NS + 3) % 7
            context = (confidence, direction, row[11], row[6], row[7], weekday / 6.0)
            for seen, columns in zip(self.seen, self.columns, strict=True):
                np.take(matrix, columns, 1, out=seen[0, :-6].reshape(48, -1))
                seen[0, -6:] = context
            self.ask()
            self.decided = True
            wanted = 1 - self.action
        if self.acts:
            self.standing = wanted
        if self.acts and position and (wanted > 0) != (position > 0):
            self.must_leave, self.leaves_for = True, (DECISION, start_ts_ns)
        elif must_exit:
            self.must_leave, self.leaves_for = True, (MAX_HOLD, start_ts_ns)
        elif self.acts:
            self.must_leave = False

    def time_entry(self, start_ts_ns: int, end_ns: int) -> bytes | None:
        position, enters = self.position, False
        stands = self.standing if end_ns < self.standing_until_ns else 0
        if position and stands and (position > 0) != (stands > 0):
            self.must_leave, self.leaves_for = True, (DECISION, self.half_hour_ns)
        if self.tactical.is_ready:
            allows = self.count_votes(self.synergies.standing(end_ns)[0])
            self.enters = int(allows and self.direction == stands)
            is_same = position != 0 and (position > 0) == (self.direction > 0)
            fits = not self.must_leave if is_same else self.entry == AGGRESSIVE
            enters = bool(self.enters) and (position == 0 or fits)
        if position == 0:
            self.must_leave = False
        if enters:
            self.target = self.direction * self.rules.target_lots
            kind = MARKET if self.entry == AGGRESSIVE else LIMIT
            order = self.order_toward_target(start_ts_ns, ENTRY, kind)
            if order is not None:
                return order
        if not self.must_leave:
            return None
        self.target, refused = 0, self.code
        order = self.order_toward_target(self.leaves_for[1], self.leaves_for[0])
        self.code = self.code or refused
        return order

    def on_fill(self, message: bytes) -> None:
        """Book one whole execution; a position that has turned is not to be left any more."""
        before = self.position
        super().on_fill(message)
        if before == 0 or (before > 0) != (self.position > 0):
            self.must_leave = False

    def count_votes(self, synergy_type: int) -> bool:
        weights, scores = self.team.weights[synergy_type], [0.0, 0.0, 0.0]
        shares = [
            softmax(logits, temperature)
            for logits, temperature in zip(
                self.team_networks.run(), self.team.temperatures, strict=True
            )
        ]
        for share, weight in zip(shares[:2], weights[:2], strict=True):
            best = max(share)
            scores[share.index(best)] += weight * best
        best = max(shares[2])
        self.entry = shares[2].index(best)
        if scores[LONG] == scores[SHORT]:
            return False
        self.direction = 1 if scores[LONG] > scores[SHORT] else -1
        entry = 0.0 if self.entry == WAIT else weights[2] * best
        self.score = max(scores[LONG], scores[SHORT]) + entry
        return self.entry != WAIT and self.score >= self.team.threshold


def softmax(logits: Sequence[float], temperature: float) -> list[float]:
    largest = max(logits)
    powers = [exp((x - largest) / temperature) for x in logits]
    total = sum(powers)
    return [power / total for power in powers]
