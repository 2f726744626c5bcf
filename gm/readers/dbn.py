"""Market by order of one instrument, as Databento's DBN keeps it, becomes levels and trades.

Orders are followed by their ids and summed by price. The levels that an event changed are said when
it is complete, each once. What a record contradicts (a cancel of more than there is, an id that
comes twice) costs the book: it is gapped until a snapshot or a clear. Records are numbered from 1,
and stand for lines. F (the resting side of a fill) changes nothing: its C or M follows.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from gm.calendars import TIME_MAX_NS
from gm.layout import BookResetReason, QuarantineReason
from gm.readers.events import BUY, SELL, Events, Grid, Refused, Rows

_MAGIC = b"DBN"
_VERSIONS = (1, 2, 3)
_PREFIX = struct.Struct("<3sBI")  # magic, version, bytes of metadata that follow
_METADATA_BYTES = 100  # of fixed size, before the lists
_WIDTH_AT = 45  # bytes of a symbol, from version 2 on
_SYMBOL_BYTES = 22  # in version 1
_COUNT = struct.Struct("<I")
_MBO = struct.Struct("<BBHIQQqIBBBBQiI")
_MBO_TYPE = 0xA0
_HEADER_WORDS = 4
_FLAG_LAST, _FLAG_SNAPSHOT, _FLAG_MAYBE_BAD_BOOK = 128, 32, 4
_PRICE_NONE = 2**63 - 1
_ORDERS_MAX = 1 << 20
_LOT_E9 = 10**9
_ADD, _CANCEL, _MODIFY, _CLEAR, _TRADE = b"ACMRT"
_NO_CHANGE = b"FN"
_SIDES = {ord("B"): BUY, ord("A"): SELL}


def decode_dbn(data: bytes | Iterable[bytes], tick_size_e9: int, volume_lot_e9: int) -> Rows:
    """Turn an unpacked DBN file into events. Never raises on what the records hold.

    Parameters
    ----------
    data : bytes or iterable of bytes
        The file, whole or in pieces, not compressed.
    tick_size_e9, volume_lot_e9 : int, 1e-9

    Returns
    -------
    ndarray of gm.readers.events.EVENT, shape (n,)
        Of the instrument of the first record; those of others are refused, other kinds of records
        left out. ``line`` is the number of the record.

    Source
    ------
    Databento, DBN encoding, versions 1 to 3; MBO schema and flags.
    """
    book = _Orders(Grid(tick_size_e9), Grid(volume_lot_e9))
    records = _Records()
    for chunk in (data,) if isinstance(data, bytes) else data:
        for record in records.feed(chunk):
            book.take(records.number, record)
    if records.is_broken():
        book.events.refuse(records.number + 1, QuarantineReason.MALFORMED)
    book.finish()
    return book.events.rows()


def symbols_of_dbn(head: bytes) -> list[str]:
    """List the symbols that a file says were asked for; none where it says nothing.

    Parameters
    ----------
    head : bytes
        The file's beginning, not compressed.

    Returns
    -------
    list of str
        Numbers of instruments are no symbols and left out.
    """
    if len(head) < _PREFIX.size + _METADATA_BYTES + _COUNT.size or not head.startswith(_MAGIC):
        return []
    _, version, size = _PREFIX.unpack_from(head)
    metadata = head[_PREFIX.size : _PREFIX.size + size]
    width = _SYMBOL_BYTES
    if version > 1:
        width = int.from_bytes(metadata[_WIDTH_AT : _WIDTH_AT + 2], "little")
    at = _METADATA_BYTES + _COUNT.size  # behind the definition of a schema, which is empty
    if width == 0 or len(metadata) < at + _COUNT.size:
        return []
    (count,) = _COUNT.unpack_from(metadata, at)
    at += _COUNT.size
    end = min(at + count * width, len(metadata))
    names = [metadata[i : i + width].partition(b"\0")[0] for i in range(at, end, width)]
    return [name.decode("ascii", "replace") for name in names if name and not name.isdigit()]


class _Mbo(NamedTuple):
    """One record of 56 bytes."""

    words: int  # of 4 bytes each
    rtype: int
    publisher: int
    instrument: int
    event_ns: int
    order: int
    price: int  # 1e-9
    size: int
    flags: int
    channel: int
    action: int
    side: int
    recv_ns: int
    delay_ns: int
    sequence: int


class _Records:
    """Bytes in pieces become records. Holds at most one record of 1,020 bytes."""

    def __init__(self) -> None:
        self.number = 0
        self._pending = b""
        self._skip: int | None = None  # of metadata still to come; None: its length is not known
        self._is_lost = False  # a length makes no sense: where the next record begins is not known

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        data = self._pending + chunk
        at = 0
        if self._skip is None:
            if len(data) < _PREFIX.size:
                self._pending = data
                return
            magic, version, self._skip = _PREFIX.unpack_from(data)
            self._is_lost = magic != _MAGIC or version not in _VERSIONS
            at = _PREFIX.size
        if self._is_lost:
            return
        skipped = min(self._skip, len(data) - at)
        self._skip -= skipped
        at += skipped
        while at < len(data):
            size = 4 * data[at]
            if size < 4 * _HEADER_WORDS:
                self._is_lost = True
                return
            if at + size > len(data):
                break
            self.number += 1
            yield data[at : at + size]
            at += size
        self._pending = data[at:]

    def is_broken(self) -> bool:
        """Say whether the file stopped in the middle, or ceased to be one."""
        return self._is_lost or self._skip != 0 or len(self._pending) > 0


class _Orders:
    """The orders of one book."""

    def __init__(self, prices: Grid, lots: Grid) -> None:
        self.events = Events()
        self._prices = prices
        self._lots = lots
        self._orders: dict[int, tuple[int, int, int]] = {}  # side, price, lots by order id
        self._levels: dict[tuple[int, int], int] = {}  # lots by side and price
        self._changed: dict[tuple[int, int], None] = {}  # in order, not said yet
        self._instrument: int | None = None
        self._is_known = False  # a snapshot or a clear came, and no hole since
        self._has_book = False
        self._in_snapshot = False
        self._at = (0, 0, 0)  # number and stamps of the last record of the open event

    def take(self, number: int, record: bytes) -> None:
        if record[1] != _MBO_TYPE:
            return
        try:
            if len(record) < _MBO.size:
                raise Refused(QuarantineReason.MALFORMED)
            self._take(number, _Mbo._make(_MBO.unpack_from(record)))
        except Refused as refused:
            self.events.refuse(number, refused.reason)

    def finish(self) -> None:
        """The file is over: a snapshot at its end is complete."""
        if self._in_snapshot:
            self._say()

    def _take(self, number: int, record: _Mbo) -> None:
        if self._instrument is None:
            self._instrument = record.instrument
        if record.instrument != self._instrument:
            raise Refused(QuarantineReason.UNKNOWN_SYMBOL)
        is_snapshot = bool(record.flags & _FLAG_SNAPSHOT)
        # An order of a snapshot is as old as it is: the book is from when it was sent.
        ts_ns = record.recv_ns if is_snapshot else record.event_ns
        if max(ts_ns, record.recv_ns) >= TIME_MAX_NS:
            raise Refused(QuarantineReason.OVERFLOW)
        if self._in_snapshot and not is_snapshot:
            self._say()
        if record.flags & _FLAG_MAYBE_BAD_BOOK:
            self._lose(number, record.recv_ns)
        if record.action == _CLEAR or (is_snapshot and not self._in_snapshot):
            self._clear(number, ts_ns, record.recv_ns)
        self._in_snapshot = is_snapshot
        self._at = (number, ts_ns, record.recv_ns)
        self._act(record)
        if record.flags & _FLAG_LAST:
            self._say()

    def _act(self, record: _Mbo) -> None:
        if record.action == _TRADE:
            lots, ticks = self._lots.of_e9(record.size * _LOT_E9), self._ticks(record.price)
            self.events.trade(*self._at, ticks, lots, _SIDES.get(record.side, BUY))
            return
        try:
            if record.action in (_ADD, _CANCEL, _MODIFY):
                self._change(record)
            elif record.action != _CLEAR and record.action not in _NO_CHANGE:
                raise Refused(QuarantineReason.MALFORMED)
        except Refused:
            self._lose(self._at[0], record.recv_ns)
            raise

    def _change(self, record: _Mbo) -> None:
        if not self._has_book:
            self._lose(self._at[0], self._at[2])
        if not self._is_known:
            return
        if record.side not in _SIDES:
            raise Refused(QuarantineReason.MALFORMED)
        lots = self._lots.of_e9(record.size * _LOT_E9)
        known = self._orders.get(record.order)
        if record.action == _CANCEL:
            if known is None or lots > known[2]:
                raise Refused(QuarantineReason.CONTRADICTION)
            self._set(record.order, known[:2], known[2] - lots)
            return
        if record.action == _ADD and known is not None:
            raise Refused(QuarantineReason.CONTRADICTION)
        place = (_SIDES[record.side], self._ticks(record.price))
        if known is not None:
            self._set(record.order, known[:2], 0)
        self._set(record.order, place, lots)

    def _set(self, order: int, place: tuple[int, int], lots: int) -> None:
        """An order has this quantity at this place from now on; 0: it is gone."""
        before = self._orders.pop(order, (0, 0, 0))[2]
        total = self._levels.get(place, 0) + lots - before
        if lots > 0:
            if len(self._orders) >= _ORDERS_MAX:
                raise Refused(QuarantineReason.OVERFLOW)
            self._orders[order] = (*place, lots)
        if total > 0:
            self._levels[place] = total
        else:
            self._levels.pop(place, None)
        self._changed[place] = None

    def _say(self) -> None:
        """The event is complete: say what its levels have now."""
        if self._is_known and self._changed:
            levels = [(*place, self._levels.get(place, 0)) for place in self._changed]
            self.events.levels(*self._at, levels)
        self._changed = {}
        self._in_snapshot = False

    def _clear(self, number: int, ts_ns: int, recv_ns: int) -> None:
        self._forget()
        self._is_known = self._has_book = True
        self.events.reset(number, ts_ns, recv_ns, BookResetReason.SNAPSHOT, (0, 0))

    def _lose(self, number: int, recv_ns: int) -> None:
        if self._is_known or not self._has_book:
            self.events.reset(number, recv_ns, recv_ns, BookResetReason.GAP, (0, 0))
        self._forget()
        self._is_known, self._has_book = False, True

    def _forget(self) -> None:
        self._orders, self._levels, self._changed = {}, {}, {}

    def _ticks(self, price: int) -> int:
        if price == _PRICE_NONE:
            raise Refused(QuarantineReason.NOT_FINITE)
        return self._prices.of_e9(price)
