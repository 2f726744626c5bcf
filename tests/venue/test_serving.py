"""Promise: `gm venue` serves what the reader found, stops when told, and leaves its ledger."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from gm import layout
from gm._native.runtime import find_endpoints
from gm.config.instruments import instrument, load_instruments
from gm.config.settings import VenueSection, load_settings
from gm.errors import (
    AlreadyRunning,
    BadTape,
    ConfigError,
    DataGap,
    UnknownInstrument,
    UsageError,
)
from gm.layout import QuarantineReason, RecordType
from gm.venue import VenueOptions, run_venue, synthetic_session
from gm.venue.serving import check_options, venue_settings
from gm.venue.tape import open_tape, synthetic_tape, tape_id

from .peer import Engine, Journal

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "development.yaml"
CSV = """timestamp,open,high,low,close,volume
2022-01-01 00:00:00,100,110,90,105,1.5
2022-01-01 00:01:00,105,nan,90,105,1.5
2022-01-01 00:02:00,105.5,110,90,105,1.5
2022-01-01 00:03:00,105,110,95,100,2
2022-01-01 00:04:00,100,90,95,100,2
2022-01-01 00:05:00,100,101,99,100,2
"""


def options(run_dir: Path, **values: Any) -> VenueOptions:
    fields = {"instrument": "BTC-PERP", "run_dir": run_dir, "config": CONFIG, "as_json": True}
    return VenueOptions(**(fields | values))


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "bars.csv"
    path.write_text(CSV)
    return path


class Endpoints:
    """What a fake engine needs to know of a venue that run_venue started."""

    def __init__(self, run_dir: Path) -> None:
        found = find_endpoints(str(run_dir), make=True)
        self.feed, self.orders = found["feed"], found["orders"]
        self.context = zmq.Context()


def trade_through(run_dir: Path, journal: Journal) -> None:
    peer: Any = Endpoints(run_dir)
    engine = Engine(peer, journal)
    try:
        engine.run()
    finally:
        engine.close()
        peer.context.destroy(linger=0)


def test_bars_go_out_as_read_and_refused_lines_as_quarantine(csv: Path) -> None:
    tape = open_tape(csv, instrument("BTC-PERP"), 3)
    bar, refused = RecordType.BAR_CLOSE, RecordType.QUARANTINE
    assert list(tape.rows["type"]) == [bar, refused, refused, bar, bar, bar]
    bars = tape.rows["payload"][tape.rows["type"] == bar].copy().view(layout.BAR_CLOSE)[:, 0]
    assert list(bars["close_ticks"]) == [105, 100, 100, 100]
    assert list(bars["duration_s"]) == [60] * 4
    assert bars["volume_lots"][0] == 15_000
    # High below open: the engine refuses it, not the reader.
    assert bars["high_ticks"][2] == 90
    lines = tape.rows["payload"][tape.rows["type"] == refused].copy().view(layout.QUARANTINE)[:, 0]
    assert list(lines["line"]) == [3, 4]
    reasons = [QuarantineReason.NOT_FINITE, QuarantineReason.OFF_GRID]
    assert list(lines["reason"]) == reasons


def test_a_tape_is_named_by_bytes_instrument_and_seed(csv: Path, tmp_path: Path) -> None:
    btc, nq = instrument("BTC-PERP"), instrument("NQ")
    name = open_tape(csv, btc, 3).tape_id
    assert len(name) == 32
    assert open_tape(csv, btc, 3).tape_id == name
    assert open_tape(csv, btc, 4).tape_id != name
    assert open_tape(csv, btc, 3, timezone="Europe/Athens").tape_id != name
    other = tmp_path / "other.csv"
    other.write_text(CSV.replace("105", "106"))
    assert open_tape(other, btc, 3).tape_id != name
    digest = hashlib.sha256(b"x").digest()
    assert tape_id(digest, "NQ", 12) != tape_id(digest, "NQ1", 2)
    assert tape_id(digest, "NQ", 1, "5") != tape_id(digest, "NQ", 15)
    assert synthetic_tape(50, btc, 1).tape_id != synthetic_tape(50, nq, 1).tape_id


def test_a_file_without_a_line_is_refused_and_one_without_a_bar_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_text("timestamp,open,high,low,close,volume\n")
    with pytest.raises(BadTape, match=r"none\.csv"):
        open_tape(path, instrument("BTC-PERP"), 1)
    path.write_text("timestamp,open,high,low,close,volume\n2022-01-01 00:00:00,x,1,1,1,1\n")
    assert list(open_tape(path, instrument("BTC-PERP"), 1).rows["type"]) == [RecordType.QUARANTINE]


def test_a_session_ends_with_the_ledger_in_the_run_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []
    chosen = options(tmp_path, synthetic_bars=40, seed=5)
    thread = threading.Thread(target=lambda: codes.append(run_venue(chosen)))
    thread.start()
    journal = Journal()
    trade_through(tmp_path, journal)
    thread.join(10)
    assert codes == [0]
    printed = json.loads(capsys.readouterr().out)
    ledger = json.loads((tmp_path / "venue_ledger.json").read_text())
    assert printed["ended"] is True
    assert ledger["ended"] is True
    assert ledger["totals"]["position_lots"] == journal.position == printed["position_lots"]
    assert [row["execution_id"] for row in ledger["executions"]] == journal.executions
    assert {tuple(row["id"]) for row in ledger["orders"]} == set(journal.orders)
    assert {row["side"] for row in ledger["orders"]} == {"buy", "sell"}
    cash = 0
    for row in ledger["executions"]:
        sign = 1 if row["side"] == "sell" else -1
        cash += sign * row["price_ticks"] * row["quantity_lots"] * 100  # a tick is 100 micros
    assert ledger["totals"]["cash_micros"] == cash
    commission = sum(row["commission_micros"] for row in ledger["executions"])
    assert ledger["totals"]["commission_micros"] == commission > 0


def test_a_signal_stops_the_venue_cleanly(tmp_path: Path, csv: Path) -> None:
    program = (
        "from pathlib import Path; import sys; from gm.venue import VenueOptions, run_venue;"
        f"sys.exit(run_venue(VenueOptions(instrument='BTC-PERP', bars=Path({str(csv)!r}),"
        f" run_dir=Path({str(tmp_path)!r}), config=Path({str(CONFIG)!r}))))"
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        venue = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
        with venue:
            assert venue.stderr is not None
            assert b"6 rows of BTC-PERP" in venue.stderr.readline()
            os.kill(venue.pid, number)
            assert venue.wait(10) == 0
        assert json.loads((tmp_path / "venue_ledger.json").read_text())["ended"] is False


def test_the_books_of_an_earlier_run_outlive_a_venue_that_nobody_trades_with(
    tmp_path: Path, csv: Path
) -> None:
    books = tmp_path / "venue_ledger.json"
    books.write_text('{"ended": true}')
    program = (
        "from pathlib import Path; from gm.venue import VenueOptions, run_venue;"
        f"run_venue(VenueOptions(instrument='BTC-PERP', bars=Path({str(csv)!r}),"
        f" run_dir=Path({str(tmp_path)!r}), config=Path({str(CONFIG)!r})))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as venue:
        assert venue.stderr is not None
        assert b"6 rows of BTC-PERP" in venue.stderr.readline()
        venue.terminate()
        assert venue.wait(10) == 0
    assert books.read_text() == '{"ended": true}'


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataGap, match=r"^/.*nothing\.csv: No such file"):
        run_venue(options(tmp_path, bars=tmp_path / "nothing.csv"))


def test_a_run_directory_has_one_venue(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from gm.venue import VenueOptions, run_venue;"
        f"run_venue(VenueOptions(instrument='BTC-PERP', synthetic_bars=5,"
        f" run_dir=Path({str(tmp_path)!r}), config=Path({str(CONFIG)!r})))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as first:
        assert first.stderr is not None
        first.stderr.readline()
        with pytest.raises(AlreadyRunning, match="--run-dir"):
            run_venue(options(tmp_path, synthetic_bars=5))
        first.terminate()
        assert first.wait(10) == 0


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "--bars"),
        ({"bars": Path("x"), "synthetic_bars": 3}, "--bars"),
        ({"synthetic_bars": 3, "seed": -1}, "--seed"),
        ({"synthetic_bars": 3, "seed": 2**64}, "--seed"),
        ({"synthetic_bars": 3, "speed": 0.0}, "--speed"),
        ({"synthetic_bars": 3, "speed": float("nan")}, "--speed"),
        ({"synthetic_bars": 3, "speed": float("inf")}, "--speed"),
        ({"synthetic_bars": 3, "speed": 1.0, "history": -1}, "--history"),
        ({"synthetic_bars": 3, "history": 1}, "--history needs --speed"),
        ({"synthetic_bars": 3, "day_first": False}, "--date-order"),
        ({"synthetic_bars": 3, "timezone": "UTC"}, "--timezone"),
        ({"synthetic_bars": 3, "bar_minutes": 5}, "--bar-minutes"),
        ({"bars": Path("x"), "timezone": "Europe/Nowhere"}, "--timezone .*Nowhere"),
        ({"bars": Path("x"), "timezone": "../etc/passwd"}, "--timezone"),
        ({"bars": Path("x"), "bar_minutes": 0}, "--bar-minutes"),
        ({"bars": Path("x"), "bar_minutes": 31}, "--bar-minutes"),
    ],
)
def test_a_contradictory_command_line_is_refused(values: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        check_options(options(Path("unused"), **values))


HEADER = "timestamp,open,high,low,close,volume\n"
BAR_1, BAR_2 = "1/2/2022 00:00,100,110,90,105,1\n", "2/2/2022 00:00,100,110,90,105,1\n"


@pytest.mark.parametrize(
    ("text", "values", "named"),
    [
        (HEADER + BAR_1 + BAR_2, {}, "say --date-order day-first or month-first"),
        (HEADER + "2022-01-01 00:00:00,100,110,90,105,1\n", {}, "say --bar-minutes"),
        (
            CSV.replace("timestamp", "timestamp_utc"),
            {"timezone": "Europe/Athens"},
            "--timezone says Europe/Athens",
        ),
    ],
)
def test_a_question_of_the_reader_names_the_option_that_answers_it(
    tmp_path: Path, text: str, values: dict[str, Any], named: str
) -> None:
    path = tmp_path / "timezone_bar_minutes.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=rf"--bars .*/timezone_bar_minutes\.csv: .*{named}"):
        run_venue(options(tmp_path, bars=path, **values))


def test_an_unknown_instrument_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownInstrument):
        run_venue(options(tmp_path, instrument="NOPE", synthetic_bars=3))


def test_the_venue_section_becomes_whole_numbers_of_the_core() -> None:
    section = load_settings(CONFIG).venue
    row = venue_settings(section, instrument("NQ"), 9)[0]
    assert row["seed"] == 9
    assert row["latency_ns"] == 250_000_000
    assert row["commission_micros_per_lot"] == 2_000_000
    assert row["commission_ppm"] == 0
    row = venue_settings(section, instrument("GBPUSD"), 9)[0]
    assert row["commission_ppm"] == 20
    row = venue_settings(section, instrument("IBM"), 9)[0]
    assert row["commission_micros_per_lot"] == 5_000


def test_an_instrument_without_a_commission_is_refused_and_a_written_zero_is_free() -> None:
    with pytest.raises(ConfigError, match=r"venue\.commission_bps\.NQ.* 0$"):
        venue_settings(VenueSection(), instrument("NQ"), 1)
    for field in ("commission_per_lot", "commission_bps"):
        section = msgspec.structs.replace(VenueSection(), **{field: {"NQ": Decimal(0)}})
        row = venue_settings(section, instrument("NQ"), 1)[0]
        assert row["commission_micros_per_lot"] == row["commission_ppm"] == 0


@pytest.mark.parametrize("name", ["development", "staging", "production"])
def test_every_shipped_instrument_has_its_commission(name: str) -> None:
    section = load_settings(ROOT / "configs" / f"{name}.yaml").venue
    for config in load_instruments().values():
        venue_settings(section, config, 1)


@pytest.mark.parametrize("field", ["commission_per_lot", "commission_bps"])
@pytest.mark.parametrize("value", ["0.0000001", "-1"])
def test_a_commission_that_the_core_cannot_count_is_refused(field: str, value: str) -> None:
    section = msgspec.structs.replace(VenueSection(), **{field: {"NQ": Decimal(value)}})
    with pytest.raises(ConfigError, match=rf"venue\.{field}\.NQ"):
        venue_settings(section, instrument("NQ"), 1)


def test_a_synthetic_session_is_a_market_and_the_same_everywhere() -> None:
    session = synthetic_session(instrument("BTC-PERP"), 7, 8640)
    assert len(session) == 8640
    # Golden: numpy's PCG64 and integers only.
    assert hashlib.sha256(session.tobytes()).hexdigest().startswith("3a05df0a08f05e9c")
    assert np.all(
        session["high_ticks"] >= np.maximum(session["open_ticks"], session["close_ticks"])
    )
    assert np.all(session["low_ticks"] <= np.minimum(session["open_ticks"], session["close_ticks"]))
    assert np.all(np.diff(session["start_ts_ns"]) == 300 * 10**9)
    assert np.all(session["volume_lots"] > 0)
    assert np.all(session["flags"] == 0)
    moves = np.abs(np.diff(session["close_ticks"])) / session["close_ticks"][1:]
    assert 0.0003 < np.median(moves) < 0.003
    assert moves.max() < 0.02


def test_a_synthetic_session_keeps_to_the_sessions_of_its_exchange() -> None:
    session = synthetic_session(instrument("NQ"), 7, 2000)
    steps = np.diff(session["start_ts_ns"]) // 10**9
    assert set(steps) >= {300, 3900}  # the daily pause of an hour
    assert steps.max() > 2 * 86_400  # and the weekend


def test_other_seeds_are_other_markets_and_bad_ones_are_refused() -> None:
    btc = instrument("BTC-PERP")
    assert np.any(synthetic_session(btc, 1, 100) != synthetic_session(btc, 2, 100))
    for seed, bars in ((-1, 10), (1, 0), (1, 10_000_001)):
        with pytest.raises(ValueError, match="seed must be"):
            synthetic_session(btc, seed, bars)
