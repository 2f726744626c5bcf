"""Promises P1 and P2: an engine that is killed at any moment, again and again, sends no order twice
and loses no fill. A tape with an order in flight at most bars; P2's clean cases beside it.
"""

import os
import random
from pathlib import Path

import pytest

from .kills import campaign, check_everything, draw_kills, native_campaign
from .runs import Tape, place
from .tapes import write_config, write_trends

DRIVERS = ("inline", "threaded")
# No life gets so far: END comes after the last death.
BARS_A_LIFE = 80


def drawn() -> random.Random:
    """Dice whose seed is printed with a failure: GM_KILL_SEED repeats a run."""
    seed = int(os.environ.get("GM_KILL_SEED") or int.from_bytes(os.urandom(4), "little"))
    print(f"GM_KILL_SEED={seed}")
    return random.Random(seed)


def busy(folder: Path, bars: int) -> tuple[Tape, Path]:
    """A tape and settings under which every second bar trades: no position is held for long."""
    tape = Tape(write_trends(folder / "bars.csv", bars), "BTC-PERP", 3)
    return tape, write_config(folder / "busy.yaml", policy={"max_hold_bars": 1})


def die_and_check(folder: Path, driver: str, lives: int) -> None:
    tape, config = busy(folder, BARS_A_LIFE * lives)
    with place(folder / "run", tape, config) as here:
        result, deaths = native_campaign(here, drawn(), driver, lives)
        check_everything(result)
    print(f"deaths: {dict(deaths)}")
    assert deaths.total() == lives
    assert deaths["exit 137"] > lives // 4
    # A life that was killed before it could speak to the venue counts as a death all the same.
    assert result.venue["counters"]["sessions"] > lives // 2
    assert result.engine["orders"] > 10 * lives


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


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_thousand_deaths_leave_books_that_agree(tmp_path: Path, driver: str) -> None:
    die_and_check(tmp_path, driver, 1_000)
