"""Synergies: three signals of one direction in one of four orders within two hours."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.training.reference.matrices import Strategic, Tactical

FIVE_MINUTES_NS = 300 * 10**9
HALF_HOUR_NS = 1800 * 10**9
MLMI, NWRQK, FVG = 0, 1, 2  # and their order at one moment
SEQUENCES = {
    1: (MLMI, NWRQK, FVG),
    2: (MLMI, FVG, NWRQK),
    3: (NWRQK, FVG, MLMI),
    4: (NWRQK, MLMI, FVG),
}


class Signal(msgspec.Struct, frozen=True):
    """One signal; ``ts_ns`` is the end of its bar."""

    ts_ns: int
    kind: int
    direction: int
    strength: float


class Synergy(msgspec.Struct, frozen=True):
    """A completed sequence; confidence is the mean strength of its signals, oldest first."""

    ts_ns: int
    sequence: int
    direction: int
    confidence: float
    signals: tuple[Signal, Signal, Signal]


class Found(msgspec.Struct, frozen=True):
    """All synergies, and how many signals grew too old in their queue."""

    synergies: tuple[Synergy, ...]
    expired: int


def strategic_signals(
    bars: NDArray[np.void], columns: Strategic, mlmi_min: float = 10.0, slope_min: float = 0.02
) -> list[Signal]:
    """MLMI signals and NW-RQK turns of 30-minute bars that are strong enough (SPEC §4)."""
    signals = []
    for t, start in enumerate(bars["start_ts_ns"].tolist()):
        off_middle = abs(columns.mlmi_value[t] - 50.0)
        if columns.mlmi_signal[t] != 0 and off_middle >= mlmi_min:
            direction = int(columns.mlmi_signal[t])
            signals.append(Signal(start + HALF_HOUR_NS, MLMI, direction, off_middle / 50.0))
        slope = abs(columns.slope[t])
        if columns.turn[t] != 0 and slope >= slope_min:
            strength = min(1.0, slope / 0.1)
            signals.append(Signal(start + HALF_HOUR_NS, NWRQK, int(columns.turn[t]), strength))
    return signals


def tactical_signals(bars: NDArray[np.void], columns: Tactical) -> list[Signal]:
    """Mitigations of 5-minute bars (SPEC §4)."""
    return [
        Signal(
            int(bars["start_ts_ns"][t]) + FIVE_MINUTES_NS,
            FVG,
            int(columns.gaps.signal[t]),
            min(1.0, float(columns.gaps.size[t]) / 0.01),
        )
        for t in np.flatnonzero(columns.gaps.signal)
    ]


def find_synergies(signals: list[Signal], window_bars: int = 24, cooldown_bars: int = 5) -> Found:
    """Put signals into sequences.

    Parameters
    ----------
    signals : list of Signal
        In any order.
    window_bars, cooldown_bars : counts of 5 minutes
        How old a signal may grow; how long nothing follows a synergy.

    Returns
    -------
    Found
        In the order of time.

    Source
    ------
    SPEC §4. Which of several signals takes part (the newest) is ours.
    """
    queues: dict[int, list[Signal]] = {1: [], -1: []}
    found: list[Synergy] = []
    expired = 0
    for signal in sorted(signals, key=lambda s: (s.ts_ns, s.kind)):
        for direction, queue in queues.items():
            fresh = [s for s in queue if signal.ts_ns - s.ts_ns <= window_bars * FIVE_MINUTES_NS]
            expired += len(queue) - len(fresh)
            queues[direction] = fresh
        queue = queues[signal.direction]
        is_rested = not found or signal.ts_ns - found[-1].ts_ns >= cooldown_bars * FIVE_MINUTES_NS
        complete = _complete(queue, signal) if is_rested else None
        if complete is None:
            queue.append(signal)
            continue
        sequence, first, second = complete
        used = (queue[first], queue[second], signal)
        confidence = sum(s.strength for s in used) / 3.0
        found.append(Synergy(signal.ts_ns, sequence, signal.direction, confidence, used))
        queues[signal.direction] = [s for i, s in enumerate(queue) if i not in (first, second)]
    return Found(tuple(found), expired)


def _complete(queue: list[Signal], last: Signal) -> tuple[int, int, int] | None:
    """Lowest sequence that ``last`` completes, and where its other two stand in the queue."""
    for sequence, (first_kind, second_kind, last_kind) in SEQUENCES.items():
        if last.kind != last_kind:
            continue
        second = _newest(queue, second_kind, len(queue))
        if second is None:
            continue
        first = _newest(queue, first_kind, second)
        if first is not None:
            return sequence, first, second
    return None


def _newest(queue: list[Signal], kind: int, before: int) -> int | None:
    """Place of the newest signal of a kind among the first ``before`` of a queue."""
    places = [i for i, signal in enumerate(queue[:before]) if signal.kind == kind]
    return places[-1] if places else None
