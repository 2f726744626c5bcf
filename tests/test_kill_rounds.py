"""Promises P1 and P2 under load: kill -9 at random instants, 50,000 messages/s, no order twice, no
fill lost. GM_KILLS, GM_KILL_SEED: how many (10,000) and which; a failure names its round.
"""

import os
import random
import shutil
from pathlib import Path

import pytest

from .kill_rounds import NOTHING, RATE, Figures, Round, play_round
from .test_killed_engine import DRIVERS

KILLS = 10_000
# Of a tape of so many seconds at full pace.
ROUND_S = 30
ROUND_KILLS_MAX = 500


def played(folder: Path, this: Round) -> Figures:
    print(this, flush=True)
    folder.mkdir()
    figures = play_round(folder, this)
    print(f"  {figures.text()}", flush=True)
    shutil.rmtree(folder)
    return figures


@pytest.mark.parametrize("driver", DRIVERS)
def test_kills_under_50000_messages_a_second_lose_and_double_nothing(
    tmp_path: Path, driver: str
) -> None:
    seed = int(os.environ.get("GM_KILL_SEED") or 1)
    figures = played(tmp_path / "round", Round(0, driver, seed, 6 * RATE, 25))
    assert figures.phases.total() > 5
    assert figures.counts["orders"] > 100
    assert figures.counts["fills"] > 50


@pytest.mark.slow
def test_ten_thousand_kills_under_50000_messages_a_second(tmp_path: Path) -> None:
    kills = int(os.environ.get("GM_KILLS") or KILLS)
    random_ = random.Random(int(os.environ.get("GM_KILL_SEED") or 1))
    total, of_driver, number = NOTHING, dict.fromkeys(DRIVERS, 0), 0
    while total.phases.total() < kills:
        driver = min(DRIVERS, key=of_driver.__getitem__)  # half each
        left = min(ROUND_KILLS_MAX, kills - total.phases.total())
        if kills > ROUND_KILLS_MAX:
            left = min(left, max(1, kills // 2 - of_driver[driver]))
        this = Round(number, driver, random_.getrandbits(32), ROUND_S * RATE, left)
        figures = played(tmp_path / str(number), this)
        of_driver[driver] += figures.phases.total()
        total = total.plus(figures)
        number += 1
        print(f"{number} rounds, {of_driver}: {total.text()}", flush=True)
    print(f"duplicates 0, lost 0; at most 1 kill in {kills // 3:,} does harm (3/N, 95 %)")
    assert total.counts["killed between intent and venue"] > kills // 1_000
    assert total.counts["lives from a snapshot"] > kills // 4
