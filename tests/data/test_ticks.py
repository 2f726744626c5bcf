"""Promise: real ticks of three exchanges become the book that a slow independent one becomes, level
by level, the bars that pandas makes, and nothing trades on a book that is not whole.
"""

import collections
import gzip
import json
import zipfile
from decimal import Decimal

import databento_dbn
import numpy as np
import pandas as pd
import pytest
import zstandard

import gm
from gm import layout
from gm._native.market import OrderBook
from gm.errors import DataGap
from gm.layout import BAR_OUT_OF_SESSION, BAR_SYNTHETIC, QuarantineReason, RecordType
from gm.readers import TickResult, read_bars, read_ticks

from ..runs import CONFIG, payloads, real_file

pytestmark = pytest.mark.data
BINANCE, DBN = "btcusdt_usdm_l2_20240808.gz", "esh4_mbo_20231225.dbn.zst"
DAYS = ("20131007", "20131008", "20131009", "20131010", "20131011")
POINTS = 60


@pytest.fixture(scope="module")
def binance() -> TickResult:
    return read_ticks(real_file(BINANCE), "BTCUSDT")


@pytest.fixture(scope="module")
def dbn() -> TickResult:
    return read_ticks(real_file(DBN), "ES")


def count_of(result: TickResult) -> dict[str, int]:
    return {
        RecordType(int(kind)).name: int(count)
        for kind, count in zip(*np.unique(result.rows["type"], return_counts=True), strict=True)
    }


def last_rows(result: TickResult) -> dict[int, int]:
    """Which row completes the last book event of a line, by line."""
    kinds = result.events["type"]
    is_end = (kinds == RecordType.BOOK_LEVEL) & (result.events["d"] == 1)
    at = np.flatnonzero(is_end)
    return dict(zip(result.events["line"][at].tolist(), at.tolist(), strict=True))


def compare(result: TickResult, slow) -> int:
    """Play the rows into the core's book, stopping where `slow` yields (line, bids, asks)."""
    book, done, levels, ends = OrderBook(), 0, 0, last_rows(result)
    for line, bids, asks in slow:
        end = ends[line] + 1
        book.apply(result.rows[done:end])
        done = end
        assert book.state == "whole", line
        assert book.levels(False).tolist() == sorted(bids.items(), reverse=True), line
        assert book.levels(True).tolist() == sorted(asks.items()), line
        levels += len(bids) + len(asks)
    return levels


# Binance


def take(sides, bids, asks) -> None:
    """Apply a message's levels to two dictionaries of lots by price."""
    for side, levels in zip(sides, (bids, asks), strict=True):
        for price, lots in levels:
            side[int(Decimal(price) * 10)] = int(Decimal(lots) * 1000)
        for price in [price for price, lots in side.items() if lots == 0]:
            del side[price]


def depth_messages():
    with gzip.open(real_file(BINANCE), "rt") as text:
        for number, line in enumerate(text, 1):
            message = json.loads(line.partition(" ")[2])
            message = message.get("data", message)
            if "lastUpdateId" in message or message["e"] == "depthUpdate":
                yield number, message


def slow_binance():
    """Two dictionaries, joined by hand: the file's one snapshot, no gap behind it."""
    sides, early, is_joined = ({}, {}), [], False
    for count, (number, message) in enumerate(depth_messages()):
        if "lastUpdateId" in message:
            is_joined = True
            take(sides, message["bids"], message["asks"])
            for held in early:
                if held["u"] >= message["lastUpdateId"]:
                    take(sides, held["b"], held["a"])
        elif not is_joined:
            early.append(message)
        else:
            take(sides, message["b"], message["a"])
            if count % (6_500 // POINTS) == 0:
                yield number, *sides


def test_the_book_of_binance_is_level_by_level_that_of_a_slow_one(binance) -> None:
    assert compare(binance, slow_binance()) > 200_000


def test_the_recording_of_binance_is_whole(binance) -> None:
    assert count_of(binance) == {
        "TRADE": 21_313, "QUOTE": 66_089, "BOOK_LEVEL": 445_262, "BOOK_RESET": 2,
    }  # fmt: skip
    assert binance.quarantine == []
    assert binance.gaps == 1  # what came before the snapshot; none behind it
    levels = binance.events[binance.events["type"] == RecordType.QUOTE]
    assert (levels["a"] < levels["b"]).all()


def test_the_recorders_clock_is_put_right(binance) -> None:
    # Known of the file: 1.24 to 1.28 s behind, throughout.
    clock = binance.clock
    assert clock is not None
    assert -1_280_000_000 < clock.offset_ns < -1_240_000_000
    assert -8_000 < clock.drift_ppb < -3_000
    assert clock.disbelieved == 0
    delay_ms = binance.rows["delay_us"] / 1000
    assert delay_ms.min() == 0
    assert np.median(delay_ms) < 10
    assert delay_ms.max() < 120
    arrival = binance.events["received_ts_ns"]
    assert (np.diff(arrival) >= 0).all()


def test_a_lost_message_is_a_gap_and_the_next_snapshot_closes_it(tmp_path) -> None:
    with gzip.open(real_file(BINANCE), "rt") as text:
        lines = [line for _, line in zip(range(3_000), text, strict=False)]
    depths = [at for at, line in enumerate(lines) if '"depthUpdate"' in line]
    path = tmp_path / "cut"
    path.write_text("".join(line for at, line in enumerate(lines) if at != depths[100]))
    result = read_ticks(path, "BTCUSDT")
    assert result.gaps == 2
    gap = result.events[result.events["type"] == RecordType.BOOK_RESET][-1]
    lost, after = (json.loads(lines[at].partition(" ")[2])["data"] for at in depths[100:102])
    assert (gap["a"], gap["b"]) == (lost["pu"], after["pu"])
    book = OrderBook()
    book.apply(result.rows)
    assert book.state == "gapped"


# CME, market by order


def slow_dbn():
    """Every order of Databento's own decoder in a dictionary, summed anew at each point."""
    with real_file(DBN).open("rb") as file:
        raw = zstandard.ZstdDecompressor().stream_reader(file).read()
    decoder = databento_dbn.DBNDecoder()
    decoder.write(raw)
    records = [r for r in decoder.decode() if isinstance(r, databento_dbn.MBOMsg)]
    orders: dict[int, tuple[str, int, int]] = {}
    events = 0
    for number, record in enumerate(records, 1):
        action = str(record.action)
        if action in ("A", "M"):
            orders[record.order_id] = (str(record.side), record.price, record.size)
        elif action == "C":
            side, price, size = orders.pop(record.order_id)
            if size > record.size:
                orders[record.order_id] = (side, price, size - record.size)
        if action in "AMC" and record.flags & 128:
            events += 1
            if events % (47_000 // POINTS) == 0:
                sides = collections.Counter(), collections.Counter()
                for side, price, size in orders.values():
                    sides["BA".index(side)][price // 250_000_000] += size
                yield number, *map(dict, sides)


def test_the_book_of_cme_is_level_by_level_that_of_its_orders(dbn) -> None:
    assert compare(dbn, slow_dbn()) > 80_000


def test_the_file_of_cme_is_whole(dbn) -> None:
    assert count_of(dbn) == {"TRADE": 2_973, "BOOK_LEVEL": 58_637, "BOOK_RESET": 1}
    assert (dbn.quarantine, dbn.gaps, dbn.clock) == ([], 0, None)
    assert 79 <= dbn.rows["delay_us"][dbn.events["line"] > 8_725].min() <= 80


# US equities


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("minutes", [5, 30])
def test_trades_of_ibm_are_the_bars_of_pandas(day, minutes) -> None:
    path = real_file(f"ibm_trade_{day}.zip")
    result = read_bars(path, "IBM", bar_minutes=minutes)
    assert result.quarantine == []
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as text:
        names = ["ms", "price", "size", "exchange", "condition", "suspicious"]
        trades = pd.read_csv(text, names=names)
    midnight = pd.Timestamp(day, tz="America/New_York")
    trades.index = pd.DatetimeIndex(midnight + pd.to_timedelta(trades["ms"], unit="ms"))
    expected = trades["price"].resample(f"{minutes}min").ohlc()
    expected["volume"] = trades["size"].resample(f"{minutes}min").sum()
    # The bucket in which the file ends stays open; empty ones are synthetic.
    expected = expected.iloc[:-1]
    real = result.bars[result.bars["flags"] & BAR_SYNTHETIC == 0]
    held = expected[expected["volume"] > 0]
    starts = held.index.tz_convert("UTC").as_unit("ns").asi8
    assert real["start_ts_ns"].tolist() == starts.tolist()
    for column in ("open", "high", "low", "close"):
        assert real[f"{column}_ticks"].tolist() == held[column].astype(int).tolist()
    assert real["volume_lots"].tolist() == held["volume"].tolist()
    assert len(result.bars) == len(expected)
    synthetic = result.bars[result.bars["flags"] & BAR_SYNTHETIC != 0]
    assert len(synthetic) == (expected["volume"] == 0).sum()
    assert (result.bars["flags"] & BAR_OUT_OF_SESSION == 0).all()


def test_quotes_of_ibm_are_of_both_sides_and_sometimes_locked_or_crossed() -> None:
    crossed = locked = 0
    for day in DAYS:
        result = read_ticks(real_file(f"ibm_quote_{day}.zip"), "IBM")
        assert set(count_of(result)) <= {"QUOTE", "QUARANTINE"}
        assert {reason for _, reason in result.quarantine} <= {"suspicious"}
        assert len(result.quarantine) <= 1  # the last line of some days carries the mark
        quotes = result.events[result.events["type"] == RecordType.QUOTE]
        both = quotes[(quotes["c"] > 0) & (quotes["d"] > 0)]
        assert len(both) > 0.99 * len(quotes)
        crossed += int((both["a"] > both["b"]).sum())
        locked += int((both["a"] == both["b"]).sum())
    assert (crossed, locked) == (204, 1_547)


# Through the engine


def refused_by_engine(name: str, symbol: str) -> dict[str, int]:
    """Book and rows that the engine refused, by reason; a book that stays so is one."""
    records = gm.backtest(CONFIG, real_file(name), symbol).records
    slots = records[records["header"]["type"] == RecordType.BAR_QUARANTINED]
    found = payloads(slots, RecordType.BAR_QUARANTINED, layout.BAR_QUARANTINED)
    counts = collections.Counter(found["reason"].tolist())
    return {QuarantineReason(reason).name.lower(): count for reason, count in counts.items()}


def test_the_engine_takes_every_tick_and_refuses_crossed_and_locked_books() -> None:
    assert refused_by_engine(BINANCE, "BTCUSDT") == {}
    assert refused_by_engine("ibm_trade_20131007.zip", "IBM") == {}
    # One auction before the open; what the quotes of eleven exchanges cross and lock in a day.
    assert refused_by_engine(DBN, "ES") == {"crossed_book": 1}
    # Quotes alone give neither a bar nor a trade: the run is no result, and says why.
    with pytest.raises(DataGap, match=r"refused: crossed_book 22, locked_book 217, suspicious 1$"):
        refused_by_engine("ibm_quote_20131007.zip", "IBM")
