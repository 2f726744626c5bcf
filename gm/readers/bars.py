"""Bar files become bars: dialects, zones and quarantine of SPEC §1.

``read_bars`` refuses all that SPEC names and lists each line with its reason. ``read_tape``, for
the venue, refuses only what cannot be put on the wire or needs a look at the rows behind; the
engine refuses the rest. Both read a file once, in pieces: a line of any length costs 64 KiB.
"""

import hashlib
import zlib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm._native import market as native
from gm.calendars import (
    DAY_NS,
    NO_TIME,
    RANGE_MAX_NS,
    RANGE_MIN_NS,
    SECOND_NS,
    Times,
    offset_table,
    session_table,
    to_utc,
)
from gm.config.instruments import InstrumentConfig, instrument as find_instrument
from gm.errors import BadArgument, BadTape
from gm.layout import QuarantineReason, RecordType
from gm.readers.dates import read_dates
from gm.readers.ticks import kind_of_ticks, read_ticks

BAR = native.BAR
# One row of read_tape: a bar, its line, and a QuarantineReason where the reader refused it.
TAPE_ROW = np.dtype(
    [(name, BAR[name]) for name in BAR.names or ()] + [("line", "u8"), ("reason", "u4")]
)
MINUTE_NS = 60 * SECOND_NS
_CHUNK_BYTES = 1 << 20
_TIME_NAMES = {"timestamp", "date", "datetime", "time", "ts"}
_UTC_NAMES = {f"{name}_utc" for name in _TIME_NAMES} | {"utc"}
_BAR_NAMES = {
    "open": "open",
    "high": "high",
    "low": "low",
    "llow": "low",  # a misspelling that real files have
    "close": "close",
    "volume": "volume",
}
_TRADE_NAMES = {
    "price": "price",
    "size": "size",
    "quantity": "size",
    "qty": "size",
    "volume": "size",
}

Rows = NDArray[np.void]
Reasons = NDArray[np.uint32]


class BarsResult(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What ``read_bars`` found in a file."""

    bars: Rows
    quarantine: list[tuple[int, str]]
    bar_minutes: int
    timezone: str
    day_first: bool | None
    sha256: str


class TapeResult(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What ``read_tape`` found in a file: rows in its order, the refused ones among them."""

    rows: Rows
    is_trades: bool
    bar_minutes: int
    timezone: str
    day_first: bool | None
    sha256: str


def read_bars(
    path: str | PathLike[str],
    instrument: str | InstrumentConfig,
    timezone: str | None = None,
    bar_minutes: int | None = None,
    day_first: bool | None = None,
) -> BarsResult:
    """Read a file of bars, or make bars of one of ticks, and refuse what SPEC §1 refuses.

    Parameters
    ----------
    path : path
        CSV, plain or gzip, of bars or trades: its header decides the dialect. Or a file of ticks
        as ``read_ticks`` takes it: its trades.
    instrument : str or InstrumentConfig
        Tick, lot, price floor, jump band and sessions.
    timezone : str, optional
        IANA zone of stamps that carry no offset. Default: UTC if the header says so
        (``timestamp_utc``), else the instrument's ``bar_file_timezone``.
    bar_minutes : int, optional
        Size of the bars. Default: the most common distance of two rows; of trades, it must be
        said.
    day_first : bool, optional
        How to read ``1/7/2020``. Default: the reading in which the file goes forward.

    Returns
    -------
    BarsResult
        ``bars``: structured (n,), fields start_ts_ns (ns UTC), open_ticks, high_ticks, low_ticks,
        close_ticks, volume_lots, flags (bit 1 no volume, 2 out of session), ascending.
        Bars of trades are filled as ``aggregate_bars`` fills them, and the bucket that the end of
        the file leaves open is not there.
        ``quarantine``: (line, reason) in the order of the file, the header being line 1.
        ``bar_minutes``, ``timezone``; ``day_first``, None where the form of the dates says;
        ``sha256`` of the file's bytes, hexadecimal.

    Raises
    ------
    BadTape
        If the file has no usable header, or is damaged.
    BadArgument
        If date order or bar size cannot be told and was not given, or contradicts the header; if
        trades are to become bars and nobody says how long, or the zone of ticks is given.
    UnknownInstrument, OSError
        If there is no such instrument or file.

    Source
    ------
    SPEC §1, Input.
    """
    config = find_instrument(instrument) if isinstance(instrument, str) else instrument
    file = _read_any(Path(path), config, timezone, bar_minutes, day_first)
    if file.is_trades and bar_minutes is None:
        raise BadArgument(f"{path}: holds trades, not bars: say bar_minutes to make bars of them")
    _judge(file, config)
    bars = np.zeros(int((file.reasons == 0).sum()), BAR)
    for name in BAR.names or ():
        bars[name] = file.bars[name][file.reasons == 0]
    if file.is_trades and bar_minutes is not None:
        bars = _join_trades(bars, config, bar_minutes)
    refused = np.flatnonzero(file.reasons)
    return BarsResult(
        bars=bars,
        quarantine=[(int(file.lines[i]), native.REASONS[file.reasons[i]]) for i in refused],
        bar_minutes=file.bar_minutes or bar_minutes or 0,
        timezone=file.timezone,
        day_first=file.day_first,
        sha256=file.sha256,
    )


def read_tape(
    path: str | PathLike[str],
    instrument: str | InstrumentConfig,
    timezone: str | None = None,
    bar_minutes: int | None = None,
    day_first: bool | None = None,
) -> TapeResult:
    """Read a CSV file of bars or trades for the venue: all that fits on the wire, as read.

    Parameters
    ----------
    path, instrument, timezone, bar_minutes, day_first
        As for ``read_bars``.

    Returns
    -------
    TapeResult
        ``rows``: ndarray of TAPE_ROW, shape (n,), in the order of the file. ``reason`` is 0, or
        the QuarantineReason for which the reader refused ``line``; such a row has no prices, and
        ``start_ts_ns`` is NO_TIME if it has no time. Rows with reason 0 may still be duplicates,
        contradictions and the like: those the engine refuses. ``is_trades``: the header names a
        price and a size; a trade is a row with four equal prices, and ``bar_minutes`` is 0.

    Raises
    ------
    BadTape, BadArgument, UnknownInstrument, OSError
        As ``read_bars``; ticks are for ``read_ticks``.

    Source
    ------
    SPEC §1, Quarantine, "Two places".
    """
    config = find_instrument(instrument) if isinstance(instrument, str) else instrument
    file = _read(Path(path), config, timezone, bar_minutes, day_first)
    rows = np.zeros(len(file.bars), TAPE_ROW)
    for name in BAR.names or ():
        rows[name] = file.bars[name]
    rows["line"] = file.lines
    rows["reason"] = file.reasons
    return TapeResult(
        rows=rows,
        is_trades=file.is_trades,
        bar_minutes=file.bar_minutes,
        timezone=file.timezone,
        day_first=file.day_first,
        sha256=file.sha256,
    )


def aggregate_bars(
    bars: Rows,
    instrument: str | InstrumentConfig,
    minutes: int = 30,
    bar_minutes: int | None = None,
) -> Rows:
    """Make larger bars from smaller ones as the engine does, holes inside sessions filled.

    Parameters
    ----------
    bars : structured ndarray, shape (n,)
        As of ``read_bars``: starts ascend. Bars outside sessions and synthetic bars are left out.
    instrument : str or InstrumentConfig
        Its sessions.
    minutes : int
        Size of the new bars; divides a day.
    bar_minutes : int, optional
        Size of the bars. Default: the most common distance of two.

    Returns
    -------
    structured ndarray, shape (m,)
        Same dtype as of ``read_bars``; flags bit 0: synthetic. The bucket that the end leaves
        open is not there.

    Raises
    ------
    BadArgument
        If starts do not ascend, bars are longer than ``minutes``, or ``minutes`` does not divide
        a day.

    Source
    ------
    SPEC §1, Bars.
    """
    config = find_instrument(instrument) if isinstance(instrument, str) else instrument
    rows = np.zeros(len(bars), BAR)
    for name in BAR.names or ():
        rows[name] = bars[name]
    if not 1 <= minutes <= 1440:
        raise BadArgument(f"minutes must be within [1, 1440]: {minutes}")
    if len(rows) == 0:
        return rows
    size = bar_minutes or _infer_minutes(np.asarray(rows["start_ts_ns"], np.int64))
    if not 1 <= size <= minutes:
        raise BadArgument(f"bars of {size} minutes do not fit into {minutes} minutes")
    return native.join_bars(rows, _tables(config, rows["start_ts_ns"]), size * MINUTE_NS, minutes)


class _File(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A file after what the reader alone must refuse, one entry a line."""

    bars: Rows
    lines: NDArray[np.uint64]
    reasons: Reasons
    is_trades: bool
    bar_minutes: int
    timezone: str
    day_first: bool | None
    sha256: str


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the first line says."""

    columns: tuple[int, ...]
    delimiter: bytes
    line: int
    is_utc: bool
    is_trades: bool


def _read(
    path: Path,
    config: InstrumentConfig,
    timezone: str | None,
    bar_minutes: int | None,
    day_first: bool | None,
) -> _File:
    if bar_minutes is not None and not 1 <= bar_minutes <= 1440:
        raise BadArgument(f"bar_minutes must be within [1, 1440]: {bar_minutes}")
    digest = hashlib.sha256()
    header, text = _read_text(path, config, digest)
    zone = _zone_of(path, header, config, timezone)
    reasons = text["reason"].copy()
    local, is_day_first = read_dates(path, text, day_first)
    reasons[(reasons == 0) & (local == NO_TIME)] = QuarantineReason.MALFORMED
    has_offset = text["offset_ns"] != NO_TIME
    utc = to_utc(np.where(has_offset, NO_TIME, local), zone)
    utc[has_offset] = (local - text["offset_ns"])[has_offset]
    utc[local == NO_TIME] = NO_TIME
    reasons[(reasons == 0) & (utc == NO_TIME)] = QuarantineReason.NONEXISTENT_TIME
    native.check_stamps(utc, reasons)
    bars = np.zeros(len(text), BAR)
    for name in BAR.names or ():
        bars[name] = utc if name == "start_ts_ns" else text[name]
    if not header.is_trades and bar_minutes is None:
        bar_minutes = _infer_minutes(utc, is_needed=bool((reasons == 0).any()))
    return _File(
        bars=bars,
        lines=text["line"].copy(),
        reasons=reasons,
        is_trades=header.is_trades,
        bar_minutes=0 if header.is_trades else bar_minutes or 0,
        timezone=zone,
        day_first=is_day_first,
        sha256=digest.hexdigest(),
    )


def _read_any(
    path: Path,
    config: InstrumentConfig,
    timezone: str | None,
    bar_minutes: int | None,
    day_first: bool | None,
) -> _File:
    if kind_of_ticks(path) is None:
        return _read(path, config, timezone, bar_minutes, day_first)
    return _read_trades_of_ticks(path, config, timezone, day_first)


def _read_trades_of_ticks(
    path: Path, config: InstrumentConfig, timezone: str | None, day_first: bool | None
) -> _File:
    if timezone is not None or day_first is not None:
        raise BadArgument(f"{path}: a file of ticks says itself what its stamps are")
    result = read_ticks(path, config)
    kinds = result.events["type"]
    events = result.events[(kinds == RecordType.TRADE) | (kinds == RecordType.QUARANTINE)]
    is_trade = events["type"] == RecordType.TRADE
    bars = np.zeros(len(events), BAR)
    bars["start_ts_ns"] = events["ts_ns"]
    for name in ("open_ticks", "high_ticks", "low_ticks", "close_ticks"):
        bars[name] = np.where(is_trade, events["a"], 0)
    bars["volume_lots"] = np.where(is_trade, events["b"], 0)
    return _File(
        bars=bars,
        lines=events["line"].copy(),
        reasons=np.where(is_trade, 0, events["a"]).astype(np.uint32),
        is_trades=True,
        bar_minutes=0,
        timezone="UTC",
        day_first=None,
        sha256=result.sha256,
    )


def _join_trades(trades: Rows, config: InstrumentConfig, minutes: int) -> Rows:
    if len(trades) == 0:
        return trades
    return native.join_bars(trades, _tables(config, trades["start_ts_ns"]), 0, minutes)


def _judge(file: _File, config: InstrumentConfig) -> None:
    """Refuse in place what the engine would."""
    stamps = file.bars["start_ts_ns"][file.reasons == 0]
    if len(stamps):
        tables = _tables(config, stamps)
        native.judge_bars(file.bars, file.reasons, config.to_row(), tables, file.bar_minutes * 60)


def _tables(config: InstrumentConfig, stamps: NDArray[Any]) -> tuple[Rows, Rows]:
    # A stray stamp of another century must not cost the file: its row lies in no session.
    low = min(max(int(stamps.min()) - DAY_NS, RANGE_MIN_NS), RANGE_MAX_NS - DAY_NS)
    high = max(min(int(stamps.max()) + DAY_NS, RANGE_MAX_NS), low + DAY_NS)
    return session_table(config, low, high), offset_table(config, low, high)


def _raw(path: Path, digest: Any) -> Iterator[bytes]:  # noqa: ANN401
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            yield chunk


def _chunks(path: Path, digest: Any) -> Iterator[bytes]:  # noqa: ANN401
    """The text of a file in pieces of at most 1 MiB, unpacked if it is gzip."""
    unpack = None
    is_first = True
    for chunk in _raw(path, digest):
        if is_first and chunk.startswith(b"\x1f\x8b"):
            unpack = zlib.decompressobj(wbits=31)
        is_first = False
        if unpack is None:
            yield chunk
            continue
        rest = chunk
        while rest:  # each turn yields, or uses the chunk up
            if unpack.eof:
                unpack = zlib.decompressobj(wbits=31)  # gzip files may be joined end to end
            try:
                piece = unpack.decompress(rest, _CHUNK_BYTES)
            except zlib.error as error:
                raise BadTape(f"{path}: damaged gzip file: {error}") from error
            rest = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
            yield piece
    if unpack is not None and not unpack.eof:
        raise BadTape(f"{path}: gzip file ends in the middle")


def _read_text(path: Path, config: InstrumentConfig, digest: Any) -> tuple[_Header, Rows]:  # noqa: ANN401
    chunks = _chunks(path, digest)
    head = b""
    line = 1
    while True:
        name, found, rest = head.partition(b"\n")
        if found and not name.strip(b"\xef\xbb\xbf \t\r"):  # empty lines before the header
            head, line = rest, line + 1
            continue
        if found or len(head) > native.LINE_BYTES_MAX:
            break
        chunk = next(chunks, None)
        if chunk is None:
            break
        head += chunk
    if len(name) > native.LINE_BYTES_MAX:
        raise BadTape(f"{path}: the header is longer than {native.LINE_BYTES_MAX} bytes")
    header = _read_header(path, name, line)
    reader = native.TextReader(config.to_row(), header.columns, header.delimiter, line + 1)
    reader.feed(rest)
    for chunk in chunks:
        reader.feed(chunk)
    reader.finish()
    return header, reader.rows()


def _read_header(path: Path, raw: bytes, line: int) -> _Header:
    text = raw.decode("utf-8-sig", "replace").strip(" \r\n")
    delimiter = max(",;\t", key=text.count)
    names = [name.strip(' "').lower() for name in text.split(delimiter)]
    is_trades = "price" in names and "open" not in names
    meanings = _TRADE_NAMES if is_trades else _BAR_NAMES
    at: dict[str, int] = {}
    for index, name in enumerate(names):
        is_time = name in _TIME_NAMES or name in _UTC_NAMES
        meaning = "time" if is_time else meanings.get(name)
        if meaning is None:
            continue
        if meaning in at:
            raise BadTape(f"{path}: line {line} names two columns for {meaning}: {text[:200]!r}")
        at[meaning] = index
    prices = ("price",) * 4 if is_trades else ("open", "high", "low", "close")
    needed = dict.fromkeys(("time", *prices, "size") if is_trades else ("time", *prices))
    missing = [name for name in needed if name not in at]
    if missing:
        raise BadTape(
            f"{path}: line {line} names no column for {', '.join(missing)}: {text[:200]!r}"
        )
    volume = at.get("size" if is_trades else "volume", native.COLUMN_ABSENT)
    return _Header(
        columns=(len(names), at["time"], *(at[name] for name in prices), volume),
        delimiter=delimiter.encode(),
        line=line,
        is_utc=names[at["time"]] in _UTC_NAMES,
        is_trades=is_trades,
    )


def _zone_of(path: Path, header: _Header, config: InstrumentConfig, timezone: str | None) -> str:
    if header.is_utc and timezone not in (None, "UTC"):
        raise BadArgument(f"{path}: the header says UTC, timezone says {timezone}")
    if header.is_utc:
        return "UTC"
    return config.bar_file_timezone if timezone is None else timezone


def _infer_minutes(stamps: Times, is_needed: bool = True) -> int:
    """The most common distance of two rows, in minutes; 0 if nobody needs it and nobody knows."""
    steps = np.diff(stamps[stamps != NO_TIME])
    steps = steps[steps > 0]
    if len(steps) == 0:
        if is_needed:
            raise BadArgument("the size of the bars cannot be told from one row: say bar_minutes")
        return 0
    sizes, counts = np.unique(steps, return_counts=True)
    size = int(sizes[counts.argmax()])
    if size % MINUTE_NS or size > DAY_NS:
        if is_needed:
            raise BadArgument(
                f"bars of {size / SECOND_NS:g} s are not whole minutes of at most a day: "
                "say bar_minutes"
            )
        return 0
    return size // MINUTE_NS
