"""Promises P1 and P2: an engine that is killed at any moment, again and again, sends no order twice
and loses no fill. A tape with an order in flight at most bars; P2's clean cases beside it.
"""

import contextlib
import copy
import json
import os
import random
import signal
import sqlite3
from pathlib import Path

import pytest

from gm.layout import EngineState

from .kills import (
    Kill,
    campaign,
    check_everything,
    draw_kills,
    fed,
    live_and_die,
    native_campaign,
)
from .runs import Place, Process, Result, Tape, place, trade
from .tapes import write_config, write_trends

DRIVERS = ("inline", "threaded")
# So many that END comes after the last death.
BARS_A_LIFE = 80
# At any speed: R12 and R13 count in engine time.
RATES = {"orders_per_second_max": 1_000, "orders_burst_max": 1_000}
ENDED = EngineState.ENDED.value


def drawn() -> random.Random:
    """Dice whose seed is printed with a failure: GM_KILL_SEED repeats a run."""
    seed = int(os.environ.get("GM_KILL_SEED") or int.from_bytes(os.urandom(4), "little"))
    print(f"GM_KILL_SEED={seed}")
    return random.Random(seed)


def busy(folder: Path, bars: int) -> tuple[Tape, Path]:
    """A tape and settings under which every second bar trades: no position is held for long."""
    tape = Tape(write_trends(folder / "bars.csv", bars), "BTC-PERP", 3)
    desk = RATES | {"duplicates_max": 64, "duplicate_window_ms": 1}
    return tape, write_config(
        folder / "busy.yaml",
        policy={"max_hold_bars": 1},
        account=RATES,
        trading={"BTC-PERP": desk},
    )


def die_and_check(folder: Path, driver: str, lives: int) -> None:
    tape, config = busy(folder, BARS_A_LIFE * lives)
    with place(folder / "run", tape, config) as here:
        last = 2 * BARS_A_LIFE * lives * 4 // 5
        result, deaths = native_campaign(here, drawn(), driver, lives, last)
        check_everything(result)
    print(f"deaths: {dict(deaths)}")
    assert deaths.total() > lives // 2, "a fast machine was at the end too early"
    assert deaths["exit 137"] > lives // 8
    # A life that was killed before it could speak to the venue counts as a death all the same; on a
    # machine with too much to do they are many (40 of 100 spoke beside five compilers).
    assert result.venue["counters"]["sessions"] > lives // 5
    assert result.engine["orders"] > 10 * lives


def test_the_check_sees_what_it_is_there_for(tmp_path: Path) -> None:
    tape, config = busy(tmp_path, 400)
    result = trade(tmp_path / "run", tape, config=config)
    check_everything(result)
    books = copy.deepcopy(result.ledger)

    def is_seen() -> None:
        with pytest.raises((AssertionError, KeyError)):
            check_everything(result)
        result.ledger = copy.deepcopy(books)

    result.ledger["orders"].append(result.ledger["orders"][0])  # sent twice
    is_seen()
    result.ledger["tombstones"].append(result.ledger["orders"][0]["id"])  # buried and alive
    is_seen()
    result.ledger["orders"][5]["filled_lots"] += 1
    is_seen()
    result.ledger["orders"].pop()  # the journal has one that nobody knows
    is_seen()
    result.ledger["executions"].pop()
    is_seen()
    result.ledger["executions"][3]["price_ticks"] += 1
    is_seen()
    check_everything(result)
    with contextlib.closing(sqlite3.connect(result.run_dir / "gm.db")) as database, database:
        database.execute("DELETE FROM fills WHERE rowid = (SELECT max(rowid) FROM fills)")
    is_seen()


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_hundred_deaths_leave_books_that_agree(tmp_path: Path, driver: str) -> None:
    die_and_check(tmp_path, driver, 100)


@pytest.mark.parametrize("driver", DRIVERS)
def test_gm_run_killed_while_it_starts_recovers_and_trades(tmp_path: Path, driver: str) -> None:
    tape, config = busy(tmp_path, 4_000)
    with place(tmp_path / "run", tape, config) as here:
        plan = draw_kills(drawn(), 6, 2 * 4_000, startup_s=1.0)
        result, phases = campaign(here, plan, driver)
        check_everything(result)
    assert phases.total() == len(plan)
    assert phases["ready"] >= 1
    assert result.engine["orders"] >= 2_000


@pytest.mark.parametrize("driver", DRIVERS)
def test_kills_while_the_venue_runs_free_lose_nothing(tmp_path: Path, driver: str) -> None:
    # Nobody waits for the engine: fills happen while it is dead, orders time out, bars come late.
    tape, config = busy(tmp_path, 1_500)
    with place(tmp_path / "run", tape, config) as here:
        venue = here.venue("--speed", "250000")  # eleven seconds
        random_ = drawn()
        for _ in range(5):
            engine = here.engine("--driver", driver)
            engine.wait_for(lambda engine=engine: is_ready(here, engine))
            live_and_die(here, engine, Kill(after_s=random_.uniform(0, 0.4)))
        engine = here.engine("--driver", driver)
        assert venue.finish() == 0, venue.errors()
        # The feed socket may hold END back for a moment; an engine that is stopped too early is
        # a clean stop, no loss.
        engine.wait_for(lambda: has_ended(here, engine))
        engine.send(signal.SIGTERM)
        assert engine.finish() == 0, engine.errors()
        result = Result(here.run_dir, json.loads(engine.printed()), json.loads(venue.printed()))
    check_everything(result)
    assert result.engine["fills"] > 20


def is_ready(here: Place, engine: Process) -> bool:
    status = here.status()
    return (
        status is not None
        and status["io"]["pid"] == engine.pid
        and (status["io"]["phase"] == "ready")
    )


def has_ended(here: Place, engine: Process) -> bool:
    status = here.status()
    return fed(here, engine) > 0 and status is not None and status["engine"]["state"] == ENDED


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_thousand_deaths_leave_books_that_agree(tmp_path: Path, driver: str) -> None:
    die_and_check(tmp_path, driver, 1_000)
