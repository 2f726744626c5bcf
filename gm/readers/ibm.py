"""Trades and quotes of US equities: one zip file a day, as QuantConnect's LEAN keeps ticks.

A line of trades is milliseconds since midnight, price, size, exchange, condition, mark; a line of
quotes milliseconds, bid, bid size, ask, ask size, exchange, condition, mark. Prices are in 1e-4. A
quote's line carries one side and zeros for the other, which stands; a line of the bid and then a
line of the ask with the same stamp are one quote. A mark of 1 is the vendor's own doubt.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from gm.calendars import DAY_NS, NO_TIME, to_utc
from gm.layout import QuarantineReason, RecordType
from gm.readers.events import BUY, EVENT, Events, Grid, Refused, Rows
from gm.readers.lines import Lines

_MS_NS = 1_000_000
_PRICE_E9 = 100_000  # the files' unit of prices, 1e-4
_LOT_E9 = 10**9
_TRADE_FIELDS, _QUOTE_FIELDS = 6, 8
_DIGITS_MAX = 18


def decode_ibm(
    data: bytes | Iterable[bytes],
    is_quotes: bool,
    tick_size_e9: int,
    volume_lot_e9: int,
    midnight_ns: int = 0,
    zone: str = "UTC",
) -> Rows:
    """Turn the lines of one day into events. Never raises on what the lines hold.

    Parameters
    ----------
    data : bytes or iterable of bytes
        The text, whole or in pieces.
    is_quotes : bool
        Quotes, not trades.
    tick_size_e9, volume_lot_e9 : int, 1e-9
    midnight_ns : int, ns
        The day's midnight on the wall clock of ``zone``, as if that were UTC.
    zone : str
        IANA name.

    Returns
    -------
    ndarray of gm.readers.events.EVENT, shape (n,)
        Types TRADE or QUOTE, and QUARANTINE for each line refused.

    Source
    ------
    QuantConnect LEAN, Data/equity/readme.md.
    """
    lines, events = Lines(), Events()
    day = _Day(events, is_quotes, Grid(tick_size_e9), Grid(volume_lot_e9))
    for chunk in (data,) if isinstance(data, bytes) else data:
        for number, line in lines.feed(chunk):
            day.take(number, line)
    for number, line in lines.finish():
        day.take(number, line)
    day.flush()
    return _in_utc(events.rows(), midnight_ns, zone)


class _Day:
    """The lines of one file, and the sides of the quote that stand."""

    def __init__(self, events: Events, is_quotes: bool, prices: Grid, lots: Grid) -> None:
        self._events = events
        self._read = self._read_quote if is_quotes else self._read_trade
        self._fields = _QUOTE_FIELDS if is_quotes else _TRADE_FIELDS
        self._prices = prices
        self._lots = lots
        self._top = (0, 0, 0, 0)  # bid, ask, lots of both
        self._bid_line: tuple[int, int] | None = None  # number and ms of a bid that is not out yet

    def take(self, number: int, line: bytes | None) -> None:
        try:
            if line is None:
                raise Refused(QuarantineReason.LINE_TOO_LONG)
            text = line.strip(b" \r\xef\xbb\xbf")
            if not text:
                return
            fields = text.split(b",")
            if len(fields) != self._fields:
                raise Refused(QuarantineReason.MALFORMED)
            if _whole(fields[-1]) != 0:
                raise Refused(QuarantineReason.SUSPICIOUS)
            ms = _whole(fields[0])
            if ms * _MS_NS >= DAY_NS:
                raise Refused(QuarantineReason.MALFORMED)
            self._read(number, ms, fields)
        except Refused as refused:
            self.flush()
            self._events.refuse(number, refused.reason)

    def flush(self) -> None:
        """What stands and was not said."""
        if self._bid_line is not None:
            number, ms = self._bid_line
            self._bid_line = None
            self._events.quote(number, ms * _MS_NS, NO_TIME, self._top)

    def _read_trade(self, number: int, ms: int, fields: list[bytes]) -> None:
        price = self._prices.of_e9(_whole(fields[1]) * _PRICE_E9)
        lots = self._lots.of_e9(_whole(fields[2]) * _LOT_E9)
        self._events.trade(number, ms * _MS_NS, NO_TIME, price, lots, BUY)

    def _read_quote(self, number: int, ms: int, fields: list[bytes]) -> None:
        bid, bid_lots, ask, ask_lots = (_whole(field) for field in fields[1:5])
        has_bid, has_ask = bid != 0 or bid_lots != 0, ask != 0 or ask_lots != 0
        new_bid = self._side(bid, bid_lots) if has_bid else (self._top[0], self._top[2])
        new_ask = self._side(ask, ask_lots) if has_ask else (self._top[1], self._top[3])
        if not (has_bid or has_ask):
            raise Refused(QuarantineReason.MALFORMED)
        is_second_half = self._bid_line is not None and self._bid_line[1] == ms and not has_bid
        if is_second_half:
            self._bid_line = None
        else:
            self.flush()
        self._top = (new_bid[0], new_ask[0], new_bid[1], new_ask[1])
        if has_ask:
            self._events.quote(number, ms * _MS_NS, NO_TIME, self._top)
        else:
            self._bid_line = (number, ms)

    def _side(self, price: int, size: int) -> tuple[int, int]:
        lots = self._lots.of_e9(size * _LOT_E9)
        return (self._prices.of_e9(price * _PRICE_E9), lots) if lots else (0, 0)


def _whole(field: bytes) -> int:
    if not field.isdigit() or len(field) > _DIGITS_MAX:
        raise Refused(QuarantineReason.MALFORMED)
    return int(field)


def _in_utc(events: Rows, midnight_ns: int, zone: str) -> Rows:
    """Wall-clock stamps become UTC; one that daylight saving leaves out is refused."""
    is_stamped = events["ts_ns"] != NO_TIME
    local: Any = np.where(is_stamped, events["ts_ns"] + midnight_ns, NO_TIME)
    events["ts_ns"] = to_utc(local, zone)
    for at in np.flatnonzero(is_stamped & (events["ts_ns"] == NO_TIME)):
        values = (NO_TIME, NO_TIME, QuarantineReason.NONEXISTENT_TIME, 0, 0, 0)
        events[at] = np.array((RecordType.QUARANTINE, events["line"][at], *values), EVENT)
    return events
