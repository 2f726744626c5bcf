"""Promise: five years of NQ in 30-minute bars are traded over ZeroMQ by two processes, both date
forms read, nothing refused, and money, tables and journal agree.
"""

from collections import Counter
from pathlib import Path

import pytest

from ..independent_pnl import recompute_run
from ..kills import check_everything
from ..runs import Result, Tape, real_file, trade
from .claims import check_replay_is_byte_identical, check_tables

pytestmark = pytest.mark.data
SEED = 7


@pytest.fixture(scope="module")
def tape() -> Tape:
    return Tape(real_file("nq_30m_eth.csv"), "NQ", SEED)


@pytest.fixture(scope="module")
def years(tape: Tape, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return trade(tmp_path_factory.mktemp("nq") / "run", tape, "--driver", "inline")


def test_the_years_are_traded_on_both_sides(years: Result) -> None:
    assert 500 <= years.engine["round_trips"] <= 4_000
    assert set(Counter(row["side"] for row in years.table("fills"))) == {"buy", "sell"}
    assert years.engine["partial_fills"] >= 1
    assert years.engine["venue_rejects"] >= 1


def test_tables_are_filled_and_agree_with_each_other(years: Result) -> None:
    check_tables(years)


def test_everything_holds_that_is_asked_of_a_killed_run(years: Result) -> None:
    check_everything(years)


def test_the_independent_profit_is_the_engines_to_the_last_micro_unit(years: Result) -> None:
    books = recompute_run(years.run_dir)["NQ"]
    found = {name: years.engine[name] for name in books._fields if name.endswith("_micros")}
    assert found == {name: getattr(books, name) for name in found}


def test_both_date_forms_are_read_and_nothing_is_refused(years: Result) -> None:
    assert years.engine["quarantined"] == {}
    assert years.table("quarantine") == []
    # 56,083 rows: `29/06/2020 01:00:00` and `1/7/2020 1:00` alternate within the file.
    assert years.venue["counters"]["feed_events"] == 2 * 56_083 + 1
    text = real_file("nq_30m_eth.csv").read_text()
    assert "29/06/2020 01:00:00" in text
    assert "\n1/7/2020 " in text


def test_replay_is_byte_identical(years: Result, tmp_path: Path) -> None:
    check_replay_is_byte_identical(years, tmp_path)


def test_threaded_driver_and_a_second_run_send_the_same_orders(
    years: Result, tape: Tape, tmp_path: Path
) -> None:
    threaded = trade(tmp_path / "run", tape, "--driver", "threaded")
    assert threaded.engine["order_stream_sha256"] == years.engine["order_stream_sha256"]
    assert threaded.engine == years.engine
    assert threaded.ledger["executions"] == years.ledger["executions"]
    check_everything(threaded)
