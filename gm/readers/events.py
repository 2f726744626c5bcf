"""What the readers of ticks say: events in the order of the file, refusals among them.

Plain tuples while a file is read, one array of EVENT when it is done; `to_tape` makes of it what
the venue plays. A line or record that is refused becomes an event of its own, so that it is counted
where it stood.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm._native import market as native
from gm.calendars import NO_TIME
from gm.layout import BookResetReason, QuarantineReason, RecordType, Side

Rows = NDArray[np.void]

# NO_TIME: `ts_ns` where the event has no stamp of the exchange, `received_ts_ns` where nobody wrote
# down when it came in. The four values, by type: TRADE price_ticks, quantity_lots, side; QUOTE
# bid_ticks, ask_ticks, bid_lots, ask_lots; BOOK_LEVEL price_ticks, quantity_lots, side, is_last;
# BOOK_RESET expected_sequence, received_sequence, reason; QUARANTINE reason.
EVENT = np.dtype(
    [
        ("type", "u4"), ("line", "u8"), ("ts_ns", "i8"), ("received_ts_ns", "i8"),
        ("a", "i8"), ("b", "i8"), ("c", "i8"), ("d", "i8"),
    ]
)  # fmt: skip
_BLOCK_EVENTS = 65_536
_E9 = 10**9
_SEQUENCE_MASK = 2**63 - 1
_DECIMAL = re.compile(r"([+-]?)([0-9]{1,40})(?:\.([0-9]{0,40}))?")
_WORDS = {"", "nan", "inf", "infinity"}
_DELAY_US_MAX = 2**32 - 1


class Refused(Exception):
    """A line is refused; `reason` says why. An answer within a decoder: it never leaves one."""

    def __init__(self, reason: QuarantineReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Grid:
    """Decimal text to whole units, exactly or not at all.

    Parameters
    ----------
    unit_e9 : int, 1e-9
        Size of a tick or lot.
    """

    _TEXTS_MAX = 65_536

    def __init__(self, unit_e9: int) -> None:
        self._unit_e9 = unit_e9
        self._known: dict[str, int] = {}

    def exact(self, text: str) -> int:
        """Read a price in ticks; Refused if it is no number, or off the grid."""
        found = self._known.get(text)
        if found is None:
            value, finer = _e9_of(text)
            if finer != 1:
                raise Refused(QuarantineReason.OFF_GRID)
            found = self._remember(text, self.of_e9(value))
        return found

    def nearest(self, text: str) -> int:
        """Read a quantity in lots, rounded half to even; Refused if it is no number."""
        found = self._known.get(text)
        if found is None:
            value, finer = _e9_of(text)
            lots, rest = divmod(value, self._unit_e9 * finer)
            half = 2 * rest - self._unit_e9 * finer
            found = self._remember(text, _fit(lots + (half > 0 or (half == 0 and lots % 2 == 1))))
        return found

    def of_e9(self, value_e9: int) -> int:
        """Whole units of a value in 1e-9; Refused if it is off the grid."""
        units, rest = divmod(value_e9, self._unit_e9)
        if rest:
            raise Refused(QuarantineReason.OFF_GRID)
        return _fit(units)

    def _remember(self, text: str, units: int) -> int:
        if len(self._known) >= self._TEXTS_MAX:
            self._known.clear()
        self._known[text] = units
        return units


class Events:
    """Events of one file, appended as tuples and packed in blocks."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, ...]] = []
        self._blocks: list[Rows] = []

    def trade(self, line: int, ts_ns: int, received: int, price: int, lots: int, side: int) -> None:
        """Append a trade; `side` is the aggressor's."""
        self._add((RecordType.TRADE, line, ts_ns, received, price, lots, side, 0))

    def quote(self, line: int, ts_ns: int, received: int, top: tuple[int, int, int, int]) -> None:
        """Append best prices: bid, ask, lots of the bid, lots of the ask."""
        self._add((RecordType.QUOTE, line, ts_ns, received, *top))

    def levels(
        self, line: int, ts_ns: int, received: int, levels: list[tuple[int, int, int]]
    ) -> None:
        """Append one change of the book: (side, price, lots) of each level, 0 lots removes it."""
        last = len(levels) - 1
        for at, (side, price, lots) in enumerate(levels):
            self._add(
                (RecordType.BOOK_LEVEL, line, ts_ns, received, price, lots, side, int(at == last))
            )

    def reset(
        self, line: int, ts_ns: int, received: int, reason: BookResetReason, seen: tuple[int, int]
    ) -> None:
        """Append that the book is empty: a snapshot follows, or (expected, seen) is a gap."""
        expected, got = (number & _SEQUENCE_MASK for number in seen)
        self._add((RecordType.BOOK_RESET, line, ts_ns, received, expected, got, reason, 0))

    def refuse(self, line: int, reason: QuarantineReason) -> None:
        """Append that a line is refused."""
        self._add((RecordType.QUARANTINE, line, NO_TIME, NO_TIME, reason, 0, 0, 0))

    def rows(self) -> Rows:
        """All events so far: ndarray of EVENT, shape (n,)."""
        self._pack()
        return np.concatenate(self._blocks) if self._blocks else np.zeros(0, EVENT)

    def _add(self, event: tuple[int, ...]) -> None:
        self._waiting.append(event)
        if len(self._waiting) >= _BLOCK_EVENTS:
            self._pack()

    def _pack(self) -> None:
        if self._waiting:
            self._blocks.append(np.array(self._waiting, EVENT))
            self._waiting = []


def refuse_late(events: Rows) -> Rows:
    """Refuse what has a stamp that the lines of its kind behind it contradict.

    Trades, quotes and changes of the book are looked at apart. A change that is refused is a hole:
    the book is gapped from there.

    Parameters
    ----------
    events : ndarray of EVENT, shape (n,)
        In the order of the file; may be changed.

    Returns
    -------
    ndarray of EVENT, shape (m,)
        With QUARANTINE, reason FUTURE, in the place of each line refused.

    Source
    ------
    SPEC §1, Quarantine: in a file, a jump of more than 10 days, or later than both next rows.
    """
    kinds = events["type"]
    is_book = (kinds == RecordType.BOOK_LEVEL) | (kinds == RecordType.BOOK_RESET)
    is_late = np.zeros(len(events), bool)
    is_head = np.zeros(len(events), bool)
    for is_kind in (kinds == RecordType.TRADE, kinds == RecordType.QUOTE, is_book):
        at = np.flatnonzero(is_kind)
        # One stamp a line: a change of the book is as many events as levels.
        lines = events["line"][at]
        is_end = np.ones(len(at), bool)
        is_end[:-1] = lines[1:] != lines[:-1]
        ends = np.flatnonzero(is_end)
        reasons = np.zeros(len(ends), np.uint32)
        native.check_stamps(np.asarray(events["ts_ns"][at[ends]]), reasons)
        is_late[at] = np.repeat(reasons != 0, np.diff(ends, prepend=-1))
        is_head[at] = np.roll(is_end, 1)
    if not is_late.any():
        return events
    is_head &= is_late
    holes = is_head & is_book
    for name, value in {"type": RecordType.BOOK_RESET, "ts_ns": NO_TIME, "a": 0, "b": 0,
                        "c": BookResetReason.GAP, "d": 0}.items():  # fmt: skip
        events[name][holes] = value
    refused = Events()
    for line in events["line"][is_head].tolist():
        refused.refuse(line, QuarantineReason.FUTURE)
    behind = np.flatnonzero(is_head) + 1
    kept = np.insert(~is_late | holes, behind, True)
    return np.asarray(np.insert(events, behind, refused.rows())[kept])


def refusals(events: Rows) -> list[tuple[int, str]]:
    """List (line, reason) of all events that are refusals."""
    found = events[events["type"] == RecordType.QUARANTINE]
    return [
        (int(line), QuarantineReason(int(reason)).name.lower())
        for line, reason in zip(found["line"], found["a"], strict=True)
    ]


def to_tape(events: Rows, instrument_number: int = 0) -> Rows:
    """Make rows for the venue of events.

    Parameters
    ----------
    events : ndarray of EVENT, shape (n,)
    instrument_number : int
        Of the instrument on the wire.

    Returns
    -------
    ndarray of layout.TAPE_ROW, shape (n,)
        ``delay_us``: how much later than ``ts_ns`` an event came in, rounded up; 0 where that is
        not known.
    """
    tape = np.zeros(len(events), layout.TAPE_ROW)
    tape["type"] = events["type"]
    sent, received = events["ts_ns"], events["received_ts_ns"]
    sent = np.where(sent == NO_TIME, received, sent)
    tape["ts_ns"] = np.where(sent == NO_TIME, 0, sent)
    delay_ns = np.where(received == NO_TIME, 0, received - sent)
    tape["delay_us"] = np.clip(-(-delay_ns // 1000), 0, _DELAY_US_MAX)
    for kind, (dtype, names) in _PAYLOADS.items():
        chosen = events["type"] == kind
        payloads = np.zeros(int(chosen.sum()), dtype)
        payloads["instrument"] = instrument_number
        for name, column in names.items():
            payloads[name] = events[column][chosen]
        tape["payload"][chosen] = payloads.view(np.uint8).reshape(-1, layout.PAYLOAD_SIZE)
    return tape


_PAYLOADS: dict[int, tuple[Any, dict[str, str]]] = {
    RecordType.TRADE: (layout.TRADE, {"price_ticks": "a", "quantity_lots": "b", "side": "c"}),
    RecordType.QUOTE: (
        layout.QUOTE,
        {"bid_ticks": "a", "ask_ticks": "b", "bid_lots": "c", "ask_lots": "d"},
    ),
    RecordType.BOOK_LEVEL: (
        layout.BOOK_LEVEL,
        {"price_ticks": "a", "quantity_lots": "b", "side": "c", "is_last": "d"},
    ),
    RecordType.BOOK_RESET: (
        layout.BOOK_RESET,
        {"expected_sequence": "a", "received_sequence": "b", "reason": "c"},
    ),
    RecordType.QUARANTINE: (layout.QUARANTINE, {"line": "line", "reason": "a"}),
}
BUY, SELL = int(Side.BUY), int(Side.SELL)


def _fit(units: int) -> int:
    if not -(2**63) <= units < 2**63:
        raise Refused(QuarantineReason.OVERFLOW)
    return units


def _e9_of(text: str) -> tuple[int, int]:
    """A decimal, exactly, in units of 1e-9 / `finer`, and `finer`; Refused if it is no number."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        is_word = text.strip("+-").lower() in _WORDS
        raise Refused(QuarantineReason.NOT_FINITE if is_word else QuarantineReason.MALFORMED)
    sign, whole, fraction = match[1], match[2], (match[3] or "").rstrip("0")
    finer = 10 ** max(0, len(fraction) - 9)
    value = int(whole) * _E9 * finer + int(fraction.ljust(9, "0"))
    return (-value if sign == "-" else value), finer
