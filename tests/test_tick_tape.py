"""Promise: a tape of ticks is played to the engine in lockstep and at speed, each record as the
reader left it; trades close bars and decide nothing that a replay would not.
"""

from pathlib import Path

import numpy as np
import pytest

import gm
from gm import layout
from gm.config.instruments import instrument
from gm.layout import RecordType
from gm.venue.tape import open_tape

from .data.claims import check_replay_is_byte_identical
from .readers.test_binance import line
from .runs import CONFIG, Place, Result, Tape, finish, payloads, place, records

START_MS = 1_723_161_600_000  # 2024-08-09 00:00 UTC
DATA = (RecordType.TRADE, RecordType.QUOTE, RecordType.BOOK_LEVEL, RecordType.BOOK_RESET)


def session_of_a_day(minutes: int) -> str:
    """Three messages a minute of a recorder whose clock is 1.2 s behind."""
    random = np.random.default_rng(5)
    price, lines = 600_000, []
    for minute in range(minutes):
        ms = START_MS + minute * 60_000
        ns = (ms - 1_200) * 10**6
        price += int(random.integers(-40, 41))
        stamp = {"E": ms, "T": ms, "s": "BTCUSDT"}
        bid, ask = f"{price / 10:.1f}", f"{(price + 1) / 10:.1f}"
        if minute == 0:
            full = {"lastUpdateId": 1, "E": ms, "T": ms, "bids": [[bid, "1"]], "asks": [[ask, "1"]]}
            lines.append(line(full, ns=ns, stream=None))
        change = {
            "e": "depthUpdate", "U": 3 * minute + 2, "u": 3 * minute + 4, "pu": 3 * minute + 1,
            "b": [[bid, "1.5"], [f"{price / 10 - 30:.1f}", "0"]], "a": [[ask, "2.5"]],
        }  # fmt: skip
        lines.append(line(change | stamp, ns=ns))
        top = {"e": "bookTicker", "u": minute, "b": bid, "B": "1.5", "a": ask, "A": "2.5"}
        lines.append(line(top | stamp, ns=ns))
        sold = {"e": "trade", "p": ask, "q": "0.010", "X": "MARKET", "m": False}
        lines.append(line(sold | stamp, ns=ns + 3_000_000))
        if minute % 100 == 50:
            lines.append("half a li\n")
    return "".join(lines)


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    path = tmp_path_factory.mktemp("ticks") / "recording"
    path.write_text(session_of_a_day(400))
    return Tape(path, "BTCUSDT", 7)


@pytest.fixture(scope="module")
def lockstep(tape: Tape, tmp_path_factory: pytest.TempPathFactory) -> Result:
    with place(tmp_path_factory.mktemp("lockstep") / "run", tape) as here:
        return finish(here, here.engine("--driver", "inline"), here.venue())


def check_journal(run_dir, tape: Tape) -> np.ndarray:
    """Every row of the tape was consumed, in order and as read."""
    rows = open_tape(tape.bars, instrument(tape.instrument), tape.seed).rows
    slots = records(run_dir)
    fed = slots[np.isin(slots["header"]["type"], [*DATA, RecordType.QUARANTINE])]
    assert np.array_equal(fed["header"]["type"], rows["type"])
    assert np.array_equal(fed["payload"], rows["payload"])
    is_data = np.isin(rows["type"], DATA)
    assert np.array_equal(fed["header"]["source_ts_ns"][is_data], rows["ts_ns"][is_data])
    return slots


def test_lockstep_plays_every_row_and_trades_close_bars(lockstep: Result, tape: Tape) -> None:
    slots = check_journal(lockstep.run_dir, tape)
    # 400 minutes: 13 bars of half an hour closed by the trades behind them.
    assert len(payloads(slots, RecordType.POSITION, layout.POSITION_UPDATE)) >= 13
    assert lockstep.venue["counters"]["refused_rows"] == 0
    assert len(payloads(slots, RecordType.QUARANTINE, layout.QUARANTINE)) == 4


def test_time_is_when_a_record_came_in_on_the_clock_of_the_exchange(lockstep: Result) -> None:
    slots = records(lockstep.run_dir)
    trades = slots[slots["header"]["type"] == RecordType.TRADE]["header"]
    late_ns = trades["receive_ts_ns"] - trades["source_ts_ns"]
    # 3 ms behind the quote of the same stamp; the 1.2 s of the recorder's clock are gone.
    assert late_ns.min() >= 3_000_000
    assert late_ns.max() < 100_000_000


def test_a_backtest_of_ticks_is_the_lockstep_run_record_by_record(
    lockstep: Result, tape: Tape, tmp_path: Path
) -> None:
    rows = open_tape(tape.bars, instrument(tape.instrument), tape.seed).rows
    assert rows["delay_us"].max() > 0  # or its time would be the exchange's
    run = gm.backtest(CONFIG, tape.bars, tape.instrument, seed=tape.seed, run_dir=tmp_path / "run")
    assert run.run_dir is not None
    assert records(run.run_dir).tobytes() == records(lockstep.run_dir).tobytes()


def test_a_run_at_speed_consumes_the_same_rows(
    tape: Tape, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with place(tmp_path_factory.mktemp("speed") / "run", tape) as here:
        venue = here.venue("--speed", "20000")
        engine = here.engine("--driver", "inline")
        assert venue.finish() == 0, venue.errors()[-3000:]
        wait_for_end(here)
        engine.send(15)
        assert engine.finish() == 0, engine.errors()[-3000:]
        check_journal(here.run_dir, tape)


def wait_for_end(here: Place) -> None:
    """The venue has gone; what it published is on its way to the journal."""
    engine = here.processes[-1]
    engine.wait_for(lambda: (here.run_dir / "gm.db").exists())


def test_the_replay_of_ticks_is_byte_identical(lockstep: Result, tmp_path: Path) -> None:
    check_replay_is_byte_identical(lockstep, tmp_path)
