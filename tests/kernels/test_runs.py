"""Promise: kernels trade in real processes as in a backtest, a replay needs none of them, and one
that fails, is too slow or hangs ends as the configuration says, seen by everybody.
"""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

import gm
from gm import layout
from gm.layout import KernelStatus, RecordType
from gm.scaffold import INSTRUMENT, write_desk

from ..runs import Place, Result, Tape, finish, gm as run_gm, payloads, place, records, trade

CONFIGURATION = 3
KILLED = -signal.SIGKILL
# Holds from the 200th bar of 30 minutes on; found from the session, which is always the same.
FAILING_BAR = 200
RULE = """
import math
import gm

@gm.rule(warmup=4)
def turning(close):
    if close[-1] == {trigger!r}:
        {failure}
    return 1 if close[-1] > close[0] else -1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("desks")


@pytest.fixture(scope="module")
def trigger(folder: Path) -> float:
    """A close that the session has once, at some bar after the 200th."""
    write_desk(folder / "trigger")
    bars = gm.read_bars(folder / "trigger" / "session.csv", instrument=INSTRUMENT).bars
    closes = gm.aggregate_bars(bars, INSTRUMENT, minutes=30)["close_ticks"]
    values, counts = np.unique(closes, return_counts=True)
    once = set(values[counts == 1].tolist())
    return float(next(close for close in closes[FAILING_BAR:].tolist() if close in once))


def desk(folder: Path, name: str, *, source: str | None = None, **kernels: object) -> Place:
    """A scaffolded desk, with another source or other settings of its kernels."""
    write_desk(folder / name)
    config = folder / name / "gm.yaml"
    text = config.read_text()
    for key, value in kernels.items():
        old = next(line for line in text.splitlines() if line.strip().startswith(f"{key}:"))
        text = text.replace(old, f"  {key}: {value}")
    config.write_text(text)
    if source is not None:
        (folder / name / "kernels.py").write_text(source)
    tape = Tape(folder / name / "session.csv", INSTRUMENT, 1)
    return Place(folder / name / "run", tape, config)


def play(here: Place, *arguments: str) -> Result:
    return trade(here.run_dir, here.tape, *arguments, config=here.config)


def last_kernels(here: Place) -> list[dict]:
    """What the status page said of them when the process ended."""
    return json.loads((here.run_dir / "last_status.json").read_text())["engine"]["kernels"]


@pytest.mark.parametrize("driver", ["inline", "threaded"])
def test_a_rule_gives_the_same_orders_live_in_a_backtest_and_in_replay(
    folder: Path, driver: str
) -> None:
    here = desk(folder, f"same-{driver}")
    live = play(here, "--driver", driver)
    assert live.engine["orders"] > 5
    run = gm.backtest(here.config, here.tape.bars, INSTRUMENT, seed=here.tape.seed)
    assert run.order_stream_hash == live.engine["order_stream_sha256"]
    fills = [(row["price_ticks"], row["quantity_lots"]) for row in live.ledger["executions"]]
    assert fills == [(int(f["price_ticks"]), int(f["quantity_lots"])) for f in run.fills]
    # A replay knows neither source nor library.
    (here.run_dir / "kernels.so").unlink()
    (here.config.parent / "kernels.py").unlink()
    assert gm.replay(here.run_dir).order_stream_sha256 == run.order_stream_hash
    kernels = {row["name"]: row for row in last_kernels(here)}
    assert kernels["breakout"]["calls"] == 480 - 47
    assert kernels["volume_trend"]["calls"] == 480 - 19


@pytest.mark.parametrize(
    ("failure", "status", "policy"),
    [
        ("return math.nan", KernelStatus.NOT_FINITE, "halt"),
        ("return 0.25", KernelStatus.OUT_OF_RANGE, "halt"),
        ("return close[99]", KernelStatus.FAILED, "halt"),
        ("raise ValueError", KernelStatus.FAILED, "skip"),
    ],
)
def test_a_kernel_that_fails_is_quarantined_and_the_policy_follows(
    folder: Path, trigger: float, failure: str, status: KernelStatus, policy: str
) -> None:
    name = f"{policy}-{failure}".replace(" ", "_").replace("/", "_")
    source = RULE.format(trigger=trigger, failure=failure)
    here = desk(folder, name, source=source, on_failure=policy)
    run = gm.backtest(here.config, here.tape.bars, INSTRUMENT, run_dir=here.run_dir)
    slots = records(here.run_dir)
    (state,) = payloads(slots, RecordType.KERNEL_STATE, layout.KERNEL_STATE)
    assert state["status"] == status
    said = {"turning": {"reason": status.name.lower(), "policy": policy}}
    assert run.stats().kernels_quarantined == said
    page = run.report(here.run_dir / "report.html").read_text()
    assert "Quarantined kernels" in page
    assert f"<td>turning</td><td>{status.name.lower()}</td><td>{policy}</td>" in page
    # A short rule gives both signs until it fails; from then on nobody decides anything.
    at = int(slots["header"]["source_ts_ns"][slots["header"]["type"] == 78][0])
    intents = slots[slots["header"]["type"] == RecordType.INTENT]
    orders = payloads(intents, RecordType.INTENT, layout.NEW_ORDER)
    late = orders[intents["header"]["source_ts_ns"] > at]
    assert len(orders) - len(late) > 20
    assert all(late["reason"] == layout.OrderReason.MAX_HOLD)
    assert len(late) == (0 if policy == "halt" else 1)
    assert gm.replay(here.run_dir).order_stream_sha256 == run.order_stream_hash


def test_a_kernel_over_its_budget_three_times_in_a_row_is_quarantined(folder: Path) -> None:
    source = (
        "import math\nimport gm\n@gm.rule(warmup=4)\ndef slow(close):\n    x = 0.0\n"
        "    for i in range(2000000):\n        x += math.sin(close[0] + i)\n"
        "    return 1 if x > 1e9 else -1\n"
    )
    here = desk(folder, "slow", source=source, budget_us=100)
    gm.backtest(here.config, here.tape.bars, INSTRUMENT, run_dir=here.run_dir)
    slots = records(here.run_dir)
    results = payloads(slots, RecordType.KERNEL_RESULT, layout.KERNEL_RESULT)
    assert list(results["status"]) == [KernelStatus.OVER_BUDGET] * 3
    (state,) = payloads(slots, RecordType.KERNEL_STATE, layout.KERNEL_STATE)
    assert state["status"] == KernelStatus.OVER_BUDGET


@pytest.mark.parametrize("driver", ["inline", "threaded"])
def test_a_kernel_that_hangs_ends_the_process_and_the_next_one_does_not_call_it(
    folder: Path, trigger: float, driver: str
) -> None:
    source = RULE.format(trigger=trigger, failure="while close[-1] > 0.0: pass")
    here = desk(folder, f"hang-{driver}", source=source, hang_ms=200, on_failure="skip")
    other = {"sha256": "ab" * 32, "name": "other", "reason": "hung"}  # of a former configuration
    here.run_dir.mkdir(parents=True)
    (here.run_dir / "kernels-quarantined.json").write_text(json.dumps([other]))
    with place(here.run_dir, here.tape, here.config) as running:
        venue = running.venue()
        engine = running.engine("--driver", driver)
        assert engine.finish() == KILLED
        assert "kernel turning has run for over 200 ms" in engine.errors()
        (known, entry) = json.loads((here.run_dir / "kernels-quarantined.json").read_text())
        assert known == other
        assert (entry["name"], entry["reason"]) == ("turning", "hung")
        result = finish(running, running.engine("--driver", driver), venue)
    slots = records(here.run_dir)
    (state,) = payloads(slots, RecordType.KERNEL_STATE, layout.KERNEL_STATE)
    assert state["status"] == KernelStatus.HUNG
    assert bytes(state["sha256"]).hex() == entry["sha256"]
    assert result.engine["kernels_quarantined"] == {"turning": {"reason": "hung", "policy": "skip"}}
    (row,) = result.table("kernel_quarantines")
    assert (row["sha256"], row["status"], row["policy"]) == (entry["sha256"], "hung", "skip")
    epochs = payloads(slots, RecordType.EPOCH, layout.EPOCH)
    assert [(int(e["epoch"]), int(e["clean"])) for e in epochs] == [(1, 1), (2, 0)]
    # The bar in which it hung was answered in the second life, as the first thing after its epoch.
    kinds = slots["header"]["type"]
    results = np.flatnonzero(kinds == RecordType.KERNEL_RESULT)
    assert results[-1] == np.flatnonzero(kinds == RecordType.EPOCH)[1] + np.count_nonzero(
        slots["trailer"]["input_sequence"]
        == slots["trailer"]["input_sequence"][np.flatnonzero(kinds == RecordType.EPOCH)[1]]
    )
    (kernel,) = last_kernels(here)
    assert kernel["status"] == KernelStatus.HUNG
    replayed = gm.replay(here.run_dir)
    assert replayed.order_stream_sha256 == result.engine["order_stream_sha256"]
    assert replayed.epoch == 2


def test_a_backtest_ends_when_a_kernel_hangs(folder: Path, trigger: float) -> None:
    source = RULE.format(trigger=trigger, failure="while close[-1] > 0.0: pass")
    here = desk(folder, "hang-backtest", source=source, hang_ms=200)
    code, _, errors = run_gm(
        "backtest", here.tape.bars, "--instrument", INSTRUMENT, "--config", here.config
    )
    assert code == 1
    assert "kernel turning does not come back" in errors


def test_what_no_run_can_use_is_refused_before_anything_starts(folder: Path) -> None:
    bad = desk(folder, "bad", source="import gm\n@gm.rule()\ndef bad(close):\n    return x\n")
    arguments = ("--instrument", INSTRUMENT, "--config", bad.config, "--run-dir", bad.run_dir)
    code, _, errors = run_gm("run", *arguments)
    assert code == CONFIGURATION
    assert "bad: cannot be compiled without the interpreter: NameError" in errors
    none = desk(folder, "none", source="import gm\n@gm.feature()\ndef f(close):\n    return 1.0\n")
    code, _, errors = run_gm(
        "backtest", none.tape.bars, "--instrument", INSTRUMENT, "--config", none.config
    )
    assert code == CONFIGURATION
    assert "policy.profile: rule wants exactly one @gm.rule, has none" in errors


def test_a_run_refuses_another_kernel_than_it_began_with(folder: Path) -> None:
    here = desk(folder, "changed")
    play(here)
    source = here.config.parent / "kernels.py"
    source.write_text(source.read_text().replace("return 1\n", "return -1\n"))
    code, _, errors = run_gm(
        "run", "--instrument", INSTRUMENT, "--config", here.config, "--run-dir", here.run_dir
    )
    assert code == CONFIGURATION
    assert "written with other settings" in errors
