"""Promise: a promotion in the registry is one in the running engine, a fall in the engine is one in
the registry, and neither is lost when the engine is killed in between.
"""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gm import layout
from gm.layout import ModelCause, ModelStage, RecordType
from gm.models import BASELINE_PATH, load_bundle
from gm.models.registry import Act, add_bundle, promote, rollback
from gm.models.registry_state import Entry, read_registry
from gm.models.verification import Terms

from .models.make import guard, guarded, named
from .runs import Place, Process, Tape, gm, payloads, place, records
from .tapes import write_config, write_trends

PROFILE = "strategic_only"
ACT = Act(person="ada", reason="test", at_ts_ns=1)
BARS = 4_000
SPEED = "400000"  # two hundred bars a second: warm within one
BASE = load_bundle(BASELINE_PATH).sha256


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def here(tmp_path: Path, root: Path) -> Iterator[Place]:
    """A venue that runs free, and a configuration that follows a registry."""
    config = write_config(
        tmp_path / "gm.yaml", models={"registry": str(root)}, account={"orders_burst_max": 1_000}
    )
    tape = Tape(write_trends(tmp_path / "bars.csv", BARS), "BTC-PERP", 3)
    with place(tmp_path / "run", tape, config) as found:
        found.venue("--speed", SPEED)
        yield found


def candidate(root: Path, bundle: Any) -> str:
    add_bundle(root, bundle.path, PROFILE, ACT, Terms())
    return str(bundle.sha256)


def lift(root: Path, sha256: str, *targets: Any) -> None:
    for target in targets or ("shadow", "live"):
        promote(root, sha256, target, ACT, Terms())


def entry_of(root: Path, sha256: str) -> Entry:
    entry = read_registry(root).of_hash(sha256)
    assert entry is not None
    return entry


def page(here: Place, engine: Process) -> dict[str, Any]:
    """The engine's part of the status page; empty before this life wrote one."""
    status = here.status()
    if status is None or status["io"]["pid"] != engine.pid:
        return {}
    found: dict[str, Any] = status["engine"]
    return found


def wait_live(here: Place, engine: Process, sha256: str) -> None:
    engine.wait_for(lambda: page(here, engine).get("live_sha256") == sha256, 30)


def test_promotions_and_a_roll_back_reach_the_running_engine(here: Place, root: Path) -> None:
    engine = here.engine("--driver", "inline")
    wait_live(here, engine, BASE)
    one = candidate(root, named(root.parent / "one", "one"))
    two = candidate(root, named(root.parent / "two", "two"))
    lift(root, one, "shadow")
    engine.wait_for(lambda: page(here, engine)["shadow_sha256"] == one, 30)
    engine.wait_for(lambda: page(here, engine)["shadow_decisions"] > 0, 60)
    begun = time.monotonic()
    lift(root, one, "live")
    wait_live(here, engine, one)
    print(f"promote and swap: {time.monotonic() - begun:.3f} s")
    lift(root, two)
    wait_live(here, engine, two)
    rollback(root, PROFILE, ACT, Terms())
    wait_live(here, engine, one)
    engine.send(signal.SIGTERM)
    assert engine.finish() == 0, engine.errors()
    check_decisions(here.run_dir)
    code, printed, errors = gm("replay", "--run-dir", here.run_dir)
    assert code == 0, printed + errors


def check_decisions(run_dir: Path) -> None:
    """Every decision is of the model that the updates before it made live."""
    live = 0
    slots = records(run_dir)
    kinds = slots["header"]["type"]
    for slot in slots[(kinds == RecordType.DECISION) | (kinds == RecordType.MODEL_UPDATE)]:
        is_update = slot["header"]["type"] == RecordType.MODEL_UPDATE
        dtype = layout.MODEL_UPDATE if is_update else layout.DECISION
        payload = slot["payload"].view(dtype)[0]
        if is_update:
            assert payload["stage"] != ModelStage.REFUSED
            live = int(payload["live"])
        else:
            assert payload["model"] == live


DIES: dict[str, Callable[[Place, Process, Path, str], None]] = {
    "when the registry says live": lambda here, engine, root, sha256: None,
    "when it is the shadow": lambda here, engine, root, sha256: engine.wait_for(
        lambda: sha256 in (page(here, engine)["shadow_sha256"], page(here, engine)["live_sha256"])
    ),
    "when it is live": lambda here, engine, root, sha256: wait_live(here, engine, sha256),
}


@pytest.mark.parametrize("when", DIES)
def test_a_promotion_outlives_kill_9(here: Place, root: Path, when: str) -> None:
    engine = here.engine("--driver", "inline")
    wait_live(here, engine, BASE)
    one = candidate(root, named(root.parent / "one", "one"))
    lift(root, one)
    DIES[when](here, engine, root, one)
    engine.kill()
    again = here.engine("--driver", "inline")
    wait_live(here, again, one)
    assert entry_of(root, one).state == "live"
    assert page(here, again)["before_sha256"] == BASE


@pytest.mark.parametrize("dies", [False, True])
def test_a_model_out_of_its_depth_is_retired_and_a_restart_decides_by_the_good_one(
    here: Place, root: Path, dies: bool
) -> None:
    engine = here.engine("--driver", "inline")
    wait_live(here, engine, BASE)
    good = candidate(root, named(root.parent / "good", "good"))
    lift(root, good)
    wait_live(here, engine, good)
    fence = guard(low=5.0, high=5.0, rows_max=1)  # every row is strange
    bad = candidate(root, guarded(root.parent / "bad", "bad", fence))
    lift(root, bad)
    engine.wait_for(lambda: page(here, engine)["roll_backs"] == 1, 60)
    if dies:  # perhaps before the registry was told
        engine.kill()
        engine = here.engine("--driver", "inline")
    engine.wait_for(lambda: entry_of(root, bad).state == "retired", 30)
    wait_live(here, engine, good)
    last = entry_of(root, bad).history[-1]
    assert (last.cause, last.person) == ("rolled_back", "engine")
    assert "out_of_distribution" in last.reason
    assert entry_of(root, good).state == "live"
    engine.kill()
    again = here.engine("--driver", "inline")
    wait_live(here, again, good)
    again.send(signal.SIGTERM)
    assert again.finish() == 0, again.errors()
    updates = payloads(records(here.run_dir), RecordType.MODEL_UPDATE, layout.MODEL_UPDATE)
    fell = updates[updates["cause"] == ModelCause.OUT_OF_DISTRIBUTION]
    assert [ModelStage(stage) for stage in fell["stage"]] == [ModelStage.RETIRED, ModelStage.LIVE]


def test_a_run_begins_with_a_registered_bundle_and_keeps_it(tmp_path: Path, root: Path) -> None:
    one = candidate(root, named(tmp_path / "source_one", "one"))
    changes = {"models": {"registry": str(root)}, "policy": {"bundle": "one"}}
    config = write_config(tmp_path / "gm.yaml", **changes)
    tape = Tape(write_trends(tmp_path / "bars.csv", BARS), "BTC-PERP", 3)
    with place(tmp_path / "run", tape, config) as here:
        refused = here.engine()
        assert refused.finish() == 3
        assert "is candidate for strategic_only, must be live" in refused.errors()
        lift(root, one)
        here.venue("--speed", SPEED)
        engine = here.engine("--driver", "inline")
        wait_live(here, engine, one)
        assert page(here, engine)["live_model"] == 0
        two = candidate(root, named(tmp_path / "source_two", "two"))
        lift(root, two)
        wait_live(here, engine, two)
        engine.kill()
        again = here.engine("--driver", "inline")  # `one` is retired by now
        wait_live(here, again, two)
        assert page(here, again)["before_sha256"] == one
