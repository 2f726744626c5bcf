"""A file or a synthetic session as the venue's tape, and the name that tells tapes apart."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm.config.instruments import InstrumentConfig
from gm.errors import BadArgument, BadTape, DataGap
from gm.layout import RecordType
from gm.readers import kind_of_ticks, read_tape, read_ticks
from gm.venue.synthetic import BAR_MINUTES, synthetic_session

Rows = NDArray[np.void]

# The one instrument of a venue has this number on the wire.
INSTRUMENT_NUMBER = 0
BAR_MINUTES_MAX = 30


class Tape(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Rows of ``layout.TAPE_ROW`` and the 32 bytes that name them."""

    rows: Rows
    tape_id: bytes


def open_tape(
    path: Path,
    instrument: InstrumentConfig,
    seed: int,
    day_first: bool | None = None,
    timezone: str | None = None,
    bar_minutes: int | None = None,
) -> Tape:
    """Read a file of bars, trades or ticks as a tape.

    Parameters
    ----------
    path : Path
        CSV as ``gm.readers.read_tape`` takes it, or ticks as ``gm.readers.read_ticks`` does.
    instrument : InstrumentConfig
    seed : int
        Of the venue's dice: part of the name, because other luck is another run.
    day_first, timezone, bar_minutes : optional
        As for ``gm.readers.read_tape``: what a file of bars may leave open.

    Returns
    -------
    Tape

    Raises
    ------
    DataGap
        If there is no such file, or it may not be read.
    BadTape
        If the file has no usable header, or not one line after it. Lines of which none is a bar are
        a tape all the same: the engine counts them.
    BadArgument
        If it cannot be told how to read the file, or a file of ticks is told how.

    Source
    ------
    Ours.
    """
    # The same bytes read in another way are another tape.
    asked = [str(option) for option in (day_first, timezone, bar_minutes) if option is not None]
    try:
        if kind_of_ticks(path) is not None:
            return _tick_tape(path, instrument, seed, asked)
        result = read_tape(path, instrument, timezone, bar_minutes, day_first)
    except OSError as error:
        raise DataGap(f"{path}: {error.strerror}") from error
    if len(result.rows) == 0:
        raise BadTape(f"{path}: no line follows the header")
    if result.bar_minutes > BAR_MINUTES_MAX:
        raise BadTape(
            f"{path}: bars of {result.bar_minutes} minutes; the engine decides on bars of "
            f"{BAR_MINUTES_MAX}, and no path inside a bar is invented"
        )
    return Tape(
        rows=tape_rows(result.rows, result.bar_minutes, is_trades=result.is_trades),
        tape_id=tape_id(bytes.fromhex(result.sha256), instrument.symbol, seed, "|".join(asked)),
    )


def _tick_tape(path: Path, instrument: InstrumentConfig, seed: int, asked: list[str]) -> Tape:
    if asked:
        raise BadArgument(f"{path}: a file of ticks says itself what it holds: {', '.join(asked)}")
    result = read_ticks(path, instrument)
    if len(result.rows) == 0:
        raise BadTape(f"{path}: holds nothing of a market")
    return Tape(
        rows=result.rows,
        tape_id=tape_id(bytes.fromhex(result.sha256), instrument.symbol, seed),
    )


def synthetic_tape(bars: int, instrument: InstrumentConfig, seed: int) -> Tape:
    """Make a tape of a synthetic session; one seed for the market and for the dice."""
    return bars_tape(synthetic_session(instrument, seed, bars), BAR_MINUTES, instrument, seed)


def bars_tape(bars: Rows, bar_minutes: int, instrument: InstrumentConfig, seed: int) -> Tape:
    """Play bars that are in memory already.

    Parameters
    ----------
    bars : ndarray of gm.readers.BAR, shape (n,)
    bar_minutes : int, minutes
    instrument : InstrumentConfig
    seed : int
        Of the venue's dice.

    Returns
    -------
    Tape
    """
    rows = np.zeros(len(bars), [*bars.dtype.descr, ("line", "u8"), ("reason", "u4")])
    for name in bars.dtype.names or ():
        rows[name] = bars[name]
    digest = hashlib.sha256(bars.tobytes()).digest()
    return Tape(rows=tape_rows(rows, bar_minutes), tape_id=tape_id(digest, instrument.symbol, seed))


def tape_rows(read: Rows, bar_minutes: int, *, is_trades: bool = False) -> Rows:
    """Put what the reader found on the wire, as read, and refused lines as QUARANTINE.

    Parameters
    ----------
    read : ndarray, shape (n,)
        Columns of ``gm.readers.TAPE_ROW``.
    bar_minutes : int, minutes
        Length of every bar.
    is_trades : bool
        A row is one trade, its price in each of the four columns.

    Returns
    -------
    ndarray of layout.TAPE_ROW, shape (n,)
    """
    rows = np.zeros(len(read), layout.TAPE_ROW)
    bars = np.zeros(len(read), layout.BAR_CLOSE)
    refusals = np.zeros(len(read), layout.QUARANTINE)
    for name in ("start_ts_ns", "open_ticks", "high_ticks", "low_ticks", "close_ticks"):
        bars[name] = read[name]
    bars["volume_lots"] = read["volume_lots"]
    bars["flags"] = read["flags"]
    bars["duration_s"] = bar_minutes * 60
    refusals["line"] = read["line"]
    refusals["reason"] = read["reason"]
    trades = np.zeros(len(read), layout.TRADE)
    trades["price_ticks"] = read["close_ticks"]
    trades["quantity_lots"] = read["volume_lots"]
    for payloads in (bars, trades, refusals):
        payloads["instrument"] = INSTRUMENT_NUMBER
    good, kind = (trades, RecordType.TRADE) if is_trades else (bars, RecordType.BAR_CLOSE)
    is_good = read["reason"] == 0
    rows["payload"] = np.where(is_good[:, None], _bytes_of(good), _bytes_of(refusals))
    rows["type"] = np.where(is_good, kind, RecordType.QUARANTINE)
    rows["ts_ns"] = np.where(is_good & is_trades, read["start_ts_ns"], 0)
    return rows


def tape_id(content_sha256: bytes, symbol: str, seed: int, asked: str = "") -> bytes:
    """Name a tape: SHA-256 over that of its bytes, instrument, seed and reading options."""
    text = b"%s\0%d\0%s" % (symbol.encode(), seed, asked.encode())
    return hashlib.sha256(content_sha256 + text).digest()


def _bytes_of(payloads: Rows) -> NDArray[np.uint8]:
    return payloads.view(np.uint8).reshape(len(payloads), layout.PAYLOAD_SIZE)
