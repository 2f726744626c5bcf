"""Promise: a campaign is a function of its seeds, names those that break a promise, and the command
says so by its exit code.
"""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from gm import layout
from gm.cli import app
from gm.cli.options import config_path
from gm.config.settings import load_settings
from gm.errors import ConfigError, UsageError
from gm.simulation import POLICIES, Campaign, play, with_rule
from gm.simulation.play import Totals, World
from gm.supervisor.preparation import build_run

EVENTS = 1500


@pytest.fixture(scope="module")
def block() -> bytes:
    path = config_path(None)
    return build_run(path, load_settings(path), ("BTC-PERP",))[0]


def _campaign(block: bytes, **changes: object) -> Campaign:
    whole = Campaign(block=block, policies=POLICIES, first=1, seeds=12, events=EVENTS, processes=1)
    return msgspec.structs.replace(whole, **changes)


def test_the_same_seeds_give_the_same_worlds(block: bytes) -> None:
    first, again = (play(_campaign(block)) for _ in range(2))
    first.seconds = again.seconds = 0.0
    assert first == again
    assert first.worlds == 12
    assert first.orders > 0
    assert not first.violations


def test_two_processes_play_what_one_plays(block: bytes) -> None:
    one = play(_campaign(block, seeds=40, events=400))
    two = play(_campaign(block, seeds=40, events=400, processes=2))
    one.seconds = two.seconds = 0.0
    assert one == two


def test_every_policy_plays(block: bytes) -> None:
    for policy in POLICIES:
        totals = play(_campaign(block, policies=(policy,), seeds=2))
        assert totals.worlds == 2
        assert totals.orders > 0, policy
        assert not totals.violations, totals.violations[0].violation


def test_a_rule_takes_the_place_of_the_policy(block: bytes) -> None:
    header = np.frombuffer(with_rule(block, "maximum"), layout.SETTINGS_HEADER, 1)
    assert header["profile"][0] == layout.Profile.RULE
    assert with_rule(block, "own") == block
    with pytest.raises(ConfigError, match=r"kernels\.path"):
        with_rule(with_rule(block, "maximum"), "random")


def test_a_broken_promise_is_named_and_ends_with_one(
    block: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = World(
        seed=77,
        policy="random",
        events=5,
        hash=1,
        faults=(0,),
        codes=(0,),
        starts=1,
        snapshot_starts=0,
        failed_starts=0,
        orders=0,
        fills=0,
        unknowns_resolved=0,
        records=0,
        is_halted=False,
        is_replayed=False,
        violation="P1: order 1/1 is sent again",
        trace="",
        failure="",
    )
    monkeypatch.setattr("gm.simulation.play", lambda *_: Totals(worlds=1, violations=[broken]))
    assert app("simulate --seeds 1", result_action="return_value") == 1
    assert "violated by seeds: 77" in capsys.readouterr().out


def test_one_seed_is_played_again_with_its_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = app("simulate --seed 3 --events 300 --trace", result_action="return_value")
    assert said == 0
    assert "1 worlds, " in capsys.readouterr().out


def test_a_trace_of_no_world_in_particular_is_refused() -> None:
    with pytest.raises(UsageError, match="--trace: of which world"):
        app("simulate --seeds 3 --events 300 --trace", result_action="return_value")
