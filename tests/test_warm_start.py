"""Promise: an engine that joins a running venue is warm from the first live bar on. What it takes
is in its journal: killed in the middle it goes on, and another start needs neither venue nor file
for it again.
"""

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gm import layout
from gm.layout import RecordType
from gm.replay import replay
from gm.store.verify import verify_journal

from .kills import harness
from .runs import Place, Process, Tape, gm, payloads, place, records
from .tapes import START, trending_prices, write_bars, write_config

BARS, HISTORY = 800, 600
# Half an hour in 1.8 ms: what is live lasts a third of a second.
FAST = ("--speed", "1000000")
# Half an hour in half a minute: nothing comes live while a test looks.
SLOW = ("--speed", "60")
CONFIGURATION = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("warm")


@pytest.fixture(scope="module")
def prices() -> np.ndarray:
    return trending_prices(BARS, 30_000.0)


@pytest.fixture(scope="module")
def tape(folder: Path, prices: np.ndarray) -> Tape:
    return Tape(write_bars(folder / "bars.csv", prices), "BTC-PERP", 3)


@pytest.fixture(scope="module")
def late_tape(folder: Path, prices: np.ndarray) -> Tape:
    """The same market from its 500th bar on."""
    start = START + np.timedelta64(30 * 500, "m")
    return Tape(write_bars(folder / "late.csv", prices[500:], start=start), "BTC-PERP", 3)


def row(here: Place, process: Process) -> dict[str, Any]:
    """The instrument on the page of this process; empty until there is one."""
    status = here.status()
    if status is None or status["io"]["pid"] != process.pid or not status["instruments"]:
        return {}
    return dict(status["instruments"][0])


def reach(here: Place, process: Process, feed: int) -> None:
    """Wait until a process has consumed a feed sequence, then end it cleanly."""

    def is_there() -> bool:
        status = here.status()
        mine = status is not None and status["io"]["pid"] == process.pid
        return mine and status["engine"]["last_feed_sequence"] >= feed

    process.wait_for(is_there)
    stop(process)


def stop(process: Process) -> None:
    process.send(signal.SIGTERM)
    assert process.finish() == 0, process.errors()[-3000:]


def backfilled(here: Place) -> np.ndarray:
    """Bars of the past in the segments; those in the ring are the next life's to find."""
    return payloads(records(here.run_dir), RecordType.BACKFILL, layout.BAR_CLOSE)


def check_journal(here: Place) -> np.ndarray:
    """Sound, the same once more, and no bar of the past is missing or there twice."""
    assert verify_journal(here.run_dir).faults == ()
    replay(here.run_dir)
    slots = records(here.run_dir)
    kinds = slots["header"]["type"]
    starts = payloads(slots, RecordType.BACKFILL, layout.BAR_CLOSE)["start_ts_ns"]
    assert (np.diff(starts) == 30 * 60 * 10**9).all()
    lives = np.flatnonzero(kinds == RecordType.BAR_OPEN)
    if len(lives) > 0:
        assert (np.flatnonzero(kinds == RecordType.BACKFILL) < lives[0]).all()
    assert RecordType.BAR_QUARANTINED not in kinds
    return slots


@pytest.mark.parametrize("driver", ["inline", "threaded"])
def test_a_late_engine_decides_on_the_first_live_bar(
    tmp_path: Path, tape: Tape, driver: str
) -> None:
    with place(tmp_path / "run", tape) as here:
        here.venue(*FAST, "--history", str(HISTORY))
        engine = here.engine("--driver", driver)
        reach(here, engine, 2 * BARS + 1)
        assert json.loads(engine.printed())["decisions"] == BARS - HISTORY
        slots = check_journal(here)
        assert len(payloads(slots, RecordType.BACKFILL, layout.BAR_CLOSE)) == HISTORY
        (end,) = payloads(slots, RecordType.BACKFILL_END, layout.BACKFILL_END)
        assert (end["venue_bars"], end["file_bars"]) == (HISTORY, 0)
        (said,) = (line for line in engine.log() if line["event"] == "warming up")
        assert said["bars_needed_30m"] == {"BTC-PERP": 177}
        joined = payloads(slots, RecordType.CONNECTED, layout.SESSION_EVENT)
        assert joined["feed_begins_after"].tolist() == [2 * HISTORY]
        feed = slots["header"]["source"] == layout.Source.VENUE_FEED
        assert slots["header"]["first_sequence"][feed][0] == 2 * HISTORY + 1


def test_files_fill_what_the_venue_does_not_have_and_are_not_read_again(
    tmp_path: Path, tape: Tape, late_tape: Tape
) -> None:
    file = tmp_path / "past.csv"
    file.write_bytes(tape.bars.read_bytes())
    config = write_config(tmp_path / "gm.yaml", warmup={"BTC-PERP": "past.csv"})
    with place(tmp_path / "run", late_tape, config) as here:
        here.venue(*SLOW, "--history", "100")
        first = here.engine()
        first.wait_for(lambda: row(here, first).get("is_ready"))
        code, printed, _ = gm("status", "--run-dir", here.run_dir)
        assert code == 0
        assert "100 bars of the venue, 500 of files" in printed
        stop(first)
        file.unlink()  # the journal has it all
        second = here.engine()
        second.wait_for(lambda: row(here, second).get("is_ready"))
        assert [line["event"] for line in second.log()].count("warming up") == 0
        stop(second)
        slots = check_journal(here)
        starts = payloads(slots, RecordType.BACKFILL, layout.BAR_CLOSE)["start_ts_ns"]
        assert len(starts) == 600
        assert starts[0] == START.astype("datetime64[ns]").astype(np.int64)


def test_an_engine_without_a_past_says_what_it_lacks(tmp_path: Path, tape: Tape) -> None:
    with place(tmp_path / "run", tape) as here:
        here.venue(*SLOW, "--history", "100")
        engine = here.engine()
        engine.wait_for(lambda: row(here, engine).get("bars_needed") == 77)
        page = here.status()
        assert page is not None
        code, printed, _ = gm("status", "--run-dir", here.run_dir)
        assert code == 0
        assert "warming up, 77 bars of 30 minutes to go" in printed
        stop(engine)
        states = payloads(records(here.run_dir), RecordType.STATE, layout.STATE_UPDATE)
        (cold,) = states[states["instrument"] == 0]
        assert (cold["reason"], cold["bars_needed"]) == (1, 77)


def test_a_file_that_is_missing_when_it_is_needed_is_a_configuration_error(
    tmp_path: Path, tape: Tape
) -> None:
    config = write_config(tmp_path / "gm.yaml", warmup={"BTC-PERP": "gone.csv"})
    with place(tmp_path / "run", tape, config) as here:
        engine = here.engine()
        assert engine.finish() == CONFIGURATION
        assert "warmup.BTC-PERP" in engine.errors()
        assert "gone.csv" in engine.errors()
        assert "Traceback" not in engine.errors()


@pytest.mark.parametrize("driver", ["inline", "threaded"])
def test_lives_that_die_in_the_backfill_are_gone_on_with(
    tmp_path: Path, tape: Tape, driver: str
) -> None:
    """At an exact input, and by kill -9 at any moment; then one life to the end of the tape."""
    with place(tmp_path / "run", tape) as here:
        maker = here.engine()  # makes settings.bin; its venue is not there yet
        maker.wait_for(lambda: (here.run_dir / "settings.bin").exists() and here.status())
        maker.kill()
        here.venue(*FAST, "--history", str(HISTORY))
        chance = random.Random(20261121)
        reached = [0]
        while reached[-1] < HISTORY - 100 and len(reached) < 40:
            inputs = chance.randint(20, 120) if len(reached) % 2 else 0
            life = harness(here, driver, inputs)
            if inputs == 0:
                time.sleep(chance.uniform(0.002, 0.03))
                life.kill()
            assert life.finish() == (137 if inputs else -9), life.errors()
            reached.append(len(backfilled(here)))
        assert len(set(reached)) > 5, reached  # deaths before, in and behind some of it
        last = here.engine("--driver", driver)
        reach(here, last, 2 * BARS + 1)
        slots = check_journal(here)
        assert len(payloads(slots, RecordType.BACKFILL, layout.BAR_CLOSE)) == HISTORY
        assert json.loads(last.printed())["decisions"] == BARS - HISTORY
