"""Promise: gm.backtest is the lockstep run without its processes; it takes what people have at hand
and refuses what it would have to guess.
"""

import json
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

import gm
from gm.backtest import EQUITY, Run
from gm.backtest.command import BacktestOptions, run_backtest
from gm.config.instruments import instrument
from gm.config.settings import load_settings
from gm.errors import BadArgument, ConfigError, DataGap, UnknownInstrument, UsageError
from gm.venue.synthetic import synthetic_session

from .. import runs
from ..independent_pnl import recompute_run
from ..runs import CONFIG, Tape, trade
from ..tapes import write_trades, write_trends

SYMBOL = "BTC-PERP"
SEED = 3
BARS = 900


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trends(tmp_path_factory.mktemp("bars") / "bars.csv", BARS)


@pytest.fixture(scope="module")
def run(file: Path) -> Run:
    return gm.backtest(CONFIG, file, SYMBOL, seed=SEED)


@pytest.fixture(scope="module")
def kept(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("kept") / "run"
    return gm.backtest(CONFIG, file, SYMBOL, seed=SEED, run_dir=folder)


def test_orders_fills_and_every_record_are_those_of_two_processes(
    file: Path, kept: Run, tmp_path: Path
) -> None:
    lockstep = trade(tmp_path / "run", Tape(file, SYMBOL, SEED), "--driver", "inline")
    assert kept.summary == msgspec.convert(lockstep.engine, type(kept.summary))
    assert len(kept.fills) > 5
    assert kept.run_dir is not None
    ledger = json.loads((kept.run_dir / "venue_ledger.json").read_text())
    for name in ("orders", "executions", "totals", "tape_id"):
        assert ledger[name] == lockstep.ledger[name], name
    here, there = runs.records(kept.run_dir), runs.records(lockstep.run_dir)
    assert here.tobytes() == there.tobytes()


def test_what_it_leaves_is_replayed_verified_and_reported_like_any_run(
    kept: Run, tmp_path: Path
) -> None:
    assert kept.run_dir is not None
    report = gm.replay(kept.run_dir)
    assert report.order_stream_sha256 == kept.order_stream_hash
    assert report.has_ended
    assert report.is_clean
    assert gm.verify_journal(kept.run_dir).is_sound
    code, _, complaint = runs.gm("report", "--run-dir", kept.run_dir, "--output", tmp_path / "a")
    assert code == 0, complaint
    assert kept.report(tmp_path / "b").read_text() == (tmp_path / "a").read_text()


def test_money_is_that_of_the_independent_books(kept: Run) -> None:
    assert kept.run_dir is not None
    books = recompute_run(kept.run_dir)[SYMBOL]
    stats = kept.stats()
    assert stats.realised_micros == books.realised_micros
    assert stats.unrealised_micros == books.unrealised_micros
    assert stats.commission_micros == books.commission_micros
    assert stats.trades == books.round_trips
    assert stats.net_micros == kept.equity["equity_micros"][-1]
    assert stats.net_micros == (
        books.realised_micros + books.unrealised_micros - books.commission_micros
    )


def test_without_a_folder_it_is_the_same_run(run: Run, kept: Run, tmp_path: Path) -> None:
    assert run.run_dir is None
    assert run.order_stream_hash == kept.order_stream_hash
    assert run.stats() == kept.stats()
    for name in ("orders", "fills", "equity"):
        assert np.array_equal(getattr(run, name), getattr(kept, name)), name
    assert run.equity.dtype == EQUITY
    page = run.report(tmp_path / "run.html").read_text()
    assert page == kept.report(tmp_path / "kept.html").read_text()
    assert "Trades on candles" in page


def test_bars_in_memory_are_the_same_market_as_their_file(file: Path, run: Run) -> None:
    read = gm.read_bars(file, SYMBOL)
    for bars in (read, read.bars):
        found = gm.backtest(load_settings(CONFIG), bars, SYMBOL, seed=SEED)
        assert found.order_stream_hash == run.order_stream_hash
        assert found.fills.tobytes() == run.fills.tobytes()


def test_other_luck_is_another_run(file: Path, run: Run) -> None:
    other = gm.backtest(CONFIG, file, SYMBOL, seed=SEED + 1)
    assert other.fills.tobytes() != run.fills.tobytes()


def test_what_may_be_synthetic_is_not_passed_off_as_evidence(run: Run, tmp_path: Path) -> None:
    bars = synthetic_session(instrument(SYMBOL), 6, 3000)
    found = gm.backtest(CONFIG, bars, SYMBOL)
    assert "No evidence of profit" in found.stats().note
    assert "No evidence of profit" in found.report(tmp_path / "r.html").read_text()
    assert found.stats().decisions > 0
    assert run.stats().note  # and no figure of real data comes without a sentence


def test_filled_holes_were_on_no_feed(file: Path, run: Run) -> None:
    bars = gm.read_bars(file, SYMBOL).bars
    filled = np.concatenate([bars, bars[-1:]])
    filled["start_ts_ns"][-1] += 1_800_000_000_000
    filled["flags"][-1] = 1
    assert gm.backtest(CONFIG, filled, SYMBOL, seed=SEED).order_stream_hash == run.order_stream_hash


def test_trades_are_played_too(tmp_path: Path) -> None:
    file = write_trades(tmp_path / "trades.csv", 6_000)
    found = gm.backtest(CONFIG, file, SYMBOL)
    assert found.stats().decisions > 100
    assert found.report(tmp_path / "r.html").exists()


def test_nothing_is_guessed(file: Path, kept: Run, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="say instrument="):
        gm.backtest(CONFIG, file)
    with pytest.raises(UnknownInstrument):
        gm.backtest(CONFIG, file, "XYZ")
    bars = gm.read_bars(file, SYMBOL).bars
    with pytest.raises(BadArgument, match="cannot be told from 1"):
        gm.backtest(CONFIG, bars[:1], SYMBOL)
    hours = bars[::2]
    with pytest.raises(BadArgument, match="1 to 30 minutes: 60"):
        gm.backtest(CONFIG, hours, SYMBOL)
    with pytest.raises(ConfigError, match="holds a journal"):
        gm.backtest(CONFIG, file, SYMBOL, run_dir=kept.run_dir)


def test_a_bar_shows_how_far_a_long_run_is(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = sys.modules["gm.backtest"]  # as an attribute of gm it is the function
    monkeypatch.setattr(module, "QUIET_S", 0.0)
    monkeypatch.setattr(module, "EVENTS_A_CALL", 100)
    shown = gm.backtest(CONFIG, file, SYMBOL, seed=SEED, progress=True)
    assert f"/{BARS}" in capsys.readouterr().err
    quiet = gm.backtest(CONFIG, file, SYMBOL, seed=SEED, progress=False)
    assert capsys.readouterr().err == ""
    assert shown.stats() == quiet.stats()


def test_the_command_prints_the_figures_and_writes_the_report(
    file: Path, run: Run, tmp_path: Path
) -> None:
    code, printed, complaint = runs.gm(
        "backtest", file, "--instrument", SYMBOL, "--seed", str(SEED), "--config", CONFIG,
        "--report", tmp_path / "page.html", "--json",
    )  # fmt: skip
    assert code == 0, complaint
    assert json.loads(printed) == msgspec.to_builtins(run.stats())
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    code, printed, _ = runs.gm("backtest", file, "--instrument", SYMBOL, "--config", CONFIG)
    assert code == 0
    assert "evidence" in printed.splitlines()[0]
    assert "win rate" in printed


def test_the_command_asks_for_what_a_file_leaves_open(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_text("time,open,high,low,close,volume\n2/1/2020 0:00,7,8,6,7,1\n")
    options = BacktestOptions(file=file, instrument=SYMBOL, config=CONFIG)
    with pytest.raises(UsageError, match=r"--date-order|--bar-minutes"):
        run_backtest(options)
    with pytest.raises(UsageError, match="--seed"):
        run_backtest(msgspec.structs.replace(options, seed=-1))
    for beyond in (0, 45):
        with pytest.raises(UsageError, match=f"--bar-minutes must be 1 to 30: {beyond}"):
            run_backtest(msgspec.structs.replace(options, bar_minutes=beyond))
    missing = msgspec.structs.replace(options, file=tmp_path / "none.csv")
    with pytest.raises(DataGap, match=r"^/.*none\.csv: No such file"):
        run_backtest(missing)
