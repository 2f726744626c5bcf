"""A file of ticks is told by its first bytes and read once, damage is named, trades become bars."""

import gzip
import hashlib
import zipfile

import numpy as np
import pytest
import zstandard

from gm.config.instruments import instrument
from gm.errors import BadArgument, BadTape
from gm.layout import RecordType
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
