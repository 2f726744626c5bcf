"""Promise: `gm run` trades live under limits that stand. Without a set, under one that has expired
or in the place of one that was taken away it does not start; a run that has begun may still close
its positions; and after a crash it is halted until two people have looked.
"""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gm._native.kill import read_latch
from gm.kill import ClearOptions, clear, kill_state
from gm.limits import SignOptions, sign_limits

from ..kill.people import write_key, write_people
from ..runs import Place, Process, Tape, place, table
from ..tapes import write_config, write_trends

CONFIGURATION = 3
DAY_S = 86_400
RATES = {"orders_per_second_max": 1_000, "orders_burst_max": 1_000}
DESK = RATES | {"duplicates_max": 64, "duplicate_window_ms": 1}
SPEED = ("--speed", "100000")  # 18 ms a bar


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """Live settings of before anybody signed; they say nothing of restart_policy."""
    write_people(tmp_path)
    tape = Tape(write_trends(tmp_path / "bars.csv", 12_000), "BTC-PERP", 3)
    config = write_live(tmp_path / "live.yaml")
    with place(tmp_path / "run", tape, config) as found:
        yield found


def write_live(path: Path, **desk: int) -> Path:
    write_config(
        path,
        limits={"trading": "live", "folder": "limits", "people_file": "people.yaml"},
        models={"people_file": "people.yaml"},
        engine={"crash_loop_starts": 3, "crash_loop_window_s": 1},
        policy={"max_hold_bars": 1},
        account=RATES,
        trading={"BTC-PERP": DESK | desk},
    )
    tree = yaml.safe_load(path.read_text())
    del tree["engine"]["restart_policy"]
    path.write_text(yaml.safe_dump(tree))
    return path


def sign(here: Place, *names: str, days: int = 30, days_ago: int = 0) -> None:
    now_s = int(time.time()) - days_ago * DAY_S
    for name in names:
        key = write_key(here.config.parent, name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gm.limits.time.time", lambda: now_s)
            sign_limits(SignOptions(config=here.config, person=name, key=key, days=days))


def refused(here: Place, why: str) -> None:
    engine = here.engine()
    assert engine.finish(60) == CONFIGURATION, engine.errors()
    assert why in engine.errors()
    assert "Traceback" not in engine.errors()
    assert not (here.run_dir / "journal").exists()


def test_limits_that_nobody_two_people_or_nobody_any_more_stands_for_start_nothing(
    here: Place,
) -> None:
    refused(here, "gm limits sign makes the first")
    sign(here, "ada", days_ago=31)
    refused(here, "signed by 1 of 2 people")
    sign(here, "grace", days_ago=31)
    refused(here, "set 1 expired ")
    sign(here, "ada", "grace")
    engine = here.engine()
    engine.wait_for(lambda: any(line["event"] == "recovered" for line in engine.log()))


def test_an_older_set_does_not_come_back_by_taking_the_newer_away(here: Place) -> None:
    write_live(here.config, position_lots_max=2_000)
    sign(here, "ada", "grace")
    write_live(here.config)
    sign(here, "ada", days=20)  # lower: one person
    folder = here.config.parent / "limits"
    kept = (folder / "0002.json").read_bytes()
    (folder / "0002.json").unlink()
    write_live(here.config, position_lots_max=2_000)
    refused(here, "0002.json: this set of limits has stood, and the newest now is 1")
    (folder / "0002.json").write_bytes(kept)
    refused(here, "position_lots_max is not what set 2 was signed for")


def trading(here: Place, orders: int) -> Process:
    engine = here.engine()
    engine.wait_for(lambda: totals(here, engine).get("orders", 0) > orders)
    return engine


def totals(here: Place, engine: Process) -> dict[str, Any]:
    status = here.status()
    return status["engine"] if status is not None and status["io"]["pid"] == engine.pid else {}


def clear_once(here: Place, wait_s: float = 10.0) -> str:
    """Sign twice for one step down; the level then."""
    latch = read_latch(str(here.run_dir))["latch_id"]
    for name in ("ada", "grace"):
        signed = clear(
            ClearOptions(
                run_dir=here.run_dir, config=here.config, latch=latch, person=name,
                key=write_key(here.config.parent, name), wait_s=wait_s,
            )
        )  # fmt: skip
    return signed.level


def test_a_run_whose_limits_were_replaced_only_closes_what_it_has(here: Place) -> None:
    sign(here, "ada", "grace")
    here.venue(*SPEED)
    engine = trading(here, 5)
    engine.send(signal.SIGTERM)
    assert engine.finish() == 0, engine.errors()
    rows = len(table(here.run_dir, "positions"))
    sign(here, "ada", days=20)

    engine = here.engine()
    engine.wait_for(lambda: kill_state(here.run_dir, ()).level == "reducing")
    latch = read_latch(str(here.run_dir))
    assert latch["reason"] == "set 2 stands, and this run began with set 1"
    assert latch["author"] == "gm run"
    decisions = totals(here, engine).get("decisions", 0)
    engine.wait_for(lambda: totals(here, engine).get("decisions", 0) > decisions + 20)
    # Two people cannot make it open positions under the former set.
    assert clear_once(here, wait_s=2.0) == "reducing"
    said = [line["refused"] for line in engine.log() if line["event"] == "clear"]
    assert "to active: the limits of this run do not stand any more" in said
    decisions = totals(here, engine)["decisions"]
    engine.wait_for(lambda: totals(here, engine)["decisions"] > decisions + 20)
    engine.send(signal.SIGTERM)
    assert engine.finish() == 0, engine.errors()
    lots = [abs(row["position_lots"]) for row in table(here.run_dir, "positions")[rows:]]
    assert lots == sorted(lots, reverse=True)
    assert json.loads(engine.printed())["refusals"]["R01"] > 0


def test_after_a_crash_live_trading_waits_for_two_people(here: Place) -> None:
    sign(here, "ada", "grace")
    here.venue(*SPEED)
    trading(here, 5).kill()
    engine = here.engine()
    engine.wait_for(lambda: kill_state(here.run_dir, ()).level == "halted")
    assert read_latch(str(here.run_dir))["cause"] == "an unclean stop under restart_policy halted"
    assert clear_once(here) == "reducing"
    assert clear_once(here) == "active"
    orders = totals(here, engine)["orders"]
    engine.wait_for(lambda: totals(here, engine)["orders"] > orders)
