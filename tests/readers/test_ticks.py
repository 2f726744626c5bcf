"""A file of ticks is told by its first bytes and read once, damage is named, trades become bars."""

import gzip
import hashlib
import zipfile

import numpy as np
import pytest
import zstandard

from gm.config.instruments import instrument
from gm.errors import BadArgument, BadTape
from gm.layout import BookResetReason, RecordType
from gm.readers import aggregate_bars, kind_of_ticks, read_bars, read_ticks
from gm.venue.tape import open_tape

from .test_binance import NS, T, depth, snapshot, ticker, trade
from .test_dbn import CLEAR, file_of, mbo

DAY = "20131007"
TRADES = (
    "34200000,1815000,100,N,1,0\n34200000,1816000,50,D,1,0\n"
    "34500001,1814000,10,N,1,0\nbad\n34800000,1813000,5,N,1,0\n"
)


def write_zip(path, text, name=f"{DAY}_ibm_Trade_Tick.csv"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return path


@pytest.fixture
def write(tmp_path):
    def write_file(data, name="file"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write_file


def test_files_are_told_by_their_bytes(write, tmp_path) -> None:
    assert kind_of_ticks(write_zip(tmp_path / "a", TRADES)) == "zip"
    assert kind_of_ticks(write(file_of(CLEAR))) == "dbn"
    assert kind_of_ticks(write(zstandard.compress(file_of(CLEAR)))) == "dbn"
    assert kind_of_ticks(write(trade())) == "binance"
    assert kind_of_ticks(write(gzip.compress(trade().encode() * 99))) == "binance"
    for other in ("", "timestamp,price,size\n", "1704067200 {}", gzip.compress(b"time,open\n")):
        assert kind_of_ticks(write(other)) is None
    with pytest.raises(BadTape, match="neither a zip of ticks, nor DBN, nor a recording"):
        read_ticks(write("timestamp,price,size\n"), "IBM")


def test_a_zip_of_trades_is_read_on_the_clock_of_the_exchange(tmp_path) -> None:
    path = write_zip(tmp_path / "t.zip", TRADES)
    result = read_ticks(path, "IBM")
    assert (result.kind, result.gaps, result.clock) == ("trades", 0, None)
    assert result.quarantine == [(4, "malformed")]
    assert result.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    stamps = result.rows["ts_ns"][[0, 2]].astype("M8[ns]").astype("M8[ms]").astype(str).tolist()
    assert stamps == ["2013-10-07T13:30:00.000", "2013-10-07T13:35:00.001"]
    assert result.rows["type"].tolist() == [3, 3, 3, 5, 3]


def test_trades_of_ticks_become_bars(tmp_path) -> None:
    path = write_zip(tmp_path / "t.zip", TRADES)
    result = read_bars(path, "IBM", bar_minutes=5)
    assert [row.tolist()[1:] for row in result.bars] == [
        (1_815_000, 1_816_000, 1_815_000, 1_816_000, 150, 0),
        (1_814_000, 1_814_000, 1_814_000, 1_814_000, 10, 0),
    ]  # the bucket that the end of the file leaves open is not there
    assert result.quarantine == [(4, "malformed")]
    assert result.bar_minutes == 5
    assert aggregate_bars(result.bars, "IBM", 5, 5).tolist() == result.bars.tolist()[:2]
    with pytest.raises(BadArgument, match="say bar_minutes"):
        read_bars(path, "IBM")
    with pytest.raises(BadArgument, match="says itself what its stamps are"):
        read_bars(path, "IBM", timezone="UTC", bar_minutes=5)
    with pytest.raises(BadArgument, match="minutes of a bar must divide a day"):
        read_bars(path, "IBM", bar_minutes=7)


def test_a_recording_is_put_on_the_clock_of_the_exchange(write) -> None:
    behind = T * 10**6 - NS  # the recorder's clock says less than the exchange's
    lines = (
        depth(1, 2, 0, [["99.0", "1"]]), ticker(5), trade(),
        snapshot(4, [["99.0", "1"]], [["100.0", "1"]]),
    )  # fmt: skip
    result = read_ticks(write("".join(lines)), "BTCUSDT")
    assert result.clock is not None
    assert result.clock.offset_ns == -behind
    assert result.gaps == 1
    assert result.rows["delay_us"].tolist() == [0] * len(result.rows)
    assert result.rows["ts_ns"].tolist() == [T * 10**6] * len(result.rows)


def test_damaged_files_are_named(write, tmp_path) -> None:
    good = write_zip(tmp_path / "good.zip", TRADES * 50).read_bytes()
    packed = zstandard.compress(file_of(*[CLEAR] * 99))
    recorded = gzip.compress("".join(trade(f"{i * 7919 % 9_973}.1") for i in range(999)).encode())
    for damaged, symbol in (
        (good[:-30], "IBM"),
        (good[:60] + b"xxxx" + good[64:], "IBM"),
        (good[:60] + good[64:], "IBM"),  # its directory points before its beginning
        (packed[:9] + b"\xff" * 9 + packed[18:], "ES"),
        (recorded[:-9], "BTCUSDT"),
        (recorded[:900] + b"xxxx" + recorded[904:], "BTCUSDT"),
    ):
        with pytest.raises(BadTape, match=r"damaged file|must hold one file"):
            read_ticks(write(damaged), symbol)


def test_a_zip_must_hold_one_file_with_a_day_in_its_name(tmp_path) -> None:
    for name in ("trades.csv", "20131007_ibm_Bars.csv"):
        with pytest.raises(BadTape, match="must hold one file named like 20131007_ibm_Trade"):
            read_ticks(write_zip(tmp_path / "x.zip", TRADES, name), "IBM")
    with pytest.raises(BadTape, match="names no day"):
        read_ticks(write_zip(tmp_path / "x.zip", TRADES, "20131399_ibm_Trade_Tick.csv"), "IBM")
    path = write_zip(tmp_path / "two.zip", TRADES)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.csv", "")
    with pytest.raises(BadTape, match="must hold one file"):
        read_ticks(path, "IBM")


def test_a_cut_zstandard_file_is_no_whole_one(write) -> None:
    content = file_of(CLEAR, *[mbo("A", order) for order in range(1, 9_000)])
    for options in ({}, {"write_checksum": True}, {"level": 1, "write_content_size": False}):
        packed = zstandard.ZstdCompressor(**options).compress(content)
        whole = read_ticks(write(packed), "ES")
        assert whole.quarantine == []
        assert len(whole.rows) == 9_000
        for cut in (1, 4, len(packed) // 2, len(packed) - 5):
            with pytest.raises(BadTape, match="damaged file"):
                read_ticks(write(packed[:-cut]), "ES")
    # Frames may be joined end to end, those without content among them.
    half = [zstandard.compress(part) for part in (content[:3_000], content[3_000:])]
    skipped = (0x184D2A53).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"words"
    joined = half[0] + skipped + half[1]
    assert len(read_ticks(write(joined), "ES").rows) == 9_000
    for cut in (joined[: len(half[0]) + 6], joined[: len(half[0]) + 10], joined[:-3]):
        with pytest.raises(BadTape, match="damaged file"):
            read_ticks(write(cut), "ES")


def metadata_of(*symbols: str, version: int) -> bytes:
    width = 22 if version == 1 else 71
    fixed = bytearray(100)
    if version > 1:
        fixed[45:47] = width.to_bytes(2, "little")
    names = b"".join(symbol.encode().ljust(width, b"\0") for symbol in symbols)
    return bytes(fixed) + bytes(4) + len(symbols).to_bytes(4, "little") + names + bytes(12)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_file_that_names_another_instrument_is_refused(write, tmp_path, version) -> None:
    def read(*symbols: str, instrument: str = "ES") -> int:
        metadata = metadata_of(*symbols, version=version)
        return len(read_ticks(write(file_of(CLEAR, version=version, metadata=metadata)),
                              instrument).rows)  # fmt: skip

    for symbols in (("ESH4",), ("ES",), ("ESZ24",), ("ES.FUT",), ("ES.c.0",), ("NQH4", "ESH4"),
                    (), ("117077",)):  # fmt: skip
        assert read(*symbols) == 1
    for symbol in ("NQH4", "ESH4-ESM4", "ESX", "MESH4", "ESHH4"):
        with pytest.raises(BadTape, match=f"holds {symbol}, not ES"):
            read(symbol)
    with pytest.raises(BadTape, match="holds IBM, not ES"):
        read_ticks(write_zip(tmp_path / "t.zip", TRADES), "ES")
    assert len(read_ticks(write_zip(tmp_path / "t.zip", TRADES, f"{DAY}_trade.csv"), "ES").rows) > 0


def test_one_late_stamp_costs_its_line_and_not_the_rest(write, tmp_path) -> None:
    lines = [f"{34_200_000 + second * 1_000},1815000,1,N,1,0\n" for second in range(1_800)]
    lines[7] = "86399000,1815000,1,N,1,0\n"  # 23:59:59
    path = write_zip(tmp_path / "t.zip", "".join(lines))
    bars = read_bars(path, "IBM", bar_minutes=5)
    assert bars.quarantine == [(8, "future")]
    assert bars.bars["volume_lots"].tolist() == [299, 300, 300, 300, 300]
    rows = read_ticks(path, "IBM").rows
    assert np.flatnonzero(rows["type"] == RecordType.QUARANTINE).tolist() == [7]
    assert (np.diff(rows["ts_ns"][8:].astype(np.int64)) == 10**9).all()

    year_2100 = 4_102_444_800_000
    recorded = [trade(T=T + at, E=T + at) for at in range(20)]
    recorded[5] = trade(T=year_2100, E=year_2100)
    late = read_ticks(write("".join(recorded)), "BTCUSDT")
    assert late.quarantine == [(6, "future")]
    assert late.clock is not None
    assert late.rows["delay_us"].max() <= 20_000  # nor does it move the clock
    good = read_ticks(write("".join(recorded[:5] + recorded[6:])), "BTCUSDT")
    assert late.clock == good.clock


def test_a_late_stamp_of_one_kind_says_nothing_of_another(write) -> None:
    lines = [
        snapshot(1, [["99.0", "1"]], [["101.0", "1"]]),
        *[depth(at, at, at - 1, [["99.0", "2"], ["98.0", "1"]], T=T + at) for at in range(2, 9)],
        *[ticker(at, T=T + at) for at in range(2, 9)],
    ]
    assert read_ticks(write("".join(lines)), "BTCUSDT").quarantine == []
    lines[3] = depth(4, 4, 3, [["99.0", "2"], ["98.0", "1"]], T=T + 10**12)
    lines[10] = ticker(5, T=T + 10**12)
    late = read_ticks(write("".join(lines)), "BTCUSDT")
    assert late.quarantine == [(4, "future"), (11, "future")]
    assert late.gaps == 1  # a change that is refused is a hole in the book
    of_line = late.events[late.events["line"] == 4]
    assert of_line["type"].tolist() == [RecordType.BOOK_RESET, RecordType.QUARANTINE]
    assert of_line["c"][0] == BookResetReason.GAP
    assert (late.events["ts_ns"] < T * 10**6 + 10**9).all()


def test_a_zip_bomb_of_one_line_is_refused_and_not_held(tmp_path) -> None:
    path = write_zip(tmp_path / "bomb.zip", "9" * 100_000_000 + "\n" + TRADES)
    assert path.stat().st_size < 200_000
    assert read_ticks(path, "IBM").quarantine == [(1, "line_too_long"), (5, "malformed")]


def test_the_venue_opens_ticks_and_names_the_tape_by_their_bytes(write, tmp_path) -> None:
    path = write(zstandard.compress(file_of(CLEAR, mbo("A", 1), mbo("T", 0))))
    es = instrument("ES")
    tape = open_tape(path, es, 7)
    assert tape.rows["type"].tolist() == [
        RecordType.BOOK_RESET, RecordType.BOOK_LEVEL, RecordType.TRADE,
    ]  # fmt: skip
    assert np.array_equal(tape.rows, read_ticks(path, es).rows)
    assert tape.tape_id != open_tape(path, es, 8).tape_id
    with pytest.raises(BadArgument, match="says itself what it holds: UTC"):
        open_tape(path, es, 7, timezone="UTC")
    with pytest.raises(BadTape, match="holds nothing of a market"):
        open_tape(write_zip(tmp_path / "empty.zip", ""), instrument("IBM"), 7)
