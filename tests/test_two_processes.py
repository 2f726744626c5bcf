"""Promise: `gm venue` and `gm run` as a person starts them. What cannot be sent safely is refused
with exit code 3 and the key's name, a signal ends a run cleanly and the next one goes on from
there, and whatever an HTTP client does harms nobody.
"""

import contextlib
import json
import signal
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gm.layout import OrderState

from .kills import check_everything, fed
from .runs import Place, Process, Result, Tape, finish, gm, place, table, trade
from .tapes import write_config, write_trades, write_trends

CONFIGURATION = 3
LONG_BARS, SHORT_BARS = 8_000, 400
METRICS_S = 10.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def tape(folder: Path) -> Tape:
    """Over in a blink."""
    return Tape(write_trends(folder / "short.csv", SHORT_BARS), "BTC-PERP", 3)


@pytest.fixture(scope="module")
def long_tape(folder: Path) -> Tape:
    """Long enough to be caught in the middle."""
    return Tape(write_trends(folder / "long.csv", LONG_BARS), "BTC-PERP", 3)


@pytest.fixture(scope="module")
def busy(folder: Path) -> Path:
    """Settings under which an order is in flight at most bars."""
    return write_config(folder / "busy.yaml", policy={"max_hold_bars": 1})


@pytest.fixture
def running(tmp_path: Path, long_tape: Tape, busy: Path) -> Iterator[tuple[Place, Process]]:
    """An engine in the middle of a long tape, and its venue."""
    with place(tmp_path / "run", long_tape, busy) as here:
        here.venue()
        engine = here.engine("--driver", "inline")
        engine.wait_for(lambda: fed(here, engine) > 500)
        yield here, engine


# ---- the same input


@pytest.mark.parametrize("driver", ["inline", "threaded"])
def test_a_run_leaves_books_that_agree(tmp_path: Path, tape: Tape, busy: Path, driver: str) -> None:
    result = trade(tmp_path / "run", tape, "--driver", driver, config=busy)
    check_everything(result)
    assert result.engine["orders"] > 100
    assert result.engine["partial_fills"] > 0
    assert result.engine["venue_rejects"] > 0
    code, printed, _ = gm("verify", "--run-dir", result.run_dir, "--json")
    assert code == 0
    assert json.loads(printed)["fault_count"] == 0
    code, printed, _ = gm("replay", "--run-dir", result.run_dir, "--json")
    assert code == 0
    replayed = json.loads(printed)["order_stream_sha256"]
    assert replayed == result.engine["order_stream_sha256"]


def test_both_drivers_send_the_same_orders(tmp_path: Path, tape: Tape, busy: Path) -> None:
    drivers = ("inline", "threaded")
    runs = [
        trade(tmp_path / str(i), tape, "--driver", driver, config=busy).engine
        for i, driver in enumerate(drivers)
    ]
    assert runs[0] == runs[1]


def test_a_tape_of_trades_is_made_into_bars_and_traded(tmp_path: Path, busy: Path) -> None:
    count = 10 * 24 * 12
    trades = Tape(write_trades(tmp_path / "trades.csv", count), "BTC-PERP", 3)
    result = trade(tmp_path / "run", trades, config=busy)
    check_everything(result)
    assert result.engine["quarantined"] == {}
    assert result.table("quarantine") == []
    # Half-hour bars of ten days, less the 177 that the matrix needs and the one left open.
    assert 200 < result.engine["decisions"] <= 480 - 177
    assert result.engine["fills"] > 0
    assert result.venue["counters"]["feed_events"] == count + 1
    assert gm("replay", "--run-dir", result.run_dir)[0] == 0


def test_a_finished_run_that_is_started_again_says_the_same_and_ends(
    tmp_path: Path, tape: Tape
) -> None:
    first = trade(tmp_path / "run", tape)
    with place(tmp_path / "run", tape) as here:
        again = here.engine()
        assert again.finish() == 0, again.errors()
    assert json.loads(again.printed()) == first.engine


# ---- what is refused


def refused(process: Process, *words: str) -> None:
    assert process.finish() == CONFIGURATION, process.errors()
    for word in words:
        assert word in process.errors(), process.errors()
    assert "Traceback" not in process.errors()
    assert process.printed() == ""


def test_a_run_directory_of_another_tape_is_refused(tmp_path: Path, tape: Tape) -> None:
    other_bars = write_trends(tmp_path / "other.csv", SHORT_BARS, seed=9)
    for other in (tape._replace(seed=4), tape._replace(bars=other_bars)):
        run_dir = tmp_path / f"run-{other.seed}-{other.bars.stem}"
        before = trade(run_dir, tape)
        with place(run_dir, tape) as here:
            here.venue(tape=other)
            refused(here.engine(), "--run-dir", str(run_dir))
        assert table(run_dir, "fills") == before.table("fills")


def test_an_unfinished_run_of_another_tape_is_refused_too(
    running: tuple[Place, Process], tape: Tape
) -> None:
    here, engine = running
    engine.kill()
    here.processes[0].kill()
    here.venue(tape=tape)
    refused(here.engine("--driver", "inline"), "--run-dir")


def test_another_profile_is_refused(tmp_path: Path, tape: Tape) -> None:
    with place(tmp_path / "run", tape) as here:
        refused(here.engine("--profile", "three_level"), "three_level", "strategic_only")
        refused(here.engine("--profile", "two_level"), "types", "limit")
        assert not (tmp_path / "run").exists()


def test_an_unknown_instrument_is_refused(tmp_path: Path, tape: Tape) -> None:
    with place(tmp_path / "run", tape) as here:
        refused(here.engine(instrument="DOGE"), "DOGE")
        refused(here.venue(tape=tape._replace(instrument="DOGE")), "DOGE")
        assert not (tmp_path / "run").exists()


def test_other_settings_on_the_same_run_directory_are_refused(
    tmp_path: Path, tape: Tape, busy: Path
) -> None:
    trade(tmp_path / "run", tape)
    with place(tmp_path / "run", tape, busy) as here:
        refused(here.engine(), "--run-dir")


def test_a_second_engine_on_the_same_run_directory_is_refused(
    running: tuple[Place, Process],
) -> None:
    here, engine = running
    second = here.engine()
    assert second.finish() != 0
    assert str(here.run_dir) in second.errors()
    assert "Traceback" not in second.errors()
    result = finish(here, engine, here.processes[0])
    check_everything(result)
    assert result.venue["counters"]["sessions"] == 1


# ---- signals


@pytest.mark.parametrize(
    ("driver", "number"), [("inline", signal.SIGTERM), ("threaded", signal.SIGINT)]
)
def test_a_signal_ends_a_run_cleanly_and_the_next_goes_on_to_the_end(
    tmp_path: Path, long_tape: Tape, busy: Path, driver: str, number: signal.Signals
) -> None:
    with place(tmp_path / "run", long_tape, busy) as here:
        venue = here.venue()
        for feed in (1_000, 7_000):
            engine = here.engine("--driver", driver)
            engine.wait_for(lambda feed=feed, engine=engine: fed(here, engine) > feed)
            engine.send(number)
            assert engine.finish() == 0, engine.errors()
            check_stopped(here, engine)
        result = finish(here, here.engine("--driver", driver), venue)
    check_everything(result)
    assert result.engine["decisions"] > LONG_BARS * 0.9


def check_stopped(here: Place, engine: Process) -> None:
    """After a clean stop: totals printed, nothing open, a sound journal, a full database."""
    totals = json.loads(engine.printed())
    assert gm("verify", "--run-dir", here.run_dir)[0] == 0
    states = {row["state"] for row in table(here.run_dir, "orders")}
    still_open = {"intent", "sent", "live", "partial", "unknown", "pending_cancel"}
    assert not states & still_open
    assert states <= {state.name.lower() for state in OrderState}
    assert len(table(here.run_dir, "orders")) == totals["orders"]
    assert len(table(here.run_dir, "fills")) == totals["fills"]


def test_without_a_venue_the_engine_waits_and_a_signal_ends_it(tmp_path: Path, tape: Tape) -> None:
    with place(tmp_path / "run", tape) as here:
        engine = here.engine()
        engine.wait_for(lambda: any(line["event"] == "recovered" for line in engine.log()))
        code, printed, _ = gm("status", "--run-dir", here.run_dir, "--json")
        assert code == 0
        assert json.loads(printed)["io"]["phase"] != "ready"
        engine.send(signal.SIGTERM)
        assert engine.finish(10) == 0, engine.errors()


def test_a_venue_that_stops_and_an_engine_that_is_told_to_stop_both_end_well(
    running: tuple[Place, Process],
) -> None:
    here, engine = running
    venue = here.processes[0]
    venue.send(signal.SIGTERM)
    assert venue.finish() == 0, venue.errors()
    assert json.loads(venue.printed())["ended"] is False
    assert engine.is_running
    engine.send(signal.SIGTERM)
    assert engine.finish() == 0, engine.errors()
    assert gm("verify", "--run-dir", here.run_dir)[0] == 0
    assert gm("replay", "--run-dir", here.run_dir)[0] == 0


# ---- systemd


@contextlib.contextmanager
def systemd(folder: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A socket that stands for systemd, and the environment that names it."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(path))
        channel.setblocking(False)
        yield channel, {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1000000"}


def received(channel: socket.socket) -> list[str]:
    messages = []
    with contextlib.suppress(BlockingIOError):
        while True:
            messages.append(channel.recv(4096).decode())
    return messages


def test_systemd_hears_ready_then_watchdogs_then_stopping(tmp_path: Path, tape: Tape) -> None:
    with systemd(tmp_path) as (channel, environment), place(tmp_path / "run", tape) as here:
        here.venue("--speed", "20000")
        engine = here.engine(environment=environment)
        messages: list[str] = []

        def has_heard() -> bool:
            messages.extend(received(channel))
            return messages.count("WATCHDOG=1") >= 3 and "READY=1" in messages

        engine.wait_for(has_heard, 30)
        assert "STOPPING=1" not in messages
        engine.send(signal.SIGTERM)
        assert engine.finish() == 0, engine.errors()
        messages += received(channel)
    assert messages.count("READY=1") == 1
    assert messages.count("STOPPING=1") == 1
    assert messages.index("READY=1") < messages.index("STOPPING=1")


# ---- running free, and HTTP


def url_of(engine: Process) -> str:
    """Where the engine says that /metrics is."""
    found: list[str] = []

    def has_said() -> bool:
        found.extend(line["url"] for line in engine.log() if line["event"] == "metrics")
        return bool(found)

    engine.wait_for(has_said, 30)
    return found[0].removesuffix("/metrics")


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=METRICS_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metric(url: str, name: str) -> float:
    _, text = fetch(f"{url}/metrics")
    lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    assert len(lines) == 1, (name, lines)
    return float(lines[0].rpartition(" ")[2])


@pytest.mark.parametrize("driver", ["inline", "threaded"])
def test_a_free_running_session_trades_and_answers_until_it_is_stopped(
    tmp_path: Path, tape: Tape, driver: str
) -> None:
    # 400 half hours at 100,000 times real time: seven seconds, and many orders in each of them.
    rates = {"orders_per_second_max": 1_000, "orders_burst_max": 1_000}
    desk = rates | {"duplicates_max": 64, "duplicate_window_ms": 1}
    config = write_config(
        tmp_path / "fast.yaml",
        policy={"max_hold_bars": 1},
        account=rates,
        trading={"BTC-PERP": desk},
    )
    with place(tmp_path / "run", tape, config) as here:
        venue = here.venue("--speed", "100000")
        engine = here.engine("--driver", driver)
        url = url_of(engine)
        engine.wait_for(lambda: fetch(f"{url}/ready")[0] == 200, 30)
        code, body = fetch(f"{url}/health")
        assert (code, json.loads(body)["healthy"]) == (200, True)
        assert fetch(f"{url}/nothing")[0] == 404
        assert metric(url, "gm_ready") == 1
        assert venue.finish() == 0, venue.errors()
        assert json.loads(venue.printed())["ended"] is True
        assert engine.is_running, "running free, END is not the end"
        assert metric(url, "gm_orders_total") > 20
        engine.send(signal.SIGTERM)
        assert engine.finish() == 0, engine.errors()
        result = Result(here.run_dir, json.loads(engine.printed()), json.loads(venue.printed()))
    assert result.engine["decisions"] > 100
    assert result.engine["fills"] == result.venue["executions"] > 20
    check_everything(result)


def test_slow_silent_and_malformed_http_clients_harm_nobody(
    running: tuple[Place, Process],
) -> None:
    here, engine = running
    port = int(url_of(engine).rpartition(":")[2])
    with contextlib.ExitStack() as clients:
        connected = 0
        for i in range(48):  # more than are served at once
            client = clients.enter_context(socket.socket())
            client.settimeout(METRICS_S)
            try:
                client.connect(("127.0.0.1", port))
            except ConnectionRefusedError:
                break  # a busy machine: the tape is over, and the port closed with it
            connected += 1
            with contextlib.suppress(OSError):
                client.sendall(HOSTILE[i % len(HOSTILE)])
        assert connected >= len(HOSTILE)
        result = finish(here, engine, here.processes[0])
    check_everything(result)
    assert "Traceback" not in engine.errors()


HOSTILE = (
    b"",
    b"GET /metrics HTTP/1.1\r\n",
    b"\x00\xff" * 512,
    b"GET " + b"/" * 70_000,
    b"POST /metrics HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
)


# ---- the database is a view


def test_a_deleted_database_comes_back_row_for_row(tmp_path: Path, tape: Tape, busy: Path) -> None:
    result = trade(tmp_path / "run", tape, config=busy)
    names = ("decisions", "orders", "fills", "positions", "quarantine", "refusals", "cursor")
    before = {name: result.table(name) for name in names}
    for path in result.run_dir.glob("gm.db*"):
        path.unlink()
    with place(tmp_path / "run", tape, busy) as here:
        again = here.engine()
        assert again.finish() == 0, again.errors()
    after = {name: result.table(name) for name in names}
    # The second start is a record of its own: only the cursor may move.
    assert after.pop("cursor")[0]["journal_sequence"] >= before.pop("cursor")[0]["journal_sequence"]
    assert after == before


def test_a_database_deleted_under_a_killed_engine_is_whole_again(
    running: tuple[Place, Process],
) -> None:
    here, engine = running
    engine.kill()
    for path in here.run_dir.glob("gm.db*"):
        path.unlink()
    check_everything(finish(here, here.engine("--driver", "inline"), here.processes[0]))


def test_a_recorder_that_fell_behind_catches_up_without_doubles(
    running: tuple[Place, Process],
) -> None:
    # The cursor of an older copy of the database: what a recorder that died earlier had left.
    here, engine = running
    copy = here.run_dir / "older.db"
    with contextlib.closing(sqlite3.connect(here.run_dir / "gm.db")) as database:
        database.execute("VACUUM INTO ?", (str(copy),))
    older = len(rows_of(copy))
    engine.wait_for(lambda: fed(here, engine) > 6_000)
    engine.kill()
    for path in here.run_dir.glob("gm.db*"):
        path.unlink()
    copy.rename(here.run_dir / "gm.db")
    result = finish(here, here.engine("--driver", "inline"), here.processes[0])
    check_everything(result)
    assert len(result.table("orders")) > older


def rows_of(path: Path) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT * FROM orders").fetchall()


def test_a_locked_database_delays_nothing_and_loses_nothing(
    running: tuple[Place, Process],
) -> None:
    here, engine = running
    with contextlib.closing(sqlite3.connect(here.run_dir / "gm.db", timeout=30)) as database:
        database.execute("BEGIN IMMEDIATE")
        reached = fed(here, engine)
        engine.wait_for(lambda: fed(here, engine) > min(reached + 3_000, 2 * LONG_BARS - 100))
        time.sleep(0.2)
        database.execute("ROLLBACK")
    check_everything(finish(here, engine, here.processes[0]))
