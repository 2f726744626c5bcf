"""Recorded streams of Binance USD-M futures: depth, best prices and trades of one symbol.

One line is the recorder's clock in ns, a space, and one message as JSON: of the combined stream
({"stream", "data"}), bare, or a depth snapshot as the REST interface gives it. A snapshot and the
changes around it are joined by their update ids as Binance prescribes; a change that does not
continue the one before it is a gap, and the book stays gapped until a snapshot.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from gm.calendars import NO_TIME, TIME_MAX_NS
from gm.layout import BookResetReason, QuarantineReason
from gm.readers.events import BUY, SELL, Events, Grid, Refused, Rows
from gm.readers.lines import Lines

_MS_NS = 1_000_000
_ID_MAX = 2**63 - 1
# Changes that are held for a snapshot still to come: at 10 ms apart, ten seconds.
_HELD_MAX = 1_024
_STAMP_DIGITS_MAX = 19

_Levels = list[tuple[str, str]]
_Sided = list[tuple[int, int, int]]


class _Message(msgspec.Struct):
    """All fields of the messages that are read; what a message does not have is None."""

    e: str | None = None
    s: str | None = None
    E: int | None = None
    T: int | None = None
    U: int | None = None
    u: int | None = None
    pu: int | None = None
    b: _Levels | str | None = None
    a: _Levels | str | int | None = None
    B: str | None = None
    A: str | None = None
    p: str | None = None
    q: str | None = None
    m: bool | None = None
    X: str | None = None
    last_id: int | None = msgspec.field(default=None, name="lastUpdateId")
    bids: _Levels | None = None
    asks: _Levels | None = None


class _Line(_Message):
    stream: str | None = None
    data: _Message | None = None


class _Change(msgspec.Struct, frozen=True, gc=False):
    """A change of the book: levels, and the update ids that it spans."""

    line: int
    ts_ns: int
    first: int
    last: int
    before: int  # the last id of the change before it
    levels: _Sided


_decoder = msgspec.json.Decoder(_Line)


def decode_binance(
    data: bytes | Iterable[bytes], symbol: str, tick_size_e9: int, volume_lot_e9: int
) -> Rows:
    """Turn recorded lines into events. Never raises on what the lines hold.

    Parameters
    ----------
    data : bytes or iterable of bytes
        The text, whole or in pieces.
    symbol : str
        Messages of another are refused.
    tick_size_e9, volume_lot_e9 : int, 1e-9

    Returns
    -------
    ndarray of gm.readers.events.EVENT, shape (n,)
        ``ts_ns`` is the exchange's transaction time, ``received_ts_ns`` the recorder's clock as it
        stood: see gm.readers.clock. Messages of kinds that are not read are left out.

    Source
    ------
    Binance, USD-M Futures API, "How to manage a local order book correctly".
    """
    lines = Lines()
    stream = _Stream(symbol, Grid(tick_size_e9), Grid(volume_lot_e9))
    for chunk in (data,) if isinstance(data, bytes) else data:
        for number, line in lines.feed(chunk):
            stream.take(number, line)
    for number, line in lines.finish():
        stream.take(number, line)
    return stream.events.rows()


class _Stream:
    """What must be known of the lines before to understand the next."""

    def __init__(self, symbol: str, prices: Grid, lots: Grid) -> None:
        self.events = Events()
        self._symbol = symbol
        self._prices = prices
        self._lots = lots
        self._last_quote = (-1, NO_TIME)  # update id and time
        self._last: int | None = None  # update id that the book has reached; None: it is gapped
        self._last_ns = NO_TIME  # of what took it there
        self._has_book = False  # some message of depth was seen
        self._is_joined = False  # a change has followed the snapshot
        self._held: deque[_Change] = deque(maxlen=_HELD_MAX)
        self._readers = {
            "depthUpdate": self._take_change,
            "bookTicker": self._take_quote,
            "trade": self._take_trade,
        }

    def take(self, number: int, line: bytes | None) -> None:
        try:
            if line is None:
                raise Refused(QuarantineReason.LINE_TOO_LONG)
            text = line.strip(b" \r\xef\xbb\xbf")
            if text:
                self._take(number, text)
        except Refused as refused:
            self.events.refuse(number, refused.reason)

    def _take(self, number: int, text: bytes) -> None:
        stamp, _, body = text.partition(b" ")
        if not stamp.isdigit() or len(stamp) > _STAMP_DIGITS_MAX:
            raise Refused(QuarantineReason.MALFORMED)
        received = int(stamp)
        if received >= TIME_MAX_NS:
            raise Refused(QuarantineReason.OVERFLOW)
        message = _message_of(body)
        if message.s not in (None, self._symbol):
            raise Refused(QuarantineReason.UNKNOWN_SYMBOL)
        if message.last_id is not None:
            self._take_snapshot(number, received, message)
        elif message.e is None:
            raise Refused(QuarantineReason.MALFORMED)
        elif (read := self._readers.get(message.e)) is not None:
            read(number, received, message)

    def _take_trade(self, number: int, received: int, message: _Message) -> None:
        if message.X not in (None, "MARKET"):  # of the insurance fund, or of nobody: no market
            return
        if message.p is None or message.q is None or message.m is None:
            raise Refused(QuarantineReason.MALFORMED)
        price, lots = self._prices.exact(message.p), self._lots.nearest(message.q)
        side = SELL if message.m else BUY  # m: the buyer was there first
        self.events.trade(number, _time_of(message), received, price, lots, side)

    def _take_quote(self, number: int, received: int, message: _Message) -> None:
        prices, sizes = (message.b, message.a), (message.B, message.A)
        bid, ask = (self._side(price, size) for price, size in zip(prices, sizes, strict=True))
        ts_ns, update = _time_of(message), _id_of(message.u)
        if update < self._last_quote[0] and ts_ns <= self._last_quote[1]:
            raise Refused(QuarantineReason.BACKWARD_TIME)
        self._last_quote = (update, ts_ns)  # lower and later: the publisher counts anew
        self.events.quote(number, ts_ns, received, (bid[0], ask[0], bid[1], ask[1]))

    def _side(self, price: object, size: str | None) -> tuple[int, int]:
        if not isinstance(price, str) or size is None:
            raise Refused(QuarantineReason.MALFORMED)
        lots = self._lots.nearest(size)
        return (self._prices.exact(price), lots) if lots else (0, 0)

    def _take_change(self, number: int, received: int, message: _Message) -> None:
        try:
            change = self._change_of(number, message)
        except Refused:
            # Its ids may be what is broken: whatever it said is missing from now on.
            self._lose(number, received, (self._last or 0, 0))
            raise
        if not self._has_book:
            self._lose(number, received, (0, change.first))
        self._follow_or_hold(change, received)

    def _change_of(self, number: int, message: _Message) -> _Change:
        if not isinstance(message.b, list) or not isinstance(message.a, list):
            raise Refused(QuarantineReason.MALFORMED)
        first, last, before = (_id_of(value) for value in (message.U, message.u, message.pu))
        if not before <= last or not first <= last:
            raise Refused(QuarantineReason.CONTRADICTION)
        levels = self._levels(message.b, message.a)
        return _Change(number, _time_of(message), first, last, before, levels)

    def _follow_or_hold(self, change: _Change, received: int) -> None:
        """Apply a change to a book that has reached an update id, or find the hole between."""
        if self._last is None:
            self._hold(change)  # for a snapshot that is older than it
            return
        reached = self._last
        if change.last < reached and not self._is_joined:
            return  # the snapshot holds it
        fits = change.before == reached if self._is_joined else change.before <= reached
        if not fits:
            self._lose(change.line, received, (reached, change.before))
            self._hold(change)
            return
        self._is_joined = True
        self._last, self._last_ns = change.last, change.ts_ns
        self.events.levels(change.line, change.ts_ns, received, change.levels)

    def _hold(self, change: _Change) -> None:
        newest = self._held[-1] if self._held else change
        if change.last < newest.last and change.ts_ns > newest.ts_ns:
            self._held.clear()  # the publisher counts anew: no snapshot joins these
        self._held.append(change)

    def _take_snapshot(self, number: int, received: int, message: _Message) -> None:
        reached = _id_of(message.last_id)
        if message.bids is None or message.asks is None:
            raise Refused(QuarantineReason.MALFORMED)
        levels = self._levels(message.bids, message.asks)
        ts_ns = NO_TIME if message.T is None and message.E is None else _time_of(message)
        # The time of the book itself: without it a lower id is an older one.
        book_ns = NO_TIME if message.T is None else ts_ns
        is_anew = self._last is not None and reached < self._last and book_ns > self._last_ns
        if self._last is not None and reached <= self._last and not is_anew:
            return  # of a book that is known, and further on
        self._has_book, self._is_joined, self._last = True, False, reached
        self._last_ns = TIME_MAX_NS if message.T is None else ts_ns
        self.events.reset(number, ts_ns, received, BookResetReason.SNAPSHOT, (0, 0))
        self.events.levels(number, ts_ns, received, levels)
        held, self._held = self._held, deque(maxlen=_HELD_MAX)
        for change in held:
            self._follow_or_hold(change, received)

    def _lose(self, number: int, received: int, seen: tuple[int, int]) -> None:
        if self._last is not None or not self._has_book:
            self.events.reset(number, NO_TIME, received, BookResetReason.GAP, seen)
        self._has_book, self._last = True, None

    def _levels(self, bids: _Levels, asks: _Levels) -> _Sided:
        exact, nearest = self._prices.exact, self._lots.nearest
        sides = ((BUY, bids), (SELL, asks))
        return [(side, exact(price), nearest(lots)) for side, them in sides for price, lots in them]


def _message_of(body: bytes) -> _Message:
    try:
        line = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(QuarantineReason.MALFORMED) from error
    return line if line.data is None else line.data


def _id_of(value: int | None) -> int:
    if value is None or not 0 <= value <= _ID_MAX:
        raise Refused(QuarantineReason.MALFORMED)
    return value


def _time_of(message: _Message) -> int:
    value = message.E if message.T is None else message.T
    if value is None or value < 0:
        raise Refused(QuarantineReason.MALFORMED)
    if value * _MS_NS >= TIME_MAX_NS:
        raise Refused(QuarantineReason.OVERFLOW)
    return value * _MS_NS
