"""Promises P1 and P2 on the BTC month: kill -9 of `gm run` at random moments, the venue living on.

After END every client id is in the ledger at most once, every order of the journal has the ledger's
state or a tombstone, and no fill is missing anywhere.
"""

from pathlib import Path

import pytest

from ..kills import campaign, check_everything, draw_kills
from ..runs import Tape, place, real_file
from ..test_killed_engine import DRIVERS, drawn

pytestmark = pytest.mark.data
FEED_EVENTS = 2 * (45_031 - 13) + 13
SEED = 7


def kill_and_check(folder: Path, driver: str, kills: int) -> None:
    tape = Tape(real_file("btc_perp_1m_202201.csv"), "BTC-PERP", SEED)
    plan = draw_kills(drawn(), kills, FEED_EVENTS, startup_s=1.2)
    with place(folder / "run", tape) as here:
        result, phases = campaign(here, plan, driver)
        check_everything(result)
    print(f"kills by phase: {dict(phases)}")
    assert phases.total() == kills
    assert 20 <= result.engine["round_trips"] <= 400
    assert result.venue["counters"]["sessions"] > kills // 2


def test_ten_kills_in_one_run_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    kill_and_check(tmp_path, "inline", 10)


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_hundred_kills_in_one_run_lose_nothing_and_double_nothing(
    tmp_path: Path, driver: str
) -> None:
    kill_and_check(tmp_path, driver, 100)
