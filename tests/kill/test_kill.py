"""Promise: `gm kill` holds with and without an engine, and `gm clear` brings it down by one."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from gm._native.kill import read_latch
from gm.errors import ConfigError, RiskStop, UsageError
from gm.kill import ClearOptions, KillOptions, clear, kill, kill_state
from gm.kill.raising import KillWords
from gm.layout import KillCause, KillLevel, RecordType
from gm.layout.kill import KILL

from ..kills import harness
from ..runs import Place, Process, Tape, gm, payloads, place, records
from ..tapes import write_trends
from .people import config_with_people, write_key

SPEED = ("--speed", "400000")  # 4.5 ms a bar


@pytest.fixture
def here(tmp_path):
    """A run of half a minute, with people who may clear it."""
    tape = Tape(write_trends(tmp_path / "bars.csv", 7_000), "BTC-PERP", 3)
    config = config_with_people(
        tmp_path, policy={"max_hold_bars": 1}, account=RATES, trading={"BTC-PERP": DESK}
    )
    with place(tmp_path / "run", tape, config) as found:
        yield found


RATES = {"orders_per_second_max": 1_000, "orders_burst_max": 1_000}
DESK = RATES | {"duplicates_max": 64, "duplicate_window_ms": 1}


def trading(here: Place, orders: int = 3) -> Process:
    engine = here.engine()
    engine.wait_for(lambda: totals(here, engine).get("orders", 0) > orders)
    return engine


def totals(here: Place, engine: Process) -> dict[str, Any]:
    status = here.status()
    return status["engine"] if status is not None and status["io"]["pid"] == engine.pid else {}


def level(here: Place) -> str:
    return kill_state(here.run_dir, ["BTC-PERP"]).level


def raise_to(here: Place, name: str, **options: Any) -> Any:
    return kill(KillOptions(run_dir=here.run_dir, level=name, reason="a test", **options))


def sign(here: Place, name: str, latch: str | None = None) -> Any:
    return clear(
        ClearOptions(
            run_dir=here.run_dir,
            config=here.config,
            latch=latch or read_latch(str(here.run_dir))["latch_id"],
            person=name,
            key=write_key(here.run_dir.parent, name),
        )
    )


def test_a_running_engine_obeys_latches_and_falls_by_two_signatures(here: Place) -> None:
    here.venue(*SPEED)
    engine = trading(here)
    code, printed, errors = gm("kill", "--reason", "a fire", "--run-dir", here.run_dir, "--json")
    assert code == 0, errors
    raised = json.loads(printed)
    assert raised["confirmed_by"] == "engine"
    assert raised["level"] == "killed"
    assert raised["confirmed_ms"] < 5_000
    latch = read_latch(str(here.run_dir))
    assert (latch["level"], latch["reason"]) == (KillLevel.KILLED, "a fire")
    assert latch["latch_id"] == raised["latch_id"]
    code, printed, _ = gm("status", "--run-dir", here.run_dir)
    assert raised["latch_id"] in printed
    assert "a fire" in printed
    engine.wait_for(lambda: totals(here, engine)["open_orders"] == 0)
    orders = totals(here, engine)["orders"]

    for name in ("halted", "reducing", "active"):
        first = sign(here, "ada")
        assert (first.has_fallen, first.signers) == (False, ("ada",))
        with pytest.raises(UsageError, match="has signed for this already"):
            sign(here, "ada")
        assert level(here) != name
        second = sign(here, "grace")
        assert second.has_fallen, (second, engine.errors()[-2000:])
        assert level(here) == name
        if name == "halted":
            assert totals(here, engine)["orders"] == orders
    engine.wait_for(lambda: totals(here, engine)["orders"] > orders + 3)  # trades again
    with pytest.raises(UsageError, match="nothing is latched"):
        sign(here, "ada", "ab" * 16)
    engine.send(signal.SIGTERM)
    assert engine.finish() == 0, engine.errors()
    kills = payloads(records(here.run_dir), RecordType.KILL, KILL)
    assert [int(row["cause"]) for row in kills] == [KillCause.ORDERED, *[KillCause.CLEARED] * 3]
    assert all(bytes(row["signatures_sha256"]) != bytes(32) for row in kills[1:])
    assert {bytes(row["latch_id"]).hex() for row in kills[1:]} == {raised["latch_id"]}


def test_signatures_of_the_wrong_people_or_latch_change_nothing(here: Place) -> None:
    here.venue(*SPEED)
    trading(here)
    with pytest.raises(UsageError, match="nothing is latched"):
        sign(here, "ada", "ab" * 16)
    raise_to(here, "killed")
    with pytest.raises(UsageError, match=r"stands \(gm status\)"):
        sign(here, "ada", "ab" * 16)
    with pytest.raises(ConfigError, match="not in people"):
        sign(here, "eve")
    with pytest.raises(ConfigError, match="tom is a trader"):
        sign(here, "tom")
    sign(here, "ada")
    before = read_latch(str(here.run_dir))
    raise_to(here, "killed")  # once more: what was signed is for a former record
    after = read_latch(str(here.run_dir))
    assert after["sequence"] > before["sequence"]
    assert after["latch_id"] == before["latch_id"]
    assert not sign(here, "grace").has_fallen
    assert level(here) == "killed"


def test_sigusr1_kills_whatever_the_process_is_doing(here: Place) -> None:
    here.venue(*SPEED)
    engine = trading(here)
    engine.send(signal.SIGUSR1)
    engine.wait_for(lambda: level(here) == "killed")
    engine.wait_for(lambda: totals(here, engine)["open_orders"] == 0)
    assert read_latch(str(here.run_dir))["cause"] == "SIGUSR1"
    engine.kill()
    native = harness(here, "inline", 0)
    native.wait_for(lambda: killed(here, native))


def killed(here: Place, engine: Process) -> bool:
    status = here.status()
    is_its = status is not None and status["io"]["pid"] == engine.pid
    return is_its and status["instruments"][0]["kill_level"] == KillLevel.KILLED


def test_the_native_harness_listens_to_sigusr1_too(here: Place) -> None:
    here.venue(*SPEED)
    trading(here).kill()
    native = harness(here, "threaded", 0)
    native.wait_for(lambda: totals(here, native).get("last_feed_sequence", 0) > 0)
    native.send(signal.SIGUSR1)
    native.wait_for(lambda: level(here) == "killed")


def test_without_an_engine_the_latch_is_written_and_the_next_start_obeys(here: Place) -> None:
    here.venue(*SPEED)
    engine = trading(here)
    engine.kill()
    raised = raise_to(here, "halted", instrument="BTC-PERP")
    assert raised.confirmed_by == "latch"
    state = kill_state(here.run_dir, ["BTC-PERP"])
    assert (state.account, state.instruments) == ("active", {"BTC-PERP": "halted"})
    # Two signatures lie ready; the next start takes them once it knows its orders' fate.
    sign(here, "ada")
    signed = clear_without_waiting(here, "grace")
    assert not signed.has_fallen
    assert "lie ready" in signed.note
    again = here.engine()
    again.wait_for(lambda: level(here) == "reducing")
    assert read_latch(str(here.run_dir))["signatures_sha256"] != "00" * 32


def clear_without_waiting(here: Place, name: str) -> Any:
    return clear(
        ClearOptions(
            run_dir=here.run_dir, config=here.config, person=name, wait_s=0.0,
            latch=read_latch(str(here.run_dir))["latch_id"],
            key=write_key(here.run_dir.parent, name),
        )
    )  # fmt: skip


def test_an_engine_that_does_not_answer_is_said_so_and_the_word_stands(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.venue(*SPEED)
    engine = trading(here)
    engine.send(signal.SIGSTOP)
    try:
        with pytest.raises(RiskStop, match="did not confirm within"):
            raise_to(here, "killed", confirm_s=0.5)
    finally:
        engine.send(signal.SIGCONT)
    engine.wait_for(lambda: level(here) == "killed")


def test_bad_arguments_are_refused_with_what_is_allowed(here: Place, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not the directory of a run"):
        raise_to(here, "killed")
    here.venue(*SPEED)
    trading(here)
    with pytest.raises(UsageError, match="none of active, reducing, halted, killed"):
        raise_to(here, "dead")
    with pytest.raises(UsageError, match="two signatures"):
        raise_to(here, "active")
    with pytest.raises(UsageError, match="is not of this run: BTC-PERP"):
        raise_to(here, "killed", instrument="ES")
    with pytest.raises(UsageError, match="say why"):
        kill(KillOptions(run_dir=here.run_dir, level="killed", reason=" "))
    assert level(here) == "active"
    with pytest.raises(ValueError, match="9 is not a valid KillLevel"):
        KillWords(str(tmp_path / "words")).raise_level(0, 9, "ada", "nothing")
