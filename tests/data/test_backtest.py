"""Promise: real files give the same orders, fills and records by backtest, by two processes in
lockstep, and by replay.
"""

from pathlib import Path

import msgspec
import pytest

import gm

from ..runs import CONFIG, Result, Tape, real_file, records, trade
from .claims import check_tables

pytestmark = pytest.mark.data
SEED = 7
FILES = {"BTC-PERP": "btc_perp_1m_202201.csv", "NQ": "nq_30m_eth.csv"}


@pytest.mark.parametrize("symbol", FILES)
def test_backtest_lockstep_and_replay_are_one_run(symbol: str, tmp_path: Path) -> None:
    file = real_file(FILES[symbol])
    lockstep = trade(tmp_path / "lockstep", Tape(file, symbol, SEED), "--driver", "inline")
    found = gm.backtest(CONFIG, file, symbol, seed=SEED, run_dir=tmp_path / "backtest")
    replayed = gm.replay(tmp_path / "backtest")

    assert len(found.fills) > 50
    assert found.order_stream_hash == lockstep.engine["order_stream_sha256"]
    assert found.order_stream_hash == replayed.order_stream_sha256
    assert msgspec.to_builtins(found.summary) == lockstep.engine
    kept = gm_ledger(tmp_path / "backtest")
    assert kept["executions"] == lockstep.ledger["executions"]
    assert kept["orders"] == lockstep.ledger["orders"]
    assert records(tmp_path / "backtest").tobytes() == records(lockstep.run_dir).tobytes()
    assert gm.verify_journal(tmp_path / "backtest").is_sound


def test_the_tables_of_a_backtest_agree_with_each_other(tmp_path: Path) -> None:
    file = real_file(FILES["BTC-PERP"])
    found = gm.backtest(CONFIG, file, "BTC-PERP", seed=SEED, run_dir=tmp_path / "run")
    check_tables(Result(tmp_path / "run", msgspec.to_builtins(found.summary), {}))


def gm_ledger(run_dir: Path) -> dict[str, object]:
    return msgspec.json.decode((run_dir / "venue_ledger.json").read_bytes())
