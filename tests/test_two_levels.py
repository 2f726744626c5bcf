"""Promise: two levels decide in a backtest as in two processes on the same bars of 5 minutes, their
journal replays to the same bytes, and the database says what timed each entry.
"""

from pathlib import Path

import msgspec
import numpy as np
import pytest

import gm
from gm.backtest import Run
from gm.explain import explain
from gm.explain.trail import payload, read_trail, sequence_of
from gm.layout import OrderReason, OrderType, RecordType, Side

from . import runs
from .models.make import six_networks, timing_onnx
from .runs import CONFIG, Tape, trade
from .tapes import trending_prices, write_bars, write_config

SYMBOL, SEED = "BTC-PERP", 3
HALF_HOURS = 420


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two_levels")


@pytest.fixture(scope="module")
def bars(folder: Path) -> Path:
    """Half hours of the usual trends, each walked in six steps."""
    borders = trending_prices(HALF_HOURS, 30_000.0)
    at = np.arange(6 * HALF_HOURS + 1) / 6
    return write_bars(
        folder / "bars.csv", np.interp(at, np.arange(HALF_HOURS + 1), borders), minutes=5
    )


@pytest.fixture(scope="module")
def config(folder: Path) -> Path:
    six_networks(folder / "six", make_onnx=timing_onnx)
    return write_config(
        folder / "two_levels.yaml",
        policy={"profile": "two_level", "bundle": str(folder / "six")},
        trading={SYMBOL: {"types": ["market", "limit"]}},
    )


@pytest.fixture(scope="module")
def kept(folder: Path, bars: Path, config: Path) -> Run:
    return gm.backtest(config, bars, SYMBOL, seed=SEED, run_dir=folder / "backtest")


def test_every_record_is_that_of_two_processes(
    folder: Path, bars: Path, config: Path, kept: Run
) -> None:
    lockstep = trade(folder / "run", Tape(bars, SYMBOL, SEED), "--driver", "inline", config=config)
    assert kept.summary == msgspec.convert(lockstep.engine, type(kept.summary))
    assert kept.summary.tactical_decisions > 1000
    assert kept.run_dir is not None
    assert runs.records(kept.run_dir).tobytes() == runs.records(lockstep.run_dir).tobytes()
    entries = [row for row in lockstep.table("orders") if row["reason"] == "entry"]
    assert {row["type"] for row in entries} == {"market", "limit"}
    assert any(row["reason"] == "decision" for row in lockstep.table("orders"))
    timed = {row["bar_start_ts_ns"]: row for row in lockstep.table("tactical_decisions")}
    for row in entries:
        why = timed[row["decision_bar_start_ts_ns"]]
        assert why["enters"] == 1
        assert why["direction"] == why["standing"] == (1 if row["side"] == "buy" else -1)
        assert why["entry"] == ("execute" if row["type"] == "limit" else "aggressive")
    code, _, complaint = runs.gm("report", "--run-dir", lockstep.run_dir)
    assert code == 0, complaint
    assert "Timing of entries" in (lockstep.run_dir / "report.html").read_text()


def test_an_entry_is_explained_by_what_timed_it_and_by_the_direction_that_stood(kept: Run) -> None:
    assert kept.run_dir is not None
    sent = read_trail(kept.run_dir).of(RecordType.INTENT)
    entries = [slot for slot in sent if payload(slot)["reason"] == OrderReason.ENTRY]
    for kind in (OrderType.MARKET, OrderType.LIMIT):
        slot = next(slot for slot in entries if payload(slot)["type"] == kind)
        row = payload(slot)
        found = explain(kept.run_dir, f"@{sequence_of(slot)}", steps=16)
        assert (found.cause, found.is_equal) == ("entry", True)
        assert found.order is not None
        assert found.order.type == kind.name.lower()
        assert found.timing is not None
        assert found.timing.bar_start_ts_ns == row["decision_bar_start_ts_ns"]
        assert found.timing.direction == ("long" if row["side"] == Side.BUY else "short")
        assert found.timing.votes[2] == ("aggressive" if kind == OrderType.MARKET else "execute")
        assert found.decision is not None
        assert (found.decision.action, found.decision.acts) == (found.timing.direction, True)
        assert "the tactical team timed the entry" in found.text


def test_the_journal_replays_to_the_same_bytes(kept: Run) -> None:
    assert kept.run_dir is not None
    report = gm.replay(kept.run_dir)
    assert report.order_stream_sha256 == kept.order_stream_hash
    assert gm.verify_journal(kept.run_dir).is_sound


def test_a_bundle_of_six_decides_by_three_where_one_level_does(
    folder: Path, bars: Path, config: Path
) -> None:
    alone = write_config(
        folder / "one_level.yaml",
        policy={"bundle": str(folder / "six")},
    )
    found = gm.backtest(alone, bars, SYMBOL, seed=SEED)
    expected = gm.backtest(CONFIG, bars, SYMBOL, seed=SEED)
    assert found.order_stream_hash == expected.order_stream_hash
    assert found.summary.tactical_decisions == 0
