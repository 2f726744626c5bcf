"""Files of ticks become the rows of a tape: trades, best prices, levels, and a reason for the rest.

What a file is, its first bytes say: a zip holds a day of IBM-style trades or quotes, zstandard or
plain DBN market by order, lines of a stamp and JSON a recording of Binance. Each file is read once,
in pieces.
"""

import contextlib
import errno
import gzip
import hashlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from io import SEEK_END
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
import zstandard

from gm.calendars import NO_TIME, SECOND_NS
from gm.config.instruments import InstrumentConfig, instrument as find_instrument
from gm.errors import BadTape
from gm.layout import BookResetReason, RecordType
from gm.readers.binance import decode_binance
from gm.readers.clock import ClockOffset, correct, estimate_offset
from gm.readers.dbn import decode_dbn, symbols_of_dbn
from gm.readers.events import Rows, refusals, refuse_late, to_tape
from gm.readers.ibm import decode_ibm

_CHUNK_BYTES = 1 << 20
_DAMAGE = (
    zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, zstandard.ZstdError, EOFError,
    NotImplementedError,  # a zip packed in a way that nobody here unpacks
)  # fmt: skip
_WINDOW_BYTES_MAX = 1 << 27  # what a zstandard frame may ask for
_GZIP, _ZIP, _ZSTD, _DBN = b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"DBN"
_RECORDED = re.compile(rb"\s*\d{16,19} \{")
_HEAD_BYTES = 512
_MEMBER = re.compile(r"(\d{8})_(?:([a-z0-9.-]+)_)?.*(trade|quote)", re.IGNORECASE)
# Behind the symbol of a future: a month and a year, or words for several of them.
_CONTRACT = re.compile(r"[FGHJKMNQUVXZ]\d{1,2}|\.(FUT|[cnv]\.\d+)")
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)  # zstandard's frames without content
_ZSTD_HEAD_BYTES, _ZSTD_REPEATED = 18, 1


class TickResult(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What ``read_ticks`` found in a file.

    ``rows`` as the venue plays them; ``events`` the same before that, stamps corrected; ``lines``
    of each; ``gaps`` in the sequence of the book; ``clock`` where the recorder's clock had to be
    put right.
    """

    rows: Rows
    events: Rows
    quarantine: list[tuple[int, str]]
    kind: str
    gaps: int
    clock: ClockOffset | None
    sha256: str


def kind_of_ticks(path: str | PathLike[str]) -> str | None:
    """Say what a file of ticks is by its first bytes.

    Parameters
    ----------
    path : path

    Returns
    -------
    str or None
        ``zip``, ``dbn`` or ``binance``; None: it is none of these.

    Raises
    ------
    OSError
        If there is no such file.
    """
    with Path(path).open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_ZIP):
        return "zip"
    if head.startswith((_ZSTD, _DBN)):
        return "dbn"
    if head.startswith(_GZIP):
        with contextlib.suppress(zlib.error):
            head = zlib.decompressobj(wbits=31).decompress(head, _HEAD_BYTES)
    return "binance" if _RECORDED.match(head) else None


def read_ticks(path: str | PathLike[str], instrument: str | InstrumentConfig) -> TickResult:
    """Read a file of ticks: all that fits on the wire, refused lines with their reason.

    Parameters
    ----------
    path : path
        A zip of IBM-style trades or quotes, a recording of Binance USD-M (plain or gzip), or DBN
        market by order (plain or zstandard).
    instrument : str or InstrumentConfig
        Tick and lot; symbol of the messages of Binance; zone of the exchange.

    Returns
    -------
    TickResult
        ``rows``: ndarray of layout.TAPE_ROW, shape (n,), in the order of the file: trades, quotes,
        levels and resets of the book, refusals. Crossed books and the like are in it as read:
        those the engine refuses. ``quarantine``: (line, reason) in the order of the file; records
        of DBN count as lines, and so do those of the one file within a zip.

    Raises
    ------
    BadTape
        If the file is damaged, or not one of these, or names another instrument.
    UnknownInstrument, OSError
        If there is no such instrument or file.

    Source
    ------
    SPEC §1, Quarantine, "Two places".
    """
    path = Path(path)
    config = find_instrument(instrument) if isinstance(instrument, str) else instrument
    kind = kind_of_ticks(path)
    if kind is None:
        raise BadTape(f"{path}: neither a zip of ticks, nor DBN, nor a recording of Binance")
    digest = _digest_of(path)
    clock = None
    with _damage_named(path):
        if kind == "zip":
            kind, events = _read_zip(path, config)
        elif kind == "dbn":
            pieces = _unpacked(path)
            head = next(pieces, b"")
            _check_symbol(path, symbols_of_dbn(head), config.symbol)
            events = refuse_late(decode_dbn(chain((head,), pieces), *_sizes(config)))
        else:
            events = refuse_late(decode_binance(_unpacked(path), config.symbol, *_sizes(config)))
            clock = _put_right(events)
    resets = events[events["type"] == RecordType.BOOK_RESET]
    return TickResult(
        rows=to_tape(events),
        events=events,
        quarantine=refusals(events),
        kind=kind,
        gaps=int((resets["c"] == BookResetReason.GAP).sum()),
        clock=clock,
        sha256=digest,
    )


def _sizes(config: InstrumentConfig) -> tuple[int, int]:
    row = config.to_row()
    return int(row["tick_size_e9"][0]), int(row["volume_lot_e9"][0])


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise BadTape(f"{path}: damaged file: {error}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # the directory of a zip points before its beginning
            raise
        raise BadTape(f"{path}: damaged file: {error}") from error


def _pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while piece := read(_CHUNK_BYTES):
        yield piece


def _unpacked(path: Path) -> Iterator[bytes]:
    """The bytes of a file in pieces of at most 1 MiB."""
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        if head == _ZSTD:
            _check_zstd_end(file)
            yield from _unzstd(file)
        elif head.startswith(_GZIP):
            with gzip.GzipFile(fileobj=file) as packed:
                yield from _pieces(packed.read)
        else:
            yield from _pieces(file.read)


def _unzstd(file: IO[bytes]) -> Iterator[bytes]:
    unpack = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)
    with unpack.stream_reader(file, read_across_frames=True) as stream:
        yield from _pieces(stream.read)


def _check_zstd_end(file: IO[bytes]) -> None:
    """Follow the sizes of frames and blocks: the decoder takes a file that is cut for a whole."""
    size = file.seek(0, SEEK_END)
    at = 0
    while at < size:
        at = _end_of_frame(file, at)
    if at > size:
        raise EOFError("zstandard file ends in the middle")
    file.seek(0)


def _end_of_frame(file: IO[bytes], at: int) -> int:
    file.seek(at)
    head = file.read(_ZSTD_HEAD_BYTES)
    if int.from_bytes(head[:4], "little") in _SKIPPABLE:
        return at + 8 + int.from_bytes(head[4:8], "little")
    has_checksum = zstandard.get_frame_parameters(head).has_checksum
    at += zstandard.frame_header_size(head)
    is_last = False
    while not is_last:
        file.seek(at)
        head = file.read(3)
        if len(head) < 3:
            raise EOFError("zstandard file ends in the middle")
        block = int.from_bytes(head, "little")
        is_last, kind = bool(block & 1), block >> 1 & 3
        at += 3 + (1 if kind == _ZSTD_REPEATED else block >> 3)
    return at + 4 * int(has_checksum)


def _check_symbol(path: Path, named: list[str], symbol: str) -> None:
    """Refuse a file that names instruments of which none is the one asked for."""
    for name in named:
        rest = name.removeprefix(symbol)
        if name == symbol or (rest != name and _CONTRACT.fullmatch(rest)):
            return
    if named:
        raise BadTape(f"{path}: holds {', '.join(named[:3])[:80]}, not {symbol}")


def _read_zip(path: Path, config: InstrumentConfig) -> tuple[str, Rows]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        match = _MEMBER.search(members[0].filename) if len(members) == 1 else None
        if match is None:
            names = ", ".join(member.filename[:40] for member in members[:3])
            raise BadTape(
                f"{path}: must hold one file named like 20131007_ibm_Trade_Tick.csv: {names}"
            )
        if members[0].flag_bits & 1:
            raise BadTape(f"{path}: {members[0].filename} is encrypted")
        try:
            day = datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC)
        except ValueError as error:
            raise BadTape(f"{path}: {members[0].filename} names no day") from error
        _check_symbol(path, [match[2].upper()] if match[2] else [], config.symbol)
        is_quotes = match[3].lower() == "quote"
        with archive.open(members[0]) as text:
            lines: Iterable[bytes] = _pieces(text.read)
            midnight_ns = int(day.timestamp()) * SECOND_NS
            events = decode_ibm(
                lines, is_quotes, *_sizes(config), midnight_ns, config.exchange_zone
            )
    return ("quotes" if is_quotes else "trades"), refuse_late(events)


def _put_right(events: Rows) -> ClockOffset | None:
    """Put the recorder's stamps on the exchange's clock, in place."""
    received: Any = events["received_ts_ns"]
    sent: Any = events["ts_ns"]
    is_both = (received != NO_TIME) & (sent != NO_TIME)
    if not is_both.any():
        return None
    # One stamp a line: a change of the book is as many events as levels.
    _, first = np.unique(events["line"][is_both], return_index=True)
    clock = estimate_offset(received[is_both][first], sent[is_both][first])
    is_received = received != NO_TIME
    not_before = np.where(sent == NO_TIME, -(2**62), sent)[is_received]
    events["received_ts_ns"][is_received] = correct(received[is_received], not_before, clock)
    return clock
